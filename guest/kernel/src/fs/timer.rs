//! Timers that are files (timerfd_create(2)).
//!
//! As in Linux one that is due again and again sleeps from the first time on until
//! somebody reads or asks: what has passed is counted then. So a timer of a nanosecond
//! costs nothing while nobody looks.

use crate::memory::try_arc;
use crate::sched::timers::{self, Expire, Schedule, Timer};
use crate::sched::wait::wait;
use crate::sched::wait_queue::WaitQueue;
use alloc::sync::{Arc, Weak};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::poll::POLLIN;

/// The latest time: Linux's `KTIME_MAX`.
pub const LATEST: u64 = i64::MAX as u64;

/// A timer that is a file.
pub struct TimerFile {
    /// The clock that it goes by.
    pub clock: i32,
    /// What that showed at the start.
    base: u64,
    state: Mutex<State>,
    timer: Timer,
    /// Who waits for it.
    pub queue: WaitQueue,
}

#[derive(Default)]
struct State {
    /// When it is due, by its clock.
    schedule: Schedule,
    /// How often it was, as far as that is counted.
    count: u64,
    /// It has been due, and what has passed since is not counted.
    is_over: bool,
    /// Flags that it was set with.
    flags: u32,
}

/// What there is to tell of one.
pub struct Shown {
    /// How long it is until it is due; 0, if it never is.
    pub left: u64,
    /// How long it is from one time to the next.
    pub interval: u64,
    /// How often it was due.
    pub count: u64,
    /// Flags that it was set with.
    pub flags: u32,
}

impl State {
    /// Counts what has passed of what comes again. True: it sleeps no longer.
    fn catch_up(&mut self, now: u64) -> bool {
        let catches_up = self.is_over && self.schedule.interval > 0;
        if catches_up {
            self.is_over = false;
            // The first time is counted already.
            self.count += self.schedule.advance(now).saturating_sub(1);
        }
        catches_up
    }
}

impl TimerFile {
    /// One that is not set, by a clock that there is.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(clock: i32, base: u64) -> Result<Arc<TimerFile>, Errno> {
        let timer = Timer::new()?;
        let (state, queue) = (Mutex::default(), WaitQueue::new());
        try_arc(TimerFile { clock, base, state, timer, queue })
    }

    fn now(&self) -> u64 {
        self.base + timers::now()
    }

    /// Sets its next time as the schedule has it.
    fn arm(self: &Arc<Self>, next: Option<u64>) {
        match next {
            Some(next) => {
                let this: Weak<TimerFile> = Arc::downgrade(self);
                self.timer.set(next.saturating_sub(self.base), this);
            }
            None => _ = self.timer.cancel(),
        }
    }

    fn catch_up(self: &Arc<Self>, state: &mut State, now: u64) {
        if state.catch_up(now) {
            self.arm(state.schedule.next);
        }
    }

    /// timerfd_settime(2): due after `value` nanoseconds, or at that time by its clock, and
    /// then at every `interval`. A value of 0 is never. Answers what it was before.
    pub fn set(self: &Arc<Self>, absolute: bool, flags: u32, value: u64, interval: u64) -> Shown {
        let now = self.now();
        let mut state = self.state.lock();
        self.catch_up(&mut state, now);
        let before = self.shown_of(&state, now);
        let next = match value {
            0 => None,
            value if absolute => Some(value.min(LATEST)),
            value => Some(now.saturating_add(value).min(LATEST)),
        };
        let schedule = Schedule { next, interval: interval.min(LATEST) };
        *state = State { schedule, flags, ..State::default() };
        self.arm(next);
        drop(state);
        if next.is_some_and(|next| next <= now) {
            timers::expire();
        }
        before
    }

    fn shown_of(&self, state: &State, now: u64) -> Shown {
        let left = state.schedule.next.map_or(0, |next| next.saturating_sub(now));
        let interval = state.schedule.interval;
        Shown { left, interval, count: state.count, flags: state.flags }
    }

    /// timerfd_gettime(2)
    pub fn get(self: &Arc<Self>) -> Shown {
        let now = self.now();
        let mut state = self.state.lock();
        self.catch_up(&mut state, now);
        self.shown_of(&state, now)
    }

    /// What /proc shows of it, which does not wake it.
    pub fn shown(&self) -> Shown {
        let now = self.now();
        self.shown_of(&self.state.lock(), now)
    }

    /// read(2): how often it was due since it was read or set.
    ///
    /// # Errors
    /// EAGAIN, ERESTARTSYS.
    pub fn take(self: &Arc<Self>, flags: u32) -> Result<u64, Errno> {
        let attempt = || {
            let mut state = self.state.lock();
            if state.count == 0 {
                return None;
            }
            if state.is_over && state.schedule.interval > 0 {
                self.catch_up(&mut state, self.now());
            }
            state.is_over = false;
            Some(core::mem::take(&mut state.count))
        };
        match attempt() {
            Some(count) => Ok(count),
            None if flags & O_NONBLOCK != 0 => Err(Errno::EAGAIN),
            None => wait(&[&self.queue], None, || Ok(attempt()))?.ok_or(Errno::ERESTARTSYS),
        }
    }

    /// What poll(2) tells.
    pub fn ready(&self) -> u16 {
        if self.state.lock().count > 0 { POLLIN } else { 0 }
    }
}

impl Expire for TimerFile {
    fn expire(self: Arc<Self>, _: u64) {
        let mut state = self.state.lock();
        state.count += 1;
        state.is_over = true;
        drop(state);
        self.queue.wake(POLLIN);
    }
}
