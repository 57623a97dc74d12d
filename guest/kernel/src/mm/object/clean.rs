//! Clean pages: what objects have that was brought from elsewhere and that nobody has
//! written, so that it can be given up and brought again.
//!
//! They take what memory is left over: below half of it free, there come no more
//! without others going; and all of them go before a program goes without. What was
//! brought first goes first. A frame that is mapped stays with those who have it.

use super::{Held, Object};
use crate::mm::frames::{Batch, FRAMES};
use alloc::collections::VecDeque;
use alloc::sync::Weak;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_arch::page_map::PageMap;

/// Pages that were brought together.
struct Chunk {
    object: Weak<Object>,
    first: u64,
    end: u64,
}

/// What was brought, the oldest first; some of it may be gone.
static BROUGHT: Mutex<VecDeque<Chunk>> = Mutex::new(VecDeque::new());

/// How many clean pages there are.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many clean pages there are.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Notes that pages were brought, `count` of these. Where that cannot be noted, they stay
/// as long as their object.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub(super) fn note(object: Weak<Object>, [first, end]: [u64; 2], count: u64) {
    COUNT.fetch_add(count, Ordering::Relaxed);
    let mut brought = BROUGHT.lock();
    // So that it does not grow by what is gone.
    for _ in 0..2 {
        if brought.front().is_some_and(|chunk| chunk.object.strong_count() == 0) {
            brought.pop_front();
        }
    }
    if count > 0 && brought.try_reserve(1).is_ok() {
        brought.push_back(Chunk { object, first, end });
    }
}

/// Forgets what was brought on another machine, whose frames are not this one's.
#[cfg(test)]
pub fn forget() {
    BROUGHT.lock().clear();
}

/// Makes room for so many pages, where memory is not plenty. Nothing is locked.
pub fn make_room(pages: u64) {
    let (free, total) = {
        let frames = FRAMES.lock();
        (frames.available(), frames.total())
    };
    if free < total / 2 + pages {
        give_up(pages);
    }
}

/// Gives up clean pages until so many frames have come free: how many have. No object is
/// locked, nor are the frames.
pub fn give_up(frames: u64) -> u64 {
    let mut freed = 0;
    while freed < frames && count() > 0 {
        let Some(Chunk { object, first, end }) = BROUGHT.lock().pop_front() else { break };
        if let Some(object) = object.upgrade() {
            let mut pages = object.lock();
            if !object.lent.load(Ordering::Relaxed) {
                freed += pages.held.drop_clean(first, end);
            }
        }
    }
    freed
}

impl Held {
    /// Gives up clean pages of `first..end`: how many frames have come free.
    pub(super) fn drop_clean(&mut self, first: u64, end: u64) -> u64 {
        let frames = &mut *FRAMES.lock();
        let (mut batch, mut pages, mut freed) = (Batch::default(), 0, 0);
        self.clean.remove(first, end.min(PageMap::END), &mut |frame, is_page| {
            pages += u64::from(is_page);
            if !is_page || frames.disown(frame) {
                batch.free(frame, frames);
                freed += 1;
            }
        });
        batch.end_run(frames);
        COUNT.fetch_sub(pages, Ordering::Relaxed);
        freed
    }

    /// A clean page, which is `frame`, is the object's own from now on.
    pub(super) fn take_over(&mut self, page: u64, frame: u64) -> u64 {
        self.clean.remove(page, page + 1, &mut |_, _| {});
        COUNT.fetch_sub(1, Ordering::Relaxed);
        frame
    }
}
