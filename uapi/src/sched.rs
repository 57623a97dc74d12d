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

structure! {
    /// `struct sched_param` of sched_getparam(2): there is but the priority.
    #[derive(Default)]
    pub struct SchedParam: 4 {
        pub sched_priority: i32,
    }
}
