//! Asking for the interrupt that comes while a program computes. Like the one that
//! comes because something has happened on the host, it only has the kernel look
//! ([`super::idle::look`]); that a tick was due is an event.

use crate::host;
use core::sync::atomic::{AtomicBool, Ordering};
use trapgate_abi::hypercall::{NEVER, Request};
use trapgate_uapi::Errno;

/// Whether ticks come, one after the other, so that nobody need ask for them.
static COME: AtomicBool = AtomicBool::new(false);

/// Whether they do.
#[inline(always)]
pub fn come() -> bool {
    COME.load(Ordering::Relaxed)
}

/// Says whether they do.
pub(super) fn set_come(come: bool) {
    COME.store(come, Ordering::Relaxed);
}

/// Asks for one after `after_ns` nanoseconds, and then every `period_ns`, if that is
/// not 0; instead of what was asked for before.
///
/// One that falls due while the kernel waits for the host, or looks, is told of
/// there, and no interrupt comes for it. Several that nobody was told of are one.
///
/// # Errors
/// EAGAIN, if the host has no thread to spare.
pub fn start(after_ns: u64, period_ns: u64) -> Result<(), Errno> {
    host::call(Request::Tick { after_ns, period_ns }).map(|_| ())
}

/// Asks for none any more.
pub fn stop() {
    // To stop needs nothing that could be missing.
    let _ = start(NEVER, 0);
}
