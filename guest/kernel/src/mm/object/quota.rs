//! Frames that objects are counted on: those of a file system's files.

use core::sync::atomic::{AtomicU64, Ordering};

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
    pub(super) fn take(&self, count: u64) -> bool {
        let used = self.used.fetch_add(count, Ordering::Relaxed) + count;
        if used > self.limit {
            self.used.fetch_sub(count, Ordering::Relaxed);
        }
        used <= self.limit
    }

    /// Counts more, whether that is too many or not.
    pub(super) fn take_anyhow(&self, count: u64) {
        self.used.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, count: u64) {
        self.used.fetch_sub(count, Ordering::Relaxed);
    }
}
