//! linux/shm.h: System V's shared memory. linux-raw-sys has none of it.

use crate::ipc::{CompatIpc64Perm, Ipc64Perm};
use crate::macros::structure;

/// shmget(2): of large pages.
pub const SHM_HUGETLB: u32 = 0o4000;

/// shmat(2): to be read only,
pub const SHM_RDONLY: u32 = 0o10000;
/// at the page that the address is in,
pub const SHM_RND: u32 = 0o20000;
/// in the place of what is there,
pub const SHM_REMAP: u32 = 0o40000;
/// to be executed.
pub const SHM_EXEC: u32 = 0o100_000;

/// A segment's mode: it goes with its last attach,
pub const SHM_DEST: u32 = 0o1000;
/// it is never swapped out.
pub const SHM_LOCKED: u32 = 0o2000;

/// shmctl(2): it is not to be swapped out,
pub const SHM_LOCK: u32 = 11;
/// or may be again.
pub const SHM_UNLOCK: u32 = 12;
/// Tell of the segment at a place,
pub const SHM_STAT: u32 = 13;
/// of all of them together,
pub const SHM_INFO: u32 = 14;
/// of one at a place that may not be read, too.
pub const SHM_STAT_ANY: u32 = 15;

/// The shortest segment, in bytes.
pub const SHMMIN: u64 = 1;
/// The longest one.
pub const SHMMAX: u64 = u64::MAX - (1 << 24);
/// How many there may be.
pub const SHMMNI: usize = 4096;
/// Pages of all of them.
pub const SHMALL: u64 = u64::MAX - (1 << 24);

structure! {
    /// `struct shmid64_ds` of x86-64.
    #[derive(Default)]
    pub struct Shmid64: 112 {
        pub shm_perm: Ipc64Perm,
        pub shm_segsz: u64,
        pub shm_atime: i64,
        pub shm_dtime: i64,
        pub shm_ctime: i64,
        pub shm_cpid: u32,
        pub shm_lpid: u32,
        pub shm_nattch: u64,
        pub unused: [u64; 2],
    }
}

structure! {
    /// `struct shmid64_ds` of i386.
    #[derive(Default)]
    pub struct CompatShmid64: 84 {
        pub shm_perm: CompatIpc64Perm,
        pub shm_segsz: u32,
        pub shm_atime: [u32; 2],
        pub shm_dtime: [u32; 2],
        pub shm_ctime: [u32; 2],
        pub shm_cpid: u32,
        pub shm_lpid: u32,
        pub shm_nattch: u32,
        pub unused: [u32; 2],
    }
}

/// What does not fit is cut.
impl From<Shmid64> for CompatShmid64 {
    fn from(of: Shmid64) -> Self {
        let halves = |time: i64| [time as u32, (time >> 32) as u32];
        let Ipc64Perm { key, uid, gid, cuid, cgid, mode, seq, .. } = of.shm_perm;
        CompatShmid64 {
            shm_perm: CompatIpc64Perm {
                key,
                uid,
                gid,
                cuid,
                cgid,
                mode: mode as u16,
                seq,
                ..CompatIpc64Perm::default()
            },
            shm_segsz: of.shm_segsz as u32,
            shm_atime: halves(of.shm_atime),
            shm_dtime: halves(of.shm_dtime),
            shm_ctime: halves(of.shm_ctime),
            shm_cpid: of.shm_cpid,
            shm_lpid: of.shm_lpid,
            shm_nattch: of.shm_nattch as u32,
            unused: [0; 2],
        }
    }
}

structure! {
    /// `struct shminfo64` of x86-64.
    #[derive(Default)]
    pub struct Shminfo64: 72 {
        pub shmmax: u64,
        pub shmmin: u64,
        pub shmmni: u64,
        pub shmseg: u64,
        pub shmall: u64,
        pub unused: [u64; 4],
    }
}

structure! {
    /// `struct shm_info` of x86-64.
    #[derive(Default)]
    pub struct ShmInfo: 48 {
        pub used_ids: u64,
        pub shm_tot: u64,
        pub shm_rss: u64,
        pub shm_swp: u64,
        pub swap_attempts: u64,
        pub swap_successes: u64,
    }
}
