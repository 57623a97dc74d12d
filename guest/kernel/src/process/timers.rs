//! Timers that send signals: timer_create(2), setitimer(2), alarm(2).
//!
//! One that is due again and again is set anew when its signal is taken, and not before:
//! so at most one of each is pending, and the signal tells how often it was due besides
//! (Linux: `posixtimer_rearm`). One whose signal is ignored is set anew at once, but not
//! more often than there are ticks.

use crate::memory::{try_arc, try_insert};
use crate::sched::timers::{Expire, Schedule, Timer, now};
use crate::signal::info::Info;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::SIGALRM;

/// How often one is set at most whose signal is ignored, in nanoseconds.
const SELDOM_NS: u64 = 4_000_000;
/// The most that is told of how often one was due besides (`DELAYTIMER_MAX`).
const MOST_OVERRUNS: u64 = i32::MAX as u64;
/// How many timers a process has at most.
const MOST: usize = 1 << 12;

/// What a timer does when it is due.
#[derive(Clone, Copy)]
pub enum Notice {
    /// Nothing: it is only looked at.
    Nothing,
    /// The process is sent a signal, or a task of it, by its number.
    Signal {
        /// Which.
        signal: u8,
        /// `sigev_value`.
        value: u64,
        /// The task.
        task: Option<u32>,
    },
    /// SIGALRM, as setitimer(2) has it.
    Alarm,
}

/// Whose timer it is: who is sent its signal.
pub trait Owner: Send + Sync {
    /// Sends it, to a task by its number or to any. Whether somebody will take it.
    fn send(&self, info: Info, task: Option<u32>) -> bool;
}

/// A timer of a process.
pub struct ProcessTimer {
    /// Its number; -1 of the one that setitimer(2) sets.
    id: i32,
    /// What it does.
    notice: Notice,
    /// The time of its clock at the start, in nanoseconds: its own times are since then.
    pub base: u64,
    owner: Weak<dyn Owner>,
    timer: Timer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    /// Its signal is sent and not taken.
    is_pending: bool,
    /// How often it was due besides when its signal was taken last.
    overruns: u64,
}

/// When a timer is next, and how long it is from one time to the next, in nanoseconds;
/// 0 for never and for once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How long it is until it is due.
    pub left: u64,
    /// How long it is from one time to the next.
    pub interval: u64,
}

impl ProcessTimer {
    fn new(
        owner: Weak<dyn Owner>,
        id: i32,
        base: u64,
        notice: Notice,
    ) -> Result<Arc<ProcessTimer>, Errno> {
        let (timer, state) = (Timer::new()?, Mutex::default());
        try_arc(ProcessTimer { id, notice, base, owner, timer, state })
    }

    /// Sets it, to a time since the start; `None` for off. Answers what it was.
    pub fn set(self: &Arc<Self>, next: Option<u64>, interval: u64) -> Shown {
        let before = self.get();
        self.timer.cancel();
        let schedule = Schedule { next, interval };
        *self.state.lock() = State { schedule, ..State::default() };
        self.arm(next);
        before
    }

    /// How it is set.
    pub fn get(&self) -> Shown {
        let now = now();
        let mut schedule = self.state.lock().schedule;
        // What is over and waits for its signal to be taken is told as it will go on.
        if schedule.interval != 0 || matches!(self.notice, Notice::Nothing) {
            schedule.advance(now);
        }
        // What is due and not told yet is due in no time, which would be never.
        let left = schedule.next.map_or(0, |at| at.saturating_sub(now).max(1));
        Shown { left, interval: schedule.interval }
    }

    /// How often it was due besides, when its signal was taken last.
    pub fn overruns(&self) -> u64 {
        self.state.lock().overruns
    }

    fn arm(self: &Arc<Self>, next: Option<u64>) {
        if let (Some(next), Notice::Signal { .. } | Notice::Alarm) = (next, self.notice) {
            let this: Arc<dyn Expire> = self.clone();
            self.timer.set(next, Arc::downgrade(&this));
        }
    }

    /// Sends what it sends. Whether somebody will take it.
    fn notify(&self) -> bool {
        let Some(owner) = self.owner.upgrade() else { return false };
        match self.notice {
            Notice::Nothing => false,
            Notice::Alarm => owner.send(Info::of_kernel(SIGALRM), None),
            Notice::Signal { signal, value, task } => {
                owner.send(Info::of_timer(signal, self.id, 0, value), task)
            }
        }
    }

    /// Its signal was taken: it goes on. How often it was due besides.
    fn taken(self: &Arc<Self>) -> u64 {
        let next = {
            let mut state = self.state.lock();
            if !core::mem::take(&mut state.is_pending) {
                return 0;
            }
            // That it was due is what the signal says.
            state.overruns = state.schedule.advance(now()).saturating_sub(1).min(MOST_OVERRUNS);
            state.schedule.next
        };
        self.arm(next);
        self.overruns()
    }
}

impl Expire for ProcessTimer {
    fn expire(self: Arc<Self>, now: u64) {
        self.state.lock().is_pending = true;
        if self.notify() {
            let mut state = self.state.lock();
            if state.schedule.interval == 0 {
                state.schedule.next = None;
            }
            return;
        }
        let next = {
            let mut state = self.state.lock();
            state.is_pending = false;
            state.schedule.advance(now);
            state.schedule.next.map(|next| next.max(now.saturating_add(SELDOM_NS)))
        };
        self.arm(next);
    }
}

/// The timers of a process.
#[derive(Default)]
pub struct Timers {
    by_id: BTreeMap<i32, Arc<ProcessTimer>>,
    next: i32,
    alarm: Option<Arc<ProcessTimer>>,
}

impl Timers {
    /// One more, with this base of its clock. `notice` is told its number.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN for too many.
    pub fn create(
        &mut self,
        owner: Weak<dyn Owner>,
        base: u64,
        notice: impl FnOnce(i32) -> Notice,
    ) -> Result<i32, Errno> {
        if self.by_id.len() >= MOST {
            return Err(Errno::EAGAIN);
        }
        let id = self.next;
        let timer = ProcessTimer::new(owner, id, base, notice(id))?;
        try_insert(&mut self.by_id, id, timer)?;
        // A number is not used again until all others were.
        self.next = (1..=MOST as i32 + 1)
            .map(|step| id.wrapping_add(step) & i32::MAX)
            .find(|id| !self.by_id.contains_key(id))
            .unwrap_or(0);
        Ok(id)
    }

    /// The one of this number.
    ///
    /// # Errors
    /// EINVAL.
    pub fn get(&self, id: i32) -> Result<&Arc<ProcessTimer>, Errno> {
        self.by_id.get(&id).ok_or(Errno::EINVAL)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// EINVAL.
    pub fn delete(&mut self, id: i32) -> Result<Arc<ProcessTimer>, Errno> {
        self.by_id.remove(&id).ok_or(Errno::EINVAL)
    }

    /// The one that setitimer(2) sets, if it was ever set.
    pub const fn made_alarm(&self) -> Option<&Arc<ProcessTimer>> {
        self.alarm.as_ref()
    }

    /// The same, which is made.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn alarm(&mut self, owner: Weak<dyn Owner>) -> Result<&Arc<ProcessTimer>, Errno> {
        if self.alarm.is_none() {
            self.alarm = Some(ProcessTimer::new(owner, -1, 0, Notice::Alarm)?);
        }
        self.made_alarm().ok_or(Errno::ENOMEM)
    }

    /// Takes those of timer_create(2) away, one at a time: for a new program.
    pub fn take_one(&mut self) -> Option<Arc<ProcessTimer>> {
        self.by_id.pop_first().map(|(_, timer)| timer)
    }
}

/// A signal was taken, which a timer has sent, perhaps: it goes on, and its signal tells how
/// often it was due besides.
pub fn taken(timers: &Mutex<Timers>, info: Info) -> Info {
    if info.signal != SIGALRM && info.timer().is_none() {
        return info;
    }
    let timer = {
        let timers = timers.lock();
        match info.timer() {
            Some(id) => timers.by_id.get(&id).cloned(),
            None => timers.alarm.clone(),
        }
    };
    let Some(timer) = timer else { return info };
    let overruns = timer.taken();
    if info.timer().is_some() { info.with_overrun(overruns as i32) } else { info }
}
