//! What kernel and programs agree on: Linux's interface, a file a header, with the
//! form for 64-bit programs and that for i386 side by side, and what converts one
//! into the other.
//!
//! The kernel answers programs by this; `guest-rt` and the programs of the tests ask
//! by it; the loader and the VMM take from it what they build or say in Linux's
//! words. What VMM and kernel agree on is `trapgate_abi`, which stands on this
//! crate where it needs Linux's numbers.
//!
//! Numbers come from linux-raw-sys; sizes are asserted, and places of fields are
//! compared with it while this compiles. A name is the header's; `Compat…` before it
//! is i386's form, as in Linux.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod macros;

pub mod auxvec;
pub mod capability;
pub mod close_range;
pub mod dirent;
pub mod epoll;
pub mod errno;
pub mod eventfd;
pub mod falloc;
pub mod fcntl;
pub mod fs;
pub mod futex;
pub mod highuid;
pub mod ioctl;
pub mod ioprio;
pub mod ipc;
pub mod ldt;
pub mod membarrier;
pub mod memfd;
pub mod mman;
pub mod openat2;
pub mod personality;
pub mod poll;
pub mod prctl;
pub mod random;
pub mod resource;
pub mod sched;
pub mod shm;
pub mod sigcontext;
pub mod siginfo;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod statfs;
pub mod statx;
pub mod syscall;
pub mod sysinfo;
pub mod time;
pub mod timerfd;
pub mod uio;
pub mod utsname;
pub mod xattr;

pub use errno::Errno;
