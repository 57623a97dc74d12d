//! Memory objects: pages by their index, that mappings and files share.
//!
//! Shared memory is one, and so is the content of a file; private memory has none, its
//! pages belong to the tables that map them. A page is a frame of the object's own, or
//! what is below it: a page of an image, or nothing. What is below is never written:
//! it is copied first.
//!
//! Shared mappings have the object's own frames, so that all see what is written. A
//! private one may have what was below, and keeps it when the object gets a frame of
//! its own there: whether it sees what is written later is not said (mmap(2)).

use crate::mm::frames::{Batch, FRAMES};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::cmp::Ordering::{Equal, Greater, Less};
use core::fmt::Debug;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::page_map::PageMap;
use trapgate_arch::{phys, usercopy};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE,
};

mod bring;
pub mod clean;
mod for_kernel;
mod pager;
mod pages;
mod quota;
pub mod taken;
pub mod there;

pub use pager::{Below, Pager};
pub use pages::Pages;
pub use quota::Quota;

/// How many 512 bytes, the unit of `st_blocks`, a page is.
const BLOCKS: u64 = PAGE_SIZE / 512;

/// A memory object. Pages that nobody has written are what is below, or zeroes.
#[derive(Debug)]
pub struct Object {
    /// In bytes: what is beyond cannot be touched. Changed only with the frames locked.
    size: AtomicU64,
    frames: Mutex<Held>,
    /// What its frames are counted on.
    quota: Option<Arc<Quota>>,
    pager: Option<Box<dyn Pager>>,
    /// Pages that may be below: what was cut off does not come back.
    pages_below: AtomicU64,
    /// The page that was last found to be absent, and the end of those that were brought
    /// last: `bring`.
    absent: AtomicU64,
    brought: AtomicU64,
    /// Itself, if it has clean pages, for those who need the memory.
    this: Mutex<Weak<Object>>,
    /// `F_SEAL_*`: what may not be done to it any more.
    seals: AtomicU32,
    /// How many programs run of it.
    runs: AtomicU32,
    /// Clean pages are mapped such that they must stay: `there`.
    lent: AtomicBool,
    /// Programs may store to those.
    stores: AtomicBool,
}

/// The frames that an object has.
#[derive(Debug, Default)]
struct Held {
    map: PageMap,
    count: u64,
    /// What was brought, and nobody has written: [`clean`].
    clean: PageMap,
    /// Copies of clean pages that programs may store to, as they are where they lie:
    /// `there`.
    pristine: PageMap,
}

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPage {
    /// The quota is used up.
    Quota,
    /// There is no frame left.
    Frame,
    /// It is beyond the object's end.
    Beyond,
    /// What is below cannot be read.
    Failed,
    /// What is below may not be read: EACCES.
    Denied,
    /// A page has to be brought first, with nothing locked: [`Object::bring_absent`].
    Absent,
    /// It is written where it lies: [`Pager::is_written_there`].
    There,
}

/// How far a copy between an object and a program came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes.
    pub bytes: u64,
    /// The address at which it stopped for a page that is not there: the program's, or the
    /// object's, which who tries again is told; `None`, if it did not.
    pub missing: Option<u64>,
}

impl Object {
    /// Shared memory of so many pages, all zero.
    pub fn new(pages: u64) -> Object {
        Object::with(pages * PAGE_SIZE, None, None)
    }

    /// The content of a file, nothing yet, whose frames are counted.
    pub fn file(quota: Arc<Quota>) -> Object {
        Object::with(0, Some(quota), None)
    }

    /// The content of a file that lies somewhere else, of `size` bytes; what is behind
    /// them in the last page is zero.
    pub fn paged(size: u64, quota: Arc<Quota>, pager: Box<dyn Pager>) -> Object {
        Object::with(size, Some(quota), Some(pager))
    }

    fn with(size: u64, quota: Option<Arc<Quota>>, pager: Option<Box<dyn Pager>>) -> Object {
        let pages_below = if pager.is_some() { size.div_ceil(PAGE_SIZE) } else { 0 };
        Object {
            size: AtomicU64::new(size),
            frames: Mutex::default(),
            quota,
            pager,
            pages_below: AtomicU64::new(pages_below),
            absent: AtomicU64::new(0),
            brought: AtomicU64::new(0),
            this: Mutex::new(Weak::new()),
            seals: AtomicU32::new(F_SEAL_SEAL),
            runs: AtomicU32::new(0),
            lent: AtomicBool::new(false),
            stores: AtomicBool::new(false),
        }
    }

    /// Its size in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// One program more runs of it, which nobody shall change then.
    pub fn begin_to_run(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn end_to_run(&self) {
        self.runs.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a program runs of it: open(2) to write is ETXTBSY.
    pub fn runs(&self) -> bool {
        self.runs.load(Ordering::Relaxed) > 0
    }

    /// Its seals: `F_SEAL_*`.
    pub fn seals(&self) -> u32 {
        self.seals.load(Ordering::Relaxed)
    }

    /// Sets its seals.
    pub fn set_seals(&self, seals: u32) {
        self.seals.store(seals, Ordering::Relaxed);
    }

    /// Whether its seals let it be written, up to `end`; `None`: wherever it is now.
    ///
    /// # Errors
    /// EPERM.
    pub fn check_seals(&self, end: Option<u64>) -> Result<(), Errno> {
        let seals = self.seals();
        let grows = end.is_some_and(|end| end > self.size()) && seals & F_SEAL_GROW != 0;
        let is_sealed = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0;
        if grows || is_sealed { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// Whether its seals let it be so long.
    ///
    /// # Errors
    /// EPERM.
    pub fn check_seals_of_size(&self, size: u64) -> Result<(), Errno> {
        let sealed = match size.cmp(&self.size()) {
            Less => F_SEAL_SHRINK,
            Equal => 0,
            Greater => F_SEAL_GROW,
        };
        if self.seals() & sealed != 0 { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// How many pages it has, the last one perhaps in part.
    pub fn pages(&self) -> u64 {
        self.size().div_ceil(PAGE_SIZE)
    }

    /// How many frames it has.
    pub fn frames(&self) -> u64 {
        self.frames.lock().count
    }

    /// What it takes, in 512 bytes: `st_blocks`.
    #[inline(always)]
    pub fn blocks(&self) -> u64 {
        match &self.pager {
            None => self.frames() * BLOCKS,
            Some(pager) => self.blocks_of(&**pager),
        }
    }

    /// The same of what has something below, which is there once more where it was changed.
    #[inline(never)]
    fn blocks_of(&self, pager: &dyn Pager) -> u64 {
        let pages = self.pages_below.load(Ordering::Relaxed).max(self.frames());
        pager.blocks().unwrap_or(pages * BLOCKS)
    }

    /// Its pages, for who maps some. An object is locked before the frames are.
    pub fn lock(&self) -> Pages<'_> {
        Pages { held: self.frames.lock(), object: self }
    }

    fn below(&self, held: &Held, page: u64) -> Result<Below, NoPage> {
        match &self.pager {
            Some(pager) if page < self.pages_below.load(Ordering::Relaxed) => {
                match pager.below(page) {
                    Ok(Below::Elsewhere) => match held.clean.get(page) {
                        0 => {
                            self.absent.store(page, Ordering::Relaxed);
                            Err(NoPage::Absent)
                        }
                        frame => Ok(Below::Clean(frame)),
                    },
                    below => below.map_err(|_| NoPage::Failed),
                }
            }
            Some(pager) if pager.is_written_there() => Err(NoPage::There),
            _ => Ok(Below::Hole),
        }
    }

    /// Whether a page that the object has not is zeroes, and takes no room.
    fn is_hole(&self, held: &Held, page: u64) -> Result<bool, NoPage> {
        match self.below(held, page) {
            Err(NoPage::Absent) => Ok(false),
            Err(NoPage::There) => Ok(true),
            below => Ok(below? == Below::Hole),
        }
    }

    /// Copies bytes from `offset` on to the program, up to the object's end.
    ///
    /// # Errors
    /// The first byte cannot be read.
    #[inline(always)]
    pub fn read(&self, mut offset: u64, to: u64, length: u64) -> Result<Copied, NoPage> {
        let mut pages = self.lock();
        let length = length.min(self.size().saturating_sub(offset));
        let mut done = 0;
        while done < length {
            let within = offset % PAGE_SIZE;
            let piece = (PAGE_SIZE - within).min(length - done);
            let frame = match pages.held.map.get(offset / PAGE_SIZE) {
                0 => match pages.source(offset / PAGE_SIZE) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => FRAMES.lock().zero_page(),
                    Err(error) if done == 0 => return Err(error),
                    Err(NoPage::Absent) => {
                        return Ok(Copied { bytes: done, missing: Some(to + done) });
                    }
                    Err(_) => break,
                },
                frame => frame,
            };
            let copied = usercopy::from_frame(to + done, frame + within, piece);
            done += copied;
            if copied < piece {
                let few = usercopy::in_front_of_a_page(to + done, piece - copied);
                done += usercopy::from_frame(to + done, frame + within + copied, few);
                return Ok(Copied { bytes: done, missing: Some(to + done) });
            }
            offset += piece;
        }
        Ok(Copied { bytes: done, missing: None })
    }

    /// Copies bytes of the program to `offset` and on, which the object gets longer
    /// for; `None`: to its end. Answers where that was, too.
    ///
    /// # Errors
    /// No page for the first byte.
    #[inline(always)]
    pub fn write(
        &self,
        offset: Option<u64>,
        from: u64,
        length: u64,
    ) -> Result<(u64, Copied), NoPage> {
        let mut pages = self.lock();
        let start = offset.unwrap_or_else(|| self.size());
        let mut done = 0;
        let copied = loop {
            if done == length {
                break Ok(Copied { bytes: done, missing: None });
            }
            let at = start + done;
            let within = at % PAGE_SIZE;
            let piece = (PAGE_SIZE - within).min(length - done);
            let frame = match pages.held.map.get(at / PAGE_SIZE) {
                0 => match pages.own(at / PAGE_SIZE, &mut FRAMES.lock()) {
                    Ok(frame) => frame,
                    Err(error) if done == 0 => break Err(error),
                    Err(_) => break Ok(Copied { bytes: done, missing: None }),
                },
                frame => frame,
            };
            let copied = usercopy::to_frame(frame + within, from + done, piece);
            done += copied;
            if copied < piece {
                let few = usercopy::in_front_of_a_page(from + done, piece - copied);
                done += usercopy::to_frame(frame + within + copied, from + done, few);
                break Ok(Copied { bytes: done, missing: Some(from + done) });
            }
        };
        if done > 0 && start + done > self.size() {
            self.grow(&pages.held, start + done, start);
        }
        Ok((start, copied?))
    }

    /// The first byte from `from` on that is in a page which has something, or may have;
    /// `None`, if there is none before the end.
    ///
    /// # Errors
    /// What is below cannot be read.
    pub fn next_data(&self, from: u64) -> Result<Option<u64>, NoPage> {
        if let Some(found) = self.find_below(from, false)? {
            return Ok(found);
        }
        let pages = self.lock();
        let own = pages.held.map.next(from / PAGE_SIZE);
        let end_below = self.pages_below.load(Ordering::Relaxed).min(own.unwrap_or(u64::MAX));
        let mut page = from / PAGE_SIZE;
        while page < end_below && self.is_hole(&pages.held, page)? {
            page += 1;
        }
        let found = if page < end_below { Some(page) } else { own };
        let data = found.map(|page| from.max(page * PAGE_SIZE));
        Ok(data.filter(|&data| data < self.size()))
    }

    /// The first byte from `from` on that is in no such page, at most the end.
    ///
    /// # Errors
    /// As [`Object::next_data`].
    pub fn next_hole(&self, from: u64) -> Result<u64, NoPage> {
        if let Some(found) = self.find_below(from, true)? {
            return Ok(found.unwrap_or(self.size()).min(self.size()));
        }
        let pages = self.lock();
        let mut page = from / PAGE_SIZE;
        while pages.held.map.get(page) != 0 || !self.is_hole(&pages.held, page)? {
            page += 1;
        }
        Ok(from.max(page * PAGE_SIZE).min(self.size()))
    }

    /// The same, by who knows: as long as nothing has been written here that is not below.
    fn find_below(&self, from: u64, hole: bool) -> Result<Option<Option<u64>>, NoPage> {
        let Some(pager) = self.pager.as_deref() else { return Ok(None) };
        let is_below = self.pages_below.load(Ordering::Relaxed) >= self.pages();
        if !is_below || self.frames() > 0 {
            return Ok(None);
        }
        match pager.find(from, hole) {
            None => Ok(None),
            Some(Err(Errno::ENXIO)) => Ok(Some(None)),
            Some(Err(_)) => Err(NoPage::Failed),
            Some(Ok(found)) => Ok(Some(Some(found).filter(|&found| found < self.size() || hole))),
        }
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
    ///
    /// # Errors
    /// The last page is to be kept in part, and cannot be copied; nothing has changed.
    pub fn set_size(&self, size: u64) -> Result<(), NoPage> {
        self.with_what_it_takes(|| self.try_set_size(size))
    }

    fn try_set_size(&self, size: u64) -> Result<(), NoPage> {
        let mut pages = self.lock();
        let old = self.size();
        if size >= old {
            self.grow(&pages.held, size, size);
            return Ok(());
        }
        let (last, kept) = (size / PAGE_SIZE, size % PAGE_SIZE);
        if kept > 0 && pages.source(last)?.is_some() {
            let frame = pages.own(last, &mut FRAMES.lock())?;
            phys::clear_bytes(frame + kept, PAGE_SIZE - kept);
        }
        self.size.store(size, Ordering::Relaxed);
        let end = size.div_ceil(PAGE_SIZE);
        self.pages_below.fetch_min(end, Ordering::Relaxed);
        pages.held.remove(end, PageMap::END, self.quota.as_deref());
        pages.held.drop_clean(end, PageMap::END);
        Ok(())
    }

    /// Copies bytes from `offset` on for the kernel, up to the object's end: how many.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read_for_kernel(&self, offset: u64, to: &mut [u8]) -> Result<usize, NoPage> {
        self.with_what_it_takes(|| self.try_read_for_kernel(offset, to))
    }

    fn try_read_for_kernel(&self, offset: u64, to: &mut [u8]) -> Result<usize, NoPage> {
        let mut pages = self.lock();
        let length = (to.len() as u64).min(self.size().saturating_sub(offset)) as usize;
        let mut at = offset;
        let mut rest = &mut to[..length];
        while !rest.is_empty() {
            let within = at % PAGE_SIZE;
            let piece = rest.len().min((PAGE_SIZE - within) as usize);
            let (part, after) = rest.split_at_mut(piece);
            match pages.source(at / PAGE_SIZE)? {
                None => part.fill(0),
                Some(frame) => phys::read(frame + within, part),
            }
            (at, rest) = (at + piece as u64, after);
        }
        Ok(length)
    }
}

impl Held {
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
            quota.give_back(pages);
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let held = self.frames.get_mut();
        // Many a file that comes and goes never had any.
        if !held.map.is_empty() {
            held.remove(0, PageMap::END, self.quota.as_deref());
        }
        // What was made here has nothing else.
        if self.pager.is_some() {
            held.drop_clean(0, PageMap::END);
            held.drop_pristine(0);
        }
    }
}
