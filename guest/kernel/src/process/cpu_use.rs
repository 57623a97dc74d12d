//! What a process has of CPU time besides its tasks.

use crate::sched::share::Ran;
use crate::sched::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// It.
#[derive(Default)]
pub struct CpuUse {
    /// What tasks had that have ended.
    pub(super) ended: Mutex<Ran>,
    /// Who is woken at which time of which clock.
    pub(super) sleepers: Mutex<Vec<Sleeper>>,
}

/// A thread that a clock wakes.
pub(super) struct Sleeper {
    /// The clock.
    pub(super) clock: CpuClock,
    /// What it shows then, in nanoseconds.
    pub(super) at: u64,
    /// Who is woken.
    pub(super) thread: Arc<Thread>,
}

/// A clock of CPU time of a process.
#[derive(Clone)]
pub enum CpuClock {
    /// The process's own.
    Process,
    /// That of a thread of its.
    Thread(Arc<Thread>),
}
