//! Pages that have to be asked for: `Below::Elsewhere`.
//!
//! Whoever finds one missing has locks, and the request must have none. So it is told
//! (`NoPage::Absent`), lets go, has the page brought with those that will be wanted next,
//! and tries again. Which page it is stands in the object: so errors are small, and
//! copies that never see this one take no longer.

use super::taken::{AT_ONCE, Begun, MOST_RUNS, Taken};
use super::{NoPage, Object, Pager, Pages, Quota, clean};
use crate::memory::try_arc;
use crate::mm::frames::FRAMES;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::MAX_TRANSFER;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;
use trapgate_uapi::Errno;

/// Pages that are brought at once, where they follow those that were brought last: as many
/// as there are before them, within these bounds. The most is what one request moves.
const IN_A_ROW: u64 = 64;
const MOST_IN_A_ROW: u64 = MAX_TRANSFER / PAGE_SIZE;

impl Object {
    /// The content of a file that lies somewhere else, as [`Object::paged`]; what has to
    /// be brought can be given up again.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn over(size: u64, quota: Arc<Quota>, pager: Box<dyn Pager>) -> Result<Arc<Object>, Errno> {
        let begun = pager.begun();
        let object = try_arc(Object::paged(size, quota, pager))?;
        *object.this.lock() = Arc::downgrade(&object);
        if let Some(begun) = begun {
            object.begin_with(begun);
        }
        Ok(object)
    }

    /// Tries until no page is absent any more.
    pub(super) fn with_what_it_takes<R>(
        &self,
        mut attempt: impl FnMut() -> Result<R, NoPage>,
    ) -> Result<R, NoPage> {
        loop {
            match attempt() {
                Err(NoPage::Absent) => self.bring_absent()?,
                done => return done,
            }
        }
    }

    /// Brings the page that [`NoPage::Absent`] told of: nobody's attempt in between does
    /// more than have another one brought first.
    ///
    /// # Errors
    /// Those of [`Object::bring`].
    #[cold]
    pub fn bring_absent(&self) -> Result<(), NoPage> {
        self.bring(self.absent.load(Ordering::Relaxed))
    }

    /// Brings a page, and others around it. Nothing is locked. If the file ends before it,
    /// so does the object then.
    ///
    /// # Errors
    /// It cannot be read, or there is no frame for it.
    #[cold]
    pub fn bring(&self, page: u64) -> Result<(), NoPage> {
        let pager = self.pager.as_deref().ok_or(NoPage::Failed)?;
        let (mut first, end) = self.window(page).ok_or(NoPage::Beyond)?;
        clean::make_room(end - first);
        let mut taken = Taken::new(end - first, MOST_RUNS);
        if first + taken.count() <= page {
            // It is what matters.
            taken.keep((end - page).min(taken.count()));
            first = page;
        }
        if taken.count() == 0 {
            return Err(NoPage::Frame);
        }
        let bytes = pager.bring(first, taken.runs()).map_err(not_brought)?;
        let length = taken.count() * PAGE_SIZE;
        self.brought.store(first + taken.count(), Ordering::Relaxed);
        if bytes < length {
            taken.clear_behind(bytes);
            self.ends_at(first * PAGE_SIZE + bytes);
        }
        self.keep(first, taken, page)
    }

    /// How many bytes from a page on are only where the file lies: up to `most`, and to the
    /// first page of which something is here.
    pub fn absent_from(&self, page: u64, most: u64) -> u64 {
        let end = self.pages_below.load(Ordering::Relaxed).min(self.pages());
        let end = end.min(self.lock().next_there(page));
        let end = self.size().min(end.saturating_mul(PAGE_SIZE));
        end.saturating_sub(page * PAGE_SIZE).min(most)
    }

    /// Reads such bytes from a page on to where they are wanted, and keeps none: how many.
    /// If the file ends before, so does the object then. Nothing is locked.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn pass(&self, page: u64, to: &[Range]) -> Result<u64, NoPage> {
        let pager = self.pager.as_deref().ok_or(NoPage::Failed)?;
        let bytes = pager.bring(page, to).map_err(not_brought)?;
        self.brought.store(page + bytes / PAGE_SIZE, Ordering::Relaxed);
        if bytes < to.iter().map(Range::len).sum() {
            self.ends_at(page * PAGE_SIZE + bytes);
        }
        Ok(bytes)
    }

    /// Keeps what came of the first pages when the file was found.
    fn begin_with(&self, Begun { mut frames, bytes }: Begun) {
        // A page in part is whole only at the end.
        let all = bytes >= self.size();
        frames.keep(if all { self.pages() } else { bytes / PAGE_SIZE });
        self.brought.store(frames.count(), Ordering::Relaxed);
        let _ = self.keep(0, frames, u64::MAX);
    }

    /// Which pages are brought with one: those that are there already are left out.
    fn window(&self, page: u64) -> Option<(u64, u64)> {
        let end = self.pages_below.load(Ordering::Relaxed).min(self.pages());
        if page >= end {
            return None;
        }
        let pages = self.lock();
        let block = page - page % AT_ONCE;
        let first = if pages.next_there(block) > page { block } else { page };
        let in_a_row = self.brought.load(Ordering::Relaxed) == page && page > 0;
        let most = if in_a_row { page + in_a_row_from(page) } else { block + AT_ONCE };
        Some((first, most.min(end).min(pages.next_there(page))))
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
        let mut all = FRAMES.lock();
        let frames = &mut *all;
        let mut index = first;
        for run in taken.take() {
            for frame in (run.start..run.end).step_by(PAGE_SIZE as usize) {
                let page = index;
                index += 1;
                let is_wanted = page < end_below
                    && pages.held.map.get(page) == 0
                    && pages.held.clean.get(page) == 0;
                let slot = if is_wanted { pages.held.clean.slot(page, frames) } else { None };
                match slot {
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
        // The note may need memory, which the heap takes from the frames.
        drop(all);
        let this = self.this.lock().clone();
        clean::note(this, [first, index], kept);
        result
    }
}

impl Pages<'_> {
    /// The next page from this one on of which something is here.
    fn next_there(&self, from: u64) -> u64 {
        let next = [&self.held.map, &self.held.clean].map(|map| map.next(from));
        next.into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

fn not_brought(error: Errno) -> NoPage {
    match error {
        Errno::EACCES | Errno::EPERM => NoPage::Denied,
        _ => NoPage::Failed,
    }
}

/// How many pages are brought at once from one on that follows others: fewer as memory runs
/// out.
fn in_a_row_from(page: u64) -> u64 {
    FRAMES.lock().ahead(page.clamp(IN_A_ROW, MOST_IN_A_ROW)).max(AT_ONCE)
}
