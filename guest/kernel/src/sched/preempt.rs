//! Preemption: a thread that computes in ring 3 while another is ready gives the CPU up
//! at the next tick; and when another's time to be woken has come.
//!
//! A tick costs an exit. So ticks are asked for when a thread goes back to ring 3 while
//! another is ready ([`work::TICK`]), and they go on until one of them finds nobody. While
//! others only sleep, one is asked for, at the time of the first of them.

use crate::sched::share::SLICE_NS;
use crate::sched::thread::{current, work};
use crate::sched::{queue, tick, timers};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::hypercall::NEVER;
use trapgate_arch::percpu;

/// Sees to what is due by CPU time: in so many nanoseconds of it from now, the next thing
/// is; [`NEVER`] for none.
pub type CpuAlarms = fn() -> u64;

/// When the one comes that was asked for instead; [`NEVER`], if none was.
static ALARM: AtomicU64 = AtomicU64::new(NEVER);

/// Who has something due by CPU time: the room of processes, above.
static CPU_ALARMS: Mutex<Option<CpuAlarms>> = Mutex::new(None);
/// Whether somebody has.
static HAS_CPU_ALARMS: AtomicBool = AtomicBool::new(false);

/// Whether something is due by CPU time.
#[inline]
pub fn has_cpu_alarms() -> bool {
    HAS_CPU_ALARMS.load(Ordering::Relaxed)
}

/// Says who sees to that from now on; `None` for nobody. An alarm that comes later than
/// what is due now is asked for anew.
pub fn set_cpu_alarms(alarms: Option<CpuAlarms>) {
    *CPU_ALARMS.lock() = alarms;
    HAS_CPU_ALARMS.store(alarms.is_some(), Ordering::Relaxed);
    if alarms.is_some() {
        percpu::raise_work(work::TICK);
    }
}

/// Sees to it: the time of the next, if there is one.
fn cpu_alarms() -> Option<u64> {
    if !has_cpu_alarms() {
        return None;
    }
    let alarms = *CPU_ALARMS.lock();
    let left = alarms.map_or(NEVER, |alarms| alarms());
    (left != NEVER).then(|| timers::now().saturating_add(left))
}

/// Nobody has asked for a tick.
pub(super) fn init() {
    set_cpu_alarms(None);
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
    let first = timers::first().into_iter().chain(cpu_alarms()).min();
    let Some(at) = first.filter(|&at| at < ALARM.load(Ordering::Relaxed)) else { return };
    if tick::start(at.saturating_sub(timers::now()).max(1), 0).is_ok() {
        ALARM.store(at, Ordering::Relaxed);
    }
}

/// A tick was due, whether an interrupt said so or the kernel heard of it in a call; those
/// whose time has come are awake.
pub(super) fn tick() {
    ALARM.store(NEVER, Ordering::Relaxed);
    let is_due = cpu_alarms().is_some();
    if !queue::is_empty() {
        current().raise(work::RESCHEDULE);
    } else if tick::come() {
        tick::set_come(false);
        tick::stop();
    }
    if is_due || timers::first().is_some() {
        percpu::raise_work(work::TICK);
    }
}
