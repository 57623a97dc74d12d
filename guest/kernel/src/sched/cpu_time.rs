//! CPU time: each thread has what it ran. It is counted when the CPU is given to another,
//! when the kernel becomes idle, and when somebody asks; never on the way into a call.

use super::queue;
use super::share::{Ran, SLICE_NS};
use super::thread::{Thread, current};
use crate::clock::Clock;
use crate::host;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_arch::cpu;

/// The counter, when the running thread's time was counted last.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// The counter at the start.
static START: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds a tick, in 32.32 fixed point; a guess, where the counter is no clock.
static MULTIPLIER: AtomicU64 = AtomicU64::new(GUESS);
/// Ticks of a slice.
static SLICE: AtomicU64 = AtomicU64::new(SLICE_NS);

/// That of a counter of 2 GHz.
const GUESS: u64 = 1 << 31;

/// Begins to count, with a clock by whose counter it is.
pub(super) fn init(clock: &Clock) {
    let multiplier = clock.multiplier().unwrap_or(GUESS);
    MULTIPLIER.store(multiplier, Ordering::Relaxed);
    // Below 2^54: no counter ticks 2^32 times a nanosecond.
    SLICE.store((SLICE_NS << 32) / multiplier, Ordering::Relaxed);
    let now = cpu::tsc();
    START.store(now, Ordering::Relaxed);
    SINCE.store(now, Ordering::Relaxed);
    host::take_ticks();
}

/// Counts what the running thread has had until now.
#[inline]
pub fn count(this: &Thread) {
    let now = cpu::tsc();
    let ran = now.saturating_sub(SINCE.load(Ordering::Relaxed));
    SINCE.store(now, Ordering::Relaxed);
    let share = &this.share;
    share.add(ran);
    if host::has_ticks() {
        share.add_in_host(host::take_ticks());
    }
    // Nobody owes others what they did not want: what somebody ran alone does not count,
    // and else a slice at most.
    if !queue::is_empty() {
        let ran = ran.min(SLICE.load(Ordering::Relaxed));
        share.add_virtual_time((ran * MULTIPLIER.load(Ordering::Relaxed)) >> 32);
    }
}

/// Nobody runs from now on: the kernel is idle.
pub(super) fn pause() {
    count(current());
}

/// The running thread goes on.
pub(super) fn resume() {
    SINCE.store(cpu::tsc(), Ordering::Relaxed);
    host::take_ticks();
}

/// What a thread has had until now.
pub fn ran(thread: &Thread) -> Ran {
    if thread.is_current() {
        count(thread);
    }
    thread.share.ran()
}

/// So many ticks, in nanoseconds: by the clock's own, or by what share they are of all
/// ticks since the start.
pub fn in_ns(ticks: u64, clock: &Clock) -> u64 {
    clock.span(ticks).unwrap_or_else(|| {
        let all = cpu::tsc().saturating_sub(START.load(Ordering::Relaxed)).max(1);
        (u128::from(clock.elapsed()) * u128::from(ticks.min(all)) / u128::from(all)) as u64
    })
}
