//! Bytes between a file's memory object and a program: in one copy, straight from frame
//! to user memory.
//!
//! The object is locked for the copy, and whoever fetches a missing page of the program's
//! may need the same lock. So the copy stops there, the page is fetched, and it goes on.
//!
//! What lies on the host is kept here, where somebody may read it again. Who reads much at
//! once gets it from there without that: one copy less, and no memory for it.

use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::transfer::MAX_RW_COUNT;
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::object::clean;
use crate::mm::object::{Copied, NoPage, Object};
use crate::mm::space::{AddressSpace, FRAMES_AT_ONCE, FaultError};
use crate::mm::vma::Prot;
use smallvec::SmallVec;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::{MAX_SEGMENTS, MAX_TRANSFER, Segment};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;

/// Clean pages that are given up at once where there is no frame left.
const GIVEN_UP: u64 = 64;

/// So many bytes at once, of which none is here, go straight from the host to the program.
pub const STRAIGHT: u64 = 256 << 10;

/// The longest file: Linux's `MAX_LFS_FILESIZE`.
pub const MAX_SIZE: u64 = i64::MAX as u64;
/// Where a transfer can begin that ends within that, however long it is.
const LAST_START: u64 = MAX_SIZE - MAX_RW_COUNT;

impl From<NoPage> for Errno {
    fn from(why: NoPage) -> Errno {
        match why {
            NoPage::Quota => Errno::ENOSPC,
            NoPage::Frame => Errno::ENOMEM,
            NoPage::Beyond => Errno::EINVAL,
            NoPage::Denied => Errno::EACCES,
            // Who can bring what is absent has done so.
            NoPage::Failed | NoPage::Absent => Errno::EIO,
            NoPage::There => ASK_THE_HOST,
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
    match object.read(offset, to, length) {
        Ok(Copied { bytes: bytes @ 1.., missing: None }) => Ok(bytes),
        stopped => read_on(memory, object, [offset, to, length], stopped),
    }
}

/// The same from where the first copy stopped.
#[cold]
fn read_on(
    memory: &Mutex<AddressSpace>,
    object: &Object,
    [offset, to, length]: [u64; 3],
    mut copied: Result<Copied, NoPage>,
) -> Result<u64, Errno> {
    let mut done = 0;
    loop {
        let fetched = match copied {
            Ok(Copied { bytes, missing }) => {
                done += bytes;
                match missing {
                    None if done > 0 => return Ok(done),
                    None => return nothing_at(offset, length),
                    Some(address) => fetch(memory, address, Prot::WRITE),
                }
            }
            Err(NoPage::Absent) => {
                straight(memory, object, [offset + done, to + done, length - done])
                    .map(|got| done += got)
            }
            Err(no_page) => bring(object, no_page),
        };
        match fetched {
            Ok(()) => copied = object.read(offset + done, to + done, length - done),
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

/// Reads what is absent at `offset`: much of it straight to the program, of which is
/// answered how much; else it is here then.
fn straight(
    memory: &Mutex<AddressSpace>,
    object: &Object,
    [offset, to, length]: [u64; 3],
) -> Result<u64, Errno> {
    let page = offset / PAGE_SIZE;
    if length >= STRAIGHT && offset.is_multiple_of(PAGE_SIZE) {
        let length = object.absent_from(page, length.min(MAX_TRANSFER));
        let (runs, taken) = pieces_of(memory, to, length);
        // In many small pieces a request would be full soon.
        if taken >= STRAIGHT {
            let got = object.pass(page, &runs)?;
            if got > 0 {
                return Ok(got);
            }
        }
    }
    bring(object, NoPage::Absent).map(|()| 0)
}

/// Where so many bytes of the program's are that can be written, as far as one request
/// holds it; and how many these are.
#[expect(clippy::disallowed_methods, reason = "it has room for as many")]
fn pieces_of(
    memory: &Mutex<AddressSpace>,
    to: u64,
    length: u64,
) -> (SmallVec<[Range; MAX_SEGMENTS]>, u64) {
    let mut runs: SmallVec<[Range; MAX_SEGMENTS]> = SmallVec::new();
    if length < STRAIGHT {
        return (runs, 0);
    }
    frames::stock(FRAMES_AT_ONCE);
    let taken = memory.lock().pieces(to, length, Prot::WRITE, |Segment { address, length }| {
        let is_full = runs.len() == MAX_SEGMENTS;
        match runs.last_mut() {
            Some(last) if last.end == address => last.end += length,
            _ if is_full => return false,
            _ => runs.push(Range { start: address, end: address + length }),
        }
        true
    });
    (runs, taken)
}

/// What reading answers where nothing is: an error, if it would end beyond all offsets.
#[cold]
fn nothing_at(offset: u64, length: u64) -> Result<u64, Errno> {
    let end = offset.checked_add(length).filter(|&end| end <= MAX_SIZE);
    end.map(|_| 0).ok_or(Errno::EINVAL)
}

/// How many bytes can be written at the end of all offsets. At an offset that was given
/// all of them can, or none.
#[cold]
fn room_at(start: u64, length: u64, given: bool) -> Result<u64, Errno> {
    let room = MAX_SIZE.saturating_sub(start);
    match given {
        _ if length <= room => Ok(length),
        true => Err(Errno::EINVAL),
        false if room == 0 => Err(Errno::EFBIG),
        false => Ok(room),
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
    let start = offset.unwrap_or_else(|| object.size());
    let length = match start {
        ..=LAST_START => length,
        _ => room_at(start, length, offset.is_some())?,
    };
    match object.write(offset, from, length) {
        Ok((start, copied)) if copied.bytes == length => Ok((start, length)),
        stopped => write_on(memory, object, (offset, start), [from, length], stopped),
    }
}

/// The same from where the first copy stopped, which began at `start` if it did.
#[cold]
fn write_on(
    memory: &Mutex<AddressSpace>,
    object: &Object,
    (mut at, mut start): (Option<u64>, u64),
    [from, length]: [u64; 2],
    mut copied: Result<(u64, Copied), NoPage>,
) -> Result<(u64, u64), Errno> {
    let mut done = 0;
    loop {
        let fetched = match copied {
            Ok((began, Copied { bytes, missing })) => {
                if done == 0 {
                    start = began;
                }
                done += bytes;
                at = Some(start + done);
                match missing {
                    None if bytes == 0 || done == length => return Ok((start, done)),
                    // What is left finds out why it stopped.
                    None => Ok(()),
                    Some(address) => fetch(memory, address, Prot::READ),
                }
            }
            // Others go before a program does without.
            Err(NoPage::Frame) if clean::give_up(GIVEN_UP) > 0 => Ok(()),
            Err(no_page) => bring(object, no_page),
        };
        match fetched {
            Ok(()) => copied = object.write(at, from + done, length - done),
            Err(_) if done > 0 => return Ok((start, done)),
            Err(error) => return Err(error),
        }
    }
}

/// Has the object's page brought, if that is all that was missing.
fn bring(object: &Object, no_page: NoPage) -> Result<(), Errno> {
    if no_page != NoPage::Absent {
        return Err(no_page.into());
    }
    object.bring_absent().map_err(Errno::from)
}

/// Fetches a page of the program's.
fn fetch(memory: &Mutex<AddressSpace>, address: u64, access: Prot) -> Result<(), Errno> {
    fault::fetch(memory, address, access).map_err(|error| match error {
        FaultError::OutOfMemory => Errno::ENOMEM,
        _ => Errno::EFAULT,
    })
}
