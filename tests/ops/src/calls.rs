//! Calls that need nothing but the process itself.

use crate::Operation;
use crate::measure::{Counted, calls};
use crate::sys::{self, Stat};

pub(crate) const OPERATIONS: &[Operation] = &[
    // The door's instruction and the way through the kernel, nothing else.
    ("null-syscall", |repeats| {
        let around = calls(repeats, 1000, sys::null_nothing)?.instructions;
        let counted = calls(repeats, 1000, sys::null_syscall)?;
        Ok(Counted { instructions: counted.instructions - around, ..counted })
    }),
    ("null-int80", |repeats| {
        let around = calls(repeats, 1000, sys::null_nothing)?.instructions;
        let counted = calls(repeats, 1000, sys::null_int80)?;
        Ok(Counted { instructions: counted.instructions - around, ..counted })
    }),
    ("getpid", |repeats| calls(repeats, 1000, sys::getpid)),
    ("fcntl", |repeats| calls(repeats, 500, || sys::flags_of(1))),
    ("sigprocmask", |repeats| calls(repeats, 500, || sys::sigprocmask(&0))),
    ("fstat", |repeats| {
        let mut stat = Stat::new();
        calls(repeats, 500, || sys::fstat(1, &mut stat))
    }),
    ("dup-close", |repeats| calls(repeats, 300, || sys::close(sys::dup(1) as i32))),
];
