//! The calls of i386 whose arguments have another form than x86-64's: 32-bit
//! `long`s and pointers, other structures, 64-bit values in two registers,
//! 16-bit user numbers.
//!
//! A handler here reads the 32-bit form, converts, and calls the body that
//! both widths share in [`crate::sys`]; nothing is decided here that is decided
//! there. Conversions are pure functions with their own tests.
//!
//! Most have an entry of their own in Linux (`compat_sys_…`, `sys_…_time32`,
//! `sys_…16`, `sys_ia32_…`). These have not, and Linux asks
//! `in_compat_syscall()` somewhere below:
//!
//! | entry | what differs |
//! |---|---|
//! | `sys_readv`, `sys_writev`, `sys_vmsplice` | `struct iovec` |
//! | `sys_mmap_pgoff`, `sys_mremap` | a place below 4 GiB |
//! | `sys_clock_nanosleep`, `sys_futex`, ppoll's | the upper half of `tv_nsec` is padding |
//! | `sys_modify_ldt` | the result has 32 bits |

pub mod attributes;
pub mod clone;
pub mod copy;
pub mod credentials;
pub mod directory;
pub mod epoll;
pub mod exec;
pub mod fcntl;
pub mod futex;
pub mod ioctl;
pub mod mm;
pub mod path;
pub mod poll;
pub mod process;
pub mod read_write;
pub mod refused;
pub mod sched;
pub mod shm;
pub mod signal;
pub mod space;
pub mod splice;
pub mod stat;
pub mod statfs;
pub mod system;
pub mod time;
pub mod timer;
pub mod timerfd;
pub mod tls;

/// A 64-bit value in two registers or words.
const fn join(low: u32, high: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_pairs_join_low_word_first() {
        assert_eq!(join(0x8000_0001, 0), 0x8000_0001);
        assert_eq!(join(2, 1), 0x1_0000_0002);
        assert_eq!(join(u32::MAX, u32::MAX) as i64, -1);
    }
}
