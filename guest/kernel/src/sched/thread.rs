//! A thread, as the scheduler knows it: its state, and what is to be done before it
//! goes back to ring 3.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use trapgate_arch::percpu;

/// What is to be done before a thread goes back to ring 3, as bits.
///
/// Those of the running thread are a word of the CPU's block, which the way out of
/// each door compares with 0; `process::prepare_return` acts on them.
pub mod work {
    /// A signal may have to act.
    pub const SIGNAL: u64 = 1 << 0;
    /// Another thread is to run.
    pub const RESCHEDULE: u64 = 1 << 1;
    /// The call was made at a landing pad that has moved.
    pub const LANDING_PAD: u64 = 1 << 2;
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// A CPU has it.
    Running,
    /// It could run.
    Ready,
    /// It waits until it is woken.
    Blocked,
    /// It has ended.
    Dead,
}

/// A thread.
pub struct Thread {
    /// A [`State`].
    state: AtomicU8,
    /// Its work while no CPU has it.
    work: AtomicU64,
}

trapgate_arch::percpu::running_thread!(Thread);

impl Thread {
    /// The thread that the CPU has from the start.
    pub const fn running() -> Thread {
        Thread { state: AtomicU8::new(State::Running as u8), work: AtomicU64::new(0) }
    }

    /// What it does.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Running,
            1 => State::Ready,
            2 => State::Blocked,
            _ => State::Dead,
        }
    }

    /// Says what it does from now on.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Whether the CPU has it.
    pub fn is_current(&self) -> bool {
        core::ptr::eq(self, current())
    }

    /// Gives it something to do before it goes back to ring 3: bits of [`work`].
    pub fn raise(&self, bits: u64) {
        if self.is_current() {
            percpu::raise_work(bits);
        } else {
            self.work.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// If it waits, it could go on now. False: it does not wait.
    pub fn wake(&self) -> bool {
        let waits = self.state() == State::Blocked;
        if waits {
            self.set_state(State::Ready);
        }
        waits
    }
}

/// The running thread.
#[inline]
pub fn current() -> &'static Thread {
    percpu::current()
}

/// The same, to be kept in a queue.
pub fn current_arc() -> Arc<Thread> {
    percpu::current_arc()
}
