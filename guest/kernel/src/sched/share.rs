//! What a thread has had of the CPU, in ticks of the time-stamp counter, and how much of
//! it it gets beside others: its weight, by which its virtual time runs (Linux: CFS).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The weight of nice 0. Each step of nice is a quarter more, or less.
pub const NORMAL_WEIGHT: u32 = 1024;

/// How long a thread computes before it is another's turn, in nanoseconds.
pub const SLICE_NS: u64 = 1 << 22;

/// Ticks of the counter, read at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// All.
    pub all: u64,
    /// Of these, those in which the host did something for it.
    pub in_host: u64,
    /// How often it gave the CPU up because it waited.
    pub waited: u64,
    /// How often it was another's turn.
    pub preempted: u64,
}

impl Ran {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Ran) -> Ran {
        Ran {
            all: self.all + other.all,
            in_host: self.in_host + other.in_host,
            waited: self.waited + other.waited,
            preempted: self.preempted + other.preempted,
        }
    }
}

/// A thread's share. One CPU changes it, with interrupts off: loads and stores are enough.
pub struct Share {
    all: AtomicU64,
    in_host: AtomicU64,
    waited: AtomicU64,
    preempted: AtomicU64,
    /// Nanoseconds that it ran, times what its weight makes of one: who has the least runs
    /// first.
    virtual_time: AtomicU64,
    /// What its weight makes of a nanosecond, in 22.10 fixed point.
    factor: AtomicU32,
}

impl Share {
    /// Of one that has not run, and weighs as nice 0 does.
    pub(super) const fn new() -> Share {
        Share {
            all: AtomicU64::new(0),
            in_host: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            preempted: AtomicU64::new(0),
            virtual_time: AtomicU64::new(0),
            factor: AtomicU32::new(NORMAL_WEIGHT),
        }
    }

    /// What it has had, up to when it was last counted.
    pub(super) fn ran(&self) -> Ran {
        Ran {
            all: self.all.load(Ordering::Relaxed),
            in_host: self.in_host.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            preempted: self.preempted.load(Ordering::Relaxed),
        }
    }

    /// It has had so many ticks more.
    pub(super) fn add(&self, ticks: u64) {
        add(&self.all, ticks);
    }

    /// So many of them in the host.
    pub(super) fn add_in_host(&self, ticks: u64) {
        add(&self.in_host, ticks);
    }

    /// It gives the CPU up, because it waits.
    pub(super) fn waits(&self) {
        add(&self.waited, 1);
    }

    /// It is another's turn.
    pub(super) fn is_preempted(&self) {
        add(&self.preempted, 1);
    }

    /// Its virtual time.
    pub(super) fn virtual_time(&self) -> u64 {
        self.virtual_time.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(super) fn set_virtual_time(&self, time: u64) {
        self.virtual_time.store(time, Ordering::Relaxed);
    }

    /// It has run so many nanoseconds more.
    pub(super) fn add_virtual_time(&self, ns: u64) {
        add(&self.virtual_time, (ns * u64::from(self.factor.load(Ordering::Relaxed))) >> 10);
    }

    /// Sets its weight: [`NORMAL_WEIGHT`] is a share as others have it; it is not 0.
    pub fn set_weight(&self, weight: u32) {
        let weight = weight.max(1);
        self.factor.store(NORMAL_WEIGHT * NORMAL_WEIGHT / weight, Ordering::Relaxed);
    }
}

fn add(word: &AtomicU64, value: u64) {
    word.store(word.load(Ordering::Relaxed) + value, Ordering::Relaxed);
}
