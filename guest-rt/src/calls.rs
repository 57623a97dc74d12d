//! Thin wrappers around the calls that nearly every program makes: types in,
//! `Result` out. Programs that try other calls use the doors themselves.
#![allow(unsafe_code, reason = "wraps raw system calls")]

use crate::arch::{CLOCK_GETTIME, Word, door, nr};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

/// A descriptor as a register holds it: extended by its sign.
const fn register(number: i32) -> Word {
    number as Word
}

/// write(2): how many of the bytes were written.
///
/// # Errors
/// Those of write(2).
pub fn write(fd: i32, bytes: &[u8]) -> Result<u64, Errno> {
    let (start, length) = (bytes.as_ptr() as Word, bytes.len() as Word);
    // SAFETY: the call reads a slice.
    from_return(unsafe { door::call3(nr::WRITE, register(fd), start, length) })
}

/// Writes all of the bytes; answers how many they are.
///
/// # Errors
/// Those of write(2), except EINTR; ENOSPC if the file takes no more.
pub fn write_all(fd: i32, bytes: &[u8]) -> Result<u64, Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match write(fd, rest) {
            Ok(0) => return Err(Errno::ENOSPC),
            Ok(count) => rest = &rest[count as usize..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes.len() as u64)
}

/// read(2): how many bytes came; 0 at the end.
///
/// # Errors
/// Those of read(2).
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<u64, Errno> {
    let (start, length) = (buffer.as_mut_ptr() as Word, buffer.len() as Word);
    // SAFETY: the call writes into a slice that is ours alone.
    from_return(unsafe { door::call3(nr::READ, register(fd), start, length) })
}

/// getpid(2).
///
/// # Errors
/// None, on Linux.
pub fn getpid() -> Result<u64, Errno> {
    // SAFETY: the call touches no memory.
    from_return(unsafe { door::call0(nr::GETPID) })
}

/// clock_gettime(2), in nanoseconds.
///
/// # Errors
/// EINVAL for a clock that is not there.
pub fn clock_gettime_ns(clock: i32) -> Result<u64, Errno> {
    let mut time = [0u64; 2];
    let address = time.as_mut_ptr() as Word;
    // SAFETY: the call writes a `struct timespec` of 64-bit words into an array.
    from_return(unsafe { door::call2(CLOCK_GETTIME, register(clock), address) })?;
    Ok(time[0] * 1_000_000_000 + time[1])
}

/// exit_group(2): ends the program.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: nothing of the program remains that could be harmed.
        unsafe { door::call1(nr::EXIT_GROUP, register(status)) };
    }
}
