//! Who waits for which word: a list a word, first come, first served, found by hashing.
//!
//! The lists are chained through places of one vector, by their numbers: to wait
//! allocates where more wait than ever did before, to be woken never does.

use super::key::Key;
use crate::memory::try_push;
use crate::mm::backing::Mapped;
use crate::sched::queue;
use crate::sched::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;

/// log2 of how many lists there are.
const BITS: u32 = 8;
/// No place's number.
const NONE: u32 = u32::MAX;

/// Who wants to own a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who waits.
    pub tid: u32,
    /// Who owns it meanwhile.
    pub owner: u32,
}

/// Who waits, and for what.
pub struct Waiter {
    /// The word.
    pub key: Key,
    /// What it is in: it stays as long.
    pub mapped: Option<Arc<Mapped>>,
    /// Whom a wake must have a bit in common with.
    pub bitset: u32,
    /// Of one who waits for a lock.
    pub claim: Option<Claim>,
    /// Who is woken.
    pub thread: Arc<Thread>,
}

/// Why somebody does not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It does.
    Not,
    /// Somebody woke it, or gave it the lock.
    Yes,
    /// The lock's owner has ended.
    OwnerDied,
}

struct Place {
    waiter: Option<Waiter>,
    woken: Woken,
    /// Neighbours in the list.
    before: u32,
    /// Of a free place: the next free one.
    after: u32,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

/// All of them.
pub struct Table {
    lists: [List; 1 << BITS],
    places: Vec<Place>,
    free: u32,
    /// How many wait for locks.
    claims: u32,
}

/// How many places are taken: who wakes looks here first, since mostly nobody waits.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Whether nobody waits for anything.
#[inline(always)]
pub fn is_empty() -> bool {
    TAKEN.load(Ordering::SeqCst) == 0
}

/// The one that there is.
pub static TABLE: Mutex<Table> = Mutex::new(Table::new());

impl Table {
    /// Nobody waits.
    pub const fn new() -> Table {
        const EMPTY: List = List { first: NONE, last: NONE };
        Table { lists: [EMPTY; 1 << BITS], places: Vec::new(), free: NONE, claims: 0 }
    }

    /// Puts somebody behind the others; answers a number for it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add(&mut self, waiter: Waiter) -> Result<u32, Errno> {
        if self.free == NONE {
            let place = Place { waiter: None, woken: Woken::Not, before: NONE, after: NONE };
            try_push(&mut self.places, place)?;
            self.free = self.places.len() as u32 - 1;
        }
        let (number, list) = (self.free, waiter.key.hash(BITS));
        self.claims += u32::from(waiter.claim.is_some());
        TAKEN.fetch_add(1, Ordering::SeqCst);
        let place = &mut self.places[number as usize];
        self.free = place.after;
        place.woken = Woken::Not;
        place.waiter = Some(waiter);
        self.link(number, list);
        Ok(number)
    }

    /// It waits no longer; whether it was woken before, and who it was: what that owns is
    /// not given up while the table is locked.
    pub fn remove(&mut self, number: u32) -> (Woken, Option<Waiter>) {
        let place = &self.places[number as usize];
        let woken = place.woken;
        if woken != Woken::Yes {
            self.unlink(number);
        }
        let place = &mut self.places[number as usize];
        place.after = self.free;
        self.free = number;
        let waiter = place.waiter.take();
        TAKEN.fetch_sub(1, Ordering::SeqCst);
        self.claims -= u32::from(waiter.as_ref().is_some_and(|waiter| waiter.claim.is_some()));
        (woken, waiter)
    }

    /// Whether it was woken.
    pub fn woken(&self, number: u32) -> Woken {
        self.places[number as usize].woken
    }

    /// Wakes up to `count` of those who wait for this, with a bit in common: how many.
    ///
    /// # Errors
    /// EINVAL at one who waits for a lock.
    pub fn wake(&mut self, key: Key, count: u64, bitset: u32) -> Result<u64, Errno> {
        let mut at = self.lists[key.hash(BITS)].first;
        let mut woken = 0;
        while at != NONE && woken < count {
            let (number, place) = (at, &self.places[at as usize]);
            at = place.after;
            let Some(waiter) = place.waiter.as_ref().filter(|waiter| waiter.key == key) else {
                continue;
            };
            if waiter.claim.is_some() {
                return Err(Errno::EINVAL);
            }
            if waiter.bitset & bitset != 0 {
                self.wake_one(number);
                woken += 1;
            }
        }
        Ok(woken)
    }

    /// Moves up to `count` of those who wait for `from`, after up to `wake` are woken: how
    /// many were either. `mapped` is what `to` is in.
    ///
    /// # Errors
    /// EINVAL at one who waits for a lock.
    pub fn requeue(
        &mut self,
        from: Key,
        (to, mapped): (Key, &Option<Arc<Mapped>>),
        [wake, count]: [u64; 2],
    ) -> Result<u64, Errno> {
        let (mut at, mut done) = (self.lists[from.hash(BITS)].first, 0);
        // Those that were moved come behind the last one, also in the same list.
        let last = self.lists[from.hash(BITS)].last;
        while at != NONE && done < wake.saturating_add(count) {
            let (number, place) = (at, &mut self.places[at as usize]);
            at = if number == last { NONE } else { place.after };
            let Some(waiter) = place.waiter.as_mut().filter(|waiter| waiter.key == from) else {
                continue;
            };
            if waiter.claim.is_some() {
                return Err(Errno::EINVAL);
            }
            done += 1;
            if done <= wake {
                self.wake_one(number);
            } else if from != to {
                self.unlink(number);
                if let Some(waiter) = &mut self.places[number as usize].waiter {
                    (waiter.key, waiter.mapped) = (to, mapped.clone());
                }
                self.link(number, to.hash(BITS));
            }
        }
        Ok(done)
    }

    /// The first who waits for this word, by its number; and for which lock's owner.
    pub fn first(&self, key: Key) -> Option<(u32, Option<Claim>)> {
        let mut at = self.lists[key.hash(BITS)].first;
        while at != NONE {
            let place = &self.places[at as usize];
            if let Some(waiter) = place.waiter.as_ref().filter(|waiter| waiter.key == key) {
                return Some((at, waiter.claim));
            }
            at = place.after;
        }
        None
    }

    /// One who waits is given what it waits for. Others who want the same lock wait for
    /// this one from now on. One whose lock's owner has died stays the first of them until
    /// it has said so in the word.
    pub fn give(&mut self, number: u32, how: Woken) {
        let waiter = self.places[number as usize].waiter.as_ref();
        let Some((key, tid)) = waiter.and_then(|waiter| Some((waiter.key, waiter.claim?.tid)))
        else {
            return;
        };
        if how == Woken::Yes {
            self.unlink(number);
        }
        self.wake_place(number, how);
        let mut at = self.lists[key.hash(BITS)].first;
        while at != NONE {
            let place = &mut self.places[at as usize];
            at = place.after;
            if let Some(waiter) = place.waiter.as_mut().filter(|waiter| waiter.key == key)
                && let Some(claim) = &mut waiter.claim
            {
                claim.owner = tid;
            }
        }
    }

    /// A thread ends: whoever was the first to wait for a lock of its gets that.
    pub fn owner_died(&mut self, tid: u32) {
        let mut number = 0;
        while self.claims > 0 && number < self.places.len() as u32 {
            let place = &self.places[number as usize];
            let waiter = place.waiter.as_ref().filter(|_| place.woken == Woken::Not);
            let is_its = |claim: Claim| claim.owner == tid;
            if let Some(key) =
                waiter.filter(|waiter| waiter.claim.is_some_and(is_its)).map(|w| w.key)
                && let Some((first, _)) = self.first(key)
            {
                self.give(first, Woken::OwnerDied);
            }
            number += 1;
        }
    }

    fn wake_one(&mut self, number: u32) {
        self.unlink(number);
        self.wake_place(number, Woken::Yes);
    }

    fn wake_place(&mut self, number: u32, how: Woken) {
        let place = &mut self.places[number as usize];
        place.woken = how;
        if let Some(waiter) = &place.waiter {
            queue::wake(&waiter.thread);
        }
    }

    fn link(&mut self, number: u32, list: usize) {
        let list = &mut self.lists[list];
        let before = core::mem::replace(&mut list.last, number);
        match before {
            NONE => list.first = number,
            _ => self.places[before as usize].after = number,
        }
        let place = &mut self.places[number as usize];
        (place.before, place.after) = (before, NONE);
    }

    fn unlink(&mut self, number: u32) {
        let place = &self.places[number as usize];
        let Some(waiter) = &place.waiter else { return };
        let (before, after) = (place.before, place.after);
        let list = &mut self.lists[waiter.key.hash(BITS)];
        match before {
            NONE => list.first = after,
            _ => self.places[before as usize].after = after,
        }
        match after {
            NONE => list.last = before,
            _ => self.places[after as usize].before = before,
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiters(&self) -> usize {
        self.places.iter().filter(|place| place.waiter.is_some()).count()
    }
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}
