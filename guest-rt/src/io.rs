//! Printing to standard output and standard error. A `println!` is one
//! write(2), as long as its text fits into the buffer on the stack.

use crate::{STDERR, STDOUT, write_all};
use core::fmt::{self, Write};
use trapgate_uapi::Errno;

/// Text on its way to a descriptor.
struct Printer {
    fd: i32,
    buffer: [u8; 512],
    used: usize,
    result: Result<(), Errno>,
}

impl Printer {
    fn flush(&mut self) {
        let text = &self.buffer[..self.used];
        if self.result.is_ok() {
            self.result = write_all(self.fd, text).map(drop);
        }
        self.used = 0;
    }
}

impl Write for Printer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.used == self.buffer.len() {
                self.flush();
            }
            let room = &mut self.buffer[self.used..];
            let count = room.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            room[..count].copy_from_slice(now);
            self.used += count;
            rest = later;
        }
        Ok(())
    }
}

fn print(fd: i32, text: fmt::Arguments<'_>) -> Result<(), Errno> {
    let mut printer = Printer { fd, buffer: [0; 512], used: 0, result: Ok(()) };
    // Fails only where a `Display` of the caller's does; print what came.
    let _ = printer.write_fmt(text);
    printer.flush();
    printer.result
}

/// What `print!` calls.
///
/// # Panics
/// If standard output cannot be written: its reader would miss something.
pub fn print_stdout(text: fmt::Arguments<'_>) {
    if let Err(error) = print(STDOUT, text) {
        panic!("cannot write to standard output: {error}");
    }
}

/// What `eprint!` calls. Where errors cannot be told, nobody can be told that.
pub fn print_stderr(text: fmt::Arguments<'_>) {
    let _ = print(STDERR, text);
}

/// Prints to standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print_stdout(::core::format_args!($($text)*)) };
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($text:tt)*) => {
        $crate::print_stdout(::core::format_args!("{}\n", ::core::format_args!($($text)*)))
    };
}

/// Prints to standard error.
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::print_stderr(::core::format_args!($($text)*)) };
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($text:tt)*) => {
        $crate::print_stderr(::core::format_args!("{}\n", ::core::format_args!($($text)*)))
    };
}
