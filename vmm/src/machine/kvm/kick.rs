//! Stopping a thread that is in KVM_RUN or blocked in a system call: a signal.
//!
//! The handler, on the vCPU's own thread, sets `immediate_exit`, so that a
//! signal which comes just before KVM_RUN is not lost. A signal that comes
//! just before a blocking call is; so it is repeated until a thread that shall stop
//! has ended (`watcher`).
//!
//! A thread that Linux does not let go of, as in a read from a file server that is
//! gone, takes no signal. Real-time signals queue, and what queues counts against a
//! limit of the user's (RLIMIT_SIGPENDING). So a kick that has not arrived is not
//! repeated: a thread has at most one.
#![allow(unsafe_code, reason = "signal handlers")]

use crate::Error;
use kvm_bindings::kvm_run;
use std::cell::Cell;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::{io, mem};

thread_local! {
    /// Where the running vCPU's `immediate_exit` is, on a vCPU's thread.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(null_mut()) };
    /// Where it stands whether a kick of this thread is on its way: for the handler,
    /// which may use nothing that is made or dropped.
    static ON_ITS_WAY: Cell<*const AtomicBool> = const { Cell::new(null()) };
    /// The same, for as long as the thread lives.
    static OWN: Own = Own(Arc::default());
}

/// A thread's own part of its [`Target`].
struct Own(Arc<AtomicBool>);

impl Drop for Own {
    fn drop(&mut self) {
        ON_ITS_WAY.with(|word| word.set(null()));
    }
}

/// A thread of this process, to be kicked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its number, gettid(2).
    thread: i32,
    /// A kick is on its way.
    on_its_way: Arc<AtomicBool>,
}

impl Target {
    /// This thread.
    pub(crate) fn this_thread() -> Target {
        let on_its_way = OWN.with(|own| own.0.clone());
        ON_ITS_WAY.with(|word| word.set(Arc::as_ptr(&on_its_way)));
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        Target { thread, on_its_way }
    }

    /// Its number, gettid(2).
    pub(crate) fn number(&self) -> i32 {
        self.thread
    }

    /// Kicks it, which has not ended; nothing if one is on its way. Does only what a
    /// signal handler may (signal-safety(7)).
    pub(crate) fn kick(&self) {
        // What it shall see was written before: also if the handler takes that
        // signal for this one.
        if !self.on_its_way.swap(true, Ordering::SeqCst) && !kick(self.thread) {
            // There is no room for it, or the thread has ended.
            self.on_its_way.store(false, Ordering::SeqCst);
        }
    }
}

/// The signal: the second real-time one, which Rust and libc leave alone.
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 1
}

extern "C" fn on_kick(_: libc::c_int) {
    let on_its_way = ON_ITS_WAY.with(Cell::get);
    if !on_its_way.is_null() {
        // First: who finds it set need not send another, because what follows is
        // still to come.
        // SAFETY: `Target::this_thread` set it on this thread, which keeps the word
        // until `Own::drop` clears it.
        unsafe { &*on_its_way }.store(false, Ordering::SeqCst);
    }
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

/// Sends the signal to the thread of this process that has this number. Whether
/// that can be.
fn kick(thread: i32) -> bool {
    // SAFETY: no pointers. One that has ended nevertheless is an error.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    /// How many kicks are pending on this thread, which blocks them. They are not any
    /// more.
    fn take_pending() -> usize {
        let mut count = 0;
        // SAFETY: all-zero sets and times are valid; nothing else is touched.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigaddset(&raw mut set, signal());
            let at_once: libc::timespec = mem::zeroed();
            while libc::sigtimedwait(&raw const set, null_mut(), &raw const at_once) > 0 {
                count += 1;
            }
        }
        count
    }

    #[test]
    fn many_kicks_of_a_thread_that_takes_none_are_one_and_later_ones_arrive() {
        install().unwrap();
        let (tells, told) = channel();
        let (go_on, goes_on) = channel();
        let stuck = thread::spawn(move || {
            // As good as a call that no signal ends.
            block_all();
            tells.send(Target::this_thread()).unwrap();
            goes_on.recv().unwrap();
            let pending = take_pending();
            // Taken without the handler, which would have said so.
            let target = Target::this_thread();
            target.on_its_way.store(false, Ordering::SeqCst);
            take_kicks();
            let mut exit = 0u8;
            IMMEDIATE_EXIT.with(|flag| flag.set(&raw mut exit));
            let arrived = [(); 3].map(|()| {
                // To oneself: it acts before this returns.
                target.kick();
                let at = &raw mut exit;
                // SAFETY: a byte of this frame, and the handler has returned.
                unsafe { AtomicU8::from_ptr(at) }.swap(0, Ordering::Relaxed)
            });
            IMMEDIATE_EXIT.with(|flag| flag.set(null_mut()));
            (pending, arrived)
        });
        let target: Target = told.recv().unwrap();
        (0..100_000).for_each(|_| target.kick());
        go_on.send(()).unwrap();
        assert_eq!(stuck.join().unwrap(), (1, [1, 1, 1]));
        // One that has ended is not kicked, and nothing is left of the try.
        target.kick();
        assert!(!target.on_its_way.load(Ordering::SeqCst));
    }
}
