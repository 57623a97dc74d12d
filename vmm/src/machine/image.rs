//! The image of a root: a file of the host's, mapped read-only, so that the guest
//! reads the host's page cache and nothing is copied.
//!
//! Only the host's kernel follows the mapping, KVM and calls that write. The VMM never
//! touches it: whoever may write the file may make it shorter at any time, and what is
//! then touched is SIGBUS to a process, but EFAULT to a call, and a failed KVM_RUN to a
//! guest (`MappedImage::what_was_lost`).
#![allow(unsafe_code, reason = "maps a file")]

use super::memory::Slot;
use crate::Error;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::{NonNull, null_mut};
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{HIGH_RAM_START, LARGE_PAGE_SIZE, LOW_RAM_END, PAGE_SIZE};

/// The end of the physical addresses that there may be, exclusive: 39 bits, which
/// every CPU with KVM has.
const PHYSICAL_END: u64 = 1 << 39;

/// An image that is mapped, and where a guest finds it.
///
/// What the host's file is renamed to, or replaced by, changes nothing: the mapping
/// is of the file that was opened.
pub struct MappedImage {
    name: String,
    file: File,
    /// The reserved addresses that the mapping lies in.
    reserved: NonNull<u8>,
    reserved_length: usize,
    /// Host-virtual address.
    host: u64,
    /// Guest-physical addresses: whole pages.
    range: Range,
    /// Bytes of the file when it was mapped.
    length: u64,
}

// SAFETY: nothing is read or written through the pointer; it is there to unmap it.
unsafe impl Send for MappedImage {}
// SAFETY: as above.
unsafe impl Sync for MappedImage {}

impl MappedImage {
    /// Maps `file`, for a guest with `ram` bytes of RAM. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Root`], if it cannot be mapped, is empty, or too large.
    pub fn new(name: String, file: File, ram: u64) -> Result<MappedImage, Error> {
        let failed = |reason: String| Error::Root { name: name.clone(), reason };
        let os = |error: io::Error| failed(format!("cannot be mapped: {error}"));
        let length = file.metadata().map_err(os)?.len();
        if length == 0 {
            return Err(failed("is empty".to_owned()));
        }
        let range =
            place(ram, length).ok_or_else(|| failed(format!("is too large: {length} bytes")))?;
        let size = usize::try_from(range.len()).map_err(|_| failed("is too large".to_owned()))?;
        // As far from a large page's boundary as the guest's address is: the host
        // can then back a large page by one of its own.
        let reserved_length = size + LARGE_PAGE_SIZE as usize;
        let none = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: new addresses, of the host kernel's choice.
        let reserved = unsafe { mmap_anonymous(null_mut(), reserved_length, none.0, none.1) };
        let reserved = reserved.map_err(|error| os(error.into()))?;
        let reserved =
            NonNull::new(reserved.cast()).ok_or_else(|| os(io::ErrorKind::OutOfMemory.into()))?;
        let host = (reserved.as_ptr() as u64).next_multiple_of(LARGE_PAGE_SIZE);
        let mut image = MappedImage {
            name: name.clone(),
            file,
            reserved,
            reserved_length,
            host,
            range,
            length,
        };
        image.map(size).map_err(os)?;
        Ok(image)
    }

    /// Puts the file into what was reserved for it.
    fn map(&mut self, size: usize) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        let start = self.host as *mut libc::c_void;
        // SAFETY: inside the addresses that were reserved for this and nothing else.
        unsafe { mmap(start, size, ProtFlags::READ, flags, &self.file, 0) }?;
        Ok(())
    }

    /// Where the guest finds it: whole pages, from a boundary of large pages on. Bytes
    /// behind the file's end are zeroes.
    pub fn range(&self) -> Range {
        self.range
    }

    /// How far behind the image's start a guest's piece of it is, if it is all in it.
    fn offset(&self, guest: u64, length: u64) -> Option<u64> {
        let end = guest.checked_add(length)?;
        (guest >= self.range.start && end <= self.range.end).then(|| guest - self.range.start)
    }

    /// Where `length` bytes at `guest` are in this process: for the host's kernel to
    /// read, which answers EFAULT where a file has become shorter.
    pub(super) fn host_address(&self, guest: u64, length: u64) -> Option<*mut u8> {
        self.offset(guest, length).map(|offset| (self.host + offset) as *mut u8)
    }

    /// Copies bytes at `guest` out, from the file and not through the mapping; false, if
    /// they are not all of the image, or cannot be read.
    pub(crate) fn read(&self, guest: u64, to: &mut [u8]) -> bool {
        let Some(mut offset) = self.offset(guest, to.len() as u64) else { return false };
        let mut rest = to;
        while !rest.is_empty() {
            match self.file.read_at(rest, offset) {
                // Behind its end the mapping has zeroes.
                Ok(0) => {
                    rest.fill(0);
                    return true;
                }
                Ok(got) => {
                    offset += got as u64;
                    rest = &mut rest[got..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// As KVM wants to know it.
    pub(super) fn slot(&self) -> Slot {
        Slot { guest: self.range.start, size: self.range.len(), host: self.host }
    }

    /// Whether somebody has made the file shorter since.
    pub(super) fn is_shorter(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() < self.length)
    }

    /// The error to report where KVM could not get at a page of it.
    pub(super) fn what_was_lost(&self) -> Error {
        let what = if self.is_shorter() { "was truncated" } else { "could not be read" };
        let reason = format!("{what} while the program ran: the sandbox was ended");
        Error::Root { name: self.name.clone(), reason }
    }
}

impl Drop for MappedImage {
    fn drop(&mut self) {
        // SAFETY: our own addresses, which only a VM knew that is dropped before.
        let unmapped = unsafe { munmap(self.reserved.as_ptr().cast(), self.reserved_length) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The guest-physical addresses of an image of `length` bytes: above all RAM and
/// above 4 GiB, from a boundary of large pages on.
fn place(ram: u64, length: u64) -> Option<Range> {
    let above = ram.saturating_sub(LOW_RAM_END);
    let start = HIGH_RAM_START.checked_add(above)?.checked_next_multiple_of(LARGE_PAGE_SIZE)?;
    let end = start.checked_add(length.checked_next_multiple_of(PAGE_SIZE)?)?;
    (end <= PHYSICAL_END).then_some(Range { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn it_lies_above_ram_and_above_4_gib_on_a_large_pages_boundary() {
        assert_eq!(place(16 << 20, 1), Some(Range { start: 4 << 30, end: (4 << 30) + 4096 }));
        assert_eq!(place(3 << 30, 4096).unwrap().start, 4 << 30);
        assert_eq!(
            place((3 << 30) + 4096, 4097),
            Some(Range { start: (4 << 30) + (2 << 20), end: (4 << 30) + (2 << 20) + 8192 })
        );
        assert_eq!(place(256 << 30, 200 << 30).unwrap().start, 257 << 30);
        assert_eq!(place(256 << 30, 256 << 30), None);
        assert_eq!(place(16 << 20, u64::MAX), None);
    }

    #[test]
    fn the_hosts_addresses_are_as_far_from_a_large_pages_boundary_as_the_guests() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let image = MappedImage::new("i".to_owned(), file, 16 << 20).unwrap();
        let Slot { guest, size, host } = image.slot();
        assert_eq!(guest % LARGE_PAGE_SIZE, host % LARGE_PAGE_SIZE);
        assert_eq!(size, 8192);
    }

    #[test]
    fn what_was_lost_is_said() {
        let file = tempfile::tempfile().unwrap();
        let empty = MappedImage::new("i".to_owned(), file.try_clone().unwrap(), 16 << 20);
        assert_eq!(empty.err().unwrap().to_string(), "i: is empty");
        file.set_len(8192).unwrap();
        let image = MappedImage::new("i".to_owned(), file.try_clone().unwrap(), 16 << 20).unwrap();
        let text = image.what_was_lost().to_string();
        assert!(text.contains("could not be read"), "{text}");
        file.set_len(100).unwrap();
        let text = image.what_was_lost().to_string();
        assert!(text.contains("was truncated while the program ran"), "{text}");
    }
}
