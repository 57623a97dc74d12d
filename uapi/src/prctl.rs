//! linux/prctl.h and asm/prctl.h: options of prctl(2) and arch_prctl(2).

use crate::macros::constants;

constants! { "prctl(2)", prctl as i32:
    PR_GET_DUMPABLE PR_SET_DUMPABLE PR_SET_NAME PR_GET_NAME PR_SET_NO_NEW_PRIVS
    PR_GET_NO_NEW_PRIVS PR_GET_KEEPCAPS PR_SET_KEEPCAPS PR_CAPBSET_READ PR_CAPBSET_DROP
    PR_GET_PDEATHSIG PR_SET_PDEATHSIG PR_GET_SECUREBITS PR_GET_THP_DISABLE PR_SET_THP_DISABLE
    PR_GET_TIMERSLACK PR_SET_TIMERSLACK PR_GET_TIMING PR_SET_TIMING PR_GET_SECCOMP PR_GET_TSC
    PR_SET_TSC PR_TASK_PERF_EVENTS_DISABLE PR_TASK_PERF_EVENTS_ENABLE PR_SET_MM
    PR_SET_CHILD_SUBREAPER PR_GET_CHILD_SUBREAPER PR_GET_TID_ADDRESS PR_CAP_AMBIENT PR_GET_MDWE
    PR_GET_MEMORY_MERGE
}
constants! { "prctl(2)", prctl as u64:
    PR_CAP_AMBIENT_IS_SET PR_CAP_AMBIENT_RAISE PR_CAP_AMBIENT_LOWER PR_CAP_AMBIENT_CLEAR_ALL
}
constants! { "prctl(2)", prctl as u32: PR_TSC_ENABLE
}

/// Bytes of a task's name, its NUL included (prctl(2) `PR_SET_NAME`).
pub const TASK_COMM_LEN: usize = 16;

// linux-raw-sys has none of asm/prctl.h.
/// Sets the base of GS.
pub const ARCH_SET_GS: i32 = 0x1001;
/// Sets the base of FS.
pub const ARCH_SET_FS: i32 = 0x1002;
/// Tells the base of FS.
pub const ARCH_GET_FS: i32 = 0x1003;
/// Tells the base of GS.
pub const ARCH_GET_GS: i32 = 0x1004;
