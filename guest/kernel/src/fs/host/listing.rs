//! The names of a directory, as the host had them at one time.
//!
//! A place in a directory is a number of the host's of 64 bits, and programs have room
//! for fewer. So all names are fetched, and the place is how many came before.

use super::ask;
use super::buffer::Buffer;
use super::node::Node;
use crate::fs::lower::LowerName;
use crate::memory::try_extend;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::hypercall::files::{Entries, Entry};
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::NAME_MAX;

/// Frames for a request.
const FRAMES: u64 = 8;
/// The longest listing, in bytes: the number of its names stays below 2^30.
const MOST_BYTES: usize = 1 << 28;

/// Names, and where one was found last.
#[derive(Debug)]
pub(super) struct Listing {
    /// [`Entries`]
    bytes: Vec<u8>,
    /// A name's number, and where it begins.
    last: Mutex<[usize; 2]>,
}

/// Whether it is a name of a file in a directory.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_MAX
        && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}

impl Listing {
    /// All names that a directory has now.
    ///
    /// # Errors
    /// ENOMEM; EIO, and what else the host says.
    pub(super) fn fetch(directory: &Arc<Node>) -> Result<Listing, Errno> {
        let buffer = Buffer::new(FRAMES)?;
        let run = buffer.run();
        let (mut bytes, mut cookie) = (Vec::new(), 0);
        loop {
            let got = directory.ask(|handle| ask::list(handle, cookie, &[run]))?;
            if got == 0 {
                return Ok(Listing { bytes, last: Mutex::new([0; 2]) });
            }
            let (old, got) = (bytes.len(), got.min(run.len()) as usize);
            if old + got > MOST_BYTES {
                return Err(Errno::EFBIG);
            }
            extend(&mut bytes, got)?;
            phys::read_run(run.start, &mut bytes[old..]);
            let (mut end, next) = (old, cookie);
            for entry in Entries::new(&bytes[old..]) {
                end += Entry::size(entry.name.len());
                cookie = entry.next;
            }
            // What is no entry, or no way on.
            if end == old || cookie == next {
                return Err(Errno::EIO);
            }
            bytes.truncate(end);
        }
    }

    /// Calls `each` with the names from number `from` on, until it answers false.
    pub(super) fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let [mut number, mut at] = *self.last.lock();
        if number > from {
            [number, at] = [0; 2];
        }
        for entry in Entries::new(&self.bytes[at..]) {
            if number >= from {
                *self.last.lock() = [number, at];
                let next = number as u64 + 1;
                let Entry { number, kind, name, .. } = entry;
                if is_name(name) && !each(LowerName { name, number, kind, next }) {
                    return;
                }
            }
            number += 1;
            at += Entry::size(entry.name.len());
        }
        *self.last.lock() = [number, at];
    }
}

/// Makes room behind the bytes that are there.
fn extend(bytes: &mut Vec<u8>, count: usize) -> Result<(), Errno> {
    const ZEROES: [u8; 256] = [0; 256];
    let mut left = count;
    bytes.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
    while left > 0 {
        let piece = left.min(ZEROES.len());
        try_extend(bytes, &ZEROES[..piece])?;
        left -= piece;
    }
    Ok(())
}
