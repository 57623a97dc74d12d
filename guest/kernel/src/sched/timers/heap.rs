//! A heap of times: what is due first is first, what is due at the same time comes in the
//! order in which it was set.
//!
//! Whoever wants to set a time has a slot, for which there is room from the start: so to
//! set, to change and to cancel never fail and allocate nothing.

use crate::memory::try_push;
use alloc::vec::Vec;
use trapgate_uapi::Errno;

/// A time, the number of its setting, and whose it is.
#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    number: u64,
    slot: u32,
}

impl Entry {
    fn is_before(&self, other: &Entry) -> bool {
        (self.at, self.number) < (other.at, other.number)
    }
}

/// What somebody has of the heap.
enum Slot<T> {
    /// Nobody has it; the next such one.
    Free(Option<u32>),
    /// No time is set.
    Off,
    /// Where in the heap the time is, and what is due then.
    On(u32, T),
}

/// Times, and what is due at each.
pub(super) struct Heap<T> {
    entries: Vec<Entry>,
    slots: Vec<Slot<T>>,
    /// The first that nobody has.
    free: Option<u32>,
    /// Counts how often a time was set.
    number: u64,
}

impl<T> Heap<T> {
    /// One with no time.
    pub(super) const fn new() -> Heap<T> {
        Heap { entries: Vec::new(), slots: Vec::new(), free: None, number: 0 }
    }

    /// How many times are set.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A slot.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn add(&mut self) -> Result<u32, Errno> {
        let slot = match self.free {
            Some(slot) => slot,
            None => {
                // Each may be set.
                let more = self.slots.len() + 1 - self.entries.len();
                self.entries.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
                try_push(&mut self.slots, Slot::Off)?;
                return Ok(self.slots.len() as u32 - 1);
            }
        };
        if let Slot::Free(next) = self.slots[slot as usize] {
            self.free = next;
        }
        self.slots[slot as usize] = Slot::Off;
        Ok(slot)
    }

    /// A slot that is used no more: what was due is given back.
    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let due = self.cancel(slot);
        // A test may have begun another heap.
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot::Free(self.free.replace(slot));
        }
        due.map(|(_, due)| due)
    }

    /// Sets a slot's time and what is due then; what was set before is given back.
    #[expect(clippy::disallowed_methods, reason = "each slot has room from the start")]
    pub(super) fn set(&mut self, slot: u32, at: u64, due: T) -> Option<T> {
        let before = self.cancel(slot);
        let position = self.entries.len();
        self.entries.push(Entry { at, number: self.number, slot });
        self.number += 1;
        self.slots[slot as usize] = Slot::On(position as u32, due);
        self.up(position);
        before.map(|(_, due)| due)
    }

    /// Takes a slot's time away: when that was, and what would have been due.
    pub(super) fn cancel(&mut self, slot: u32) -> Option<(u64, T)> {
        let place = self.slots.get_mut(slot as usize)?;
        let Slot::On(..) = place else { return None };
        let Slot::On(position, due) = core::mem::replace(place, Slot::Off) else { return None };
        let position = position as usize;
        let entry = self.entries.swap_remove(position);
        if position < self.entries.len() {
            self.note(position);
            let position = self.up(position);
            self.down(position);
        }
        Some((entry.at, due))
    }

    /// When a slot's time is.
    pub(super) fn time(&self, slot: u32) -> Option<u64> {
        match self.slots.get(slot as usize)? {
            Slot::On(position, _) => Some(self.entries[*position as usize].at),
            _ => None,
        }
    }

    /// The first time.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.at)
    }

    /// Takes the first of what is due now.
    pub(super) fn take(&mut self, now: u64) -> Option<T> {
        let first = self.entries.first().filter(|entry| entry.at <= now)?;
        self.cancel(first.slot).map(|(_, due)| due)
    }

    /// Says where in the heap an entry is.
    fn note(&mut self, position: usize) {
        let slot = self.entries[position].slot as usize;
        if let Slot::On(place, _) = &mut self.slots[slot] {
            *place = position as u32;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.entries.swap(one, other);
        self.note(one);
        self.note(other);
    }

    /// Moves an entry before those that come later; answers where it is.
    fn up(&mut self, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / 2;
            if !self.entries[position].is_before(&self.entries[parent]) {
                break;
            }
            self.swap(position, parent);
            position = parent;
        }
        position
    }

    /// Moves an entry behind those that come before.
    fn down(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let Some(entry) = self.entries.get(left) else { return };
            let right = self.entries.get(left + 1).filter(|right| right.is_before(entry));
            let child = left + usize::from(right.is_some());
            if !self.entries[child].is_before(&self.entries[position]) {
                return;
            }
            self.swap(position, child);
            position = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use trapgate_arch::fake::heap::failing;

    #[test]
    fn what_is_due_comes_by_time_and_then_in_the_order_in_which_it_was_set() {
        let mut heap = Heap::new();
        for (what, at) in [5, 3, 5, 9, 3, 1].into_iter().enumerate() {
            let slot = heap.add().unwrap();
            assert_eq!(heap.set(slot, at, what), None);
        }
        assert_eq!(heap.first(), Some(1));
        let mut due = vec![];
        while let Some(what) = heap.take(5) {
            due.push(what);
        }
        assert_eq!(due, [5, 1, 4, 0, 2]);
        assert_eq!((heap.first(), heap.len()), (Some(9), 1));
    }

    #[test]
    fn to_set_again_takes_the_time_before_away() {
        let mut heap = Heap::new();
        let slot = heap.add().unwrap();
        assert_eq!(heap.cancel(slot), None);
        assert_eq!(heap.set(slot, 7, 'a'), None);
        assert_eq!(heap.set(slot, 2, 'b'), Some('a'));
        assert_eq!((heap.time(slot), heap.len()), (Some(2), 1));
        assert_eq!(heap.cancel(slot), Some((2, 'b')));
        assert_eq!((heap.time(slot), heap.first()), (None, None));
        assert_eq!(heap.set(slot, 4, 'c'), None);
        assert_eq!(heap.remove(slot), Some('c'));
        assert_eq!(heap.add(), Ok(slot), "it is used again");
    }

    #[test]
    fn a_heap_agrees_with_a_sorted_map_whatever_is_done_to_it() {
        let mut heap = Heap::new();
        let mut model = BTreeMap::new();
        let mut slots = vec![];
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        for step in 0..20_000u64 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed >> 32 & 0x3f;
            match seed % 8 {
                0 if slots.len() < 100 => slots.push(heap.add().unwrap()),
                1 if slots.len() > 50 => {
                    let slot = slots.swap_remove(at as usize % slots.len());
                    let key = model.iter().find(|(_, owner)| **owner == slot).map(|(key, _)| *key);
                    assert_eq!(heap.remove(slot), key.map(|key| model.remove(&key).unwrap()));
                }
                2 => {
                    let first = model.first_key_value().filter(|((due, _), _)| *due <= at / 4);
                    let key = first.map(|(key, _)| *key);
                    assert_eq!(heap.take(at / 4), key.map(|key| model.remove(&key).unwrap()));
                }
                _ if !slots.is_empty() => {
                    let slot = slots[(seed >> 40) as usize % slots.len()];
                    model.retain(|_, owner| *owner != slot);
                    heap.set(slot, at, slot);
                    model.insert((at, step), slot);
                }
                _ => {}
            }
            assert_eq!(heap.len(), model.len());
            assert_eq!(heap.first(), model.keys().next().map(|key| key.0));
        }
        assert!(heap.len() > 10);
    }

    #[test]
    fn without_memory_there_is_no_slot_and_whoever_has_one_can_set_it() {
        let mut heap = Heap::new();
        for attempt in 1..=2 {
            assert_eq!(failing(attempt, || heap.add()).0, Err(Errno::ENOMEM));
        }
        let slots: Vec<_> = (0..100).map(|_| heap.add().unwrap()).collect();
        let set = || slots.iter().for_each(|&slot| _ = heap.set(slot, 100 - u64::from(slot), slot));
        assert_eq!(failing(0, set).1, 0, "nothing is asked for");
        assert_eq!(heap.take(100), Some(99));
    }
}
