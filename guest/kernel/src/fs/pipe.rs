//! Pipes (pipe(7), fifo(7)): bytes from those who write to those who read.
//!
//! As in Linux a pipe has places for pages. A write takes places of its own, but for what
//! does not fill pages: that goes behind what was written last, if all of it fits there.
//! So what is at most a page long is written at once or not at all.
//!
//! Bytes are copied straight between frames and the program. The pipe is locked then, so
//! a page of the program's that is missing ends the copy; it is fetched, and the piece
//! is copied again.

mod few;
mod pages;
mod splice;

use crate::fs::open_flags::{readable, writable};
use crate::fs::transfer::MAX_RW_COUNT;
use crate::mm::fault;
use crate::mm::space::{AddressSpace, FaultError};
use crate::mm::vma::Prot;
use crate::sched::wait::wait;
use crate::sched::wait_queue::WaitQueue;
use pages::{Pages, Step};
use spin::Mutex;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::{phys, usercopy};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_DIRECT, O_NONBLOCK};
use trapgate_uapi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use trapgate_uapi::uio::Iovec;

/// Places that a pipe has at first.
const PLACES: usize = 16;

/// A pipe.
#[derive(Default)]
pub struct Pipe {
    held: Mutex<Held>,
    /// Who waits for bytes, or for a writer.
    pub readers: WaitQueue,
    /// Who waits for room, or for a reader.
    pub writers: WaitQueue,
}

/// What is in a pipe, and who has it open.
#[derive(Default)]
struct Held {
    pages: Pages,
    ends: Ends,
}

/// Open ends of a pipe.
#[derive(Clone, Copy, Default)]
struct Ends {
    /// Those that are open to read and to write.
    open: [u32; 2],
    /// How many ever were.
    ever: [u64; 2],
}

/// Which of the two an end is.
const READ: usize = 0;
const WRITE: usize = 1;

impl Ends {
    /// Both ends that open flags stand for.
    fn of(flags: u32) -> impl Iterator<Item = usize> {
        [(READ, readable(flags)), (WRITE, writable(flags))]
            .into_iter()
            .filter_map(|(end, open)| open.then_some(end))
    }
}

impl Pipe {
    /// One more of its ends is open: whoever waits for it hears of it. Answers how many
    /// writers there ever were, for [`Pipe::ready`].
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add_end(&self, flags: u32) -> Result<u64, Errno> {
        let mut held = self.held.lock();
        held.pages.make_places(PLACES)?;
        let seen = held.ends.ever[WRITE];
        for end in Ends::of(flags) {
            held.ends.open[end] += 1;
            held.ends.ever[end] += 1;
        }
        drop(held);
        self.wake();
        Ok(seen)
    }

    /// The same of a fifo by its name, which waits for the other end.
    ///
    /// # Errors
    /// ENXIO, if nobody reads and it must not wait; EINTR, ENOMEM.
    pub fn open(&self, flags: u32) -> Result<u64, Errno> {
        let before = self.held.lock().ends;
        let (reads, writes) = (readable(flags), writable(flags));
        let wants = match (reads, writes) {
            (true, false) => WRITE,
            (false, true) => READ,
            _ => return self.add_end(flags),
        };
        let must_not_wait = flags & O_NONBLOCK != 0;
        if writes && must_not_wait && before.open[READ] == 0 {
            return Err(Errno::ENXIO);
        }
        let seen = self.add_end(flags)?;
        if before.open[wants] > 0 || must_not_wait {
            return Ok(seen);
        }
        let came = || self.held.lock().ends.ever[wants] != before.ever[wants];
        let queue = if reads { &self.readers } else { &self.writers };
        match wait(&[queue], None, || Ok(came().then_some(()))) {
            Ok(_) => Ok(seen),
            Err(error) => {
                self.remove_end(flags);
                Err(error)
            }
        }
    }

    /// An end is closed. What nobody can read any more is gone.
    pub fn remove_end(&self, flags: u32) {
        let mut held = self.held.lock();
        for end in Ends::of(flags) {
            held.ends.open[end] -= 1;
        }
        if held.ends.open == [0; 2] {
            held.pages.clear();
        }
        drop(held);
        self.wake();
    }

    fn wake(&self) {
        self.readers.wake_all();
        self.writers.wake_all();
    }

    /// Whether anybody could read what is written.
    pub fn has_readers(&self) -> bool {
        self.held.lock().ends.open[READ] > 0
    }

    /// What poll(2) tells of an end; `seen` is what opening it answered.
    pub fn ready(&self, flags: u32, seen: u64) -> u16 {
        let held = self.held.lock();
        let [readers, writers] = held.ends.open;
        let mut ready = 0;
        if readable(flags) {
            if !held.pages.is_empty() {
                ready |= POLLIN | POLLRDNORM;
            }
            if writers == 0 && held.ends.ever[WRITE] != seen {
                ready |= POLLHUP;
            }
        }
        if writable(flags) {
            if !held.pages.is_full() {
                ready |= POLLOUT | POLLWRNORM;
            }
            if readers == 0 {
                ready |= POLLERR;
            }
        }
        ready
    }

    /// Bytes that could be read now.
    pub fn bytes(&self) -> u64 {
        self.held.lock().pages.bytes()
    }

    /// How much it takes, in bytes, if all its pages are full.
    pub fn size(&self) -> u64 {
        self.held.lock().pages.places() as u64 * PAGE_SIZE
    }

    /// Changes that, to a power of two.
    ///
    /// # Errors
    /// EINVAL; EBUSY, if more is in it; ENOMEM.
    pub fn set_size(&self, size: u64) -> Result<u64, Errno> {
        let places = size.div_ceil(PAGE_SIZE).max(1).checked_next_power_of_two();
        let places = places.filter(|&places| places <= 1 << 19).ok_or(Errno::EINVAL)?;
        self.held.lock().pages.set_places(places as usize)?;
        self.wake();
        Ok(places * PAGE_SIZE)
    }

    /// readv(2) of an end with these flags: as one transfer.
    ///
    /// # Errors
    /// EAGAIN, EINTR, EFAULT.
    pub fn read(
        &self,
        memory: &Mutex<AddressSpace>,
        to: &[Iovec],
        flags: u32,
    ) -> Result<u64, Errno> {
        let (mut done, length) = (0, length_of(to));
        if length == 0 {
            return Ok(0);
        }
        let mut copy = |frame: u64, done: u64, length: u64| {
            each_piece(to, done, length, |at, copied, length| {
                usercopy::from_frame(at, frame + copied, length)
            })
        };
        loop {
            let mut held = self.held.lock();
            let was_full = held.pages.is_full();
            let step = held.pages.take(&mut done, length, &mut copy);
            let (is_full, writers) = (held.pages.is_full(), held.ends.open[WRITE]);
            drop(held);
            if was_full && !is_full {
                self.writers.wake(POLLOUT | POLLWRNORM);
            }
            match step {
                Step::Missing(at) => match fetch(memory, address_at(to, at).0, Prot::WRITE) {
                    Ok(()) => {}
                    Err(_) if done > 0 => return Ok(done),
                    Err(error) => return Err(error),
                },
                Step::Done => return Ok(done),
                _ if done > 0 || writers == 0 => return Ok(done),
                _ if flags & O_NONBLOCK != 0 => return Err(Errno::EAGAIN),
                _ => {
                    let can_go_on = || {
                        let held = self.held.lock();
                        !held.pages.is_empty() || held.ends.open[WRITE] == 0
                    };
                    wait(&[&self.readers], None, || Ok(can_go_on().then_some(())))?;
                }
            }
        }
    }

    /// writev(2) of an end with these flags: as one transfer.
    ///
    /// # Errors
    /// EPIPE, EAGAIN, EINTR, EFAULT, ENOMEM, if nothing was written.
    pub fn write(
        &self,
        memory: &Mutex<AddressSpace>,
        from: &[Iovec],
        flags: u32,
    ) -> Result<u64, Errno> {
        let mut copy = |frame: u64, done: u64, length: u64| {
            each_piece(from, done, length, |at, copied, length| {
                usercopy::to_frame(frame + copied, at, length)
            })
        };
        let mut fetch = |at| fetch(memory, address_at(from, at).0, Prot::READ);
        self.put(length_of(from), flags, &mut copy, &mut fetch)
    }

    /// The same of bytes of the kernel's.
    ///
    /// # Errors
    /// As [`Pipe::write`].
    pub fn write_of_kernel(&self, bytes: &[u8], flags: u32) -> Result<u64, Errno> {
        let mut copy = |frame: u64, done: u64, length: u64| {
            phys::write(frame, &bytes[done as usize..(done + length) as usize]);
            length
        };
        self.put(bytes.len() as u64, flags, &mut copy, &mut |_| Err(Errno::EFAULT))
    }

    fn put(
        &self,
        length: u64,
        flags: u32,
        copy: &mut dyn FnMut(u64, u64, u64) -> u64,
        fetch: &mut dyn FnMut(u64) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let mut done = 0;
        if length == 0 {
            return Ok(0);
        }
        loop {
            let mut held = self.held.lock();
            let step = match held.ends.open[READ] {
                0 => Step::Broken,
                _ => held.pages.put(&mut done, length, flags & O_DIRECT != 0, copy),
            };
            drop(held);
            self.readers.wake(POLLIN | POLLRDNORM);
            let error = match step {
                Step::Done => return Ok(done),
                Step::Missing(at) => match fetch(at) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Step::Broken => Errno::EPIPE,
                Step::NoFrame => Errno::ENOMEM,
                Step::Stuck if flags & O_NONBLOCK != 0 => Errno::EAGAIN,
                Step::Stuck => {
                    let can_go_on = || {
                        let held = self.held.lock();
                        !held.pages.is_full() || held.ends.open[READ] == 0
                    };
                    match wait(&[&self.writers], None, || Ok(can_go_on().then_some(()))) {
                        Ok(_) => continue,
                        Err(error) => error,
                    }
                }
            };
            return if done > 0 { Ok(done) } else { Err(error) };
        }
    }
}

/// Bytes of all pieces, as many as one call moves.
fn length_of(pieces: &[Iovec]) -> u64 {
    pieces.iter().fold(0, |all: u64, piece| all.saturating_add(piece.iov_len)).min(MAX_RW_COUNT)
}

/// Where the byte `offset` of all pieces is, and how many follow it in its piece.
fn address_at(pieces: &[Iovec], mut offset: u64) -> (u64, u64) {
    for piece in pieces {
        if offset < piece.iov_len {
            return (piece.iov_base + offset, piece.iov_len - offset);
        }
        offset -= piece.iov_len;
    }
    (0, 0)
}

/// Copies so many bytes from `done` on, piece by piece: `copy` is told the program's
/// address, how many were copied before, and how many it shall copy. Answers how many
/// were, before a page was missing.
#[inline]
fn each_piece(
    pieces: &[Iovec],
    done: u64,
    length: u64,
    mut copy: impl FnMut(u64, u64, u64) -> u64,
) -> u64 {
    let mut copied = 0;
    while copied < length {
        let (at, left) = address_at(pieces, done + copied);
        let piece = left.min(length - copied);
        let mut moved = copy(at, copied, piece);
        if moved < piece {
            let few = usercopy::in_front_of_a_page(at + moved, piece - moved);
            moved += copy(at + moved, copied + moved, few);
        }
        copied += moved;
        if moved < piece || piece == 0 {
            break;
        }
    }
    copied
}

/// Fetches a page of the program's.
fn fetch(memory: &Mutex<AddressSpace>, address: u64, access: Prot) -> Result<(), Errno> {
    fault::fetch(memory, address, access).map_err(|error| match error {
        FaultError::OutOfMemory => Errno::ENOMEM,
        _ => Errno::EFAULT,
    })
}
