//! What a ring-3 program needs to stand on, without a C library: start code,
//! raw system calls by door, a few wrappers, printing, a panic handler.
//!
//! `images`, `tests/programs` and `tests/programs32` are written on it. A program is an ordinary
//! static Linux executable: it runs natively as well as in a sandbox.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! trapgate_rt::entry!(main);
//!
//! fn main(args: trapgate_rt::Args) -> i32 {
//!     trapgate_rt::println!("{} arguments", args.argc());
//!     0
//! }
//! ```
//!
//! Its package's build.rs hands `program.args` (beside this crate's
//! Cargo.toml) to the linker, which puts the program where static Linux
//! executables are: at 0x400000, with no page both writable and executable.
//!
//! What belongs to one instruction set is in `arch`, one file a door; the rest
//! knows neither registers nor the width of a word.
//!
//! 64-bit programs are made for `x86_64-unknown-none`, 32-bit ones for
//! `i686-unknown-linux-musl`: neither has anything else to stand on.
#![cfg_attr(any(target_os = "none", target_arch = "x86"), no_std)]

mod arch;
mod args;
mod calls;
mod io;
#[cfg(any(target_os = "none", target_arch = "x86"))]
mod panic;

#[cfg(target_arch = "x86")]
pub use arch::{int80, syscall32, sysenter, vsyscall};
#[cfg(target_arch = "x86_64")]
pub use arch::{int80, syscall64};
pub use args::{Args, aux};
pub use calls::{clock_gettime_ns, exit, getpid, read, write, write_all};
#[doc(hidden)]
pub use io::{print_stderr, print_stdout};
pub use trapgate_uapi::Errno;

/// Descriptor of standard input.
pub const STDIN: i32 = 0;
/// Descriptor of standard output.
pub const STDOUT: i32 = 1;
/// Descriptor of standard error.
pub const STDERR: i32 = 2;

/// The status of a program that panicked, as in Rust's standard library.
pub const PANIC_STATUS: i32 = 101;

/// Makes `$main`, a `fn(Args) -> i32`, what the program does; its result is
/// the program's status.
#[cfg(any(target_os = "none", target_arch = "x86"))]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[allow(unsafe_code, reason = "the start code finds it by name")]
        #[unsafe(no_mangle)]
        fn trapgate_main(args: $crate::Args) -> i32 {
            let main: fn($crate::Args) -> i32 = $main;
            main(args)
        }
    };
}

/// Stands where a program would begin, in what editors and `cargo build
/// --workspace` make for the host: says where the program itself is made.
#[cfg(not(any(target_os = "none", target_arch = "x86")))]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[allow(unsafe_code, reason = "the C library finds it by name")]
        #[unsafe(export_name = "main")]
        extern "C" fn host_main() -> i32 {
            let _: fn($crate::Args) -> i32 = $main;
            $crate::eprintln!(concat!(
                env!("CARGO_BIN_NAME"),
                " stands on no C library: cargo build --target x86_64-unknown-none --profile bare -p ",
                env!("CARGO_PKG_NAME"),
            ));
            2
        }
    };
}
