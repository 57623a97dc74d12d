//! The services on standard files, besides reading and writing (`transfer`).
#![allow(unsafe_code, reason = "preadv(2), fcntl(2) and ioctl(2) take pointers")]

use super::transfer::HostFile;
use super::{Reply, Services, last_errno};
use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::{PollEntry, Segment};
use trapgate_uapi::Errno;

/// What the kernel is told of standard file `number` at the start; `earlier` are
/// those before it that it is told of.
pub(super) fn describe(
    number: usize,
    host: &HostFile,
    earlier: &[Option<&HostFile>],
) -> StandardFile {
    let flags = host.flags();
    let same = earlier.iter().position(|other| other.is_some_and(|other| is_same(other, host)));
    StandardFile {
        open: flags.is_ok().into(),
        is_terminal: host.file.is_terminal().into(),
        flags: flags.unwrap_or(0) as u64,
        same_as: same.unwrap_or(number) as u64,
        status: status(&host.file).unwrap_or_default(),
    }
}

/// Whether two descriptors are of one description: one position, one set of
/// flags. No, where the host's kernel does not tell.
fn is_same(one: &HostFile, other: &HostFile) -> bool {
    /// fcntl(2)'s command, from Linux 6.10 on.
    const F_DUPFD_QUERY: libc::c_int = 1027;
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: neither call has pointers.
    unsafe {
        match libc::fcntl(one.fd(), F_DUPFD_QUERY, other.fd()) {
            -1 => {
                let own = libc::getpid();
                libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, one.fd(), other.fd()) == 0
            }
            same => same == 1,
        }
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
    /// pread(2).
    pub(super) fn read_at(
        &self,
        file: u32,
        offset: u64,
        buffer: impl Iterator<Item = Segment>,
    ) -> Reply {
        let fd = self.fd(file)?;
        let vectors = self.ram.io_vectors(buffer).map_err(|_| Errno::EFAULT)?;
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let count = vectors.len() as libc::c_int;
        // SAFETY: the vectors point into guest RAM, checked, and only the
        // host's kernel follows them.
        self.interruptible(|| unsafe { libc::preadv(fd, vectors.as_ptr(), count, offset) })
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
        let status = status(&self.file(file)?.file).ok_or_else(last_errno)?;
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
