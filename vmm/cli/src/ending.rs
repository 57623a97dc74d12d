//! The end of this process, without what Linux does anyway.
//!
//! `main` calls it when all is written. What would still be closed, unmapped and
//! freed is gone with the process, a VM that was left (`Sandbox::run_and_leave`)
//! with it.
#![allow(unsafe_code, reason = "_exit(2)")]

/// Ends the process.
pub(crate) fn with(status: u8) -> ! {
    // SAFETY: it does not come back, so nothing is used that it leaves half done;
    // whatever buffers standard output was told to write before.
    unsafe { libc::_exit(status.into()) }
}
