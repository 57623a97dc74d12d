//! The buffer of a door that stamps each step of a call: reserved before the
//! start, read after the end.

use super::page_tables::Frames;
use crate::machine::memory::{GuestRam, OutOfRam};
use trapgate_abi::layout::{Cpu, DIRECT_MAP};
use trapgate_abi::stamps::{
    Buffer, MAX_RECORDS, RECORD_SIZE, RECORDS, Record, Stamping, buffer_size,
};

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
        let buffer = Buffer { count: 0, capacity };
        let stamping = Stamping { buffer: DIRECT_MAP + address, ..Stamping::default() };
        ram.write_words(address, &buffer.to_words()).ok()?;
        ram.write_words(Cpu::FIRST.stamping_phys(), &stamping.to_words()).ok()?;
        Some(Stamps { address, capacity })
    }

    /// What is in it, copied once: no more than there is room for, whatever the
    /// guest says.
    ///
    /// # Errors
    /// Never, for RAM that it was made in.
    pub(crate) fn read(self, ram: &GuestRam) -> Result<Vec<Record>, OutOfRam> {
        let buffer = Buffer::from_words(&ram.read_words(self.address)?);
        let count = buffer.count.min(self.capacity);
        let mut bytes = vec![0; (count * RECORD_SIZE) as usize];
        ram.read(self.address + RECORDS, &mut bytes)?;
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

    #[test]
    fn records_are_read_as_they_were_written() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        let words: Vec<u8> = (1u32..=16).flat_map(u32::to_le_bytes).collect();
        ram.write(stamps.address + RECORDS, &words).unwrap();
        ram.write_words(stamps.address, &[2]).unwrap();
        let [first, second] = stamps.read(&ram).unwrap()[..] else { panic!("two records") };
        assert_eq!((first.number, first.user, first.leaving), (1, 2, 8));
        assert_eq!((second.number, second.entered, second.leaving), (9, 11, 16));
    }

    #[test]
    fn a_guest_that_claims_more_than_there_is_room_for_is_not_believed() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        for claim in [4, u64::MAX, 1 << 59] {
            // Count, and what the guest makes of the capacity.
            ram.write_words(stamps.address, &[claim, claim]).unwrap();
            assert_eq!(stamps.read(&ram).unwrap().len(), 3);
        }
    }

    #[test]
    fn the_door_is_told_where_the_buffer_is() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let stamps = stamps(&ram);
        let words = ram.read_words(Cpu::FIRST.stamping_phys()).unwrap();
        assert_eq!(Stamping::from_words(&words).buffer, DIRECT_MAP + stamps.address);
        assert_eq!(ram.read_words(stamps.address).unwrap(), [0, 3]);
        for too_many in [1 << 20, u64::MAX] {
            assert!(Stamps::new(&ram, &mut Frames::new(0x10_0000, 0x20_0000), too_many).is_none());
        }
    }
}
