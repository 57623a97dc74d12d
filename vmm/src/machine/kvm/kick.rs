//! Stopping a thread that is in KVM_RUN or blocked in a system call: a signal.
//!
//! The handler, on the vCPU's own thread, sets `immediate_exit`, so that a
//! signal which comes just before KVM_RUN is not lost. A signal that comes
//! just before a blocking call is; so it is repeated until a thread that shall stop
//! has ended (`watcher`).
#![allow(unsafe_code, reason = "signal handlers")]

use crate::Error;
use kvm_bindings::kvm_run;
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::{io, mem};

thread_local! {
    /// Where the running vCPU's `immediate_exit` is, on a vCPU's thread.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(null_mut()) };
}

/// The signal: the second real-time one, which Rust and libc leave alone.
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 1
}

/// This thread's number, gettid(2).
pub(crate) fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

extern "C" fn on_kick(_: libc::c_int) {
    let flag = IMMEDIATE_EXIT.with(Cell::get);
    if !flag.is_null() {
        // SAFETY: set by `Kickable::new` on this thread, and cleared before
        // the vCPU's memory goes away.
        unsafe { AtomicU8::from_ptr(flag) }.store(1, Ordering::Relaxed);
    }
}

/// Installs the handler, once a process.
pub(crate) fn install() -> Result<(), Error> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        // SAFETY: an all-zero sigaction is valid; the handler only touches an
        // atomic. No SA_RESTART: blocked calls shall return.
        let done = unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_kick as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal(), &raw const action, null_mut())
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    });
    result.map_err(|number| Error::Host {
        call: "sigaction",
        source: io::Error::from_raw_os_error(number),
    })
}

/// Changes this thread's signal mask: blocks the signals of `blocked`, and `open`
/// not.
fn change_mask(blocked: &[libc::c_int], open: libc::c_int) {
    // SAFETY: an all-zero set is valid memory for sigemptyset and pthread_sigmask
    // to fill; the calls touch only the sets and this thread's mask.
    unsafe {
        let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in blocked {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        if libc::sigismember(&raw const before, open) == 1 {
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, open);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, null_mut());
        }
    }
}

/// Has kicks end the system calls of this thread. It may have inherited a mask that
/// blocks them. And what a guest writes must not kill the process: EPIPE and EFBIG
/// are answers, SIGPIPE and SIGXFSZ are not.
pub(crate) fn take_kicks() {
    change_mask(&[libc::SIGPIPE, libc::SIGXFSZ], signal());
}

/// Lets a signal in on this thread, which may have inherited a mask that blocks it.
pub(crate) fn let_in(signal: libc::c_int) {
    change_mask(&[], signal);
}

/// Blocks all signals for this thread: they are for others.
pub(crate) fn block_all() {
    // SAFETY: an all-zero set is valid memory for sigfillset to fill; the calls
    // touch only the set and this thread's mask.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut());
    }
}

/// While it lives, kicks of this thread make KVM_RUN return.
pub(crate) struct Kickable(());

impl Kickable {
    /// For the vCPU whose `kvm_run` this is, on the thread that runs it.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub(crate) fn new(run: &mut kvm_run) -> Result<Self, Error> {
        install()?;
        take_kicks();
        IMMEDIATE_EXIT.with(|flag| flag.set(&raw mut run.immediate_exit));
        Ok(Kickable(()))
    }
}

impl Drop for Kickable {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.with(|flag| flag.set(null_mut()));
        // The mask stays: unblocked, a signal that a write was the cause of would
        // come now.
    }
}

/// Kicks the thread of this process that has this number and has not ended.
pub(crate) fn kick(thread: i32) {
    // SAFETY: no pointers. One that has ended nevertheless is an error, which
    // says nothing new.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
}
