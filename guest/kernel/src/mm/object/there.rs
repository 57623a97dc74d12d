//! Files that are written where they lie, on the host: what is here of them is clean, and
//! follows what is written there.

use super::{Below, NoPage, Object, Pager, Pages};
use core::any::Any;
use core::sync::atomic::Ordering;
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

impl Pages<'_> {
    /// A page as it is, for a mapping that is shared: it stays here from now on, so that
    /// all have the same one.
    #[cold]
    pub(super) fn lend(&mut self, page: u64) -> Result<u64, NoPage> {
        match self.object.below(&self.held, page)? {
            Below::Clean(frame) => {
                self.object.lent.store(true, Ordering::Relaxed);
                Ok(frame)
            }
            _ => Err(NoPage::Failed),
        }
    }
}
