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

wire_struct! {
    /// What statfs(2) says of a file system: the host's answer.
    pub struct FileSystemStatus {
        /// `*_MAGIC` of linux/magic.h
        pub kind: u64,
        /// Preferred bytes of a transfer
        pub bsize: u64,
        /// Blocks, of `frsize` bytes
        pub blocks: u64,
        /// Free blocks
        pub bfree: u64,
        /// Those that anybody may take
        pub bavail: u64,
        /// Files that there can be
        pub files: u64,
        /// Free ones
        pub ffree: u64,
        /// Bytes of a name at most
        pub namelen: u64,
        /// Bytes of a block
        pub frsize: u64,
    }
}
