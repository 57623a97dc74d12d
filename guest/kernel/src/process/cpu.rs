//! CPU time of tasks and processes, and what is due by it: `RLIMIT_CPU`, and who sleeps by
//! such a clock.
//!
//! All time is exact, and counted where the CPU is given to another. How much of it was the
//! kernel's is not: what is told as system time is what the host was asked to do, which is
//! measured at each request; the kernel's own instructions count as the program's.

use crate::clock::Clock;
use crate::memory::try_push;
use crate::process::cpu_use::{CpuClock, Sleeper};
use crate::process::send::to_process;
use crate::process::task::{Process, Task, current, next_of};
use crate::sched::cpu_time::{in_ns, ran};
use crate::sched::share::Ran;
use crate::sched::thread::Thread;
use crate::sched::{preempt, queue};
use crate::signal::info::Info;
use alloc::sync::Arc;
use trapgate_abi::hypercall::NEVER;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::{RLIM_INFINITY, RLIMIT_CPU, Rlimit};
use trapgate_uapi::signal::{SIGKILL, SIGXCPU};
use trapgate_uapi::time::NSEC_PER_SEC;

/// CPU time in nanoseconds, and how often somebody else got the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// All of it.
    pub all: u64,
    /// What the host was asked to do.
    pub system: u64,
    /// Switches, because it waited.
    pub waited: u64,
    /// Switches, because it was another's turn.
    pub preempted: u64,
}

impl CpuTime {
    fn new(ran: Ran, clock: &Clock) -> CpuTime {
        let Ran { all, in_host, waited, preempted } = ran;
        CpuTime {
            all: in_ns(all, clock),
            system: in_ns(in_host.min(all), clock),
            waited,
            preempted,
        }
    }

    /// What is not the host's.
    pub const fn user(&self) -> u64 {
        self.all - self.system
    }
}

/// What a clock of the running task's process shows.
pub fn read(clock: &CpuClock) -> CpuTime {
    match clock {
        CpuClock::Process => current().process.cpu_time(),
        CpuClock::Thread(thread) => CpuTime::new(ran(thread), &current().process.clock),
    }
}

impl Task {
    /// What it has had until now.
    pub fn cpu_time(&self) -> CpuTime {
        CpuTime::new(ran(&self.thread), &self.process.clock)
    }

    /// It ends: what it has had is its process's.
    pub(super) fn leave_cpu_time(&self) {
        let mut ended = self.process.cpu.ended.lock();
        *ended = ended.and(ran(&self.thread));
    }
}

impl Process {
    /// What its tasks have had until now, also those that have ended.
    pub fn cpu_time(&self) -> CpuTime {
        let (mut all, mut from) = (*self.cpu.ended.lock(), 0);
        while let Some(task) = next_of(self.pid, from) {
            from = task.tid() + 1;
            if !task.has_ended() {
                all = all.and(ran(&task.thread));
            }
        }
        CpuTime::new(all, &self.clock)
    }
}

/// A thread's wake-up at a time of a CPU clock. Dropped, it is off.
pub struct CpuAlarm<'a> {
    clock: &'a CpuClock,
    at: u64,
    thread: &'a Arc<Thread>,
}

impl CpuAlarm<'_> {
    /// Wakes this thread then.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn set<'a>(
        clock: &'a CpuClock,
        at: u64,
        thread: &'a Arc<Thread>,
    ) -> Result<CpuAlarm<'a>, Errno> {
        let sleeper = Sleeper { clock: clock.clone(), at, thread: thread.clone() };
        try_push(&mut *current().process.cpu.sleepers.lock(), sleeper)?;
        preempt::set_cpu_alarms(Some(look));
        Ok(CpuAlarm { clock, at, thread })
    }

    /// Whether its time has come.
    pub fn is_over(&self) -> bool {
        read(self.clock).all >= self.at
    }
}

impl Drop for CpuAlarm<'_> {
    fn drop(&mut self) {
        // What is taken out is given up when nothing is locked.
        let taken = {
            let mut sleepers = current().process.cpu.sleepers.lock();
            let own = |sleeper: &Sleeper| Arc::ptr_eq(&sleeper.thread, self.thread);
            sleepers.iter().position(own).map(|index| sleepers.swap_remove(index))
        };
        drop(taken);
    }
}

/// `RLIMIT_CPU` was set.
pub fn limit_was_set(limit: Rlimit) {
    if limit.rlim_cur != RLIM_INFINITY || limit.rlim_max != RLIM_INFINITY {
        preempt::set_cpu_alarms(Some(look));
    }
}

/// Sees to what is due of the running task's process: in so many nanoseconds, the next
/// thing is.
fn look() -> u64 {
    let process = &current().process;
    let now = process.cpu_time().all;
    let mut left = limit(process, now);
    for Sleeper { clock, at, thread } in &*process.cpu.sleepers.lock() {
        let shows = match clock {
            CpuClock::Process => now,
            clock => read(clock).all,
        };
        if *at <= shows {
            queue::wake(thread);
        } else {
            left = left.min(at - shows);
        }
    }
    if left == NEVER {
        preempt::set_cpu_alarms(None);
    }
    left
}

/// Its limit: SIGKILL at the hard one, SIGXCPU at the soft one, which is a second later
/// from then on (Linux: `check_process_timers`).
fn limit(process: &Process, now: u64) -> u64 {
    let Ok(Rlimit { rlim_cur, rlim_max }) = process.limits.get(RLIMIT_CPU) else { return NEVER };
    let left = |seconds: u64| match seconds {
        RLIM_INFINITY => NEVER,
        seconds => seconds.saturating_mul(NSEC_PER_SEC).saturating_sub(now),
    };
    if left(rlim_max) == 0 {
        tell(process, SIGKILL);
        return NEVER;
    }
    if left(rlim_cur) > 0 {
        return left(rlim_cur).min(left(rlim_max));
    }
    tell(process, SIGXCPU);
    process.limits.raise_soft(RLIMIT_CPU);
    left(rlim_cur + 1).min(left(rlim_max)).max(1)
}

fn tell(process: &Process, signal: u8) {
    // A standard signal is never too much.
    let _ = to_process(process, Info::of_kernel(signal));
}
