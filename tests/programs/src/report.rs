//! Checks that print what they saw, and the status that comes of them.

use core::fmt;
use trapgate_rt::println;
use trapgate_uapi::Errno;

/// What a call answered: a number, or an error by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outcome(pub Result<u64, Errno>);

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(value) => write!(f, "{value}"),
            Err(error) => f.write_str(error.name()),
        }
    }
}

/// Counts what was not as expected.
#[derive(Default)]
pub struct Report {
    failures: u32,
}

impl Report {
    /// Nothing checked yet.
    pub const fn new() -> Report {
        Report { failures: 0 }
    }

    /// Prints a call's answer and compares it.
    pub fn answers(&mut self, what: &str, got: Result<u64, Errno>, expected: Result<u64, Errno>) {
        println!("{what}: {}", Outcome(got));
        if got != expected {
            self.failed(format_args!("{what} should answer {}", Outcome(expected)));
        }
    }

    /// The call succeeds with this number.
    pub fn is(&mut self, what: &str, got: Result<u64, Errno>, expected: u64) {
        self.answers(what, got, Ok(expected));
    }

    /// The call fails with this error.
    pub fn fails(&mut self, what: &str, got: Result<u64, Errno>, expected: Errno) {
        self.answers(what, got, Err(expected));
    }

    /// The call succeeds, with a number that is not for printing: answers it.
    pub fn works(&mut self, what: &str, got: Result<u64, Errno>) -> u64 {
        match got {
            Ok(value) => {
                println!("{what}: succeeds");
                value
            }
            Err(error) => {
                println!("{what}: {}", error.name());
                self.failed(format_args!("{what} should succeed"));
                0
            }
        }
    }

    /// Prints whether something holds, which it should.
    pub fn holds(&mut self, what: &str, holds: bool) {
        println!("{what}: {}", if holds { "yes" } else { "no" });
        if !holds {
            self.failed(format_args!("{what} should be"));
        }
    }

    /// Prints a number and compares it.
    pub fn equals(&mut self, what: &str, got: u64, expected: u64) {
        println!("{what}: {got:#x}");
        if got != expected {
            self.failed(format_args!("{what} should be {expected:#x}"));
        }
    }

    /// Counts a failure that is not one of the checks above.
    pub fn failed(&mut self, what: fmt::Arguments<'_>) {
        println!("FAILED: {what}");
        self.failures += 1;
    }

    /// The program's status: 0 if nothing failed.
    pub fn status(&self) -> i32 {
        match self.failures {
            0 => println!("all as expected"),
            count => println!("{count} not as expected"),
        }
        i32::from(self.failures > 0)
    }
}
