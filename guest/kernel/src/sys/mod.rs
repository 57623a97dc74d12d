//! The system calls, a file a family of man pages. A body reads like its man page: arguments
//! are checked in order, unknown flag bits refused, user memory read once and
//! before anything is written.
//!
//! A new call is one `syscall_define!` here and one name in [`table`]'s
//! `ENTRIES`. What i386 passes in another form has its handlers in [`compat`], and
//! its name in `COMPAT_ENTRIES`.

mod absent;
pub mod args;
pub mod attributes;
pub mod clone;
pub mod compat;
pub mod copy;
pub mod cpu_clock;
pub mod credentials;
pub mod define;
pub mod descriptor;
pub mod directory;
pub mod epoll;
pub mod eventfd;
pub mod exec;
pub mod fcntl;
pub mod futex;
pub mod handle;
pub mod ioctl;
pub mod kill;
pub mod lock;
mod lock_limit;
pub mod madvise;
pub mod memfd;
pub mod mm;
pub mod names;
pub mod open;
mod owner;
pub mod path;
pub mod personality;
pub mod pipe;
pub mod pkeys;
pub mod policy;
pub mod poll;
pub mod prctl;
pub mod priority;
pub mod process;
pub mod random;
pub mod read_write;
pub mod refused;
pub mod sched;
pub mod select;
pub mod shm;
pub mod signal;
pub mod size;
pub mod socket;
pub mod space;
pub mod splice;
pub mod stat;
pub mod statfs;
pub mod system;
pub mod table;
pub mod time;
pub mod timer;
pub mod timerfd;
pub mod traced;
pub mod vectors;
mod write_limit;
pub mod xattr;
