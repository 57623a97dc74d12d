//! The devices that there are (null(4), full(4), random(4)), by their numbers.

use crate::fs::transfer::{Until, transfer};
use crate::mm::space::AddressSpace;
use crate::mm::vma::Prot;
use spin::Mutex;
use trapgate_abi::hypercall::{MAX_RANDOM, Request};
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;
use trapgate_uapi::uio::Iovec;

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// /dev/null
    Null,
    /// /dev/zero
    Zero,
    /// /dev/full
    Full,
    /// /dev/random and /dev/urandom
    Random,
}

/// The number of a device (makedev(3)), as long as both parts are small.
pub const fn number(major: u64, minor: u64) -> u64 {
    major << 8 | minor
}

impl Device {
    /// The device of that number, if there is one.
    pub const fn of(device: u64) -> Option<Device> {
        const NULL: u64 = number(1, 3);
        const ZERO: u64 = number(1, 5);
        const FULL: u64 = number(1, 7);
        const RANDOM: u64 = number(1, 8);
        const URANDOM: u64 = number(1, 9);
        match device {
            NULL => Some(Device::Null),
            ZERO => Some(Device::Zero),
            FULL => Some(Device::Full),
            RANDOM | URANDOM => Some(Device::Random),
            _ => None,
        }
    }

    /// read(2)
    ///
    /// # Errors
    /// EFAULT; what the VMM answers.
    pub fn read(self, memory: &Mutex<AddressSpace>, to: u64, length: u64) -> Result<u64, Errno> {
        match self {
            Device::Null => Ok(0),
            Device::Zero | Device::Full => zeroes(to, length),
            Device::Random => random(memory, to, length),
        }
    }

    /// write(2): everything is taken, and goes nowhere.
    ///
    /// # Errors
    /// ENOSPC.
    pub const fn write(self, length: u64) -> Result<u64, Errno> {
        match self {
            Device::Full => Err(Errno::ENOSPC),
            Device::Null | Device::Zero | Device::Random => Ok(length),
        }
    }
}

/// Fills user memory with the host's random bytes, as many as a request may ask for at
/// a time.
fn random(memory: &Mutex<AddressSpace>, to: u64, length: u64) -> Result<u64, Errno> {
    let mut done = 0;
    while done < length {
        let iov_len = (length - done).min(MAX_RANDOM);
        let range = [Iovec { iov_base: to.wrapping_add(done), iov_len }];
        let request = &mut |_| Request::Random;
        match transfer(memory, &range, Prot::WRITE, Until::Done, None, request).result() {
            Ok(moved) => done += moved,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Fills user memory with zeroes.
fn zeroes(to: u64, length: u64) -> Result<u64, Errno> {
    const ZEROES: [u8; 512] = [0; 512];
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(ZEROES.len() as u64);
        if !usercopy::write(to.wrapping_add(done), &ZEROES[..piece as usize]) {
            return if done > 0 { Ok(done) } else { Err(Errno::EFAULT) };
        }
        done += piece;
    }
    Ok(done)
}
