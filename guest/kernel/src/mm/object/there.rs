//! Files that are written where they lie, on the host: what is here of them is clean, and
//! follows what is written there.

use super::{Below, Held, NoPage, Object, Pager, Pages};
use crate::mm::frames::{Batch, FRAMES, Frames};
use core::any::Any;
use core::sync::atomic::Ordering;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::page_map::PageMap;
use trapgate_arch::{phys, usercopy};

impl Object {
    /// Whether what is written to it goes somewhere else at once.
    pub fn is_written_there(&self) -> bool {
        self.pager.as_deref().is_some_and(Pager::is_written_there)
    }

    /// Who knows where it lies, if that is somewhere else.
    pub fn pager(&self) -> Option<&dyn Any> {
        self.pager.as_deref()?.as_any()
    }

    /// Why a page cannot be the object's own, where one cannot be had.
    #[cold]
    pub(super) fn why_not_own(&self, why: NoPage) -> NoPage {
        if why == NoPage::Absent && self.is_written_there() { NoPage::There } else { why }
    }

    /// It is so long there now: behind its end nothing is kept.
    pub fn resized(&self, size: u64) {
        let mut pages = self.lock();
        let old = self.size();
        if size == old {
            return;
        }
        // What a program has written behind the end is not to be seen.
        let end = old.min(size);
        let frame = pages.held.clean.get(end / PAGE_SIZE);
        if frame != 0 && !end.is_multiple_of(PAGE_SIZE) {
            phys::clear_bytes(frame + end % PAGE_SIZE, PAGE_SIZE - end % PAGE_SIZE);
        }
        self.size.store(size, Ordering::Relaxed);
        self.pages_below.store(size.div_ceil(PAGE_SIZE), Ordering::Relaxed);
        if size < old {
            pages.held.drop_clean(size.div_ceil(PAGE_SIZE), PageMap::END);
            pages.held.drop_pristine(size.div_ceil(PAGE_SIZE));
        }
    }

    /// Somebody else has changed it: what is here of it is brought anew, when it is read.
    pub fn changed_there(&self, size: u64) {
        self.resized(size);
        if !self.lent.load(Ordering::Relaxed) {
            self.lock().held.drop_clean(0, PageMap::END);
        }
    }

    /// The bytes of `start..end` were written there, and are the program's at `from`. Its
    /// pages were there a moment ago; where one is not, what is here is brought anew.
    pub fn written_there(&self, start: u64, end: u64, from: u64) {
        self.follow(start, end, |at, frame, length| {
            usercopy::to_frame(frame, from + (at - start), length) == length
        });
    }

    /// The same of bytes of the kernel's.
    pub fn written_there_by_kernel(&self, start: u64, from: &[u8]) {
        self.follow(start, start + from.len() as u64, |at, frame, length| {
            let first = (at - start) as usize;
            phys::write(frame, &from[first..first + length as usize]);
            true
        });
    }

    /// The same of bytes that lie in pieces of memory.
    pub fn written_there_from(&self, start: u64, end: u64, from: &[Range]) {
        const PIECE: usize = 256;
        let mut bytes = [0; PIECE];
        self.follow(start, end, |at, frame, length| {
            let (mut skip, mut done) = (at - start, 0);
            for run in from {
                let skipped = skip.min(run.len());
                skip -= skipped;
                let mut from = run.start + skipped;
                while from < run.end && done < length {
                    // Neither reaches beyond its frame.
                    let piece = (run.end - from).min(length - done).min(PIECE as u64);
                    let piece = piece.min(PAGE_SIZE - from % PAGE_SIZE);
                    let bytes = &mut bytes[..piece as usize];
                    phys::read(from, bytes);
                    phys::write(frame + done, bytes);
                    (from, done) = (from + piece, done + piece);
                }
            }
            done == length
        });
    }

    /// The bytes of `start..end` are zeroes there now.
    pub fn cleared_there(&self, start: u64, end: u64) {
        self.follow(start, end, |_, frame, length| {
            phys::clear_bytes(frame, length);
            true
        });
    }

    /// Has `write` do to what is here of `start..end` what was done there: it is told from
    /// where on, the bytes' address, and how many. Where it answers false, the page goes.
    fn follow(&self, start: u64, end: u64, mut write: impl FnMut(u64, u64, u64) -> bool) {
        let mut pages = self.lock();
        let mut at = start;
        while let Some(page) = pages.held.clean.next(at / PAGE_SIZE)
            && page * PAGE_SIZE < end
        {
            at = at.max(page * PAGE_SIZE);
            let (within, next) = (at % PAGE_SIZE, (page + 1) * PAGE_SIZE);
            let frame = pages.held.clean.get(page) + within;
            if !write(at, frame, next.min(end) - at) {
                pages.held.drop_clean(page, page + 1);
            }
            at = next;
        }
    }
}

/// Pages that are compared and written back at once.
pub const BACK_AT_ONCE: usize = 16;

/// What is stored in memory, and has to be written back.
impl Object {
    /// From now on programs may store to pages that they have mapped shared.
    pub fn is_stored_to(&self) {
        self.stores.store(true, Ordering::Relaxed);
    }

    /// The next pages from `from` on, one after the other, that are not as they are where
    /// they lie: the index of the first, and how many; their frames are left in `frames`.
    pub fn stored(&self, from: u64, frames: &mut [u64; BACK_AT_ONCE]) -> Option<(u64, usize)> {
        let pages = self.lock();
        let (mut at, mut first, mut count) = (from, from, 0);
        while count < BACK_AT_ONCE
            && let Some(page) = pages.held.pristine.next(at)
            && page < self.pages()
            && (count == 0 || page == first + count as u64)
        {
            let frame = pages.held.clean.get(page);
            if frame != 0 && !is_same(frame, pages.held.pristine.get(page)) {
                if count == 0 {
                    first = page;
                }
                frames[count] = frame;
                count += 1;
            } else if count > 0 {
                break;
            }
            at = page + 1;
        }
        (count > 0).then_some((first, count))
    }

    /// So many of these pages, from `first` on, were written back as they are.
    pub fn was_written_back(&self, first: u64, frames: &[u64]) {
        let pages = self.lock();
        for (page, &frame) in (first..).zip(frames) {
            let copy = pages.held.pristine.get(page);
            if copy != 0 {
                phys::copy_frame(frame, copy);
            }
        }
    }
}

/// Whether two frames hold the same bytes.
fn is_same(one: u64, other: u64) -> bool {
    const PIECE: usize = 256;
    let (mut left, mut right) = ([0; PIECE], [0; PIECE]);
    (0..PAGE_SIZE).step_by(PIECE).all(|at| {
        phys::read(one + at, &mut left);
        phys::read(other + at, &mut right);
        left == right
    })
}

impl Held {
    /// Gives up the copies of pages from `first` on.
    pub(super) fn drop_pristine(&mut self, first: u64) {
        let frames = &mut *FRAMES.lock();
        let mut batch = Batch::default();
        self.pristine.remove(first, PageMap::END, &mut |frame, _| batch.free(frame, frames));
        batch.end_run(frames);
    }
}

impl Pages<'_> {
    /// A page as it is, for a mapping that is shared: it stays here from now on, so that
    /// all have the same one. If programs may store to it, there is a copy.
    #[cold]
    pub(super) fn lend(&mut self, page: u64, frames: &mut Frames) -> Result<u64, NoPage> {
        let Below::Clean(frame) = self.object.below(&self.held, page)? else {
            return Err(NoPage::Failed);
        };
        self.object.lent.store(true, Ordering::Relaxed);
        if self.object.stores.load(Ordering::Relaxed) && self.held.pristine.get(page) == 0 {
            if frames.spare() <= self.held.pristine.missing(page) {
                return Err(NoPage::Frame);
            }
            let copy = frames.take_unclean().ok_or(NoPage::Frame)?;
            match self.held.pristine.slot(page, frames) {
                Some(slot) => {
                    phys::copy_frame(frame, copy);
                    *slot = copy;
                }
                None => {
                    frames.give_up(Range { start: copy, end: copy + PAGE_SIZE });
                    return Err(NoPage::Frame);
                }
            }
        }
        Ok(frame)
    }
}
