//! Locks on files: flock(2), and those of fcntl(2), which are on ranges of bytes.
//!
//! An owner never waits for itself: of flock(2) and of `F_OFD_*` that is an open file,
//! of `F_SETLK` a process.

use crate::memory::{try_extend, try_push, try_with_capacity};
use alloc::vec::Vec;
use trapgate_uapi::Errno;

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process, by its number.
    Process(u32),
    /// An open file, by its address.
    File(usize),
    /// The same, of flock(2): these are apart from all others.
    Whole(usize),
}

impl Owner {
    const fn is_whole(self) -> bool {
        matches!(self, Owner::Whole(_))
    }
}

/// A lock on the bytes from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who has it.
    pub owner: Owner,
    /// Whether it excludes all others, or only such ones.
    pub exclusive: bool,
    /// Its first byte.
    pub start: u64,
    /// Where it ends; [`TO_THE_END`] for ever.
    pub end: u64,
}

/// The end of a lock that has none.
pub const TO_THE_END: u64 = 1 << 63;

/// The locks on a file: those of an owner beside each other, by where they begin.
#[derive(Debug, Default)]
pub struct Locks(Vec<Lock>);

impl Lock {
    fn overlaps(&self, other: &Lock) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether both cannot be at a time.
    fn conflicts(&self, other: &Lock) -> bool {
        self.owner != other.owner
            && self.owner.is_whole() == other.owner.is_whole()
            && (self.exclusive || other.exclusive)
            && self.overlaps(other)
    }
}

impl Locks {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that stands in the way.
    pub fn conflict(&self, wanted: &Lock) -> Option<Lock> {
        self.0.iter().find(|lock| lock.conflicts(wanted)).copied()
    }

    /// Sets a lock that nothing stands in the way of, instead of what its owner had
    /// there; true, if somebody else may have waited for that.
    ///
    /// # Errors
    /// ENOMEM; nothing has changed.
    pub fn set(&mut self, lock: Lock) -> Result<bool, Errno> {
        self.change(lock, Some(lock))
    }

    /// Gives up what the lock's owner has of its range; true, as above.
    ///
    /// # Errors
    /// ENOMEM; nothing has changed.
    pub fn clear(&mut self, lock: Lock) -> Result<bool, Errno> {
        self.change(lock, None)
    }

    /// Gives up all that an owner has; true, as above.
    pub fn clear_all(&mut self, owner: Owner) -> bool {
        let before = self.0.len();
        self.0.retain(|lock| lock.owner != owner);
        self.0.len() < before
    }

    fn change(&mut self, range: Lock, new: Option<Lock>) -> Result<bool, Errno> {
        // One that is cut in the middle becomes two, and there is a new one.
        let mut locks = try_with_capacity(self.0.len() + 2)?;
        let mut new = new;
        let mut given_up = false;
        let first = self.0.iter().position(|lock| lock.owner == range.owner);
        let (before, rest) = self.0.split_at(first.unwrap_or(self.0.len()));
        let (own, after) = rest.split_at(rest.partition_point(|lock| lock.owner == range.owner));
        try_extend(&mut locks, before)?;
        for &lock in own {
            // One like it that touches becomes part of it.
            if let Some(new) = &mut new
                && lock.exclusive == new.exclusive
                && lock.start <= new.end
                && new.start <= lock.end
            {
                new.start = new.start.min(lock.start);
                new.end = new.end.max(lock.end);
                continue;
            }
            if !lock.overlaps(&range) {
                try_push(&mut locks, lock)?;
                continue;
            }
            given_up = true;
            if lock.start < range.start {
                try_push(&mut locks, Lock { end: range.start, ..lock })?;
            }
            if range.end < lock.end {
                try_push(&mut locks, Lock { start: range.end, ..lock })?;
            }
        }
        if let Some(new) = new {
            try_push(&mut locks, new)?;
        }
        locks[before.len()..].sort_unstable_by_key(|lock| lock.start);
        try_extend(&mut locks, after)?;
        self.0 = locks;
        Ok(given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Owner = Owner::Process(1);
    const OTHER: Owner = Owner::File(2);

    const fn lock(owner: Owner, exclusive: bool, start: u64, end: u64) -> Lock {
        Lock { owner, exclusive, start, end }
    }

    fn ranges(locks: &Locks) -> Vec<(bool, u64, u64)> {
        let mut ranges: Vec<_> =
            locks.0.iter().map(|lock| (lock.exclusive, lock.start, lock.end)).collect();
        ranges.sort_by_key(|&(_, start, _)| start);
        ranges
    }

    #[test]
    fn others_exclude_each_other_where_one_is_exclusive_and_they_overlap() {
        let mut locks = Locks::default();
        locks.set(lock(ME, false, 10, 20)).unwrap();
        assert_eq!(locks.conflict(&lock(OTHER, false, 0, 100)), None);
        assert_eq!(locks.conflict(&lock(ME, true, 0, 100)), None);
        assert!(locks.conflict(&lock(OTHER, true, 19, TO_THE_END)).is_some());
        assert_eq!(locks.conflict(&lock(OTHER, true, 20, TO_THE_END)), None);
        assert_eq!(locks.conflict(&lock(OTHER, true, 0, 10)), None);
        assert_eq!(locks.conflict(&lock(Owner::Whole(2), true, 0, TO_THE_END)), None);
    }

    #[test]
    fn an_owners_locks_replace_split_and_join_each_other() {
        let mut locks = Locks::default();
        locks.set(lock(ME, true, 0, 100)).unwrap();
        assert_eq!(locks.set(lock(ME, false, 20, 30)), Ok(true));
        assert_eq!(ranges(&locks), [(true, 0, 20), (false, 20, 30), (true, 30, 100)]);
        assert_eq!(locks.clear(lock(ME, true, 25, 40)), Ok(true));
        assert_eq!(ranges(&locks), [(true, 0, 20), (false, 20, 25), (true, 40, 100)]);
        locks.set(lock(ME, true, 20, 40)).unwrap();
        assert_eq!(ranges(&locks), [(true, 0, 100)]);
        locks.set(lock(OTHER, true, 200, 300)).unwrap();
        assert!(locks.clear_all(ME) && !locks.clear_all(ME) && !locks.is_empty());
    }

    #[test]
    fn the_first_that_stands_in_the_way_is_told_whatever_came_last() {
        let mut locks = Locks::default();
        locks.set(lock(OTHER, true, 50, 60)).unwrap();
        locks.set(lock(ME, true, 0, 30)).unwrap();
        locks.set(lock(OTHER, true, 40, 45)).unwrap();
        locks.clear(lock(ME, true, 10, 20)).unwrap();
        locks.set(lock(ME, false, 0, 10)).unwrap();
        let third = Owner::Process(3);
        let first = |start, end| locks.conflict(&lock(third, true, start, end)).unwrap().start;
        assert_eq!([first(0, 100), first(0, 40), first(10, 30)], [40, 0, 20]);
    }
}
