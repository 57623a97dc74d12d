//! An inode: a file, however many names it has.

use crate::fs::epoll::Epoll;
use crate::fs::event::Event;
use crate::fs::filesystem::FileSystem;
use crate::fs::lock::Locks;
use crate::fs::lower::{Lower, LowerContent, LowerInode};
use crate::fs::pipe::Pipe;
use crate::fs::standard::Standard;
use crate::fs::timer::TimerFile;
use crate::memory::{try_arc, try_insert};
use crate::mm::object::Object;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, S_ISGID, S_ISUID,
    S_IXGRP,
};
use trapgate_uapi::time::Timespec;

/// The most names that a file may have: tmpfs has no limit, `st_nlink` has 32 bits.
pub const LINK_MAX: u32 = i32::MAX as u32;

/// A file.
pub struct Inode {
    /// What it is in.
    pub filesystem: Arc<FileSystem>,
    /// `st_ino`.
    pub number: u64,
    /// What it is, with what is in it.
    pub kind: Kind,
    /// Locks on it, which are few.
    pub locks: Mutex<Locks>,
    meta: Mutex<Meta>,
    /// Whether it has been read since it was changed: then another read leaves
    /// `accessed` alone, as mount option `relatime` has it.
    read: AtomicBool,
    /// Whether it is one of those that its file system counts.
    is_counted: bool,
}

/// What a file is.
pub enum Kind {
    /// Bytes.
    Regular(Arc<Object>),
    /// Names: they are in its dentry. Those that were never looked up are found in the
    /// lower directory, if there is one.
    Directory(Option<Below>),
    /// A path.
    Symlink(Vec<u8>),
    /// A device, by its number (`st_rdev`).
    Character(u64),
    /// The same. There is none behind it.
    Block(u64),
    /// A pipe, with a name or without.
    Fifo(Arc<Pipe>),
    /// A counter.
    Event(Event),
    /// A timer.
    Timer(Arc<TimerFile>),
    /// Files that are watched.
    Epoll(Arc<Epoll>),
    /// The name of a socket.
    Socket,
    /// Bytes that are made when they are read: `generated`.
    Generated,
    /// A link to a file itself: the same.
    MagicLink,
    /// A file of the host's that is open, where a link leads to it.
    Host(Standard),
}

/// What a directory is made of.
#[derive(Clone)]
pub struct Below {
    /// The lower directory.
    pub directory: Arc<dyn Lower>,
    /// Those of its file system's files that have several names.
    pub linked: Arc<Linked>,
}

/// Files of a lower file system that have several names, by their numbers there: what was
/// done to one by a name is there by all.
#[derive(Default)]
pub struct Linked {
    several: Mutex<BTreeMap<u64, Arc<Inode>>>,
    live: Mutex<Live>,
}

/// Files that somebody has, where each is to be one however it is found.
#[derive(Default)]
struct Live {
    inodes: BTreeMap<u64, Weak<Inode>>,
    /// When there are as many, those that have gone are taken out.
    full: usize,
}

/// Files of which it is worth looking which have gone.
const FULL: usize = 256;

impl Linked {
    /// The file, if one of its names was looked up.
    pub fn get(&self, number: u64) -> Option<Arc<Inode>> {
        self.several.lock().get(&number).cloned()
    }

    /// Notes a file; answers the one that is noted already, if there is one.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn note(&self, inode: Arc<Inode>) -> Result<Arc<Inode>, Errno> {
        let mut linked = self.several.lock();
        if let Some(known) = linked.get(&inode.number) {
            return Ok(known.clone());
        }
        try_insert(&mut linked, inode.number, inode.clone())?;
        Ok(inode)
    }

    /// A file has lost its last name.
    pub fn forget(&self, number: u64) {
        let gone = self.several.lock().remove(&number);
        drop(gone);
    }

    /// The file that was found, if somebody has it and it is of the same kind.
    pub fn live(&self, found: &LowerInode) -> Option<Arc<Inode>> {
        let inode = self.live.lock().inodes.get(&found.number)?.upgrade()?;
        let is_same = inode.file_type() == found.mode & S_IFMT
            && match (&inode.kind, &found.content) {
                (Kind::Symlink(target), LowerContent::Symlink(now)) => target == now,
                _ => true,
            };
        is_same.then_some(inode)
    }

    /// This file is the one of its number.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn lives(&self, inode: &Arc<Inode>) -> Result<(), Errno> {
        let mut live = self.live.lock();
        if live.inodes.len() >= live.full.max(FULL) {
            live.inodes.retain(|_, inode| inode.strong_count() > 0);
            live.full = 2 * live.inodes.len();
        }
        try_insert(&mut live.inodes, inode.number, Arc::downgrade(inode)).map(drop)
    }
}

/// What stat(2) tells besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permissions, with set-user-ID and the like: the lower 12 bits of `st_mode`.
    pub permissions: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// How many names it has.
    pub links: u32,
    /// It may get a first name, although it has none: `O_TMPFILE` without `O_EXCL`.
    pub linkable: bool,
    /// When it was last read.
    pub accessed: Timespec,
    /// When its content last changed.
    pub modified: Timespec,
    /// When anything of it last changed.
    pub changed: Timespec,
    /// When it was made.
    pub born: Timespec,
}

impl Meta {
    /// Of a file that is made now, with one name.
    pub fn new(filesystem: &FileSystem, permissions: u32, uid: u32, gid: u32) -> Meta {
        Meta::at(filesystem.now(), permissions, uid, gid)
    }

    /// Of one that was made at this time.
    pub const fn at(time: Timespec, permissions: u32, uid: u32, gid: u32) -> Meta {
        Meta {
            permissions,
            uid,
            gid,
            links: 1,
            linkable: false,
            accessed: time,
            modified: time,
            changed: time,
            born: time,
        }
    }
}

impl Inode {
    /// A new file, with a number of its own.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC.
    pub fn new(filesystem: &Arc<FileSystem>, kind: Kind, meta: Meta) -> Result<Arc<Inode>, Errno> {
        filesystem.add_node()?;
        Inode::with(filesystem, filesystem.number(), kind, meta, true)
    }

    /// A file over one of a lower file system, whose number it has. There may be as many
    /// of these as there is memory for.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn over(
        filesystem: &Arc<FileSystem>,
        number: u64,
        kind: Kind,
        meta: Meta,
    ) -> Result<Arc<Inode>, Errno> {
        Inode::with(filesystem, number, kind, meta, false)
    }

    /// What cannot be had counts itself out again when it is dropped.
    fn with(
        filesystem: &Arc<FileSystem>,
        number: u64,
        kind: Kind,
        meta: Meta,
        is_counted: bool,
    ) -> Result<Arc<Inode>, Errno> {
        let (meta, filesystem) = (Mutex::new(meta), filesystem.clone());
        let (locks, read) = (Mutex::default(), AtomicBool::new(false));
        try_arc(Inode { filesystem, number, kind, locks, meta, read, is_counted })
    }

    /// Its type, as `st_mode` has it.
    pub const fn file_type(&self) -> u32 {
        match self.kind {
            Kind::Regular(_) | Kind::Generated => S_IFREG,
            Kind::Directory(_) => S_IFDIR,
            Kind::Symlink(_) | Kind::MagicLink => S_IFLNK,
            Kind::Host(ref file) => file.file_type(),
            Kind::Character(_) => S_IFCHR,
            Kind::Block(_) => S_IFBLK,
            Kind::Fifo(_) => S_IFIFO,
            Kind::Event(_) | Kind::Timer(_) | Kind::Epoll(_) => 0,
            Kind::Socket => S_IFSOCK,
        }
    }

    /// Whether it is a directory.
    #[inline]
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// Whether it is a symbolic link.
    #[inline]
    pub const fn is_symlink(&self) -> bool {
        matches!(self.kind, Kind::Symlink(_) | Kind::MagicLink)
    }

    /// What stat(2) tells of it.
    #[inline]
    pub fn meta(&self) -> Meta {
        *self.meta.lock()
    }

    /// Does something with that, without a copy.
    #[inline]
    pub fn with_meta<R>(&self, with: impl FnOnce(&Meta) -> R) -> R {
        with(&self.meta.lock())
    }

    /// Changes what it tells, and when that changed.
    pub fn change<R>(&self, change: impl FnOnce(&mut Meta) -> R) -> R {
        self.change_at(self.filesystem.now(), change)
    }

    /// The same for who knows what time it is: one call that changes several files asks
    /// once.
    pub fn change_at<R>(&self, now: Timespec, change: impl FnOnce(&mut Meta) -> R) -> R {
        let mut meta = self.meta.lock();
        meta.changed = now;
        let result = change(&mut meta);
        self.read.store(false, Ordering::Relaxed);
        result
    }

    /// Changes what it tells, while the tree is made.
    pub fn built(&self, change: impl FnOnce(&mut Meta)) {
        change(&mut self.meta.lock());
    }

    /// Its content has changed.
    pub fn modify(&self) {
        self.change(|meta| meta.modified = meta.changed);
    }

    /// It has been written to, by somebody who may not keep its set-user-ID bits.
    pub fn written(&self, privileged: bool) {
        self.change(|meta| {
            meta.modified = meta.changed;
            if !privileged {
                meta.permissions = without_set_id(meta.permissions);
            }
        });
    }

    /// Somebody writes to it who may not keep its set-user-ID bits.
    pub fn take_set_id(&self) {
        if without_set_id(self.meta().permissions) != self.meta().permissions {
            self.change(|meta| meta.permissions = without_set_id(meta.permissions));
        }
    }

    /// Reading it leaves the time of its access alone: of what is made when it is asked
    /// for, that is not worth asking the host what time it is.
    pub fn leave_access_time(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// It has been read.
    #[inline]
    pub fn accessed(&self) {
        if !self.read.load(Ordering::Relaxed) {
            self.access();
        }
    }

    #[cold]
    fn access(&self) {
        self.read.store(true, Ordering::Relaxed);
        let now = self.filesystem.now();
        let mut meta = self.meta.lock();
        let order = |time: &Timespec| (time.tv_sec, time.tv_nsec);
        let accessed = order(&meta.accessed);
        if accessed <= order(&meta.modified) || accessed <= order(&meta.changed) {
            meta.accessed = now;
        }
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        if self.is_counted {
            self.filesystem.remove_node();
        }
    }
}

/// Permissions without set-user-ID, and without set-group-ID where it means that.
pub const fn without_set_id(permissions: u32) -> u32 {
    if permissions & S_IXGRP != 0 {
        permissions & !(S_ISUID | S_ISGID)
    } else {
        permissions & !S_ISUID
    }
}
