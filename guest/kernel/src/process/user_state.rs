//! What the running task has of ring 3 in the CPU: another's may be there.

use crate::process::task::current;
use crate::sched::switch;
use core::sync::atomic::Ordering;
use trapgate_arch::percpu;

/// Gives the CPU what the running task has in ring 3, if that is not what it holds.
pub(super) fn claim() {
    if switch::claim_user_state() {
        let landing_pad = &current().process.landing_pad;
        percpu::set_landing_pad(landing_pad.load(Ordering::Relaxed));
    }
}
