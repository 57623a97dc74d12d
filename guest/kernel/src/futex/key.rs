//! Which word is meant: of an address space's own memory, or of an object's that several
//! may have mapped.

use crate::mm::backing::Mapped;
use crate::mm::space::AddressSpace;
use crate::user::UserPtr;
use alloc::sync::Arc;
use core::ptr::from_ref;
use spin::Mutex;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::{access_ok, compare_exchange};
use trapgate_uapi::Errno;

/// Where a program keeps a futex: in which memory, and whether others may have it mapped.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    /// The memory of who asks.
    pub memory: &'a Mutex<AddressSpace>,
    /// Its address there.
    pub address: u64,
    /// Without `FUTEX_PRIVATE_FLAG`: what matters is what is mapped there.
    pub shared: bool,
}

/// What a word is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where the address space is, or the object, with a bit that says how it was asked
    /// for: as in Linux, those who share a word of private memory do not meet those who
    /// do not.
    whose: u64,
    /// The address, or the distance from the object's beginning.
    at: u64,
}

impl Key {
    /// A number below `1 << bits`, which is another for most others.
    #[inline(always)]
    pub(super) fn hash(self, bits: u32) -> usize {
        ((self.at ^ self.whose).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }

    #[cfg(test)]
    pub(crate) const fn of(whose: u64, at: u64) -> Key {
        Key { whose, at }
    }
}

/// A word that was found. The object stays as long as somebody waits for its words: no
/// other is at its place.
pub type Found = (Key, Option<Arc<Mapped>>);

/// Whether a word can be at an address.
///
/// # Errors
/// EINVAL for one that is no word's; EFAULT.
#[inline(always)]
pub fn check(address: u64) -> Result<(), Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if access_ok(address, 4) { Ok(()) } else { Err(Errno::EFAULT) }
}

impl Word<'_> {
    /// The word's value.
    ///
    /// # Errors
    /// EFAULT.
    pub fn read(self) -> Result<u32, Errno> {
        UserPtr::new(self.address).read()
    }

    /// Puts `new` into it where `old` is, at once; what was there.
    ///
    /// # Errors
    /// EFAULT.
    pub fn compare_exchange(self, old: u32, new: u32) -> Result<u32, Errno> {
        compare_exchange(self.address, old, new).ok_or(Errno::EFAULT)
    }

    /// Which word it is.
    ///
    /// # Errors
    /// EINVAL for an address that is no word's; EFAULT.
    #[inline(always)]
    pub fn find(self) -> Result<Found, Errno> {
        check(self.address)?;
        let whose = from_ref(self.memory).addr() as u64;
        if self.shared {
            return self.find_shared(whose | 1);
        }
        Ok((Key { whose, at: self.address }, None))
    }

    /// The same of a word that is to be written.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_to_write(self) -> Result<Found, Errno> {
        let found = self.find()?;
        // Nothing changes, but the page is there.
        if self.shared {
            self.compare_exchange(0, 0)?;
        }
        Ok(found)
    }

    fn find_shared(self, whose: u64) -> Result<Found, Errno> {
        let behind = self.memory.lock().shared_behind(self.address);
        // As Linux, which looks for the page.
        Ok(match behind {
            Some((mapped, page)) => {
                self.read()?;
                let whose = Arc::as_ptr(&mapped.object).addr() as u64;
                let at = page * PAGE_SIZE + self.address % PAGE_SIZE;
                (Key { whose, at }, Some(mapped))
            }
            None => {
                // Nothing changes, but it is the program's own.
                self.compare_exchange(0, 0)?;
                (Key { whose, at: self.address }, None)
            }
        })
    }
}
