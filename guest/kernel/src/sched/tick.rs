//! The interrupt that comes while a program computes: because something has
//! happened on the host, or because it was asked for.

use super::idle;
use crate::host;
use trapgate_abi::hypercall::{NEVER, Request};
use trapgate_uapi::Errno;

/// It came.
pub fn interrupt() {
    idle::look();
}

/// Asks for one after `after_ns` nanoseconds, and then every `period_ns`, if that is
/// not 0; instead of what was asked for before.
///
/// One that falls due while the kernel waits for the host only ends that wait: no
/// interrupt comes for it. So who needs each of several, or just the one, asks for a
/// time as well ([`super::timers`]); with a period the next one comes.
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
