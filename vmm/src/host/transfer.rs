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

use super::raw::{How, Vectors, Way};
use super::{Failure, Reply, Services};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, SeekFrom, fcntl_getfl, makedev, seek};
use rustix::io;
use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use trapgate_abi::hypercall::Segment;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};
use trapgate_uapi::stat::{S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK};

/// What poll(2) promises of a file that can be written, in bytes: a pipe has room
/// for a page, a terminal for one character.
const fn surely_fits(kind: u32) -> usize {
    if kind == S_IFIFO { 4096 } else { 1 }
}

/// A standard file of the program's, as the host has it.
pub(crate) struct HostFile {
    pub(super) file: File,
    /// Its type: `st_mode` and [`S_IFMT`].
    kind: u32,
    /// A description of our own, once it was needed; none, if there can be none.
    own: OnceCell<Option<File>>,
}

impl HostFile {
    pub(super) fn new(file: File) -> Self {
        let kind = file.metadata().map_or(0, |data| data.mode() & S_IFMT);
        HostFile { file, kind, own: OnceCell::new() }
    }

    /// The `O_*` flags of the host's description, as they are now.
    pub(super) fn flags(&self) -> io::Result<OFlags> {
        fcntl_getfl(&self.file)
    }

    /// Whether it has positions and is always ready: Linux ignores `O_NONBLOCK`
    /// of these.
    fn never_waits(&self) -> bool {
        matches!(self.kind, S_IFREG | S_IFBLK)
    }

    /// The same file, opened once more: with its access, without `O_APPEND`, and
    /// not to wait. Only what another opening does not change: the other end of
    /// a pseudo-terminal, or a device, may be another one each time.
    fn own(&self) -> Option<&File> {
        let open = || {
            let reopens = match self.kind {
                S_IFREG | S_IFBLK | S_IFIFO => true,
                S_IFCHR => self.file.is_terminal() && !self.is_multiplexer(),
                _ => false,
            };
            let access = self.flags().ok().filter(|_| reopens)? & OFlags::ACCMODE;
            let mut options = OpenOptions::new();
            options.read(access != OFlags::WRONLY).write(access != OFlags::RDONLY);
            options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
            options.open(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()
        };
        self.own.get_or_init(open).as_ref()
    }

    /// Whether it is /dev/ptmx, which makes a new terminal each time.
    fn is_multiplexer(&self) -> bool {
        let device = self.file.metadata().map_or(0, |data| data.rdev());
        device == makedev(5, 2)
    }
}

impl Services {
    /// write(2), with the program's flags.
    pub(super) fn write(
        &self,
        number: u32,
        flags: u32,
        data: impl Iterator<Item = Segment>,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = Vectors::new(&self.ram, data)?;
        if file.never_waits() {
            return if flags & O_APPEND != 0 {
                self.append(file, &vectors)
            } else if file.flags()?.contains(OFlags::APPEND) {
                self.write_at_position(file, &vectors)
            } else {
                self.interruptible(|| vectors.transfer(&file.file, Way::Out, How::Plain))
            };
        }
        self.stream(file, Way::Out, flags, vectors)
    }

    /// read(2), with the program's flags.
    pub(super) fn read(
        &self,
        number: u32,
        flags: u32,
        buffer: impl Iterator<Item = Segment>,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = Vectors::new(&self.ram, buffer)?;
        if file.never_waits() {
            return self.interruptible(|| vectors.transfer(&file.file, Way::In, How::Plain));
        }
        self.stream(file, Way::In, flags, vectors)
    }

    /// Writes at the end of a file, and leaves its position there.
    fn append(&self, file: &HostFile, vectors: &Vectors<'_>) -> Reply {
        let write = |how| self.interruptible(|| vectors.transfer(&file.file, Way::Out, how));
        match write(How::Append) {
            // What has no end, like a file of /proc.
            Err(Failure::Errno(Errno::EOPNOTSUPP)) => write(How::Plain),
            result => result,
        }
    }

    /// Writes where the host's description is, though that would append.
    fn write_at_position(&self, file: &HostFile, vectors: &Vectors<'_>) -> Reply {
        // As of a file that nobody may do more than append to.
        let own = file.own().ok_or(Errno::EPERM)?;
        let at = seek(&file.file, SeekFrom::Current(0))?;
        let offset = at.cast_signed();
        let written = self.interruptible(|| vectors.transfer_at(own, Way::Out, offset))?;
        seek(&file.file, SeekFrom::Start(at + written))?;
        Ok(written)
    }

    /// A transfer that may have to wait.
    fn stream(&self, file: &HostFile, way: Way, flags: u32, vectors: Vectors<'_>) -> Reply {
        if flags & O_NONBLOCK != 0 {
            return self.at_once(file, way, vectors);
        }
        loop {
            match self.interruptible(|| vectors.transfer(&file.file, way, How::Plain)) {
                // Somebody made the host's description non-blocking; the program
                // did not.
                Err(Failure::Errno(Errno::EAGAIN)) => self.ready(file, way, None).map(drop)?,
                result => return result,
            }
        }
    }

    /// A transfer that does not wait: EAGAIN, if nothing can be moved.
    fn at_once(&self, file: &HostFile, way: Way, mut vectors: Vectors<'_>) -> Reply {
        if file.kind == S_IFSOCK {
            return self.interruptible(|| vectors.transfer_of_socket(&file.file, way));
        }
        let result = self.interruptible(|| vectors.transfer(&file.file, way, How::NoWait));
        // Pipes have it from Linux 6.4 on, terminals not at all.
        if !matches!(result, Err(Failure::Errno(Errno::EOPNOTSUPP))) {
            return result;
        }
        if let Some(own) = file.own() {
            return self.interruptible(|| vectors.transfer(own, way, How::Plain));
        }
        if self.ready(file, way, Some(&Timespec::default()))? == 0 {
            return Err(Errno::EAGAIN.into());
        }
        if way == Way::Out {
            vectors.shorten(surely_fits(file.kind));
        }
        self.interruptible(|| vectors.transfer(&file.file, way, How::Plain))
    }

    /// Waits for a file, at most so long, or for ever. Answers 0 if it is not
    /// ready then.
    fn ready(&self, file: &HostFile, way: Way, timeout: Option<&Timespec>) -> Reply {
        let events = if way == Way::In { PollFlags::IN } else { PollFlags::OUT };
        let mut entry = [PollFd::new(&file.file, events)];
        self.interruptible(|| poll(&mut entry, timeout))
    }
}
