//! What is mapped: a mapping's memory object, and which part of it.
//!
//! Private memory has none: its pages belong to the tables that map them. Shared
//! memory is an [`Object`] with pages by their index: each mapping of it, in any
//! address space, finds the same frames there, and it goes with the last one.

use crate::mm::frames::{Batch, FRAMES, Frames};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::{Mutex, MutexGuard};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::page_map::PageMap;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::{phys, usercopy};

/// What a mapping has behind it.
#[derive(Clone, Debug)]
pub enum Backing {
    /// mmap(2) without a file, private.
    Anonymous,
    /// The same, shared: a part of an object.
    Shared(Part),
    /// A segment of the program, private: what madvise(2) gives up comes back as it
    /// was, for its file is not here.
    Image,
    /// The vDSO's data page: as Image, and only ever read.
    Vvar,
    /// The heap of brk(2).
    Heap,
    /// The stack.
    Stack,
}

/// The part of an object that a mapping begins with.
#[derive(Clone, Debug)]
pub struct Part {
    /// The object.
    pub object: Arc<Object>,
    /// The index of the first page.
    pub first: u64,
}

impl Backing {
    /// The same, from `distance` bytes on.
    pub fn after(&self, distance: u64) -> Backing {
        let mut backing = self.clone();
        if let Backing::Shared(part) = &mut backing {
            part.first += distance / PAGE_SIZE;
        }
        backing
    }

    /// Whether `next` is what comes after `length` bytes of this.
    pub fn goes_on_as(&self, length: u64, next: &Backing) -> bool {
        match (self, next) {
            (Backing::Shared(part), Backing::Shared(next)) => {
                Arc::ptr_eq(&part.object, &next.object)
                    && part.first + length / PAGE_SIZE == next.first
            }
            (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
        }
    }

    /// The object, if others may have it too.
    pub const fn shared(&self) -> Option<&Part> {
        match self {
            Backing::Shared(part) => Some(part),
            _ => None,
        }
    }
}

/// Pages by their index: shared memory, or the content of a file. Those that nobody has
/// written are zeroes.
#[derive(Debug)]
pub struct Object {
    /// In bytes: what is beyond cannot be touched. Changed only with the frames locked.
    size: AtomicU64,
    frames: Mutex<Held>,
    /// What its frames are counted on.
    quota: Option<Arc<Quota>>,
}

/// The frames that an object has.
#[derive(Debug, Default)]
struct Held {
    map: PageMap,
    count: u64,
}

/// How many frames some objects may have together.
#[derive(Debug)]
pub struct Quota {
    used: AtomicU64,
    /// The most.
    pub limit: u64,
}

impl Quota {
    /// None of so many.
    pub const fn new(limit: u64) -> Quota {
        Quota { used: AtomicU64::new(0), limit }
    }

    /// How many there are now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts more; false if that is too many.
    fn take(&self, count: u64) -> bool {
        let used = self.used.fetch_add(count, Ordering::Relaxed) + count;
        if used > self.limit {
            self.used.fetch_sub(count, Ordering::Relaxed);
        }
        used <= self.limit
    }
}

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPage {
    /// The quota is used up.
    Quota,
    /// There is no frame left.
    Frame,
}

/// How far a copy between an object and a program came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes.
    pub bytes: u64,
    /// The address at which it stopped for a page of the program's that is not there;
    /// `None`, if it did not.
    pub missing: Option<u64>,
}

impl Object {
    /// Shared memory of so many pages, all zero.
    pub fn new(pages: u64) -> Object {
        Object::with(pages * PAGE_SIZE, None)
    }

    /// The content of a file, nothing yet, whose frames are counted.
    pub fn file(quota: Arc<Quota>) -> Object {
        Object::with(0, Some(quota))
    }

    fn with(size: u64, quota: Option<Arc<Quota>>) -> Object {
        Object { size: AtomicU64::new(size), frames: Mutex::default(), quota }
    }

    /// Its size in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// How many pages it has, the last one perhaps in part.
    pub fn pages(&self) -> u64 {
        self.size().div_ceil(PAGE_SIZE)
    }

    /// How many frames it has.
    pub fn frames(&self) -> u64 {
        self.frames.lock().count
    }

    /// Its pages, for who maps some. An object is locked before the frames are.
    pub fn lock(&self) -> Pages<'_> {
        Pages { held: self.frames.lock(), quota: self.quota.as_deref() }
    }

    /// Copies bytes from `offset` on to the program, up to the object's end.
    #[inline]
    pub fn read(&self, mut offset: u64, to: u64, length: u64) -> Copied {
        let held = self.frames.lock();
        let length = length.min(self.size().saturating_sub(offset));
        let mut done = 0;
        while done < length {
            let within = offset % PAGE_SIZE;
            let piece = (PAGE_SIZE - within).min(length - done);
            let frame = match held.map.get(offset / PAGE_SIZE) {
                0 => FRAMES.lock().zero_page(),
                frame => frame,
            };
            let copied = usercopy::from_frame(to + done, frame + within, piece);
            done += copied;
            if copied < piece {
                return Copied { bytes: done, missing: Some(to + done) };
            }
            offset += piece;
        }
        Copied { bytes: done, missing: None }
    }

    /// Copies bytes of the program to `offset` and on, which the object gets longer
    /// for; `None`: to its end.
    ///
    /// # Errors
    /// No page for the first byte.
    #[inline]
    pub fn write(&self, offset: Option<u64>, from: u64, length: u64) -> Result<Copied, NoPage> {
        let mut held = self.frames.lock();
        let start = offset.unwrap_or_else(|| self.size());
        let mut done = 0;
        let copied = loop {
            if done == length {
                break Ok(Copied { bytes: done, missing: None });
            }
            let at = start + done;
            let within = at % PAGE_SIZE;
            let piece = (PAGE_SIZE - within).min(length - done);
            let frame = match held.map.get(at / PAGE_SIZE) {
                0 => {
                    let frames = &mut FRAMES.lock();
                    match held.frame(at / PAGE_SIZE, self.quota.as_deref(), frames) {
                        Ok(frame) => frame,
                        Err(error) if done == 0 => break Err(error),
                        Err(_) => break Ok(Copied { bytes: done, missing: None }),
                    }
                }
                frame => frame,
            };
            let copied = usercopy::to_frame(frame + within, from + done, piece);
            done += copied;
            if copied < piece {
                break Ok(Copied { bytes: done, missing: Some(from + done) });
            }
        };
        if done > 0 && start + done > self.size() {
            self.grow(&held, start + done, start);
        }
        copied
    }

    /// Makes it longer. What a program that had its last page mapped wrote beyond the
    /// end is not to be seen now; from `written` on the bytes are new.
    fn grow(&self, held: &Held, size: u64, written: u64) {
        let old = self.size();
        let end = old.next_multiple_of(PAGE_SIZE).min(written);
        let frame = held.map.get(old / PAGE_SIZE);
        if frame != 0 && end > old {
            phys::clear_bytes(frame + old % PAGE_SIZE, end - old);
        }
        self.size.store(size, Ordering::Relaxed);
    }

    /// Makes it so long: what is beyond goes, what is new is zeroes.
    pub fn set_size(&self, size: u64) {
        let mut held = self.frames.lock();
        let old = self.size();
        if size >= old {
            return self.grow(&held, size, size);
        }
        self.size.store(size, Ordering::Relaxed);
        held.remove(size.div_ceil(PAGE_SIZE), PageMap::END, self.quota.as_deref());
        let frame = held.map.get(size / PAGE_SIZE);
        if frame != 0 {
            phys::clear_bytes(frame + size % PAGE_SIZE, PAGE_SIZE - size % PAGE_SIZE);
        }
    }

    /// Copies bytes from `offset` on for the kernel, up to the object's end: how many.
    pub fn read_for_kernel(&self, offset: u64, to: &mut [u8]) -> usize {
        let held = self.frames.lock();
        let length = (to.len() as u64).min(self.size().saturating_sub(offset)) as usize;
        let mut at = offset;
        let mut rest = &mut to[..length];
        while !rest.is_empty() {
            let within = at % PAGE_SIZE;
            let piece = rest.len().min((PAGE_SIZE - within) as usize);
            let (part, after) = rest.split_at_mut(piece);
            match held.map.get(at / PAGE_SIZE) {
                0 => part.fill(0),
                frame => phys::read(frame + within, part),
            }
            (at, rest) = (at + piece as u64, after);
        }
        length
    }
}

/// The pages of an object that is locked.
pub struct Pages<'a> {
    held: MutexGuard<'a, Held>,
    quota: Option<&'a Quota>,
}

impl Pages<'_> {
    /// The frame of a page, with one owner more: whoever maps it now. A frame of
    /// zeroes, if nobody has touched it. `None` without a frame.
    pub fn share(&mut self, page: u64, frames: &mut Frames) -> Option<u64> {
        let frame = self.held.frame(page, self.quota, frames).ok()?;
        frames.own(frame);
        Some(frame)
    }
}

impl Held {
    /// The frame of a page; a new one of zeroes, if there is none.
    fn frame(
        &mut self,
        page: u64,
        quota: Option<&Quota>,
        frames: &mut Frames,
    ) -> Result<u64, NoPage> {
        let slot = self.map.slot(page, frames).ok_or(NoPage::Frame)?;
        if *slot == 0 {
            if quota.is_some_and(|quota| !quota.take(1)) {
                return Err(NoPage::Quota);
            }
            let Some(frame) = frames.take(1) else {
                if let Some(quota) = quota {
                    quota.used.fetch_sub(1, Ordering::Relaxed);
                }
                return Err(NoPage::Frame);
            };
            *slot = frame.start;
            self.count += 1;
        }
        Ok(*slot)
    }

    /// Gives the frames of pages up, as far as nobody else has them.
    fn remove(&mut self, first: u64, end: u64, quota: Option<&Quota>) {
        let frames = &mut *FRAMES.lock();
        let mut batch = Batch::default();
        let mut pages = 0;
        self.map.remove(first, end, &mut |frame, is_page| {
            pages += u64::from(is_page);
            if !is_page || frames.disown(frame) {
                batch.free(frame, frames);
            }
        });
        batch.end_run(frames);
        self.count -= pages;
        if let Some(quota) = quota {
            quota.used.fetch_sub(pages, Ordering::Relaxed);
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.frames.get_mut().remove(0, PageMap::END, self.quota.as_deref());
    }
}
