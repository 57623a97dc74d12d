//! Pages that have to be asked for: `Below::Elsewhere`.
//!
//! Whoever finds one missing has locks, and the request must have none. So it is told
//! which it is (`NoPage::Absent`), lets go, has the page brought with those that will
//! be wanted next, and tries again.

use super::{NoPage, Object, Pager, Quota, clean};
use crate::memory::try_arc;
use crate::mm::frames::{self, FRAMES};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys;
use trapgate_uapi::Errno;

/// Pages that are brought at once, from a multiple of it on: files of this size take one
/// request.
const AT_ONCE: u64 = 16;
/// The same where pages follow those that were brought last.
const IN_A_ROW: u64 = 64;
/// Runs of frames that they are brought into, at most.
const MOST_RUNS: usize = 16;

impl Object {
    /// The content of a file that lies somewhere else, as [`Object::paged`]; what has to
    /// be brought can be given up again.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn over(size: u64, quota: Arc<Quota>, pager: Box<dyn Pager>) -> Result<Arc<Object>, Errno> {
        let object = try_arc(Object::paged(size, quota, pager))?;
        *object.this.lock() = Arc::downgrade(&object);
        Ok(object)
    }

    /// Tries until no page is absent any more.
    pub(super) fn with_what_it_takes<R>(
        &self,
        mut attempt: impl FnMut() -> Result<R, NoPage>,
    ) -> Result<R, NoPage> {
        loop {
            match attempt() {
                Err(NoPage::Absent(page)) => self.bring(page)?,
                done => return done,
            }
        }
    }

    /// Brings the page that [`NoPage::Absent`] told of, and others around it. Nothing is
    /// locked. If the file ends before it, so does the object then.
    ///
    /// # Errors
    /// It cannot be read, or there is no frame for it.
    #[cold]
    pub fn bring(&self, page: u64) -> Result<(), NoPage> {
        let pager = self.pager.as_deref().ok_or(NoPage::Failed)?;
        let (mut first, end) = self.window(page).ok_or(NoPage::Beyond)?;
        clean::make_room(end - first);
        let mut taken = Taken::new(end - first);
        if first + taken.count <= page {
            // It is what matters.
            taken.keep((end - page).min(taken.count));
            first = page;
        }
        if taken.count == 0 {
            return Err(NoPage::Frame);
        }
        let bytes = pager.bring(first, taken.runs()).map_err(|_| NoPage::Failed)?;
        let length = taken.count * PAGE_SIZE;
        self.brought.store(first + taken.count, Ordering::Relaxed);
        if bytes < length {
            self.ends_at(first * PAGE_SIZE + bytes);
        }
        self.keep(first, taken, page)
    }

    /// Which pages are brought with one: those that are there already are left out.
    fn window(&self, page: u64) -> Option<(u64, u64)> {
        let end = self.pages_below.load(Ordering::Relaxed).min(self.pages());
        if page >= end {
            return None;
        }
        let pages = self.lock();
        let next_there = |from| {
            let next = [&pages.held.map, &pages.held.clean].map(|map| map.next(from));
            next.into_iter().flatten().min().unwrap_or(u64::MAX)
        };
        let block = page - page % AT_ONCE;
        let first = if next_there(block) > page { block } else { page };
        let in_a_row = self.brought.load(Ordering::Relaxed) == page && page > 0;
        let most = if in_a_row { page + IN_A_ROW } else { block + AT_ONCE };
        Some((first, most.min(end).min(next_there(page))))
    }

    /// The file has become shorter than it was. What was written here stays, wherever.
    fn ends_at(&self, size: u64) {
        let mut pages = self.lock();
        let first_gone = size.div_ceil(PAGE_SIZE);
        if size < self.size() && pages.held.map.next(first_gone).is_none() {
            self.size.store(size, Ordering::Relaxed);
            self.pages_below.fetch_min(first_gone, Ordering::Relaxed);
            pages.held.drop_clean(first_gone, u64::MAX);
        }
    }

    /// Keeps what was brought, as far as nobody was faster.
    ///
    /// # Errors
    /// There is no frame for the table that `wanted` needs.
    fn keep(&self, first: u64, mut taken: Taken, wanted: u64) -> Result<(), NoPage> {
        let (size, mut kept, mut result) = (self.size(), 0, Ok(()));
        let mut pages = self.lock();
        let end_below = self.pages_below.load(Ordering::Relaxed);
        let frames = &mut *FRAMES.lock();
        let mut index = first;
        for run in taken.take() {
            for frame in (run.start..run.end).step_by(PAGE_SIZE as usize) {
                let page = index;
                index += 1;
                let is_wanted = page < end_below
                    && pages.held.map.get(page) == 0
                    && pages.held.clean.get(page) == 0;
                match pages.held.clean.slot(page, frames).filter(|_| is_wanted) {
                    Some(slot) => {
                        *slot = frame;
                        kept += 1;
                        // What is behind the end is not to be seen.
                        let length = size.saturating_sub(page * PAGE_SIZE);
                        if length < PAGE_SIZE {
                            phys::clear_bytes(frame + length, PAGE_SIZE - length);
                        }
                    }
                    None => {
                        frames.give_up(Range { start: frame, end: frame + PAGE_SIZE });
                        if is_wanted && page == wanted {
                            result = Err(NoPage::Frame);
                        }
                    }
                }
            }
        }
        drop(pages);
        let this = self.this.lock().clone();
        clean::note(this, [first, index], kept);
        result
    }
}

/// Frames that are to be filled; they go back, unless they are taken.
struct Taken {
    runs: [Range; MOST_RUNS],
    len: usize,
    count: u64,
}

impl Taken {
    /// Up to `most` frames, in a row where there are such.
    fn new(most: u64) -> Taken {
        frames::stock(most);
        let mut taken = Taken { runs: [Range::ZERO; MOST_RUNS], len: 0, count: 0 };
        let mut frames = FRAMES.lock();
        if let Some(start) = frames.allocate_run(most) {
            taken.runs[0] = Range { start, end: start + most * PAGE_SIZE };
            (taken.len, taken.count) = (1, most);
        }
        while taken.count < most
            && taken.len < MOST_RUNS
            && let Some(run) = frames.take(most - taken.count)
        {
            taken.runs[taken.len] = run;
            taken.len += 1;
            taken.count += run.len() / PAGE_SIZE;
        }
        taken
    }

    fn runs(&self) -> &[Range] {
        &self.runs[..self.len]
    }

    /// Gives back all but the first `count`.
    fn keep(&mut self, count: u64) {
        let mut frames = FRAMES.lock();
        while self.count > count {
            let last = &mut self.runs[self.len - 1];
            let less = (last.len() / PAGE_SIZE).min(self.count - count);
            let end = last.end;
            last.end -= less * PAGE_SIZE;
            frames.give_back(Range { start: last.end, end });
            self.count -= less;
            self.len -= usize::from(last.is_empty());
        }
    }

    /// All of them, to be kept.
    fn take(&mut self) -> [Range; MOST_RUNS] {
        (self.len, self.count) = (0, 0);
        core::mem::replace(&mut self.runs, [Range::ZERO; MOST_RUNS])
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut frames = FRAMES.lock();
        for &run in self.runs() {
            frames.give_up(run);
        }
    }
}
