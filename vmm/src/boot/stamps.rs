//! The buffer of a door that stamps each step of a call: reserved before the
//! start, read after the end.

use super::page_tables::Frames;
use crate::machine::memory::{GuestRam, OutOfRam};
use trapgate_abi::layout::{Cpu, DIRECT_MAP};
use trapgate_abi::stamps::{MAX_RECORDS, RECORD_SIZE, Record, Stamping, buffer_size};

/// A buffer in guest RAM.
#[derive(Clone, Copy)]
pub(crate) struct Stamps {
    /// Its physical address.
    address: u64,
    /// Records that it has room for.
    capacity: u64,
}

impl Stamps {
    /// Bytes of the buffer for so many calls.
    pub(super) const fn size(calls: u64) -> u64 {
        match calls {
            0 => 0,
            1..=MAX_RECORDS => buffer_size(calls),
            _ => buffer_size(MAX_RECORDS),
        }
    }

    /// A buffer for so many calls, which the kernel's door knows; `None` if RAM
    /// ends.
    pub(super) fn new(ram: &GuestRam, frames: &mut Frames, calls: u64) -> Option<Stamps> {
        let capacity = calls.min(MAX_RECORDS);
        let address = frames.take(Stamps::size(capacity))?;
        // One for each call, and one for all others.
        let record = DIRECT_MAP + address;
        let stamping = Stamping { record, left: capacity + 1, ..Stamping::default() };
        ram.write_words(Cpu::FIRST.stamping_phys(), &stamping.to_words()).ok()?;
        Some(Stamps { address, capacity })
    }

    /// What is in it, copied once: the calls that came back, no more than there is
    /// room for, whatever the guest says.
    ///
    /// # Errors
    /// Never, for RAM that it was made in.
    pub(crate) fn read(self, ram: &GuestRam) -> Result<Vec<Record>, OutOfRam> {
        let words = ram.read_words(Cpu::FIRST.stamping_phys())?;
        let last = Stamping::from_words(&words).record;
        let index = last.wrapping_sub(DIRECT_MAP + self.address) / RECORD_SIZE;
        // The last call is not back yet.
        let count = index.saturating_sub(1).min(self.capacity);
        let mut bytes = vec![0; (count * RECORD_SIZE) as usize];
        ram.read(self.address + RECORD_SIZE, &mut bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        let (records, _) = words.as_chunks::<8>();
        Ok(records.iter().map(|words| Record::from_words(words.map(u32::from_le_bytes))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(ram: &GuestRam) -> Stamps {
        Stamps::new(ram, &mut Frames::new(0x10_0000, 0x20_0000), 3).expect("there is room")
    }

    /// Says which record the last call has.
    fn claim(ram: &GuestRam, record: u64) {
        ram.write_words(Cpu::FIRST.stamping_phys(), &[record]).unwrap();
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        let first = DIRECT_MAP + stamps.address + RECORD_SIZE;
        let words: Vec<u8> = (1u32..=16).flat_map(u32::to_le_bytes).collect();
        ram.write(first - DIRECT_MAP, &words).unwrap();
        assert!(stamps.read(&ram).unwrap().is_empty(), "no call was made");
        claim(&ram, first);
        assert!(stamps.read(&ram).unwrap().is_empty(), "the first is not back");
        claim(&ram, first + 2 * RECORD_SIZE);
        let [first, second] = stamps.read(&ram).unwrap()[..] else { panic!("two records") };
        assert_eq!((first.number, first.user, first.leaving), (1, 2, 8));
        assert_eq!((second.number, second.entered, second.leaving), (9, 11, 16));
    }

    #[test]
    fn a_guest_that_claims_more_than_there_is_room_for_is_not_believed() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        let full = DIRECT_MAP + stamps.address + 4 * RECORD_SIZE;
        for record in [full, full + RECORD_SIZE, u64::MAX, 0, DIRECT_MAP + stamps.address - 1] {
            claim(&ram, record);
            assert_eq!(stamps.read(&ram).unwrap().len(), 3, "{record:#x}");
        }
    }

    #[test]
    fn the_door_is_told_where_the_buffer_is() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        let words = ram.read_words(Cpu::FIRST.stamping_phys()).unwrap();
        let Stamping { record, left, .. } = Stamping::from_words(&words);
        assert_eq!((record, left), (DIRECT_MAP + stamps.address, 4));
        for too_many in [1 << 20, u64::MAX] {
            assert!(Stamps::new(&ram, &mut Frames::new(0x10_0000, 0x20_0000), too_many).is_none());
        }
    }
}
