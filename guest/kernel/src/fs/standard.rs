//! The three standard files, which live on the host.

use crate::fs::beside::Beside;
use alloc::sync::Arc;
use core::sync::atomic::AtomicU32;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::FileStatus;
use trapgate_uapi::stat::{S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK};

/// A standard file.
pub struct Standard {
    /// The host's number for it.
    pub host: u32,
    /// `O_*` flags that fcntl(2) shows. Standard files share them where they are
    /// one description on the host, but each has its own grant: so they remain
    /// several here.
    flags: Arc<AtomicU32>,
    /// What the host said of it at the start. Of its status, only a regular
    /// file's can have changed in a way that matters.
    info: &'static StandardFile,
    beside: Beside,
}

/// As it was opened; what goes when one is closed is not the other's.
impl Clone for Standard {
    fn clone(&self) -> Self {
        Standard::new(self.host, self.flags.clone(), self.info)
    }
}

impl Standard {
    /// The standard file `host`, as it was at the start.
    pub fn new(host: u32, flags: Arc<AtomicU32>, info: &'static StandardFile) -> Self {
        Standard { host, flags, info, beside: Beside::default() }
    }

    /// What goes when it is closed.
    pub const fn beside(&self) -> &Beside {
        &self.beside
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.info.is_terminal != 0
    }

    /// Its status at the start.
    pub fn status(&self) -> &FileStatus {
        &self.info.status
    }

    /// Its type, as `st_mode` has it.
    pub const fn file_type(&self) -> u32 {
        self.info.status.mode as u32 & S_IFMT
    }

    /// Whether it has one of `st_mode`'s types.
    pub const fn is(&self, file_type: u32) -> bool {
        self.file_type() == file_type
    }

    /// The flags that fcntl(2) shows.
    #[inline]
    pub fn flags(&self) -> &AtomicU32 {
        &self.flags
    }

    /// Whether it ever keeps anybody waiting, as poll(2) has it: neither a file nor
    /// /dev/null and its like do.
    pub const fn is_pollable(&self) -> bool {
        const MEMORY: u64 = 1;
        match self.file_type() {
            S_IFIFO | S_IFSOCK => true,
            S_IFCHR => self.info.is_terminal != 0 || self.info.status.rdev >> 8 != MEMORY,
            _ => false,
        }
    }

    /// Whether it has no position: lseek(2) answers ESPIPE.
    pub fn is_stream(&self) -> bool {
        self.is(S_IFIFO) || self.is(S_IFSOCK) || self.is_terminal()
    }
}
