//! System V's shared memory (svipc(7)): segments by key and number, who may use them, and
//! how long they last.
//!
//! A segment is a memory object. Whoever attaches it maps that by one of two `Mapped`s,
//! one to be written and one not, of which the segment only has weak references: how many
//! strong ones there are is how often it is attached, whatever splits mappings, copies or
//! ends them. One that was removed lives on by them alone.

use crate::fs::access::Credentials;
use crate::memory::{try_arc, try_push};
use crate::mm::backing::{Mapped, MappedFile};
use crate::mm::object::Object;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_IPC_OWNER, CAP_SYS_ADMIN};
use trapgate_uapi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE};
use trapgate_uapi::shm::{SHM_DEST, SHM_HUGETLB, SHM_LOCKED, SHMMAX, SHMMIN, SHMMNI};
use trapgate_uapi::stat::S_IRWXUGO;

/// A number is its place and, above these bits, how many there were before.
const PLACE_BITS: u32 = 15;

/// All segments.
#[derive(Debug, Default)]
pub struct Segments {
    places: Vec<Option<Segment>>,
    /// How many there ever were.
    ever: u32,
}

/// One of them.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub id: u32,
    /// What it is found by; `IPC_PRIVATE` is no key.
    pub key: i32,
    /// `S_IRWXUGO`, [`SHM_DEST`] and [`SHM_LOCKED`].
    pub mode: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Who has made it.
    pub creator_uid: u32,
    /// Their group.
    pub creator_gid: u32,
    /// In bytes, as it was asked for.
    pub size: u64,
    /// The process that has made it.
    pub creator_pid: u32,
    /// The one that has attached or detached it last.
    pub last_pid: u32,
    /// When it was attached last, in seconds; 0, if it never was.
    pub attached: i64,
    /// The same of detaching.
    pub detached: i64,
    /// When it was made, or its owner changed.
    pub changed: i64,
    object: Weak<Object>,
    /// As long as it is not removed.
    held: Option<Arc<Object>>,
    /// What is attached, not to be written and to be.
    mapped: [Weak<Mapped>; 2],
}

/// What mappings of a segment have for a file.
#[derive(Debug)]
struct SegmentFile {
    id: u32,
    key: i32,
}

/// `st_dev` of System V's shared memory: no file system of the tree has it.
const DEVICE: u64 = 1;

impl MappedFile for SegmentFile {
    fn device(&self) -> u64 {
        DEVICE
    }

    fn number(&self) -> u64 {
        self.id.into()
    }

    fn path(&self) -> Result<Vec<u8>, Errno> {
        let mut text = crate::memory::Text::default();
        write!(text, "/SYSV{:08x} (deleted)", self.key)?;
        Ok(text.into_bytes())
    }

    fn segment(&self) -> Option<u32> {
        Some(self.id)
    }
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Their rights.
    pub who: Credentials<'a>,
    /// getpid(2).
    pub pid: u32,
    /// The time in seconds.
    pub now: i64,
}

impl Segment {
    fn new(id: u32, key: i32, size: u64, mode: u32, asking: Asking) -> Result<Segment, Errno> {
        let object = try_arc(Object::new(size.div_ceil(PAGE_SIZE)))?;
        let (uid, gid) = (asking.who.uid(), asking.who.gid());
        Ok(Segment {
            id,
            key,
            mode: mode & S_IRWXUGO,
            uid,
            gid,
            creator_uid: uid,
            creator_gid: gid,
            size,
            creator_pid: asking.pid,
            last_pid: 0,
            attached: 0,
            detached: 0,
            changed: asking.now,
            object: Arc::downgrade(&object),
            held: Some(object),
            mapped: [Weak::new(), Weak::new()],
        })
    }

    /// How many there were before it, as far as its number has that.
    pub const fn sequence(&self) -> u16 {
        (self.id >> PLACE_BITS) as u16
    }

    /// How many mappings there are of it.
    pub fn attaches(&self) -> u64 {
        self.mapped.iter().map(|mapped| mapped.strong_count() as u64).sum()
    }

    /// Pages that it has.
    pub fn resident(&self) -> u64 {
        self.object.upgrade().map_or(0, |object| object.frames())
    }

    /// It is removed and nobody has it any more.
    fn is_gone(&self) -> bool {
        self.held.is_none() && self.attaches() == 0
    }

    /// Whether these permissions are had, each as the owner's, the group's or others'.
    ///
    /// # Errors
    /// EACCES.
    pub fn check(&self, wanted: u32, who: Credentials) -> Result<(), Errno> {
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let is_owner = who.uid() == self.uid || who.uid() == self.creator_uid;
        let granted = match () {
            () if is_owner => self.mode >> 6,
            () if who.is_in(self.gid) || who.is_in(self.creator_gid) => self.mode >> 3,
            () => self.mode,
        };
        let may = wanted & !granted == 0 || who.can(CAP_IPC_OWNER);
        if may { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether it is theirs to change or to remove.
    ///
    /// # Errors
    /// EPERM.
    pub fn check_owner(&self, who: Credentials) -> Result<(), Errno> {
        let is_owner = who.uid() == self.uid || who.uid() == self.creator_uid;
        if is_owner || who.can(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// What a mapping of it has, which counts as an attach as long as there is one.
    ///
    /// # Errors
    /// ENOMEM; EIDRM, if it is gone.
    pub fn mapped(&mut self, writes: bool) -> Result<Arc<Mapped>, Errno> {
        let mapped = match self.mapped[usize::from(writes)].upgrade() {
            Some(mapped) => mapped,
            None => {
                let object = self.object.upgrade().ok_or(Errno::EIDRM)?;
                let file = try_arc(SegmentFile { id: self.id, key: self.key })?;
                try_arc(Mapped { object, file: Some(file), may_write: writes, stored: None })?
            }
        };
        self.mapped[usize::from(writes)] = Arc::downgrade(&mapped);
        Ok(mapped)
    }

    /// It was attached.
    pub fn note_attach(&mut self, asking: Asking) {
        (self.last_pid, self.attached) = (asking.pid, asking.now);
    }

    /// It was detached.
    pub fn note_detach(&mut self, asking: Asking) {
        (self.last_pid, self.detached) = (asking.pid, asking.now);
    }

    /// shmctl(2) `IPC_RMID`: nobody finds it by its key any more.
    pub fn remove(&mut self) {
        self.held = None;
        self.key = IPC_PRIVATE;
        self.mode |= SHM_DEST;
    }

    /// shmctl(2) `SHM_LOCK`, `SHM_UNLOCK`: memory is never swapped out; it is told.
    pub const fn set_locked(&mut self, locked: bool) {
        self.mode = if locked { self.mode | SHM_LOCKED } else { self.mode & !SHM_LOCKED };
    }
}

impl Segments {
    /// Forgets those that are gone. What they had has gone before.
    fn tidy(&mut self) {
        for place in &mut self.places {
            if place.as_ref().is_some_and(Segment::is_gone) {
                *place = None;
            }
        }
    }

    /// All that there are.
    pub fn iter(&mut self) -> impl Iterator<Item = &Segment> {
        self.tidy();
        self.places.iter().flatten()
    }

    /// The highest place that is taken; 0, if none is.
    pub fn last_place(&mut self) -> u64 {
        self.tidy();
        self.places.iter().rposition(Option::is_some).unwrap_or(0) as u64
    }

    /// The one with this number.
    ///
    /// # Errors
    /// EINVAL.
    pub fn find(&mut self, id: u32) -> Result<&mut Segment, Errno> {
        let segment = self.at(id & ((1 << PLACE_BITS) - 1))?;
        if segment.id == id { Ok(segment) } else { Err(Errno::EINVAL) }
    }

    /// The one at this place.
    ///
    /// # Errors
    /// EINVAL.
    pub fn at(&mut self, place: u32) -> Result<&mut Segment, Errno> {
        self.tidy();
        self.places.get_mut(place as usize).and_then(Option::as_mut).ok_or(Errno::EINVAL)
    }

    /// shmget(2); `pages` is how many there could be at all.
    ///
    /// # Errors
    /// Those of shmget(2).
    pub fn get(
        &mut self,
        key: i32,
        size: u64,
        flags: u32,
        asking: Asking,
        pages: u64,
    ) -> Result<u32, Errno> {
        self.tidy();
        let found = self.places.iter().flatten().find(|segment| segment.key == key);
        match found.filter(|_| key != IPC_PRIVATE) {
            Some(_) if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => Err(Errno::EEXIST),
            Some(segment) if size > segment.size => Err(Errno::EINVAL),
            Some(segment) => segment.check(flags, asking.who).map(|()| segment.id),
            None if key != IPC_PRIVATE && flags & IPC_CREAT == 0 => Err(Errno::ENOENT),
            None if !(SHMMIN..=SHMMAX).contains(&size) => Err(Errno::EINVAL),
            // There are no large pages, nor more than there are.
            None if flags & SHM_HUGETLB != 0 || size.div_ceil(PAGE_SIZE) > pages => {
                Err(Errno::ENOMEM)
            }
            None => self.add(key, size, flags, asking),
        }
    }

    fn add(&mut self, key: i32, size: u64, mode: u32, asking: Asking) -> Result<u32, Errno> {
        let place = match self.places.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.places.len() >= SHMMNI => return Err(Errno::ENOSPC),
            None => {
                try_push(&mut self.places, None)?;
                self.places.len() - 1
            }
        };
        // Positive as a number of C's.
        let id = (self.ever << PLACE_BITS | place as u32) & i32::MAX as u32;
        self.places[place] = Some(Segment::new(id, key, size, mode, asking)?);
        self.ever += 1;
        Ok(id)
    }
}
