//! One CPU's ring of trace records, read.

use crate::machine::memory::GuestRam;
use std::mem::offset_of;
use trapgate_abi::layout::Cpu;
use trapgate_abi::trace::{CAPACITY, RECORD_SIZE, RING_SIZE, Record, RecordId, Tracing};

/// What a look finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Record(Record),
    /// So many that are not there: they found no room behind those before, or are
    /// none.
    Lost(u64),
}

/// Where reading a ring stands.
pub(super) struct Ring {
    /// Physical address of its first record.
    start: u64,
    /// Physical address of its CPU's words about it.
    words: u64,
    /// The number of the first record that was not taken.
    taken: u64,
    /// Records that were said to be lost.
    lost: u64,
}

impl Ring {
    /// That of a CPU which has not run yet; the first CPU's is at `rings`.
    pub(super) fn of(cpu: Cpu, rings: u64) -> Ring {
        let start = rings + cpu.number() * RING_SIZE;
        let taken = RecordId::first(cpu.number()).0;
        Ring { start, words: cpu.tracing_phys(), taken, lost: 0 }
    }

    /// Takes all new records. How many there are is the guest's claim: no more than
    /// the ring holds are read.
    pub(super) fn drain(&mut self, ram: &GuestRam, found: &mut dyn FnMut(Found)) {
        let Ok(words) = ram.read_words(self.words) else { return };
        let Tracing { next, lost, .. } = Tracing::from_words(&words);
        let new = next.wrapping_sub(self.taken).min(CAPACITY);
        let mut missing = lost.wrapping_sub(self.lost);
        if new == 0 && missing == 0 {
            return;
        }
        for _ in 0..new {
            let slot = self.start + RecordId(self.taken).slot() * RECORD_SIZE;
            match ram.read_words(slot).ok().and_then(|words| Record::from_words(&words)) {
                Some(record) => found(Found::Record(record)),
                None => missing = missing.saturating_add(1),
            }
            self.taken = self.taken.wrapping_add(1);
        }
        if missing != 0 {
            found(Found::Lost(missing));
            self.lost = lost;
        }
        let taken = self.words + offset_of!(Tracing, taken) as u64;
        // RAM does not end before it: `read_words` above would have said.
        let _ = ram.write_words(taken, &[self.taken]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trapgate_abi::trace::{Entry, Event, Exit, HALF, Head, RECORD_WORDS};
    use trapgate_uapi::syscall::Abi;

    const RINGS: u64 = 0x10_0000;

    /// RAM with an empty ring.
    fn guest() -> (GuestRam, Ring) {
        let ram = GuestRam::new(2 << 20).unwrap();
        ram.write_words(Cpu::FIRST.tracing_phys(), &Tracing::new(0, 0).to_words()).unwrap();
        (ram, Ring::of(Cpu::FIRST, RINGS))
    }

    fn tracing(ram: &GuestRam) -> Tracing {
        Tracing::from_words(&ram.read_words(Cpu::FIRST.tracing_phys()).unwrap())
    }

    /// The guest writes the end of a call with this result.
    fn write(ram: &GuestRam, result: u64) {
        let words = tracing(ram);
        let head = Head { thread: 1, process: 1, id: RecordId(words.next), tsc: 0 };
        let exit = Exit { entry: RecordId(0), abi: Abi::X86_64, number: 39, result };
        let slot = RINGS + head.id.slot() * RECORD_SIZE;
        ram.write_words(slot, &exit.to_words(&head)).unwrap();
        let next = words.next + 1;
        let words = Tracing { next, ..words }.to_words();
        ram.write_words(Cpu::FIRST.tracing_phys(), &words).unwrap();
    }

    fn drained(ring: &mut Ring, ram: &GuestRam) -> Vec<Found> {
        let mut all = Vec::new();
        ring.drain(ram, &mut |found| all.push(found));
        all
    }

    fn results(found: &[Found]) -> Vec<u64> {
        let result = |found: &Found| match found {
            Found::Record(Record { event: Event::Exit(exit), .. }) => exit.result,
            other => panic!("{other:?}"),
        };
        found.iter().map(result).collect()
    }

    #[test]
    fn each_record_is_taken_once_and_the_guest_is_told() {
        let (ram, mut ring) = guest();
        assert_eq!(drained(&mut ring, &ram), []);
        let mut expected = 0;
        for lap in 0..4 {
            for result in 0..HALF + lap {
                write(&ram, expected + result);
            }
            let found = results(&drained(&mut ring, &ram));
            assert!(found.into_iter().eq(expected..expected + HALF + lap));
            expected += HALF + lap;
            assert_eq!(tracing(&ram).taken, tracing(&ram).next);
        }
        assert_eq!(drained(&mut ring, &ram), []);
    }

    #[test]
    fn what_the_guest_says_it_lost_comes_behind_what_it_kept() {
        let (ram, mut ring) = guest();
        write(&ram, 5);
        let words = Tracing { lost: 7, ..tracing(&ram) }.to_words();
        ram.write_words(Cpu::FIRST.tracing_phys(), &words).unwrap();
        let found = drained(&mut ring, &ram);
        assert_eq!(results(&found[..1]), [5]);
        assert_eq!(found[1..], [Found::Lost(7)]);
        assert_eq!(drained(&mut ring, &ram), []);
    }

    #[test]
    fn lying_words_are_read_for_one_ring_and_no_more() {
        for next in [u64::MAX, 1 << 56, CAPACITY + 1] {
            let (ram, mut ring) = guest();
            let words = Tracing { next, ring: u64::MAX, taken: 99, due: 0, lost: u64::MAX };
            ram.write_words(Cpu::FIRST.tracing_phys(), &words.to_words()).unwrap();
            let found = drained(&mut ring, &ram);
            // Empty slots are no records, and so many cannot be missing.
            assert_eq!(found, [Found::Lost(u64::MAX)], "{next:#x}");
            assert_eq!(tracing(&ram).taken, CAPACITY);
        }
    }

    proptest! {
        #[test]
        fn a_ring_full_of_anything_is_read_to_its_end(
            words in prop::collection::vec(any::<u64>(), 4 * RECORD_WORDS),
            tracing in prop::array::uniform5(any::<u64>()),
        ) {
            let (ram, mut ring) = guest();
            for slot in 0..CAPACITY / 4 {
                ram.write_words(RINGS + slot * 4 * RECORD_SIZE, &words).unwrap();
            }
            ram.write_words(Cpu::FIRST.tracing_phys(), &tracing).unwrap();
            prop_assert!(drained(&mut ring, &ram).len() as u64 <= CAPACITY + 1);
        }
    }

    #[test]
    fn a_cpus_ring_is_behind_those_of_the_cpus_before_it() {
        let second = Cpu::new(1).unwrap();
        let ring = Ring::of(second, RINGS);
        assert_eq!((ring.start, ring.taken), (RINGS + RING_SIZE, 1 << 56));
        let Tracing { next, .. } = Tracing::new(1, 0);
        assert_eq!(next, ring.taken);
        // What an entry has room for is what the kernel writes.
        assert!(size_of::<Entry>() <= RECORD_SIZE as usize);
    }
}
