//! The system calls of the services that rustix does not make, and with them all
//! of this room's unsafe: transfers whose memory the guest may change meanwhile,
//! of which there can be no slice, and two calls that rustix does not have.
#![allow(unsafe_code, reason = "system calls that rustix does not make")]

use crate::machine::image::MappedImage;
use crate::machine::memory::{GuestRam, OutOfRam};
use libc::{c_int, iovec};
use rustix::io::{self, Errno};
use std::fs::File;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use trapgate_abi::hypercall::Segment;

/// `RWF_*` flags of preadv2(2) and pwritev2(2).
#[derive(Clone, Copy)]
pub(super) enum How {
    /// As the host's description has it.
    Plain,
    /// EAGAIN instead of waiting; EOPNOTSUPP where the file does not know how.
    NoWait,
    /// At the end.
    Append,
}

impl How {
    fn flags(self) -> c_int {
        match self {
            How::Plain => 0,
            How::NoWait => libc::RWF_NOWAIT,
            How::Append => libc::RWF_APPEND,
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the program.
    In,
    /// From the program.
    Out,
}

/// Pieces of guest RAM, checked, for the host's kernel to read or write. The
/// guest may do so at the same time; here nobody does.
pub(super) struct Vectors<'ram> {
    list: Vec<iovec>,
    ram: PhantomData<&'ram GuestRam>,
}

impl<'ram> Vectors<'ram> {
    /// These pieces, up to `MAX_TRANSFER` bytes. With `image`, they are for the way out
    /// alone, and may be of that, too.
    ///
    /// # Errors
    /// If they are not all RAM.
    pub(super) fn new(
        ram: &'ram GuestRam,
        segments: impl Iterator<Item = Segment>,
        image: Option<&'ram MappedImage>,
    ) -> Result<Self, OutOfRam> {
        let list = ram.io_vectors(segments, image)?;
        Ok(Vectors { list, ram: PhantomData })
    }

    /// readv(2) or writev(2), with flags preadv2(2) or pwritev2(2): at the file's
    /// position.
    pub(super) fn transfer(&self, file: &File, way: Way, how: How) -> io::Result<usize> {
        let (at, count) = (self.list.as_ptr(), self.list.len() as c_int);
        let (fd, flags) = (file.as_raw_fd(), how.flags());
        // SAFETY: the vectors point into guest RAM, which is there as long as they
        // are, and only the host's kernel follows them.
        result(unsafe {
            match (way, how) {
                (Way::In, How::Plain) => libc::readv(fd, at, count),
                (Way::Out, How::Plain) => libc::writev(fd, at, count),
                (Way::In, _) => libc::preadv2(fd, at, count, -1, flags),
                (Way::Out, _) => libc::pwritev2(fd, at, count, -1, flags),
            }
        })
    }

    /// preadv(2) or pwritev(2).
    pub(super) fn transfer_at(&self, file: &File, way: Way, offset: i64) -> io::Result<usize> {
        let (at, count) = (self.list.as_ptr(), self.list.len() as c_int);
        let fd = file.as_raw_fd();
        // SAFETY: as for `transfer`.
        result(unsafe {
            match way {
                Way::In => libc::preadv(fd, at, count, offset),
                Way::Out => libc::pwritev(fd, at, count, offset),
            }
        })
    }

    /// recvmsg(2) or sendmsg(2) of a socket, without waiting.
    pub(super) fn transfer_of_socket(&mut self, socket: &File, way: Way) -> io::Result<usize> {
        // SAFETY: all zeroes are a message without address and control data.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = self.list.as_mut_ptr();
        message.msg_iovlen = self.list.len() as _;
        let fd = socket.as_raw_fd();
        // SAFETY: a valid message; its vectors are as for `transfer`.
        result(unsafe {
            match way {
                Way::In => libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT),
                Way::Out => {
                    libc::sendmsg(fd, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                }
            }
        })
    }
}

/// Whether two descriptors are of one description: one position, one set of
/// flags. No, where the host's kernel does not tell.
pub(super) fn is_same_description(one: &File, other: &File) -> bool {
    /// fcntl(2)'s command, from Linux 6.10 on.
    const F_DUPFD_QUERY: c_int = 1027;
    const KCMP_FILE: c_int = 0;
    let (one, other) = (one.as_raw_fd(), other.as_raw_fd());
    let own = rustix::process::getpid().as_raw_pid();
    // SAFETY: neither call has pointers.
    unsafe {
        match libc::fcntl(one, F_DUPFD_QUERY, other) {
            -1 => libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, one, other) == 0,
            same => same == 1,
        }
    }
}

/// A terminal's settings, all 36 bytes as the kernel has them: rustix's structure
/// leaves out two of them.
pub(super) fn terminal_attributes(file: &File) -> io::Result<[u64; 5]> {
    // The kernel's structure has 36 bytes, libc's more.
    let mut words = [0u64; 8];
    // SAFETY: room for either structure.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TCGETS, words.as_mut_ptr()) };
    result(done as isize)?;
    let [first, second, third, fourth, fifth, ..] = words;
    Ok([first, second, third, fourth, fifth & 0xffff_ffff])
}

/// What libc answers, as rustix has it.
fn result(answer: isize) -> io::Result<usize> {
    usize::try_from(answer)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
