//! Signals that this process gets, passed on to the program of its one machine:
//! what `trapgate run` does with Ctrl-C.
//!
//! The program does with them what it does with any. One that comes while the one
//! before has not been taken, or that is not taken within a second, ends this
//! process as if it had not been passed on: whatever the guest does, and whatever
//! this process waits for, Ctrl-C ends it. So the second is an alarm(2) that the
//! handler asks for: it needs no thread, and nothing that comes later moves it.
#![allow(unsafe_code, reason = "signal handlers")]

use super::control::Control;
use super::kvm::kick;
use crate::Error;
use std::io;
use std::mem;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// How long a kernel has to take a signal, in seconds.
const TAKES_SIGNAL: u32 = 1;

/// The machine's, from [`Forwarding::begin`] on for the rest of this process.
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());
/// The thread that runs it, kept as long.
static THREAD: AtomicPtr<kick::Target> = AtomicPtr::new(null_mut());
/// The last signal.
static LAST: AtomicI32 = AtomicI32::new(0);

/// While it lives, signals are passed on. Behind it they do what they did before.
pub(super) struct Forwarding(Vec<(libc::c_int, libc::sigaction)>);

impl Forwarding {
    /// Passes these signals on, bit `n - 1` for signal `n`, to the machine that this
    /// thread will run: the one of this process. It is kept to the process's end.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub(super) fn begin(control: &Arc<Control>, signals: u64) -> Result<Forwarding, Error> {
        let mut forwarding = Forwarding(Vec::new());
        if signals == 0 {
            return Ok(forwarding);
        }
        let thread = Box::new(kick::Target::this_thread());
        THREAD.store(Box::into_raw(thread), Ordering::Release);
        CONTROL.store(Arc::into_raw(control.clone()).cast_mut(), Ordering::Release);
        // The alarm's action stays: one that was asked for may still come.
        act_by(libc::SIGALRM, on_alarm, libc::SA_RESTART)?;
        kick::let_in(libc::SIGALRM);
        for signal in (1..=64).filter(|signal| signals & 1 << (signal - 1) != 0) {
            // Blocked calls shall return.
            forwarding.0.push((signal, act_by(signal, on_signal, 0)?));
        }
        Ok(forwarding)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        for (signal, before) in &self.0 {
            // SAFETY: the action that was there before.
            unsafe { libc::sigaction(*signal, before, null_mut()) };
        }
    }
}

/// Installs a handler, which does only what one may. What was there before.
fn act_by(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int),
    flags: libc::c_int,
) -> Result<libc::sigaction, Error> {
    // SAFETY: all-zero actions are valid, and so is the handler.
    let (done, before) = unsafe {
        let (mut action, mut before): (libc::sigaction, libc::sigaction) = mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = flags;
        (libc::sigaction(signal, &raw const action, &raw mut before), before)
    };
    if done != 0 {
        return Err(Error::host("sigaction")(io::Error::last_os_error()));
    }
    Ok(before)
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: `begin` put both there before this handler, and nobody takes them away.
    let (control, thread) =
        unsafe { (&*CONTROL.load(Ordering::Acquire), &*THREAD.load(Ordering::Acquire)) };
    if control.has_signals() {
        end_by(signal);
    }
    LAST.store(signal, Ordering::Release);
    // SAFETY: no pointers.
    unsafe { libc::alarm(TAKES_SIGNAL) };
    control.post(signal as u8);
    thread.kick();
}

extern "C" fn on_alarm(_: libc::c_int) {
    // SAFETY: as above.
    let control = unsafe { &*CONTROL.load(Ordering::Acquire) };
    let last = LAST.load(Ordering::Acquire);
    if control.has_untaken(last as u8) {
        // Nobody has taken it.
        end_by(last);
    }
}

/// Ends this process by a signal, or at least with its status: Linux does not let an
/// init, as of a container, end itself by a signal. Does only what a signal handler
/// may (signal-safety(7)).
fn end_by(signal: libc::c_int) -> ! {
    die_by(signal);
    // SAFETY: no pointers, and nothing of this process is used any more.
    unsafe { libc::_exit(128 + signal) }
}

/// Ends this process by a signal, as it ends who does nothing about it. Returns, if
/// it does nothing by default, or this process is an init. Does only what a signal
/// handler may (signal-safety(7)).
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
        // To this thread: it acts before this returns.
        libc::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action_of(signal: libc::c_int) -> usize {
        // SAFETY: an all-zero action is valid memory to be filled.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, null_mut(), &raw mut action);
            action.sa_sigaction
        }
    }

    #[test]
    fn behind_the_run_a_signal_is_for_this_process_again() {
        kick::install().unwrap();
        let control = Arc::<Control>::default();
        let before = action_of(libc::SIGUSR2);
        let forwarding = Forwarding::begin(&control, 1 << (libc::SIGUSR2 - 1)).unwrap();
        // SAFETY: no pointers; the handler is there.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert!(control.has_untaken(libc::SIGUSR2 as u8) && control.is_interrupted());
        assert_eq!(control.take_signals(), 1 << (libc::SIGUSR2 - 1));
        assert!(!control.has_untaken(libc::SIGUSR2 as u8));
        drop(forwarding);
        assert_eq!(action_of(libc::SIGUSR2), before);
    }
}
