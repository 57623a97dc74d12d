//! Which file systems answer at once.
//!
//! Linux says of every regular file that it is ready, also of one on a file server that
//! is gone, and of files that the kernel makes up and that wait: /proc/kmsg, tracefs'
//! trace_pipe. So what is known to answer at once is listed, and a file of any other
//! kind is moved by a worker ([`super::worker`]), which may wait.

use linux_raw_sys::general::{
    BCACHEFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, EROFS_SUPER_MAGIC_V1, EXFAT_SUPER_MAGIC,
    EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, ISOFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, NILFS_SUPER_MAGIC,
    OVERLAYFS_SUPER_MAGIC, RAMFS_MAGIC, REISERFS_SUPER_MAGIC, SQUASHFS_MAGIC, TMPFS_MAGIC,
    UDF_SUPER_MAGIC, XFS_SUPER_MAGIC,
};
use rustix::fs::fstatfs;
use std::os::fd::BorrowedFd;

/// File systems in memory and on this machine's disks. Of an overlay Linux does not say
/// what is below it; mostly it is one of the others.
const AT_ONCE: [u32; 16] = [
    BCACHEFS_SUPER_MAGIC,
    BTRFS_SUPER_MAGIC,
    EROFS_SUPER_MAGIC_V1,
    EXFAT_SUPER_MAGIC,
    EXT4_SUPER_MAGIC,
    F2FS_SUPER_MAGIC,
    ISOFS_SUPER_MAGIC,
    MSDOS_SUPER_MAGIC,
    NILFS_SUPER_MAGIC,
    OVERLAYFS_SUPER_MAGIC,
    RAMFS_MAGIC,
    REISERFS_SUPER_MAGIC,
    SQUASHFS_MAGIC,
    TMPFS_MAGIC,
    UDF_SUPER_MAGIC,
    XFS_SUPER_MAGIC,
];

/// Whether a regular file is on one of them.
pub(crate) fn answers_at_once(file: BorrowedFd<'_>) -> bool {
    // The type is a word whose width and sign depend on the C library.
    fstatfs(file).is_ok_and(|system| AT_ONCE.contains(&(system.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn memory_answers_at_once_and_what_the_kernel_makes_up_need_not() {
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        assert!(answers_at_once(memory.as_fd()));
        for path in ["/proc/self/status", "/sys/kernel/uevent_seqnum"] {
            assert!(!answers_at_once(File::open(path).unwrap().as_fd()), "{path}");
        }
    }
}
