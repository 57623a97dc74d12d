//! Reading and writing as the program's own `O_APPEND` and `O_NONBLOCK` have it.
//!
//! Other processes may share the host's description of a standard file: a shell
//! shares its terminal. So its flags stay as they are, and each call is told
//! what the program wants:
//!
//! | the program's flag | how, in this order |
//! |---|---|
//! | `O_APPEND` | `RWF_APPEND` |
//! | none, where the host's has it | at its position, by a description of our own |
//! | `O_NONBLOCK` | `MSG_DONTWAIT` for a socket; `RWF_NOWAIT`; a description of our own; when poll(2) says that it is ready, and then no more than surely fits |
//! | none, where the host's has it | again, after poll(2) |
//!
//! A description of our own is the same file opened through /proc/self/fd. A
//! regular file, and a block device, is always ready, and other processes see its
//! position move.
#![allow(unsafe_code, reason = "system calls that take pointers")]

use super::{Failure, Reply, Services, last_errno};
use libc::{c_int, iovec};
use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use trapgate_abi::file::{mode, open_flag};
use trapgate_abi::hypercall::Segment;
use trapgate_uapi::Errno;

/// `RWF_NOWAIT` of preadv2(2).
const NOWAIT: c_int = libc::RWF_NOWAIT;
/// `RWF_APPEND` of pwritev2(2).
const APPEND: c_int = libc::RWF_APPEND;

/// What poll(2) promises of a file that can be written, in bytes: a pipe has room
/// for a page, a terminal for one character.
const fn surely_fits(kind: u64) -> usize {
    if kind == mode::FIFO { 4096 } else { 1 }
}

/// A standard file of the program's, as the host has it.
pub(crate) struct HostFile {
    pub(super) file: File,
    /// Its type: `st_mode` and [`mode::TYPE`].
    kind: u64,
    /// A description of our own, once it was needed; none, if there can be none.
    own: OnceCell<Option<File>>,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To the program.
    In,
    /// From the program.
    Out,
}

impl HostFile {
    pub(super) fn new(file: File) -> Self {
        let kind = file.metadata().map_or(0, |data| u64::from(data.mode()) & mode::TYPE);
        HostFile { file, kind, own: OnceCell::new() }
    }

    pub(super) fn fd(&self) -> c_int {
        self.file.as_raw_fd()
    }

    /// The `O_*` flags of the host's description, as they are now.
    pub(super) fn flags(&self) -> Result<c_int, Errno> {
        // SAFETY: no pointers.
        match unsafe { libc::fcntl(self.fd(), libc::F_GETFL) } {
            -1 => Err(last_errno()),
            flags => Ok(flags),
        }
    }

    /// Whether it has positions and is always ready: Linux ignores `O_NONBLOCK`
    /// of these.
    fn never_waits(&self) -> bool {
        matches!(self.kind, mode::REGULAR | mode::BLOCK)
    }

    /// The same file, opened once more: with its access, without `O_APPEND`, and
    /// not to wait. Only what another opening does not change: the other end of
    /// a pseudo-terminal, or a device, may be another one each time.
    fn own(&self) -> Option<&File> {
        let open = || {
            let reopens = match self.kind {
                mode::REGULAR | mode::BLOCK | mode::FIFO => true,
                mode::CHARACTER => self.file.is_terminal() && !self.is_multiplexer(),
                _ => false,
            };
            let access = self.flags().ok().filter(|_| reopens)? & libc::O_ACCMODE;
            let mut options = OpenOptions::new();
            options.read(access != libc::O_WRONLY).write(access != libc::O_RDONLY);
            options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
            options.open(format!("/proc/self/fd/{}", self.fd())).ok()
        };
        self.own.get_or_init(open).as_ref()
    }

    /// Whether it is /dev/ptmx, which makes a new terminal each time.
    fn is_multiplexer(&self) -> bool {
        let device = self.file.metadata().map_or(0, |data| data.rdev());
        device == libc::makedev(5, 2)
    }
}

impl Services {
    /// write(2), with the program's [`open_flag`]s.
    pub(super) fn write(
        &self,
        number: u32,
        flags: u32,
        data: impl Iterator<Item = Segment>,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = self.ram.io_vectors(data).map_err(|_| Errno::EFAULT)?;
        if file.never_waits() {
            return if flags & open_flag::APPEND != 0 {
                self.append(file, &vectors)
            } else if file.flags()? & libc::O_APPEND != 0 {
                self.write_at_position(file, &vectors)
            } else {
                self.interruptible(|| call(file.fd(), Way::Out, &vectors))
            };
        }
        self.stream(file, Way::Out, flags, vectors)
    }

    /// read(2), with the program's [`open_flag`]s.
    pub(super) fn read(
        &self,
        number: u32,
        flags: u32,
        buffer: impl Iterator<Item = Segment>,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = self.ram.io_vectors(buffer).map_err(|_| Errno::EFAULT)?;
        if file.never_waits() {
            return self.interruptible(|| call(file.fd(), Way::In, &vectors));
        }
        self.stream(file, Way::In, flags, vectors)
    }

    /// Writes at the end of a file, and leaves its position there.
    fn append(&self, file: &HostFile, vectors: &[iovec]) -> Reply {
        let result = self.interruptible(|| call_with(file.fd(), Way::Out, vectors, APPEND));
        match result {
            // What has no end, like a file of /proc.
            Err(Failure::Errno(Errno::EOPNOTSUPP)) => {
                self.interruptible(|| call(file.fd(), Way::Out, vectors))
            }
            result => result,
        }
    }

    /// Writes where the host's description is, though that would append.
    fn write_at_position(&self, file: &HostFile, vectors: &[iovec]) -> Reply {
        // As of a file that nobody may do more than append to.
        let own = file.own().ok_or(Errno::EPERM)?;
        let position = |offset, whence| {
            // SAFETY: no pointers.
            match unsafe { libc::lseek(file.fd(), offset, whence) } {
                -1 => Err(last_errno()),
                position => Ok(position),
            }
        };
        let at = position(0, libc::SEEK_CUR)?;
        let count = vectors.len() as c_int;
        // SAFETY: the vectors point into guest RAM, checked, and only the host's
        // kernel follows them.
        let write = || unsafe { libc::pwritev(own.as_raw_fd(), vectors.as_ptr(), count, at) };
        let written = self.interruptible(write)?;
        position(at + written as i64, libc::SEEK_SET)?;
        Ok(written)
    }

    /// A transfer that may have to wait.
    fn stream(&self, file: &HostFile, way: Way, flags: u32, vectors: Vec<iovec>) -> Reply {
        if flags & open_flag::NONBLOCK != 0 {
            return self.at_once(file, way, vectors);
        }
        loop {
            match self.interruptible(|| call(file.fd(), way, &vectors)) {
                // Somebody made the host's description non-blocking; the program
                // did not.
                Err(Failure::Errno(Errno::EAGAIN)) => self.ready(file, way, -1).map(drop)?,
                result => return result,
            }
        }
    }

    /// A transfer that does not wait: EAGAIN, if nothing can be moved.
    fn at_once(&self, file: &HostFile, way: Way, mut vectors: Vec<iovec>) -> Reply {
        if file.kind == mode::SOCKET {
            return self.interruptible(|| socket_call(file.fd(), way, &mut vectors));
        }
        let result = self.interruptible(|| call_with(file.fd(), way, &vectors, NOWAIT));
        // Pipes have it from Linux 6.4 on, terminals not at all.
        if !matches!(result, Err(Failure::Errno(Errno::EOPNOTSUPP))) {
            return result;
        }
        if let Some(own) = file.own() {
            return self.interruptible(|| call(own.as_raw_fd(), way, &vectors));
        }
        if self.ready(file, way, 0)? == 0 {
            return Err(Errno::EAGAIN.into());
        }
        if way == Way::Out {
            shorten(&mut vectors, surely_fits(file.kind));
        }
        self.interruptible(|| call(file.fd(), way, &vectors))
    }

    /// Waits for a file, at most so many milliseconds, negative for ever.
    /// Answers 0 if it is not ready then.
    fn ready(&self, file: &HostFile, way: Way, timeout_ms: c_int) -> Reply {
        let events = if way == Way::In { libc::POLLIN } else { libc::POLLOUT };
        let mut entry = libc::pollfd { fd: file.fd(), events, revents: 0 };
        // SAFETY: one valid entry.
        self.interruptible(|| unsafe { libc::poll(&raw mut entry, 1, timeout_ms) } as isize)
    }
}

/// readv(2) or writev(2).
fn call(fd: c_int, way: Way, vectors: &[iovec]) -> isize {
    let (at, count) = (vectors.as_ptr(), vectors.len() as c_int);
    // SAFETY: the vectors point into guest RAM, checked, and only the host's
    // kernel follows them.
    unsafe {
        match way {
            Way::In => libc::readv(fd, at, count),
            Way::Out => libc::writev(fd, at, count),
        }
    }
}

/// The same with `RWF_*` flags: preadv2(2) or pwritev2(2), at the position.
fn call_with(fd: c_int, way: Way, vectors: &[iovec], flags: c_int) -> isize {
    let (at, count) = (vectors.as_ptr(), vectors.len() as c_int);
    // SAFETY: as for `call`.
    unsafe {
        match way {
            Way::In => libc::preadv2(fd, at, count, -1, flags),
            Way::Out => libc::pwritev2(fd, at, count, -1, flags),
        }
    }
}

/// The same of a socket, without waiting.
fn socket_call(fd: c_int, way: Way, vectors: &mut [iovec]) -> isize {
    // SAFETY: all zeroes are a message without address and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len() as _;
    // SAFETY: a valid message; its vectors are as for `call`.
    unsafe {
        match way {
            Way::In => libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT),
            Way::Out => {
                libc::sendmsg(fd, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
            }
        }
    }
}

/// Cuts what goes beyond so many bytes.
fn shorten(vectors: &mut [iovec], mut room: usize) {
    for vector in vectors {
        vector.iov_len = vector.iov_len.min(room);
        room -= vector.iov_len;
    }
}
