//! Bytes between a file's memory object and a program: in one copy, straight from frame
//! to user memory.
//!
//! The object is locked for the copy, and whoever fetches a missing page of the program's
//! may need the same lock. So the copy stops there, the page is fetched, and it goes on.

use crate::mm::fault;
use crate::mm::object::clean;
use crate::mm::object::{NoPage, Object};
use crate::mm::space::{AddressSpace, FaultError};
use crate::mm::vma::Prot;
use spin::Mutex;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;

/// Clean pages that are given up at once where there is no frame left.
const GIVEN_UP: u64 = 64;

/// The longest file: Linux's `MAX_LFS_FILESIZE`.
pub const MAX_SIZE: u64 = i64::MAX as u64;

impl From<NoPage> for Errno {
    fn from(why: NoPage) -> Errno {
        match why {
            NoPage::Quota => Errno::ENOSPC,
            NoPage::Frame => Errno::ENOMEM,
            NoPage::Beyond => Errno::EINVAL,
            NoPage::Denied => Errno::EACCES,
            // Who can bring what is absent has done so.
            NoPage::Failed | NoPage::Absent => Errno::EIO,
        }
    }
}

/// Reads up to `length` bytes from `offset` on: how many.
///
/// # Errors
/// EFAULT, ENOMEM, if nothing was read.
#[inline]
pub fn read(
    memory: &Mutex<AddressSpace>,
    object: &Object,
    offset: u64,
    to: u64,
    length: u64,
) -> Result<u64, Errno> {
    if !access_ok(to, length) {
        return Err(Errno::EFAULT);
    }
    let mut done = 0;
    loop {
        let copied = match object.read(offset + done, to + done, length - done) {
            Ok(copied) => copied,
            Err(no_page) => match bring(object, no_page) {
                Ok(()) => continue,
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            },
        };
        done += copied.bytes;
        let Some(missing) = copied.missing else { return Ok(done) };
        if let Err(error) = fetch(memory, missing, Prot::WRITE) {
            return if done > 0 { Ok(done) } else { Err(error) };
        }
    }
}

/// Writes bytes at `offset` and on, or at the end, where there is none: answers where it
/// began, and how many.
///
/// # Errors
/// EFAULT, ENOMEM, ENOSPC, EFBIG, if nothing was written.
#[inline]
pub fn write(
    memory: &Mutex<AddressSpace>,
    object: &Object,
    offset: Option<u64>,
    from: u64,
    length: u64,
) -> Result<(u64, u64), Errno> {
    if !access_ok(from, length) {
        return Err(Errno::EFAULT);
    }
    let mut start = offset.unwrap_or_else(|| object.size());
    if start >= MAX_SIZE && length > 0 {
        return Err(Errno::EFBIG);
    }
    let length = length.min(MAX_SIZE - start);
    let (mut at, mut done) = (offset, 0);
    loop {
        let error = match object.write(at, from + done, length - done) {
            Ok((began, copied)) => {
                if done == 0 {
                    start = began;
                }
                done += copied.bytes;
                at = Some(start + done);
                match copied.missing {
                    None if copied.bytes == 0 || done == length => return Ok((start, done)),
                    // What is left finds out why it stopped.
                    None => continue,
                    Some(missing) => match fetch(memory, missing, Prot::READ) {
                        Ok(()) => continue,
                        Err(error) => error,
                    },
                }
            }
            // Others go before a program does without.
            Err(NoPage::Frame) if clean::give_up(GIVEN_UP) > 0 => continue,
            Err(no_page) => match bring(object, no_page) {
                Ok(()) => continue,
                Err(error) => error,
            },
        };
        return if done > 0 { Ok((start, done)) } else { Err(error) };
    }
}

/// Has the object's page brought, if that is all that was missing.
#[cold]
fn bring(object: &Object, no_page: NoPage) -> Result<(), Errno> {
    if no_page != NoPage::Absent {
        return Err(no_page.into());
    }
    object.bring_absent().map_err(Errno::from)
}

/// Fetches a page of the program's.
#[cold]
fn fetch(memory: &Mutex<AddressSpace>, address: u64, access: Prot) -> Result<(), Errno> {
    fault::fetch(memory, address, access).map_err(|error| match error {
        FaultError::OutOfMemory => Errno::ENOMEM,
        _ => Errno::EFAULT,
    })
}
