//! linux/sched.h: what a new task shares with its maker, and how tasks are
//! scheduled.

use crate::macros::{constants, structure};

constants! { "clone(2)", general as u64:
    CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK
    CLONE_PARENT CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID
    CLONE_CHILD_CLEARTID CLONE_DETACHED CLONE_UNTRACED CLONE_CHILD_SETTID CLONE_NEWCGROUP
    CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO
    CLONE_CLEAR_SIGHAND CLONE_INTO_CGROUP
}
constants! { "clone3(2)", general as u64:
    CLONE_ARGS_SIZE_VER0 CLONE_ARGS_SIZE_VER1 CLONE_ARGS_SIZE_VER2
}
constants! { "sched(7)", general as u32:
    SCHED_NORMAL SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_IDLE SCHED_DEADLINE
    SCHED_RESET_ON_FORK
}
constants! { "sched_setattr(2)", general as u64:
    SCHED_FLAG_RESET_ON_FORK SCHED_FLAG_KEEP_POLICY SCHED_FLAG_KEEP_PARAMS
    SCHED_FLAG_UTIL_CLAMP SCHED_FLAG_ALL
}
/// `CLONE_NEWTIME`: in the bits of a signal, so that clone3(2) alone has it.
pub const CLONE_NEWTIME: u64 = 0x80;
/// The bits of clone(2)'s flags that are the signal of the task's end.
pub const CSIGNAL: u64 = 0xff;
/// How many namespaces of numbers can be in one another.
pub const MAX_PID_NS_LEVEL: u64 = 32;
/// The least size of a [`SchedAttr`] that there ever was.
pub const SCHED_ATTR_SIZE_VER0: u32 = 48;
/// The highest priority of the classes that have one.
pub const MAX_RT_PRIORITY: u32 = 99;

structure! {
    /// `struct clone_args` of clone3(2), the same for both widths.
    #[derive(Default)]
    pub struct CloneArgs: 88 {
        pub flags: u64,
        pub pidfd: u64,
        pub child_tid: u64,
        pub parent_tid: u64,
        pub exit_signal: u64,
        pub stack: u64,
        pub stack_size: u64,
        pub tls: u64,
        pub set_tid: u64,
        pub set_tid_size: u64,
        pub cgroup: u64,
    }
}
crate::macros::same_layout!(CloneArgs = general::clone_args {
    flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup
});

impl CloneArgs {
    /// Of its words, as they lie in memory.
    pub const fn of_words(words: [u64; 11]) -> CloneArgs {
        let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, rest @ ..] = words;
        let [stack_size, tls, set_tid, set_tid_size, cgroup] = rest;
        CloneArgs {
            flags,
            pidfd,
            child_tid,
            parent_tid,
            exit_signal,
            stack,
            stack_size,
            tls,
            set_tid,
            set_tid_size,
            cgroup,
        }
    }
}

structure! {
    /// `struct sched_param` of sched_getparam(2): there is but the priority.
    #[derive(Default)]
    pub struct SchedParam: 4 {
        pub sched_priority: i32,
    }
}

structure! {
    /// `struct sched_attr` of sched_setattr(2), the same for both widths.
    #[derive(Default)]
    pub struct SchedAttr: 56 {
        pub size: u32,
        pub sched_policy: u32,
        pub sched_flags: u64,
        pub sched_nice: i32,
        pub sched_priority: u32,
        pub sched_runtime: u64,
        pub sched_deadline: u64,
        pub sched_period: u64,
        pub sched_util_min: u32,
        pub sched_util_max: u32,
    }
}

impl SchedAttr {
    /// Of the words that there were at first.
    pub const fn of_version_0(words: [u64; 6]) -> SchedAttr {
        SchedAttr {
            size: words[0] as u32,
            sched_policy: (words[0] >> 32) as u32,
            sched_flags: words[1],
            sched_nice: words[2] as i32,
            sched_priority: (words[2] >> 32) as u32,
            sched_runtime: words[3],
            sched_deadline: words[4],
            sched_period: words[5],
            sched_util_min: 0,
            sched_util_max: 0,
        }
    }

    /// Its words, as they lie in memory.
    pub const fn words(&self) -> [u64; 7] {
        const fn pair(low: u32, high: u32) -> u64 {
            (high as u64) << 32 | low as u64
        }
        [
            pair(self.size, self.sched_policy),
            self.sched_flags,
            pair(self.sched_nice as u32, self.sched_priority),
            self.sched_runtime,
            self.sched_deadline,
            self.sched_period,
            pair(self.sched_util_min, self.sched_util_max),
        ]
    }
}
