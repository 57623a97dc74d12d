//! Kernel stacks: those of the host's threads, so that here is only their number.

use core::sync::atomic::{AtomicU64, Ordering};

/// Where frames would come from.
#[derive(Clone, Copy)]
pub struct Source {
    /// One frame, by its physical address.
    pub take: fn() -> Option<u64>,
    /// Takes frames back that nobody maps any more.
    pub give: fn(&[u64]),
}

static IN_USE: AtomicU64 = AtomicU64::new(0);

/// Does nothing.
pub fn init(_source: Source) {}

/// How many stacks there are.
pub fn in_use() -> u64 {
    IN_USE.load(Ordering::Relaxed)
}

/// A stack.
pub struct KernelStack(());

impl KernelStack {
    /// One more.
    #[allow(clippy::new_without_default, reason = "the real one has no default")]
    pub fn new() -> Option<KernelStack> {
        IN_USE.fetch_add(1, Ordering::Relaxed);
        Some(KernelStack(()))
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Ordering::Relaxed);
    }
}
