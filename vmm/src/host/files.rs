//! The services on standard files: bytes go between guest RAM and the host's
//! descriptor without a copy.
#![allow(unsafe_code, reason = "readv(2), writev(2) and ioctl(2) take pointers")]

use super::{Failure, Reply, Services, last_errno};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use trapgate_abi::Errno;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::{PollEntry, Segment};

/// What the kernel is told of a file at the start.
pub(super) fn describe(file: &File) -> StandardFile {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    StandardFile {
        open: u64::from(flags >= 0),
        is_terminal: file.is_terminal().into(),
        // The host's O_NONBLOCK is the host's business: the kernel has its
        // own for the program.
        flags: (flags.max(0) & !libc::O_NONBLOCK) as u64,
        status: status(file).unwrap_or_default(),
    }
}

fn status(file: &File) -> Option<FileStatus> {
    let metadata = file.metadata().ok()?;
    Some(FileStatus {
        dev: metadata.dev(),
        ino: metadata.ino(),
        mode: metadata.mode().into(),
        nlink: metadata.nlink(),
        uid: metadata.uid().into(),
        gid: metadata.gid().into(),
        rdev: metadata.rdev(),
        size: metadata.size(),
        blksize: metadata.blksize(),
        blocks: metadata.blocks(),
        atime: metadata.atime() as u64,
        atime_nsec: metadata.atime_nsec() as u64,
        mtime: metadata.mtime() as u64,
        mtime_nsec: metadata.mtime_nsec() as u64,
        ctime: metadata.ctime() as u64,
        ctime_nsec: metadata.ctime_nsec() as u64,
    })
}

impl Services {
    pub(super) fn write(&self, file: u32, data: impl Iterator<Item = Segment>) -> Reply {
        let fd = self.fd(file)?;
        let vectors = self.ram.io_vectors(data).map_err(|_| Errno::EFAULT)?;
        // SAFETY: the vectors point into guest RAM, checked, and only the
        // host's kernel follows them.
        self.waiting(fd, libc::POLLOUT, || unsafe {
            libc::writev(fd, vectors.as_ptr(), vectors.len() as libc::c_int)
        })
    }

    pub(super) fn read(
        &self,
        file: u32,
        offset: Option<u64>,
        buffer: impl Iterator<Item = Segment>,
    ) -> Reply {
        let fd = self.fd(file)?;
        let vectors = self.ram.io_vectors(buffer).map_err(|_| Errno::EFAULT)?;
        let count = vectors.len() as libc::c_int;
        match offset {
            // SAFETY: as for writev.
            None => self
                .waiting(fd, libc::POLLIN, || unsafe { libc::readv(fd, vectors.as_ptr(), count) }),
            Some(offset) => {
                let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
                // SAFETY: as for writev.
                self.interruptible(|| unsafe { libc::preadv(fd, vectors.as_ptr(), count, offset) })
            }
        }
    }

    /// Makes a call that may find the host's descriptor not ready, if somebody
    /// made it non-blocking; then waits, because the program did not.
    fn waiting(&self, fd: libc::c_int, events: i16, mut call: impl FnMut() -> isize) -> Reply {
        loop {
            match self.interruptible(&mut call) {
                Err(Failure::Errno(Errno::EAGAIN)) => {
                    let mut ready = libc::pollfd { fd, events, revents: 0 };
                    // SAFETY: one valid entry.
                    self.interruptible(|| unsafe { libc::poll(&raw mut ready, 1, -1) } as isize)?;
                }
                result => return result,
            }
        }
    }

    pub(super) fn seek(&self, file: u32, offset: i64, whence: u32) -> Reply {
        let fd = self.fd(file)?;
        let whence = libc::c_int::try_from(whence).map_err(|_| Errno::EINVAL)?;
        // SAFETY: no pointers.
        match unsafe { libc::lseek(fd, offset, whence) } {
            -1 => Err(last_errno().into()),
            offset => Ok(offset as u64),
        }
    }

    pub(super) fn status(&self, file: u32, data: &mut [u64]) -> Reply {
        let file = self.files.get(file as usize).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        let status = status(file).ok_or_else(last_errno)?;
        data[..FileStatus::WORDS].copy_from_slice(&status.to_words());
        Ok(0)
    }

    pub(super) fn terminal_attributes(&self, file: u32, data: &mut [u64]) -> Reply {
        // The kernel's structure has 36 bytes, libc's more.
        let mut words = [0u64; 8];
        // SAFETY: room for either structure.
        let done = unsafe { libc::ioctl(self.fd(file)?, libc::TCGETS, words.as_mut_ptr()) };
        if done < 0 {
            return Err(last_errno().into());
        }
        data[..5].copy_from_slice(&words[..5]);
        data[4] &= 0xffff_ffff;
        Ok(0)
    }

    pub(super) fn window_size(&self, file: u32, data: &mut [u64]) -> Reply {
        let mut word = 0u64;
        // SAFETY: struct winsize has 8 bytes.
        let done = unsafe { libc::ioctl(self.fd(file)?, libc::TIOCGWINSZ, &raw mut word) };
        if done < 0 {
            return Err(last_errno().into());
        }
        data[0] = word;
        Ok(0)
    }

    pub(super) fn poll(&self, entries: &[PollEntry], timeout_ns: i64, data: &mut [u64]) -> Reply {
        let mut list = Vec::with_capacity(entries.len());
        for entry in entries {
            let fd = self.fd(entry.file)?;
            list.push(libc::pollfd { fd, events: entry.events as i16, revents: 0 });
        }
        let deadline = (timeout_ns >= 0).then(|| {
            std::time::Instant::now() + std::time::Duration::from_nanos(timeout_ns as u64)
        });
        let ready = self.interruptible(|| {
            let left = deadline.map(|end| end.saturating_duration_since(std::time::Instant::now()));
            let time = left.map(|left| libc::timespec {
                tv_sec: left.as_secs() as _,
                tv_nsec: left.subsec_nanos().into(),
            });
            let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: valid entries, and a valid time or none.
            let ready = unsafe {
                libc::ppoll(list.as_mut_ptr(), list.len() as libc::nfds_t, time, std::ptr::null())
            };
            ready as isize
        })?;
        for (word, entry) in data.iter_mut().zip(&list) {
            *word = u64::from(entry.revents as u16);
        }
        Ok(ready)
    }
}
