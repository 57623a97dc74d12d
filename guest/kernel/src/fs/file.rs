//! An open file: so far one of the three standard files, which live on the host.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::{FileStatus, TRANSFER_FLAGS};
use trapgate_uapi::fcntl::{O_ACCMODE, O_RDONLY, O_WRONLY};
use trapgate_uapi::stat::{S_IFIFO, S_IFMT, S_IFSOCK};

/// An open file description (open(2)): shared by descriptors that dup(2) made.
pub struct OpenFile {
    /// The host's number for it.
    pub host: u32,
    /// `O_*` flags that fcntl(2) shows. Standard files share them where they are
    /// one description on the host, but each has its own grant: so they remain
    /// several here.
    flags: Arc<AtomicU32>,
    /// What the host said of it at the start. Of its status, only a regular
    /// file's can have changed in a way that matters.
    info: &'static StandardFile,
}

impl OpenFile {
    /// The standard file `host`, as it was at the start.
    pub fn standard(host: u32, flags: Arc<AtomicU32>, info: &'static StandardFile) -> Self {
        OpenFile { host, flags, info }
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.info.is_terminal != 0
    }

    /// Its status at the start.
    pub fn status(&self) -> &FileStatus {
        &self.info.status
    }

    /// Whether it has one of `st_mode`'s types.
    pub fn is(&self, file_type: u32) -> bool {
        self.info.status.mode as u32 & S_IFMT == file_type
    }

    /// The flags that fcntl(2) shows.
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Those of its flags that bear on a transfer ([`TRANSFER_FLAGS`]).
    pub fn transfer_flags(&self) -> u32 {
        self.flags() & TRANSFER_FLAGS
    }

    /// Sets those of the flags in `mask` that are in `flags`, and clears the
    /// others in it.
    pub fn set_flags(&self, mask: u32, flags: u32) {
        let kept = self.flags() & !mask;
        self.flags.store(kept | flags & mask, Ordering::Relaxed);
    }

    /// Whether it was opened for reading.
    pub fn readable(&self) -> bool {
        self.flags() & O_ACCMODE != O_WRONLY
    }

    /// Whether it was opened for writing.
    pub fn writable(&self) -> bool {
        self.flags() & O_ACCMODE != O_RDONLY
    }

    /// Whether it has no position: lseek(2) answers ESPIPE.
    pub fn is_stream(&self) -> bool {
        self.is(S_IFIFO) || self.is(S_IFSOCK) || self.is_terminal()
    }
}
