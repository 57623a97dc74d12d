//! personality(2): what system a program believes to be on.

use crate::process::task::current;
use crate::sys::define::syscall_define;
use core::sync::atomic::Ordering;
use trapgate_uapi::personality::PER_QUERY;

syscall_define! {
    /// personality(2): answers what there was before.
    fn personality(persona: u32) {
        let own = &current().personality;
        let before = match persona {
            PER_QUERY => own.load(Ordering::Relaxed),
            persona => own.swap(persona, Ordering::Relaxed),
        };
        Ok(before.into())
    }
}
