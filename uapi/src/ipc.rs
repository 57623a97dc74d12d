//! linux/ipc.h: System V's keys, permissions and numbers. linux-raw-sys has none of it.

use crate::macros::structure;

/// A key that is none.
pub const IPC_PRIVATE: i32 = 0;
/// Make what is not there,
pub const IPC_CREAT: u32 = 0o1000;
/// and nothing else.
pub const IPC_EXCL: u32 = 0o2000;

/// shmctl(2): remove it.
pub const IPC_RMID: u32 = 0;
/// Set its owner and its permissions.
pub const IPC_SET: u32 = 1;
/// Tell of it.
pub const IPC_STAT: u32 = 2;
/// Tell of the limits.
pub const IPC_INFO: u32 = 3;
/// i386's: with the later structures, which x86-64 always has.
pub const IPC_64: u32 = 0x100;

/// ipc(2), i386's one call for all: shmat(2).
pub const SHMAT: u32 = 21;
/// shmdt(2)
pub const SHMDT: u32 = 22;
/// shmget(2)
pub const SHMGET: u32 = 23;
/// shmctl(2)
pub const SHMCTL: u32 = 24;

structure! {
    /// `struct ipc64_perm` of x86-64.
    #[derive(Default)]
    pub struct Ipc64Perm: 48 {
        pub key: i32,
        pub uid: u32,
        pub gid: u32,
        pub cuid: u32,
        pub cgid: u32,
        pub mode: u32,
        pub seq: u16,
        pub pad2: u16,
        pub pad3: u32,
        pub unused: [u64; 2],
    }
}

structure! {
    /// `struct ipc64_perm` of i386.
    #[derive(Default)]
    pub struct CompatIpc64Perm: 36 {
        pub key: i32,
        pub uid: u32,
        pub gid: u32,
        pub cuid: u32,
        pub cgid: u32,
        pub mode: u16,
        pub pad1: u16,
        pub seq: u16,
        pub pad2: u16,
        pub unused: [u32; 2],
    }
}
