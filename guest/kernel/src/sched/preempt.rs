//! Preemption: a thread that computes in ring 3 while another is ready gives the CPU up
//! at the next tick.
//!
//! A tick costs an exit. So one is asked for when a thread goes back to ring 3 while
//! another is ready ([`work::TICK`]), and they go on until one of them finds nobody.

use crate::sched::thread::{current, work};
use crate::sched::{queue, tick};
use core::sync::atomic::{AtomicBool, Ordering};

/// How long a thread computes before it is another's turn, in nanoseconds.
const SLICE_NS: u64 = 4_000_000;

/// Whether ticks come.
static TICKS: AtomicBool = AtomicBool::new(false);

/// Nobody has asked for a tick.
pub(super) fn init() {
    TICKS.store(false, Ordering::Relaxed);
}

/// The running thread goes back to ring 3: others may not wait for ever. Where the host
/// has no ticks to give, they wait until it gives the CPU up itself.
pub fn before_ring_3() {
    if !queue::is_empty() && !TICKS.load(Ordering::Relaxed) {
        TICKS.store(tick::start(SLICE_NS, SLICE_NS).is_ok(), Ordering::Relaxed);
    }
}

/// A tick was due, whether an interrupt said so or the kernel heard of it in a call.
pub(super) fn tick() {
    if !TICKS.load(Ordering::Relaxed) {
        return;
    }
    if queue::is_empty() {
        TICKS.store(false, Ordering::Relaxed);
        tick::stop();
    } else {
        current().raise(work::RESCHEDULE);
    }
}
