//! Which standard files trapgate was started with, for `run`.
//!
//! Before `main`, Rust's runtime opens /dev/null for each standard descriptor
//! that is closed, so that no other file gets its number. That is good for
//! trapgate, but the program must see what trapgate's own caller closed. So this
//! looks before the runtime does: in a constructor, which the C library calls
//! before it calls `main`.
#![allow(unsafe_code, reason = "a constructor is a matter of the linker's")]

use std::sync::atomic::{AtomicBool, Ordering};
use trapgate::Stdio;

/// Whether each standard descriptor was open when this process began.
static OPEN: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// The C library calls what stands in this section (ELF's `.init_array`).
// SAFETY: the section holds addresses of functions of the C ABI, and this is
// one; the arguments that it is called with (argc, argv, envp) it ignores. It
// uses nothing that the runtime sets up: an atomic store and fcntl(2).
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for (fd, open) in (0..).zip(&OPEN) {
        // SAFETY: no pointers.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        open.store(flags >= 0, Ordering::Relaxed);
    }
}

/// Standard input, output and error for a program that shall have trapgate's
/// own.
pub(crate) fn inherited() -> [Stdio; 3] {
    OPEN.each_ref().map(|open| match open.load(Ordering::Relaxed) {
        true => Stdio::Inherit,
        false => Stdio::Closed,
    })
}
