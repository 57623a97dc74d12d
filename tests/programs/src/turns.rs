//! Two threads that take turns: who was on its way last, and how often that was somebody
//! else.

use crate::Report;
use core::sync::atomic::{AtomicU32, Ordering};
use trapgate_rt::println;

/// Of two threads, 0 and 1.
pub struct Turns {
    last: AtomicU32,
    turns: AtomicU32,
    ended: AtomicU32,
}

impl Turns {
    /// Nobody has had one.
    pub const fn new() -> Turns {
        Turns { last: AtomicU32::new(2), turns: AtomicU32::new(0), ended: AtomicU32::new(0) }
    }

    /// This one is on its way.
    pub fn take(&self, thread: u32) {
        let turn = self.last.swap(thread, Ordering::Relaxed) != thread;
        self.turns.fetch_add(turn.into(), Ordering::Relaxed);
    }

    /// One of them has ended.
    pub fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until both have ended.
    pub fn wait_for_both(&self, mut give_up_the_cpu: impl FnMut()) {
        while self.ended.load(Ordering::Relaxed) < 2 {
            give_up_the_cpu();
        }
    }

    /// Says how many there were. Where each round ends by giving the CPU up there are two a
    /// round, and fewer where ticks come in between: one that comes just before the CPU is
    /// given up costs both. A busy machine that computes slowly was seen with one a round.
    pub fn report(&self, report: &mut Report, rounds: u32, spins: bool) {
        let turns = self.turns.load(Ordering::Relaxed);
        println!("{turns} turns");
        report.holds("both took turns", turns >= if spins { 2 } else { rounds / 4 });
    }
}

impl Default for Turns {
    fn default() -> Turns {
        Turns::new()
    }
}
