//! User pointers: claims, not facts.
//!
//! Handlers take [`UserPtr`]s as arguments and get values by copying, or
//! EFAULT. An address is checked with [`access_ok`] first, and the
//! copy itself may still fault: `arch::usercopy`.
#![allow(unsafe_code, reason = "hands checked addresses to arch::usercopy")]

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use smallvec::SmallVec;
use trapgate_abi::layout::{PAGE_SIZE, USER_END};
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;

/// Whether `length` bytes at `address` lie in the user's half.
#[inline(always)]
pub const fn access_ok(address: u64, length: u64) -> bool {
    match address.checked_add(length) {
        Some(end) => end <= USER_END,
        None => false,
    }
}

/// Types whose values may come from anywhere: every bit pattern is one, and
/// there is no padding.
///
/// # Safety
/// As the sentence says.
pub unsafe trait Plain: Copy {}
// SAFETY: integers are plain.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: arrays have no padding between elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Declares a `repr(C)` structure of the system-call interface as [`Plain`]:
/// checks that its fields leave no padding.
macro_rules! plain_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $( $(#[$fm:meta])* pub $field:ident : $ty:ty, )* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name { $( $(#[$fm])* pub $field: $ty, )* }
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*, "padding");
        #[allow(unsafe_code, reason = "the assertion above is the proof")]
        // SAFETY: all fields are plain, and the sizes leave no padding.
        unsafe impl $crate::user::Plain for $name where $($ty: $crate::user::Plain),* {}
    };
}
pub(crate) use plain_struct;

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

impl<T: Plain> UserPtr<T> {
    /// Copies the value in.
    ///
    /// # Errors
    /// EFAULT.
    pub fn read(self) -> Result<T, Errno> {
        let mut value = MaybeUninit::<T>::uninit();
        copy_from_user(value.as_mut_ptr().cast(), self.address, size_of::<T>())?;
        // SAFETY: all bytes were copied, and any bytes are a `T`.
        Ok(unsafe { value.assume_init() })
    }

    /// Copies a value out.
    ///
    /// # Errors
    /// EFAULT.
    pub fn write(self, value: T) -> Result<(), Errno> {
        copy_to_user(self.address, (&raw const value).cast(), size_of::<T>())
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
        copy_to_user(self.address, values.as_ptr().cast(), size_of_val(values))
    }
}

fn copy_from_user(to: *mut u8, from: u64, length: usize) -> Result<(), Errno> {
    if !access_ok(from, length as u64) {
        return Err(Errno::EFAULT);
    }
    // One load is cheaper than REP for the sizes that calls use most.
    match length {
        4 => {
            // SAFETY: `from` was checked.
            let value = unsafe { usercopy::get_u32(from as *const u32) }.ok_or(Errno::EFAULT)?;
            // SAFETY: `to` comes from a value of that length in this file.
            unsafe { to.cast::<u32>().write_unaligned(value) };
        }
        8 => {
            // SAFETY: as above, both.
            let value = unsafe { usercopy::get_u64(from as *const u64) }.ok_or(Errno::EFAULT)?;
            // SAFETY: as above, both.
            unsafe { to.cast::<u64>().write_unaligned(value) };
        }
        // SAFETY: as above, both.
        _ if unsafe { usercopy::copy(to, from as *const u8, length) } == 0 => {}
        _ => return Err(Errno::EFAULT),
    }
    Ok(())
}

fn copy_to_user(to: u64, from: *const u8, length: usize) -> Result<(), Errno> {
    if !access_ok(to, length as u64) {
        return Err(Errno::EFAULT);
    }
    let done = match length {
        // SAFETY: `from` is a value of that length in this file, `to` was
        // checked.
        4 => unsafe { usercopy::put_u32(to as *mut u32, from.cast::<u32>().read_unaligned()) },
        // SAFETY: as above.
        8 => unsafe { usercopy::put_u64(to as *mut u64, from.cast::<u64>().read_unaligned()) },
        // SAFETY: as above.
        _ => unsafe { usercopy::copy(to as *mut u8, from, length) == 0 },
    };
    if done { Ok(()) } else { Err(Errno::EFAULT) }
}

/// As many bytes as can be read at `address`, up to `to.len()`: how many.
pub fn copy_prefix(to: &mut [u8], address: u64) -> usize {
    if !access_ok(address, to.len() as u64) {
        return 0;
    }
    // SAFETY: the slice is valid, the address was checked.
    to.len() - unsafe { usercopy::copy(to.as_mut_ptr(), address as *const u8, to.len()) }
}

/// What [`read_string`] found.
pub struct UserString {
    /// The bytes before the NUL.
    pub bytes: Vec<u8>,
    /// Whether there was a NUL among the bytes read.
    pub terminated: bool,
}

/// Reads a string up to its NUL, and `count` bytes at most, the NUL included:
/// Linux's `strncpy_from_user`.
///
/// # Errors
/// EFAULT.
pub fn read_string(from: UserPtr<u8>, count: usize) -> Result<UserString, Errno> {
    let mut bytes = Vec::new();
    let mut address = from.address;
    let mut chunk = [0u8; 64];
    while bytes.len() < count {
        // Up to the page's end and no further: the string may end there.
        let to_page_end = (PAGE_SIZE - address % PAGE_SIZE) as usize;
        let room = to_page_end.min(chunk.len()).min(count - bytes.len());
        let piece = &mut chunk[..room];
        let got = copy_prefix(piece, address);
        if let Some(end) = piece[..got].iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            return Ok(UserString { bytes, terminated: true });
        }
        if got < room {
            return Err(Errno::EFAULT);
        }
        bytes.try_reserve(piece.len()).map_err(|_| Errno::ENOMEM)?;
        bytes.extend_from_slice(piece);
        address += room as u64;
    }
    Ok(UserString { bytes, terminated: false })
}

plain_struct! {
    /// `struct iovec` of readv(2).
    pub struct IoVec {
        /// First byte.
        pub base: u64,
        /// Bytes.
        pub length: u64,
    }
}

plain_struct! {
    /// i386's `struct iovec`.
    pub struct CompatIoVec {
        /// First byte.
        pub base: u32,
        /// Bytes.
        pub length: u32,
    }
}
const _: () = assert!(size_of::<CompatIoVec>() == 8);

impl CompatIoVec {
    fn widen(self) -> (IoVec, Option<i64>) {
        let length = (self.length as i32 >= 0).then_some(self.length.into());
        (IoVec { base: self.base.into(), length: self.length.into() }, length)
    }
}

/// `UIO_MAXIOV`: the most elements of an array of [`IoVec`].
pub const MAX_IOV: u64 = 1024;

/// An array of [`IoVec`]: the few that most calls have stay off the heap.
pub type IoVecs = SmallVec<[IoVec; 4]>;

/// Copies an array of [`IoVec`] in and checks it as readv(2) wants it.
///
/// # Errors
/// EINVAL for too many elements or too many bytes, EFAULT.
pub fn read_iovecs(array: UserPtr<IoVec>, count: u64) -> Result<IoVecs, Errno> {
    collect_iovecs(count, |index| {
        let vector = array.offset(index).read()?;
        Ok((vector, i64::try_from(vector.length).ok()))
    })
}

/// The same of i386's layout.
///
/// # Errors
/// As [`read_iovecs`].
pub fn read_compat_iovecs(array: UserPtr<CompatIoVec>, count: u64) -> Result<IoVecs, Errno> {
    collect_iovecs(count, |index| array.offset(index).read().map(CompatIoVec::widen))
}

/// Collects `count` elements from `read`, which answers each with its length
/// as a signed number of the caller's width, `None` for what is none.
fn collect_iovecs(
    count: u64,
    read: impl Fn(u64) -> Result<(IoVec, Option<i64>), Errno>,
) -> Result<IoVecs, Errno> {
    if count > MAX_IOV {
        return Err(Errno::EINVAL);
    }
    let mut total = 0i64;
    let mut vectors = IoVecs::new();
    for index in 0..count {
        let (vector, length) = read(index)?;
        total = length.and_then(|length| total.checked_add(length)).ok_or(Errno::EINVAL)?;
        vectors.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        vectors.push(vector);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_ok_refuses_the_kernels_half_and_wrapping() {
        assert!(access_ok(0, 0) && access_ok(USER_END, 0) && access_ok(USER_END - 1, 1));
        assert!(!access_ok(USER_END, 1) && !access_ok(USER_END - 1, 2));
        assert!(!access_ok(u64::MAX, 1) && !access_ok(8, u64::MAX - 3));
        assert!(!access_ok(0xffff_8880_0000_0000, 8) && !access_ok(1 << 47, 1));
    }
}
