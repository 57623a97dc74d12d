//! Clocks of CPU time: which one a number is (Linux: `posix-timers_types.h`).

use crate::process::cpu::{CpuAlarm, read};
use crate::process::cpu_use::CpuClock;
use crate::process::task::{current, find};
use crate::sched::thread::current_arc;
use crate::sched::wait::wait;
use crate::sys::define::SysResult;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};

/// In a negative number: a task's clock, not a process's.
const PER_THREAD: i32 = 1 << 2;
/// What is counted: user and system time in ticks, user time in ticks, all; or it is a
/// descriptor's clock, of which there are none.
const WHAT: i32 = 3;
const PROFILE: i32 = 0;
const USER: i32 = 1;
const SCHEDULED: i32 = 2;
const OF_DESCRIPTOR: i32 = 3;

/// What clocks in ticks say that their resolution is, in nanoseconds.
const TICK_NS: u64 = 4_000_000;

/// One.
pub(super) struct Named {
    clock: CpuClock,
    what: i32,
    /// The running task's own, called by a number that says so: it is none to sleep by.
    is_own: bool,
}

impl Named {
    /// The one of this number.
    ///
    /// # Errors
    /// EINVAL.
    pub(super) fn find(number: i32) -> Result<Named, Errno> {
        let own = || CpuClock::Thread(current_arc());
        let named = |clock, what, is_own| Ok(Named { clock, what, is_own });
        match number {
            CLOCK_PROCESS_CPUTIME_ID => return named(CpuClock::Process, SCHEDULED, false),
            CLOCK_THREAD_CPUTIME_ID => return named(own(), SCHEDULED, true),
            0.. => return Err(Errno::EINVAL),
            _ => {}
        }
        let what = number & WHAT;
        if what == OF_DESCRIPTOR {
            return Err(Errno::EINVAL);
        }
        let (task, tid) = (current(), !(number >> 3) as u32);
        if number & PER_THREAD == 0 {
            // Also by the number of the task that asks.
            let is_this = tid == 0 || tid == task.pid || tid == task.tid();
            return if is_this {
                named(CpuClock::Process, what, false)
            } else {
                Err(Errno::EINVAL)
            };
        }
        if tid == 0 || tid == task.tid() {
            return named(own(), what, true);
        }
        let other = find(tid).filter(|other| other.pid == task.pid).ok_or(Errno::EINVAL)?;
        named(CpuClock::Thread(other.thread.clone()), what, false)
    }

    /// Its time in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        let time = read(&self.clock);
        if self.what == USER { time.user() } else { time.all }
    }

    /// What it says that its resolution is, in nanoseconds.
    pub(super) const fn resolution(&self) -> u64 {
        match self.what {
            PROFILE | USER => TICK_NS,
            _ => 1,
        }
    }

    /// All of it, whatever it counts.
    pub(super) fn all(&self) -> u64 {
        read(&self.clock).all
    }

    /// Waits until then.
    ///
    /// # Errors
    /// EINVAL; those of waiting.
    pub(super) fn sleep_until(&self, at: u64) -> SysResult {
        if self.is_own {
            return Err(Errno::EINVAL);
        }
        let thread = current_arc();
        let alarm = CpuAlarm::set(&self.clock, at, &thread)?;
        wait(&[], None, || Ok(alarm.is_over().then_some(())))?;
        Ok(0)
    }
}

/// Whether a number is one of a descriptor's clock.
pub(super) const fn is_descriptors(number: i32) -> bool {
    number < 0 && number & 7 == OF_DESCRIPTOR
}
