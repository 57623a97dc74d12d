//! Guest RAM: one anonymous private mapping, every access checked against its
//! bounds.
//!
//! The VMM never holds a Rust reference into it: the guest may write at any
//! time. vm-memory's volatile accesses copy in and out.
#![allow(unsafe_code, reason = "maps memory and gives parts of it back")]

use super::image::MappedImage;
use crate::{ByteSize, Error};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::io;
use std::ptr::{NonNull, null_mut};
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::{MAX_TRANSFER, Segment};
use trapgate_abi::layout::{HIGH_RAM_START, LARGE_PAGE_SIZE, LOW_RAM_END, PAGE_SIZE};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap, MmapRegion,
};
use zerocopy::IntoBytes;

/// The smallest RAM with which the kernel itself starts.
pub const LEAST: u64 = 2 << 20;

/// An anonymous private mapping, unmapped when dropped.
struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is plain memory; access goes through volatile copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of zeroes, not touched yet.
    fn new(length: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let kind = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the host kernel's choice.
        let base = unsafe { mmap_anonymous(null_mut(), length, access, kind) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and GuestRam drops its users first.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Guest RAM: from address 0 up to 3 GiB, and what is more from 4 GiB.
pub struct GuestRam {
    memory: GuestMemoryMmap<()>,
    size: u64,
    // Last, so that it is dropped last.
    _mapping: Mapping,
}

/// A piece of RAM as KVM wants to know it.
pub struct Slot {
    /// Guest-physical address.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Host-virtual address.
    pub host: u64,
}

impl GuestRam {
    /// RAM of `size` bytes, a multiple of the page size.
    ///
    /// # Errors
    /// [`Error::MemoryTooLarge`].
    pub fn new(size: u64) -> Result<Self, Error> {
        let too_large = |error: io::Error| Error::MemoryTooLarge {
            given: ByteSize(size),
            reason: error.to_string(),
        };
        // Room to begin on a large page: then the host can back a large page
        // of the guest by one of its own.
        let length = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_add(LARGE_PAGE_SIZE as usize))
            .ok_or_else(|| too_large(io::ErrorKind::OutOfMemory.into()))?;
        let mapping = Mapping::new(length).map_err(too_large)?;
        let skip = mapping.base.align_offset(LARGE_PAGE_SIZE as usize);
        let low = size.min(LOW_RAM_END);
        let mut regions = Vec::with_capacity(2);
        for (guest, start, size) in [(0, 0, low), (HIGH_RAM_START, low, size - low)] {
            if size == 0 {
                continue;
            }
            // SAFETY: inside the mapping, which outlives the region.
            let region = unsafe {
                MmapRegion::<()>::build_raw(
                    mapping.base.as_ptr().wrapping_add(skip + start as usize),
                    size as usize,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                )
            };
            let region = region.map_err(|error| too_large(io::Error::other(error)))?;
            regions.extend(GuestRegionMmap::new(region, GuestAddress(guest)));
        }
        let memory = GuestMemoryMmap::from_regions(regions)
            .map_err(|error| too_large(io::Error::other(error)))?;
        Ok(GuestRam { memory, size, _mapping: mapping })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// For linux-loader.
    pub fn inner(&self) -> &GuestMemoryMmap<()> {
        &self.memory
    }

    /// The pieces to register with KVM.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        let low = self.size.min(LOW_RAM_END);
        let pieces = [(0, low), (HIGH_RAM_START, self.size - low)];
        pieces.into_iter().filter(|(_, size)| *size > 0).map(|(guest, size)| Slot {
            guest,
            size,
            host: self.host_address(guest, size).unwrap_or(null_mut()) as u64,
        })
    }

    /// The end of RAM below the hole, and the range above it.
    pub fn ends(&self) -> (u64, u64) {
        let low = self.size.min(LOW_RAM_END);
        (low, HIGH_RAM_START + self.size - low)
    }

    /// Where `length` bytes at `guest` are in this process; `None` if they are
    /// not all RAM. This is the one place where a guest's claim is checked.
    fn host_address(&self, guest: u64, length: u64) -> Option<*mut u8> {
        let length = usize::try_from(length).ok()?;
        let slice = self.memory.get_slice(GuestAddress(guest), length).ok()?;
        Some(slice.ptr_guard_mut().as_ptr())
    }

    /// Asks the host to back the first `length` bytes with large pages: what
    /// is touched at every start then costs one fault and not a hundred. A
    /// host that cannot does without.
    pub fn advise_large_pages(&self, length: u64) {
        let length = length.min(self.size).next_multiple_of(LARGE_PAGE_SIZE).min(self.size);
        if let Some(start) = self.host_address(0, length) {
            // SAFETY: advice on our own mapping.
            let _ = unsafe { madvise(start.cast(), length as usize, Advice::LinuxHugepage) };
        }
    }

    /// Asks the host to back no byte of it with large pages: only what is touched is
    /// taken, 4 KiB at a time.
    pub fn advise_small_pages(&self) {
        for slot in self.slots() {
            let start = slot.host as *mut libc::c_void;
            // SAFETY: advice on our own mapping.
            let _ = unsafe { madvise(start, slot.size as usize, Advice::LinuxNoHugepage) };
        }
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// If they are not all RAM.
    pub fn write(&self, guest: u64, bytes: &[u8]) -> Result<(), OutOfRam> {
        self.memory
            .write_slice(bytes, GuestAddress(guest))
            .map_err(|_| OutOfRam { address: guest, length: bytes.len() as u64 })
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// If they are not all RAM.
    pub fn read(&self, guest: u64, bytes: &mut [u8]) -> Result<(), OutOfRam> {
        let length = bytes.len() as u64;
        self.memory
            .read_slice(bytes, GuestAddress(guest))
            .map_err(|_| OutOfRam { address: guest, length })
    }

    /// Copies words in.
    ///
    /// # Errors
    /// If they are not all RAM.
    pub fn write_words(&self, guest: u64, words: &[u64]) -> Result<(), OutOfRam> {
        let mut bytes = Vec::with_capacity(words.len() * 8);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.write(guest, &bytes)
    }

    /// Copies `N` words out, once.
    ///
    /// # Errors
    /// If they are not all RAM.
    pub fn read_words<const N: usize>(&self, guest: u64) -> Result<[u64; N], OutOfRam> {
        let mut bytes = [[0; 8]; N];
        self.read(guest, bytes.as_flattened_mut())?;
        Ok(bytes.map(u64::from_le_bytes))
    }

    /// Copies the boot information in.
    ///
    /// # Errors
    /// If RAM ends before it.
    pub fn write_boot_info(&self, guest: u64, info: &BootInfo) -> Result<(), OutOfRam> {
        self.memory
            .write_slice(info.as_bytes(), GuestAddress(guest))
            .map_err(|_| OutOfRam { address: guest, length: size_of::<BootInfo>() as u64 })
    }

    /// Checks that all of a piece is RAM.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, segment: Segment) -> Result<(), OutOfRam> {
        let Segment { address, length } = segment;
        self.host_address(address, length).map(drop).ok_or(OutOfRam { address, length })
    }

    /// Pieces of RAM as readv(2) and writev(2) want them, up to
    /// [`MAX_TRANSFER`] bytes. With `image`, they are only read, and may be of that, too.
    ///
    /// The pointers are good as long as this RAM and the image; what they point to, the
    /// guest and others may change at any time, so they are for the host's kernel only.
    ///
    /// # Errors
    /// If a piece is not all RAM, nor all of the image.
    pub fn io_vectors(
        &self,
        segments: impl Iterator<Item = Segment>,
        image: Option<&MappedImage>,
    ) -> Result<Vec<libc::iovec>, OutOfRam> {
        let mut room = MAX_TRANSFER;
        segments
            .map(|Segment { address, length }| {
                let base = self
                    .host_address(address, length)
                    .or_else(|| image?.host_address(address, length))
                    .ok_or(OutOfRam { address, length })?;
                let length = length.min(room);
                room -= length;
                Ok(libc::iovec { iov_base: base.cast(), iov_len: length as usize })
            })
            .collect()
    }

    /// Gives pages back to the host: they read as zeroes afterwards.
    ///
    /// # Errors
    /// If they are not whole pages of RAM.
    pub fn discard(&self, segment: Segment) -> Result<(), OutOfRam> {
        let Segment { address, length } = segment;
        let error = OutOfRam { address, length };
        if !address.is_multiple_of(PAGE_SIZE) || !length.is_multiple_of(PAGE_SIZE) {
            return Err(error);
        }
        let start = self.host_address(address, length).ok_or(error)?;
        // SAFETY: our own private anonymous memory, to which nobody holds a
        // reference.
        unsafe { madvise(start.cast(), length as usize, Advice::LinuxDontNeed) }.map_err(|_| error)
    }

    /// Gives all pages back to the host, of RAM that nobody needs any more.
    pub fn give_back(&self) {
        for slot in self.slots() {
            // It is all RAM, and in whole pages.
            let _ = self.discard(Segment { address: slot.guest, length: slot.size });
        }
    }

    /// Bytes of RAM that the host has backed with memory, as mincore(2) says.
    pub fn resident(&self) -> u64 {
        let mut pages = vec![0u8; 1 << 16];
        let span = pages.len() as u64 * PAGE_SIZE;
        let mut resident = 0;
        for slot in self.slots() {
            for offset in (0..slot.size).step_by(span as usize) {
                let length = span.min(slot.size - offset);
                let start = (slot.host + offset) as *mut libc::c_void;
                // SAFETY: our own mapping, and a vector with a byte a page.
                let done = unsafe { libc::mincore(start, length as usize, pages.as_mut_ptr()) };
                if done == 0 {
                    let counted = &pages[..(length / PAGE_SIZE) as usize];
                    resident += counted.iter().filter(|page| *page & 1 == 1).count() as u64;
                }
            }
        }
        resident * PAGE_SIZE
    }
}

/// A guest-physical range that is not RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes at guest-physical address {address:#x} are not RAM")]
pub struct OutOfRam {
    /// Its first byte.
    pub address: u64,
    /// Its length.
    pub length: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_ram_can_be_reached() {
        let size = 4 << 20;
        let ram = GuestRam::new(size).unwrap();
        assert!(ram.write(size - 4, &[1, 2, 3, 4]).is_ok());
        assert!(ram.write(size - 3, &[1, 2, 3, 4]).is_err());
        assert!(ram.write(u64::MAX - 1, &[1, 2, 3, 4]).is_err());
        for (address, length) in [(size, 1), (0, size + 1), (u64::MAX, 1), (1, u64::MAX)] {
            let piece = Segment { address, length };
            assert!(ram.io_vectors([piece].into_iter(), None).is_err(), "{piece:?}");
            assert!(ram.discard(piece).is_err());
        }
        let all = Segment { address: 0, length: size };
        assert!(ram.io_vectors([all].into_iter(), None).is_ok());
    }

    #[test]
    fn discarded_pages_read_as_zeroes() {
        let ram = GuestRam::new(2 << 20).unwrap();
        ram.write(0x3000, &[7; 4096]).unwrap();
        ram.discard(Segment { address: 0x3000, length: 4096 }).unwrap();
        assert_eq!(ram.read_words::<4>(0x3000).unwrap(), [0; 4]);
        assert!(ram.discard(Segment { address: 0x3001, length: 4096 }).is_err());
    }

    #[test]
    fn ram_beyond_3_gib_continues_at_4_gib() {
        let ram = GuestRam::new(5 << 30).unwrap();
        let slots: Vec<_> = ram.slots().map(|slot| (slot.guest, slot.size)).collect();
        assert_eq!(slots, [(0, 3 << 30), (4 << 30, 2 << 30)]);
        assert!(ram.write((6 << 30) - 1, &[1]).is_ok());
        assert!(ram.write(6 << 30, &[1]).is_err());
        assert!(ram.write(3 << 30, &[1]).is_err());
    }

    #[test]
    fn untouched_ram_takes_no_memory() {
        let ram = GuestRam::new(64 << 20).unwrap();
        assert_eq!(ram.resident(), 0);
        ram.write(0x5000, &[1]).unwrap();
        assert!(ram.resident() >= 4096);
    }
}
