//! Processes: begun, ended, waited for.

use std::ffi::{CString, c_long};
use std::ptr::null;
use std::sync::OnceLock;

use crate::Operation;
use crate::measure::{Counted, Repeats, calls};
use crate::sys::{self, Area, Failure, READ_WRITE, Stack};

/// This program's file.
pub(crate) static PROGRAM: OnceLock<&'static str> = OnceLock::new();

/// What the parent has touched: 16 MiB.
const TOUCHED: usize = 4096;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("fork", |repeats| {
        sys::check("fork", fork_and_wait())?;
        calls(repeats, 20, fork_and_wait)
    }),
    // How much more it is for each page that the parent has touched.
    ("fork-page", |repeats| {
        sys::check("fork", fork_and_wait())?;
        let without = calls(repeats, 3, fork_and_wait)?.instructions;
        let area = Area::map(TOUCHED, READ_WRITE, None)?;
        area.write_each();
        let with = calls(repeats, 3, fork_and_wait)?.instructions;
        Ok(Counted {
            instructions: (with - without) / TOUCHED as f64,
            elements: 3 * TOUCHED as u32,
        })
    }),
    ("vfork-exec", vfork_exec),
];

fn fork_and_wait() -> c_long {
    let child = sys::fork(|| {});
    if child < 0 { child } else { sys::wait_for(child) }
}

/// This program itself, to end at once.
fn vfork_exec(repeats: Repeats) -> Result<Counted, Failure> {
    let program = PROGRAM.get().copied().unwrap_or_default();
    let program = CString::new(program).unwrap_or_default();
    let words = [program.as_ptr(), c"exit".as_ptr(), null()];
    let mut stack = Stack::new();
    let mut once = || {
        let child = sys::spawn(&mut stack, &words);
        if child < 0 { child } else { sys::wait_for(child) }
    };
    sys::check("clone", once())?;
    calls(repeats, 10, once)
}
