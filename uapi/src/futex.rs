//! linux/futex.h: operations of futex(2), and the list of robust futexes.

use crate::macros::{constants, structure};

constants! { "futex(2)", general as u32:
    FUTEX_WAIT FUTEX_WAKE FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP FUTEX_LOCK_PI
    FUTEX_UNLOCK_PI FUTEX_TRYLOCK_PI FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET FUTEX_LOCK_PI2
    FUTEX_WAIT_REQUEUE_PI FUTEX_PRIVATE_FLAG FUTEX_CLOCK_REALTIME FUTEX_BITSET_MATCH_ANY
    FUTEX_WAITERS FUTEX_OWNER_DIED FUTEX_TID_MASK ROBUST_LIST_LIMIT
    FUTEX_OP_SET FUTEX_OP_ADD FUTEX_OP_OR FUTEX_OP_ANDN FUTEX_OP_XOR FUTEX_OP_OPARG_SHIFT
    FUTEX_OP_CMP_EQ FUTEX_OP_CMP_NE FUTEX_OP_CMP_LT FUTEX_OP_CMP_LE FUTEX_OP_CMP_GT
    FUTEX_OP_CMP_GE
}

/// The bits of an operation that say which it is; the others are flags.
pub const FUTEX_CMD_MASK: u32 = !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
const _: () = assert!(FUTEX_CMD_MASK == linux_raw_sys::general::FUTEX_CMD_MASK as u32);

structure! {
    /// `struct robust_list_head` of set_robust_list(2).
    #[derive(Default)]
    pub struct RobustListHead: 24 = "x86_64" general::robust_list_head {
        pub list: u64,
        pub futex_offset: i64,
        pub list_op_pending: u64,
    }
}

structure! {
    /// i386's.
    #[derive(Default)]
    pub struct CompatRobustListHead: 12 = "x86" general::robust_list_head {
        pub list: u32,
        pub futex_offset: i32,
        pub list_op_pending: u32,
    }
}
