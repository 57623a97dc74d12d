//! What others tell a machine while it runs: that it shall stop, that its program
//! gets a signal, that a tick is due. And what they are told: when it is done.
//!
//! The vCPU's thread looks whenever it leaves the guest (`run`), and in the one
//! request that waits (`host::wait`). To make it look there are two ways: a signal
//! makes it leave the guest (`kick`), and a descriptor wakes it where it waits
//! (`Control::wake_fd`). What is told is written down before either is used.

use super::kvm::kick;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// SIGKILL's number: what a kernel is told first when its program's time is up.
pub(crate) const SIGKILL: u8 = 9;

/// A machine's.
#[derive(Debug, Default)]
pub struct Control {
    /// It shall stop.
    stop: AtomicBool,
    /// Its kernel is to be interrupted.
    interrupt: AtomicBool,
    /// A tick was due that its kernel has not been told of.
    tick: AtomicBool,
    /// Signals for its program that its kernel has not been told of, bit `n - 1`
    /// for signal `n`.
    signals: AtomicU64,
    /// All that there have been.
    sent: AtomicU64,
    /// Its kernel understands events.
    takes_events: AtomicBool,
    /// An eventfd, once it has waited.
    wake: OnceLock<OwnedFd>,
    state: Mutex<State>,
    /// It ended.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The thread that runs it, from its start until it ended.
    thread: Option<kick::Target>,
    ended: bool,
    /// Its time was up.
    timed_out: bool,
    /// Its kernel has said how its program ended: what comes later is not why.
    concluded: bool,
}

impl Control {
    /// Has it stop, from any thread. Whether that is news.
    pub fn stop(&self) -> bool {
        let is_news = !self.stop.swap(true, Ordering::AcqRel);
        self.look();
        is_news
    }

    /// Whether it shall stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// That its kernel runs a program, and knows what to do with an event.
    pub(crate) fn take_events(&self) {
        self.takes_events.store(true, Ordering::Release);
    }

    /// Sends its program a signal, 1 to 64.
    pub(crate) fn send(&self, signal: u8) {
        self.post(signal);
        self.state().kick();
    }

    /// The same, but for making it leave the guest. Does only what a signal
    /// handler may (signal-safety(7)).
    pub(crate) fn post(&self, signal: u8) {
        let bit = 1 << (signal - 1);
        self.sent.fetch_or(bit, Ordering::Release);
        self.signals.fetch_or(bit, Ordering::Release);
        self.interrupt.store(true, Ordering::Release);
        self.wake();
    }

    /// A tick is due: interrupts it.
    pub(super) fn tick(&self) {
        self.tick.store(true, Ordering::Release);
        self.interrupt.store(true, Ordering::Release);
        self.look();
    }

    /// Whether a tick was due that it has not been told of; it is now.
    pub(crate) fn take_tick(&self) -> bool {
        self.tick.swap(false, Ordering::AcqRel)
    }

    /// Whether its kernel is to be interrupted.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Acquire)
    }

    /// The same, and that it has been, or was told otherwise.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.is_interrupted() && self.interrupt.swap(false, Ordering::AcqRel)
    }

    /// Signals that it has not been told of; it is now.
    pub(crate) fn take_signals(&self) -> u64 {
        self.signals.swap(0, Ordering::AcqRel)
    }

    /// Those of which it could not be told yet; it is interrupted for them.
    pub(crate) fn put_signals_back(&self, signals: u64) {
        self.signals.fetch_or(signals, Ordering::Release);
        self.interrupt.store(true, Ordering::Release);
    }

    /// Whether it has not been told of some.
    pub(crate) fn has_signals(&self) -> bool {
        self.signals.load(Ordering::Acquire) != 0
    }

    /// Whether it has not been told of this one.
    pub(super) fn has_untaken(&self, signal: u8) -> bool {
        (1..=64).contains(&signal) && self.signals.load(Ordering::Acquire) & 1 << (signal - 1) != 0
    }

    /// Whether somebody sent it this signal.
    pub(crate) fn has_sent(&self, signal: u8) -> bool {
        (1..=64).contains(&signal) && self.sent.load(Ordering::Acquire) & 1 << (signal - 1) != 0
    }

    /// What is readable when it shall look.
    ///
    /// # Errors
    /// If there can be no further descriptor.
    pub(crate) fn wake_fd(&self) -> io::Result<BorrowedFd<'_>> {
        if self.wake.get().is_none() {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            // Only the one thread that waits makes it.
            let _ = self.wake.set(eventfd(0, flags)?);
            // What was told before it was there is seen after it.
            fence(Ordering::SeqCst);
        }
        self.wake.get().map(AsFd::as_fd).ok_or(io::Errno::BADF)
    }

    /// Makes that readable, if it waits or has waited. In a signal handler, too.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if let Some(wake) = self.wake.get() {
            // It cannot be full: nobody adds so much.
            let _ = io::write(wake, &1u64.to_ne_bytes());
        }
    }

    /// Makes it look, and those who wait for it.
    fn look(&self) {
        self.wake();
        self.state().kick();
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it left it whole: every change is one word.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That this thread runs it.
    pub(super) fn begin(&self) {
        self.state().thread = Some(kick::Target::this_thread());
    }

    /// That it is done.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.thread = None;
        self.changed.notify_all();
    }

    /// The number of the thread that runs it, gettid(2).
    pub(super) fn thread(&self) -> Option<i32> {
        self.state().thread.as_ref().map(kick::Target::number)
    }

    /// Whether it is done.
    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Makes its thread leave the guest, or the system call that it is in.
    pub(super) fn kick(&self) {
        self.state().kick();
    }

    /// Whether its kernel can be told things.
    pub(super) fn takes_events(&self) -> bool {
        self.takes_events.load(Ordering::Acquire)
    }

    /// Its time is up: its kernel is told so, for a report of where the program
    /// is; one that cannot be told shall stop.
    pub(super) fn time_out(&self) {
        let mut state = self.state();
        if state.ended || self.is_stopped() {
            return;
        }
        // Who was killed before that ends by it.
        state.timed_out = !state.concluded && !self.has_sent(SIGKILL);
        if self.takes_events() {
            // Before anybody can see that its time was up: who does sees this, too.
            self.post(SIGKILL);
            state.kick();
        } else {
            drop(state);
            self.stop();
        }
    }

    /// Its kernel says how its program ended, whatever that was: if it had not heard
    /// that the time was up, that is not why.
    pub(crate) fn conclude(&self) {
        let mut state = self.state();
        state.concluded = true;
        let has_heard =
            self.takes_events() && !(self.is_interrupted() && self.has_untaken(SIGKILL));
        state.timed_out &= has_heard;
    }

    /// Whether it ended because its time was up.
    pub(crate) fn has_timed_out(&self) -> bool {
        self.state().timed_out
    }

    /// Waits until it is done, at most until `limit`, or until it shall stop, if
    /// `or_stopped`. Whether it is done.
    pub(super) fn wait_until(&self, limit: Option<Instant>, or_stopped: bool) -> bool {
        let mut state = self.state();
        while !(state.ended || or_stopped && self.is_stopped()) {
            let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            state = match left {
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.ended
    }
}

impl State {
    /// The thread cannot end meanwhile: it needs this state for that.
    fn kick(&self) {
        if let Some(thread) = &self.thread {
            thread.kick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_of_once_and_interrupts() {
        let control = Control::default();
        assert!(!control.is_interrupted() && !control.has_signals());
        control.send(2);
        control.send(64);
        assert!(control.take_interrupt() && !control.take_interrupt());
        assert_eq!(control.take_signals(), 1 << 1 | 1 << 63);
        assert!(!control.has_signals());
        assert!(control.has_sent(2) && control.has_sent(64) && !control.has_sent(3));
        assert!(!control.has_sent(0) && !control.has_sent(255));
    }

    #[test]
    fn what_is_told_before_it_waits_is_not_lost() {
        let control = Control::default();
        control.send(15);
        // The descriptor is made after that: the word tells.
        assert!(control.wake_fd().is_ok());
        assert!(control.is_interrupted());
        control.tick();
        let mut count = [0; 8];
        assert_eq!(io::read(control.wake_fd().unwrap(), &mut count), Ok(8));
    }

    #[test]
    fn who_understands_no_events_is_stopped_at_its_time() {
        let control = Control::default();
        control.time_out();
        assert!(control.is_stopped() && control.has_timed_out() && !control.has_signals());
        let control = Control::default();
        control.take_events();
        control.time_out();
        assert!(!control.is_stopped() && control.has_timed_out() && control.has_sent(SIGKILL));
        // One that was stopped, or has said its end, is not out of time.
        let control = Control::default();
        control.stop();
        control.time_out();
        assert!(!control.has_timed_out());
        let control = Control::default();
        control.take_events();
        control.conclude();
        control.time_out();
        // But it does not wait for what else it has to do.
        assert!(!control.has_timed_out() && control.has_signals());
    }

    /// One that somebody killed before its time was up.
    fn control_killed_before() -> Control {
        let control = Control::default();
        control.take_events();
        control.send(SIGKILL);
        control.time_out();
        control.take_signals();
        control.conclude();
        control
    }

    #[test]
    fn an_end_is_the_timeouts_if_the_kernel_had_heard_of_that() {
        let timed_out = |hears: &dyn Fn(&Control)| {
            let control = Control::default();
            control.take_events();
            control.time_out();
            hears(&control);
            control.conclude();
            control.has_timed_out()
        };
        assert!(!timed_out(&|_| {}), "it crashed of its own accord");
        assert!(timed_out(&|control| _ = control.take_signals()));
        assert!(timed_out(&|control| _ = control.take_interrupt()), "the interrupt came");
        assert!(!control_killed_before().has_timed_out());
        // One that hears of nothing.
        let control = Control::default();
        control.time_out();
        control.conclude();
        assert!(!control.has_timed_out());
    }
}
