//! What prctl(2) keeps of tasks and processes. Most of it is kept and told, and has no
//! effect in a sandbox: what it would forbid never happens, or what it is for never comes.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// By how much sleeps may be longer, so that others end with them: what Linux begins with.
pub const TIMER_SLACK_NS: u64 = 50_000;

/// Of a task.
pub struct TaskHabits {
    /// `PR_SET_NO_NEW_PRIVS`. No program gets any in a sandbox.
    pub no_new_privileges: AtomicBool,
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: AtomicU8,
    /// `PR_SET_TIMERSLACK`, in nanoseconds. Nobody uses it: sleeps are exact.
    pub timer_slack: AtomicU64,
    /// What 0 sets it to: its maker's.
    pub default_timer_slack: AtomicU64,
}

impl TaskHabits {
    /// The first task's.
    pub const fn new() -> TaskHabits {
        TaskHabits {
            no_new_privileges: AtomicBool::new(false),
            parent_death_signal: AtomicU8::new(0),
            timer_slack: AtomicU64::new(TIMER_SLACK_NS),
            default_timer_slack: AtomicU64::new(TIMER_SLACK_NS),
        }
    }

    /// A new task's, out of its maker's.
    #[must_use]
    pub fn inherited(&self) -> TaskHabits {
        let slack = self.timer_slack.load(Ordering::Relaxed);
        TaskHabits {
            no_new_privileges: AtomicBool::new(self.no_new_privileges.load(Ordering::Relaxed)),
            parent_death_signal: AtomicU8::new(0),
            timer_slack: AtomicU64::new(slack),
            default_timer_slack: AtomicU64::new(slack),
        }
    }
}

impl Default for TaskHabits {
    fn default() -> TaskHabits {
        TaskHabits::new()
    }
}

/// Of a process.
pub struct ProcessHabits {
    /// `PR_SET_DUMPABLE`.
    pub dumpable: AtomicBool,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub child_subreaper: AtomicBool,
    /// `PR_SET_THP_DISABLE`: there are no large pages.
    pub no_large_pages: AtomicBool,
}

impl ProcessHabits {
    /// The first process's.
    pub const fn new() -> ProcessHabits {
        ProcessHabits {
            dumpable: AtomicBool::new(true),
            child_subreaper: AtomicBool::new(false),
            no_large_pages: AtomicBool::new(false),
        }
    }
}

impl Default for ProcessHabits {
    fn default() -> ProcessHabits {
        ProcessHabits::new()
    }
}
