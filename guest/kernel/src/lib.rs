//! trapgate's ring-0 kernel above the CPU: what the calls of a Linux program do.
//!
//! There is no unsafe code here. What needs it is below, in `trapgate-arch`, which
//! on the host is a fake, so that the kernel runs under `cargo test`; or above, in
//! the image, whose doors call the tables of `sys`.
//!
//! The rooms, top to bottom. Each uses those below it and none above, and no two
//! files use each other, by whatever way round: a test (`xtask: arrows`) reads this
//! table and the imports.
//!
//! | room | what it is for |
//! |---|---|
//! | [`sys`] | the calls, a file a family of man pages; their tables |
//! | [`proc`] | /proc and /sys: what the kernel tells in files |
//! | [`process`] | processes and tasks: what is theirs, exceptions, the end, the way back to ring 3 |
//! | [`signal`] | what was sent, what is wanted, and what comes of it |
//! | [`fs`] | descriptors, open files, transfers |
//! | [`futex`] | words that threads wait for |
//! | [`mm`] | frames, mappings, the address space, page faults |
//! | [`sched`] | threads: which runs, which could, and what each waits for |
//! | [`clock`] | time from the counter |
//! | [`trace`] | records of calls, for the VMM |
//! | [`host`] | requests to the VMM, typed: sent, and answered |
//! | [`log`] | records for the VMM |
//! | [`user`] | pointers of the program's |
//! | [`memory`] | memory of the kernel's own, asked for before it is used |
//!
//! Where a room needs one above, the one above hands a function in: `mm::frames`
//! gives the floor's heap its memory, the image gives the kernel its page tables.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests have memory")
)]

extern crate alloc;

pub mod clock;
pub mod fs;
pub mod futex;
pub mod host;
pub mod log;
pub mod memory;
pub mod mm;
pub mod proc;
pub mod process;
pub mod sched;
pub mod signal;
pub mod sys;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod user;
