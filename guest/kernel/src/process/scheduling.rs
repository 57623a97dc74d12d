//! How a task wants to be scheduled: sched(7), nice(2), ioprio_set(2). What comes of it is a
//! weight ([`Scheduling::weight`]): all policies share the CPU by it, those of real time
//! with more than any other. What is said of transfers is recorded, told and passed on.

use crate::sched::share::NORMAL_WEIGHT;
use trapgate_uapi::Errno;
use trapgate_uapi::ioprio::{
    IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE, IOPRIO_CLASS_MASK, IOPRIO_CLASS_NONE, IOPRIO_CLASS_RT,
    IOPRIO_CLASS_SHIFT, IOPRIO_LEVEL_MASK,
};
use trapgate_uapi::resource::{MAX_NICE, MIN_NICE};
use trapgate_uapi::sched::{
    MAX_RT_PRIORITY, SCHED_BATCH, SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RR,
};

/// What a task was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_*`.
    pub policy: u32,
    /// From 1 to 99, of `SCHED_FIFO` and `SCHED_RR`; else 0.
    pub priority: u32,
    /// From -20 to 19: the less, the more it runs.
    pub nice: i32,
    /// `SCHED_RESET_ON_FORK`.
    pub reset_on_fork: bool,
    /// ioprio_set(2): class and level.
    pub io: u32,
}

impl Default for Scheduling {
    fn default() -> Scheduling {
        Scheduling { policy: SCHED_NORMAL, priority: 0, nice: 0, reset_on_fork: false, io: 0 }
    }
}

/// What somebody without `CAP_SYS_NICE` may go to.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// `CAP_SYS_NICE`: everything.
    pub all: bool,
    /// The soft `RLIMIT_NICE`: 20 less the least nice value.
    pub nice: u64,
    /// The soft `RLIMIT_RTPRIO`.
    pub priority: u64,
}

impl Allowed {
    /// Whether a nice value may be had that is less than the one there is.
    pub const fn nice(self, nice: i32) -> bool {
        self.all || (MAX_NICE + 1 - nice) as u64 <= self.nice
    }
}

const fn is_real_time(policy: u32) -> bool {
    matches!(policy, SCHED_FIFO | SCHED_RR)
}

/// Weights of nice values, from the least on.
const WEIGHTS: [u32; 40] = {
    let mut weights = [0; 40];
    // With as many bits behind the point: nice 0 is where it begins, both ways.
    let (mut less, mut more) = ((NORMAL_WEIGHT as u64) << 20, (NORMAL_WEIGHT as u64) << 20);
    let zero = -MIN_NICE as usize;
    let mut step = 0;
    while step <= zero {
        weights[zero - step] = (less >> 20) as u32;
        if step <= MAX_NICE as usize {
            weights[zero + step] = (more >> 20) as u32;
        }
        (less, more) = (less * 5 / 4, more * 4 / 5);
        step += 1;
    }
    weights
};

impl Scheduling {
    /// What it weighs beside others: each step of nice is a quarter more, or less. With a
    /// priority of real time it is more than -20; `SCHED_IDLE` is less than 19.
    pub const fn weight(self) -> u32 {
        const REAL_TIME: u32 = 2 * WEIGHTS[0];
        const IDLE: u32 = 3;
        match self.policy {
            SCHED_FIFO | SCHED_RR => REAL_TIME,
            SCHED_IDLE => IDLE,
            _ => WEIGHTS[(self.nice - MIN_NICE) as usize],
        }
    }

    /// Another policy, with what goes with it (Linux: `__sched_setscheduler`).
    ///
    /// # Errors
    /// EINVAL, EPERM.
    pub fn change(self, to: Scheduling, allowed: Allowed) -> Result<Scheduling, Errno> {
        let known =
            matches!(to.policy, SCHED_NORMAL | SCHED_FIFO | SCHED_RR | SCHED_BATCH | SCHED_IDLE);
        let real_time = is_real_time(to.policy);
        if !known || to.priority > MAX_RT_PRIORITY || real_time != (to.priority != 0) {
            return Err(Errno::EINVAL);
        }
        let less_nice = !real_time && to.nice < self.nice && !allowed.nice(to.nice);
        let limit = allowed.priority;
        let more = real_time
            && (to.policy != self.policy && limit == 0
                || to.priority > self.priority && u64::from(to.priority) > limit);
        let leaves_idle =
            self.policy == SCHED_IDLE && to.policy != SCHED_IDLE && !allowed.nice(self.nice);
        let forgets = self.reset_on_fork && !to.reset_on_fork;
        if !allowed.all && (less_nice || more || leaves_idle || forgets) {
            return Err(Errno::EPERM);
        }
        // What has a priority keeps its nice value for later.
        Ok(Scheduling { nice: if real_time { self.nice } else { to.nice }, ..to })
    }

    /// Another nice value (setpriority(2)); what is beyond the ends is at them.
    ///
    /// # Errors
    /// EACCES.
    pub fn renice(self, nice: i32, allowed: Allowed) -> Result<Scheduling, Errno> {
        let nice = nice.clamp(MIN_NICE, MAX_NICE);
        if nice < self.nice && !allowed.nice(nice) {
            return Err(Errno::EACCES);
        }
        Ok(Scheduling { nice, ..self })
    }

    /// ioprio_set(2). `real_time`: it may be before all others.
    ///
    /// # Errors
    /// EINVAL, EPERM.
    pub fn with_io(self, io: u32, real_time: bool) -> Result<Scheduling, Errno> {
        let (class, level) = (io >> IOPRIO_CLASS_SHIFT & IOPRIO_CLASS_MASK, io & IOPRIO_LEVEL_MASK);
        match class {
            IOPRIO_CLASS_RT if !real_time => Err(Errno::EPERM),
            IOPRIO_CLASS_NONE if level != 0 => Err(Errno::EINVAL),
            IOPRIO_CLASS_NONE..=IOPRIO_CLASS_IDLE => Ok(Scheduling { io: io & 0xffff, ..self }),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Class and level that reading and writing has: what nice(2) says, if nothing was
    /// said (Linux: `__get_task_ioprio`).
    pub const fn io(self) -> u32 {
        if self.io >> IOPRIO_CLASS_SHIFT & IOPRIO_CLASS_MASK != IOPRIO_CLASS_NONE {
            return self.io;
        }
        let class = match self.policy {
            SCHED_IDLE => IOPRIO_CLASS_IDLE,
            SCHED_FIFO | SCHED_RR => IOPRIO_CLASS_RT,
            _ => IOPRIO_CLASS_BE,
        };
        (class << IOPRIO_CLASS_SHIFT) | ((self.nice - MIN_NICE) as u32 / 5)
    }

    /// What a new task has of its maker's.
    #[must_use]
    pub fn inherited(self) -> Scheduling {
        if !self.reset_on_fork {
            return self;
        }
        let (policy, nice) = if is_real_time(self.policy) {
            (SCHED_NORMAL, 0)
        } else {
            (self.policy, self.nice.max(0))
        };
        Scheduling { policy, nice, priority: 0, reset_on_fork: false, io: self.io }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Allowed = Allowed { all: true, nice: 0, priority: 0 };
    const NOBODY: Allowed = Allowed { all: false, nice: 0, priority: 0 };

    fn of(policy: u32, priority: u32) -> Scheduling {
        Scheduling { policy, priority, ..Scheduling::default() }
    }

    #[test]
    fn policies_have_priorities_or_none() {
        let change = |policy, priority| Scheduling::default().change(of(policy, priority), ROOT);
        assert_eq!(change(SCHED_FIFO, 99), Ok(of(SCHED_FIFO, 99)));
        for (policy, priority) in [(SCHED_FIFO, 0), (SCHED_RR, 100), (SCHED_NORMAL, 1), (4, 0)] {
            assert_eq!(change(policy, priority), Err(Errno::EINVAL), "{policy} {priority}");
        }
    }

    #[test]
    fn who_may_not_asks_for_no_more_than_there_is() {
        let has = Scheduling { nice: 5, ..Scheduling::default() };
        assert_eq!(has.change(of(SCHED_RR, 1), NOBODY), Err(Errno::EPERM));
        assert_eq!(has.change(of(SCHED_BATCH, 0), NOBODY), Err(Errno::EPERM), "less nice");
        let with_limits = Allowed { all: false, nice: 20, priority: 3 };
        assert!(has.change(of(SCHED_BATCH, 0), with_limits).is_ok());
        assert_eq!(has.change(of(SCHED_RR, 3), with_limits).map(|new| new.nice), Ok(5));
        assert_eq!(has.change(of(SCHED_RR, 4), with_limits), Err(Errno::EPERM));
        let resets = Scheduling { reset_on_fork: true, ..has };
        assert_eq!(resets.change(has, NOBODY), Err(Errno::EPERM));
        assert_eq!(has.renice(4, NOBODY), Err(Errno::EACCES));
        assert_eq!(has.renice(99, NOBODY).map(|new| new.nice), Ok(19));
        assert_eq!(has.renice(-99, ROOT).map(|new| new.nice), Ok(-20));
    }

    #[test]
    fn the_class_of_transfers_follows_nice_unless_it_was_set() {
        let has = Scheduling { nice: 10, ..Scheduling::default() };
        assert_eq!(has.io(), 2 << 13 | 6);
        assert_eq!(of(SCHED_FIFO, 1).io() >> 13, 1);
        assert_eq!(has.with_io(3 << 13, false).map(Scheduling::io), Ok(3 << 13));
        assert_eq!(has.with_io(1 << 13, false), Err(Errno::EPERM));
        assert_eq!(has.with_io(1, true), Err(Errno::EINVAL));
        assert_eq!(has.with_io(4 << 13, true), Err(Errno::EINVAL));
    }

    #[test]
    fn each_step_of_nice_is_a_quarter() {
        let weight = |nice| Scheduling { nice, ..Scheduling::default() }.weight();
        assert_eq!([weight(-20), weight(0), weight(19)], [88817, 1024, 14]);
        for nice in -20..10 {
            let ratio = f64::from(weight(nice)) / f64::from(weight(nice + 1));
            assert!((1.22..1.28).contains(&ratio), "{nice}: {ratio}");
        }
        assert!(
            of(SCHED_FIFO, 1).weight() > weight(-20) && of(SCHED_IDLE, 0).weight() < weight(19)
        );
    }

    #[test]
    fn what_is_reset_is_not_inherited() {
        let has = Scheduling { nice: -5, reset_on_fork: true, ..of(SCHED_RR, 7) };
        assert_eq!(has.inherited(), Scheduling::default());
        let kept = Scheduling { reset_on_fork: false, ..has };
        assert_eq!(kept.inherited(), kept);
    }
}
