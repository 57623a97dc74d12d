//! Preemption: a thread that computes in ring 3 while another is ready gives the CPU up
//! at the next tick; and when another's time to be woken has come.
//!
//! A tick costs an exit. So ticks are asked for when a thread goes back to ring 3 while
//! another is ready ([`work::TICK`]), and they go on until one of them finds nobody. While
//! others only sleep, one is asked for, at the time of the first of them.

use crate::sched::thread::{current, work};
use crate::sched::{queue, tick, timers};
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::hypercall::NEVER;
use trapgate_arch::percpu;

/// How long a thread computes before it is another's turn, in nanoseconds.
const SLICE_NS: u64 = 4_000_000;

/// When the one comes that was asked for instead; [`NEVER`], if none was.
static ALARM: AtomicU64 = AtomicU64::new(NEVER);

/// Nobody has asked for a tick.
pub(super) fn init() {
    tick::set_come(false);
    ALARM.store(NEVER, Ordering::Relaxed);
}

/// The running thread goes back to ring 3: others may not wait for ever. Where the host
/// has no ticks to give, they wait until it gives the CPU up itself.
pub fn before_ring_3() {
    if tick::come() {
        return;
    }
    if !queue::is_empty() {
        tick::set_come(tick::start(SLICE_NS, SLICE_NS).is_ok());
        ALARM.store(NEVER, Ordering::Relaxed);
        return;
    }
    let Some(at) = timers::first().filter(|&at| at < ALARM.load(Ordering::Relaxed)) else { return };
    if tick::start(at.saturating_sub(timers::now()).max(1), 0).is_ok() {
        ALARM.store(at, Ordering::Relaxed);
    }
}

/// A tick was due, whether an interrupt said so or the kernel heard of it in a call; those
/// whose time has come are awake.
pub(super) fn tick() {
    ALARM.store(NEVER, Ordering::Relaxed);
    if !queue::is_empty() {
        current().raise(work::RESCHEDULE);
    } else if tick::come() {
        tick::set_come(false);
        tick::stop();
    }
    if timers::first().is_some() {
        percpu::raise_work(work::TICK);
    }
}
