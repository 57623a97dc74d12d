//! Signals that this process gets, passed on to the program of its one machine:
//! what `trapgate run` does with Ctrl-C.
//!
//! The program does with them what it does with any. One that comes while the one
//! before has not been taken, or that is not taken within a second (`watcher`),
//! ends this process as if it had not been passed on: whatever the guest does,
//! Ctrl-C ends it.
#![allow(unsafe_code, reason = "signal handlers")]

use super::control::Control;
use super::kvm::kick;
use crate::Error;
use std::io;
use std::mem;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// The machine's, from [`install`] on for the rest of this process.
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());
/// The thread that runs it.
static THREAD: AtomicI32 = AtomicI32::new(0);
/// The last signal.
static LAST: AtomicI32 = AtomicI32::new(0);

/// Passes these signals on, bit `n - 1` for signal `n`, to the machine that this
/// thread will run: the one of this process. It is kept to the process's end.
///
/// # Errors
/// If a handler cannot be installed.
pub(super) fn install(control: &Arc<Control>, signals: u64) -> Result<(), Error> {
    THREAD.store(kick::this_thread(), Ordering::Release);
    CONTROL.store(Arc::into_raw(control.clone()).cast_mut(), Ordering::Release);
    for signal in (1..=64).filter(|signal| signals & 1 << (signal - 1) != 0) {
        // SAFETY: an all-zero sigaction is valid; the handler does only what one
        // may. No SA_RESTART: blocked calls shall return.
        let done = unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal, &raw const action, null_mut())
        };
        if done != 0 {
            return Err(Error::host("sigaction")(io::Error::last_os_error()));
        }
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: `install` put it there before this handler, and nobody takes it
    // away.
    let control = unsafe { &*CONTROL.load(Ordering::Acquire) };
    if control.has_signals() {
        die_by(signal);
    }
    LAST.store(signal, Ordering::Release);
    control.post(signal as u8);
    kick::kick(THREAD.load(Ordering::Acquire));
}

/// Whether signals are passed on to this machine.
pub(super) fn is_to(control: &Arc<Control>) -> bool {
    CONTROL.load(Ordering::Acquire).cast_const() == Arc::as_ptr(control)
}

/// Nobody has taken the last signal: it ends this process.
pub(super) fn give_up() {
    match LAST.load(Ordering::Acquire) {
        0 => {}
        signal => die_by(signal),
    }
}

/// Ends this process by a signal, as it ends who does nothing about it. Does only
/// what a signal handler may (signal-safety(7)).
pub fn die_by(signal: i32) {
    // SAFETY: all-zero structures are valid; nothing but this process's actions and
    // this thread's mask is changed.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &raw const action, null_mut());
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, null_mut());
        libc::kill(libc::getpid(), signal);
    }
}
