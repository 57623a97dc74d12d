//! User pointers: claims, not facts.
//!
//! Handlers take [`UserPtr`]s as arguments and get values by copying, or
//! EFAULT. The copies are `arch::usercopy`'s.

use crate::memory::{try_extend, try_extend_small, try_push_small};
use alloc::vec::Vec;
use core::marker::PhantomData;
use smallvec::SmallVec;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;
use trapgate_uapi::uio::{CompatIovec, Iovec, UIO_MAXIOV};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A user's claim that a `T` lies at an address.
#[repr(transparent)]
pub struct UserPtr<T> {
    address: u64,
    what: PhantomData<*mut T>,
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T> UserPtr<T> {
    /// The claim that a `T` lies at `address`.
    pub const fn new(address: u64) -> Self {
        UserPtr { address, what: PhantomData }
    }

    /// The address claimed.
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Whether it is the null pointer, which many calls take for "none".
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// The claim that another type lies there.
    pub const fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.address)
    }

    /// The element `index` further.
    pub const fn offset(self, index: u64) -> Self {
        UserPtr::new(self.address.wrapping_add(index.wrapping_mul(size_of::<T>() as u64)))
    }
}

impl<T: FromBytes> UserPtr<T> {
    /// Copies the value in.
    ///
    /// # Errors
    /// EFAULT.
    pub fn read(self) -> Result<T, Errno> {
        usercopy::read(self.address).ok_or(Errno::EFAULT)
    }
}

impl<T: IntoBytes + Immutable> UserPtr<T> {
    /// Copies a value out.
    ///
    /// # Errors
    /// EFAULT.
    pub fn write(self, value: T) -> Result<(), Errno> {
        if usercopy::write(self.address, &value) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Copies a value out, unless the pointer is null.
    ///
    /// # Errors
    /// EFAULT.
    pub fn write_if(self, value: T) -> Result<(), Errno> {
        if self.is_null() { Ok(()) } else { self.write(value) }
    }

    /// Copies the values out, one after the other.
    ///
    /// # Errors
    /// EFAULT.
    pub fn write_slice(self, values: &[T]) -> Result<(), Errno> {
        if usercopy::write(self.address, values) { Ok(()) } else { Err(Errno::EFAULT) }
    }
}

/// A string of a program's; most are short.
pub type Bytes = SmallVec<[u8; CHUNK]>;

/// Bytes that [`read_string`] reads at a time.
const CHUNK: usize = 64;

/// What [`read_string`] found.
pub struct UserString {
    /// The bytes before the NUL.
    pub bytes: Bytes,
    /// Whether there was a NUL among the bytes read.
    pub terminated: bool,
}

/// Reads a string up to its NUL, and `count` bytes at most, the NUL included:
/// Linux's `strncpy_from_user`.
///
/// # Errors
/// EFAULT, ENOMEM.
pub fn read_string(from: UserPtr<u8>, count: usize) -> Result<UserString, Errno> {
    let mut bytes = Bytes::new();
    let terminated = string(from, count, |piece| try_extend_small(&mut bytes, piece))?;
    Ok(UserString { bytes, terminated })
}

/// Room for a string of a program's: a short one stays off the heap.
pub struct StringBuffer {
    short: [u8; CHUNK],
    /// One that is not short; else it is empty.
    long: Vec<u8>,
}

/// One that holds nothing yet.
impl Default for StringBuffer {
    #[inline]
    fn default() -> StringBuffer {
        StringBuffer { short: [0; CHUNK], long: Vec::new() }
    }
}

impl StringBuffer {
    /// Reads a string up to its NUL, once: how many bytes are in front of that; `None` if
    /// there is none among `count` bytes, which are more than a chunk.
    ///
    /// # Errors
    /// EFAULT, ENOMEM.
    #[inline(always)]
    pub fn read(&mut self, from: UserPtr<u8>, count: usize) -> Result<Option<usize>, Errno> {
        // Up to the page's end and no further: the string may end there.
        let room = (PAGE_SIZE - from.address % PAGE_SIZE).min(CHUNK as u64) as usize;
        let got = usercopy::read_prefix(&mut self.short[..room], from.address);
        match first_zero(&self.short).filter(|&end| end < got) {
            Some(end) => Ok(Some(end)),
            None => self.read_long(from, count),
        }
    }

    #[cold]
    fn read_long(&mut self, from: UserPtr<u8>, count: usize) -> Result<Option<usize>, Errno> {
        let terminated = append_string(&mut self.long, from, count)?;
        Ok(terminated.then_some(self.long.len()))
    }

    /// What was read, and perhaps what was behind it.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short } else { &self.long }
    }
}

/// Appends such a string, without its NUL; answers whether there was one.
///
/// # Errors
/// EFAULT, ENOMEM.
pub fn append_string(to: &mut Vec<u8>, from: UserPtr<u8>, count: usize) -> Result<bool, Errno> {
    string(from, count, |piece| try_extend(to, piece))
}

/// Calls `take` with such a string's pieces; answers whether there was a NUL.
#[inline]
fn string(
    from: UserPtr<u8>,
    count: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<bool, Errno> {
    let (mut address, mut left) = (from.address, count);
    let mut chunk = [0u8; CHUNK];
    while left > 0 {
        // Up to the page's end and no further: the string may end there.
        let to_page_end = (PAGE_SIZE - address % PAGE_SIZE) as usize;
        let room = to_page_end.min(chunk.len()).min(left);
        let piece = &mut chunk[..room];
        let got = usercopy::read_prefix(piece, address);
        if let Some(end) = first_zero(&piece[..got]) {
            take(&piece[..end])?;
            return Ok(true);
        }
        if got < room {
            return Err(Errno::EFAULT);
        }
        take(piece)?;
        (address, left) = (address + room as u64, left - room);
    }
    Ok(false)
}

/// Where the first zero is: a word at a time.
#[inline]
fn first_zero(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest byte with its highest bit set was zero.
        let zeroes = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeroes != 0 {
            return Some(8 * index + zeroes.trailing_zeros() as usize / 8);
        }
    }
    Some(8 * words.len() + rest.iter().position(|&byte| byte == 0)?)
}

/// An array of [`Iovec`]: the few that most calls have stay off the heap.
pub type IoVecs = SmallVec<[Iovec; 4]>;

/// Copies an array of [`Iovec`] in and checks it as readv(2) wants it.
///
/// # Errors
/// EINVAL for too many elements or a negative length, EFAULT, ENOMEM.
pub fn read_iovecs(array: UserPtr<Iovec>, count: u64) -> Result<IoVecs, Errno> {
    collect_iovecs(count, |index| {
        let vector = array.offset(index).read()?;
        Ok((vector, vector.iov_len <= i64::MAX as u64))
    })
}

/// The same of i386's layout.
///
/// # Errors
/// As [`read_iovecs`].
pub fn read_compat_iovecs(array: UserPtr<CompatIovec>, count: u64) -> Result<IoVecs, Errno> {
    collect_iovecs(count, |index| {
        let vector = array.offset(index).read()?;
        Ok((vector.into(), vector.iov_len <= i32::MAX as u32))
    })
}

/// Collects `count` elements from `read`, which answers each with whether its length is a
/// signed number of the caller's width. Together they may be longer: what is too much is
/// left out.
fn collect_iovecs(
    count: u64,
    read: impl Fn(u64) -> Result<(Iovec, bool), Errno>,
) -> Result<IoVecs, Errno> {
    if count > UIO_MAXIOV {
        return Err(Errno::EINVAL);
    }
    let mut vectors = IoVecs::new();
    for index in 0..count {
        let (vector, fits) = read(index)?;
        if !fits {
            return Err(Errno::EINVAL);
        }
        try_push_small(&mut vectors, vector)?;
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_zero_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut bytes = vec![0xff; length];
            assert_eq!(first_zero(&bytes), None);
            for at in (0..length).rev() {
                bytes[at] = 0;
                assert_eq!(first_zero(&bytes), Some(at));
                bytes[at] = 1 << (at % 8);
            }
        }
    }
}
