//! How much memory mlock(2) and its kin may keep.

use crate::process::task::current;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::capability::CAP_IPC_LOCK;
use trapgate_uapi::resource::{RLIM_INFINITY, RLIMIT_MEMLOCK, Rlimit};

/// How many pages mlock(2) may keep, for who must not do as it likes: `RLIMIT_MEMLOCK`.
pub(super) fn lock_limit() -> u64 {
    if current().credentials.can(CAP_IPC_LOCK) {
        return u64::MAX;
    }
    match current().process.limits.get(RLIMIT_MEMLOCK) {
        Ok(Rlimit { rlim_cur: RLIM_INFINITY, .. }) | Err(_) => u64::MAX,
        Ok(limit) => limit.rlim_cur / PAGE_SIZE,
    }
}
