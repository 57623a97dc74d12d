//! What VMM and kernel tell each other about an open file.

use crate::wire::wire_struct;
use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};

wire_struct! {
    /// What fstat(2) says: the host's answer, in the units of stat(3type).
    pub struct FileStatus {
        /// Device
        pub dev: u64,
        /// Inode
        pub ino: u64,
        /// Type and permissions
        pub mode: u64,
        /// Hard links
        pub nlink: u64,
        /// Owner
        pub uid: u64,
        /// Group
        pub gid: u64,
        /// Device number of a special file
        pub rdev: u64,
        /// Bytes
        pub size: u64,
        /// Preferred block size in bytes
        pub blksize: u64,
        /// Blocks of 512 bytes
        pub blocks: u64,
        /// Last access: seconds
        pub atime: u64,
        /// Last access: nanoseconds
        pub atime_nsec: u64,
        /// Last modification: seconds
        pub mtime: u64,
        /// Last modification: nanoseconds
        pub mtime_nsec: u64,
        /// Last change of status: seconds
        pub ctime: u64,
        /// Last change of status: nanoseconds
        pub ctime_nsec: u64,
    }
}

/// Flags of an open file that a program can change (fcntl(2) `F_SETFL`) and that
/// bear on a transfer. The kernel keeps the program's own; each transfer tells
/// the VMM of them, because the host's description may be shared.
pub const TRANSFER_FLAGS: u32 = O_APPEND | O_NONBLOCK;
