//! The kernel's image. All of it is in the library; the entry point is
//! `_start` in `start.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

use trapgate_guest as _;

/// Editors and `cargo build --workspace` compile it for the host, too.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "trapgate's ring-0 kernel runs in a VM: vmm/build.rs makes it for x86_64-unknown-none"
    );
    std::process::exit(2);
}
