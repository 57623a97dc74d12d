//! What trapgate was started with, for `run` to pass on to the program: which
//! standard files are open, and which signals are ignored.
//!
//! Before `main`, Rust's runtime opens /dev/null for each standard descriptor
//! that is closed, so that no other file gets its number, and ignores SIGPIPE.
//! That is good for trapgate, but the program must see what trapgate's own
//! caller did. So this looks before the runtime acts: in a constructor, which
//! the C library calls before it calls `main`.
#![allow(unsafe_code, reason = "a constructor is a matter of the linker's; rt_sigaction(2)")]

use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use trapgate::Stdio;

/// Whether each standard descriptor was open when this process began.
static OPEN: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
/// The signals that were ignored, bit `n - 1` for signal `n`.
static IGNORED: AtomicU64 = AtomicU64::new(0);

/// The C library calls what stands in this section (ELF's `.init_array`).
// SAFETY: the section holds addresses of functions of the C ABI, and this is
// one; the arguments that it is called with (argc, argv, envp) it ignores. It
// uses nothing that the runtime sets up: system calls and atomic stores.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for (fd, open) in (0..).zip(&OPEN) {
        // SAFETY: no pointers.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        open.store(flags >= 0, Ordering::Relaxed);
    }
    for signal in 1..=64u64 {
        // The kernel's structure has four words; the first is the handler. (The C
        // library's function does not tell of signals that it uses itself.)
        let mut action = [0usize; 4];
        let (none, at, mask_size) = (null::<usize>(), action.as_mut_ptr(), size_of::<u64>());
        // SAFETY: the present action is written into the array; nothing is
        // changed.
        let done = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, at, mask_size) };
        if done == 0 && action[0] == libc::SIG_IGN {
            IGNORED.fetch_or(1 << (signal - 1), Ordering::Relaxed);
        }
    }
}

/// Standard input, output and error for a program that shall have trapgate's
/// own.
pub(crate) fn standard_files() -> [Stdio; 3] {
    OPEN.each_ref().map(|open| match open.load(Ordering::Relaxed) {
        true => Stdio::Inherit,
        false => Stdio::Closed,
    })
}

/// The signals that a program ignores from its start, bit `n - 1` for signal
/// `n`.
pub(crate) fn ignored_signals() -> u64 {
    IGNORED.load(Ordering::Relaxed)
}
