//! `ops`: how many instructions one operation takes, by a time-stamp counter that
//! counts instructions.
//!
//! `cargo xtask counts` runs it natively and in a sandbox, once an operation;
//! counts.toml names the operations. By hand:
//!
//! - `ops NAME [REPEATS]` prints `instructions=N elements=N`: what one element
//!   takes, and how many a repeat has. Status 3: a call that it needs answered
//!   ENOSYS, so that the operation does not exist here. Status 1: it failed.
//! - `ops list` prints the names.
//! - `ops hello` and `ops exit` do just that.
//!
//! It is an ordinary static program with libc's wrappers, since those are counted
//! too. Main is C's (`entry`): what Rust's run-time does before would be counted in
//! `vfork-exec`. What it needs of a system: /tmp, and the loopback device for `tcp`.

#![no_main]

mod calls;
mod entry;
mod files;
mod measure;
mod memory;
mod processes;
mod signals;
mod sockets;
mod sys;
mod waiting;

use crate::measure::{Counted, Repeats};
use crate::sys::Failure;

/// The operation does not exist here.
const STATUS_ABSENT: u8 = 3;

/// An operation: how it is called, and what measures it.
type Operation = (&'static str, fn(Repeats) -> Result<Counted, Failure>);

/// All of them, a file a line.
fn operations() -> impl Iterator<Item = &'static Operation> {
    let files = [
        calls::OPERATIONS,
        files::OPERATIONS,
        memory::OPERATIONS,
        waiting::OPERATIONS,
        signals::OPERATIONS,
        processes::OPERATIONS,
        sockets::OPERATIONS,
    ];
    files.into_iter().flatten()
}

/// Called by `entry` with the program's file and its arguments; answers its status.
fn run(program: &'static str, args: &[&str]) -> u8 {
    processes::PROGRAM.get_or_init(|| program);
    match *args {
        ["hello"] | ["hello", _] => sys::hello(),
        ["list"] => operations().for_each(|(name, _)| println!("{name}")),
        [name] => return measure(name, Some(Repeats::DEFAULT)),
        [name, repeats] => return measure(name, repeats.parse().ok().map(Repeats)),
        _ => return usage(),
    }
    0
}

fn measure(name: &str, repeats: Option<Repeats>) -> u8 {
    let operation = operations().find(|(other, _)| *other == name);
    let (Some((_, measure)), Some(repeats)) = (operation, repeats) else { return usage() };
    sys::stay_on_one_cpu();
    match measure(repeats) {
        Ok(Counted { instructions, elements }) => {
            println!("instructions={instructions:.2} elements={elements}");
            0
        }
        Err(failure) if failure.is_absent() => {
            println!("absent={}", failure.what());
            STATUS_ABSENT
        }
        Err(failure) => {
            println!("failed={failure}");
            1
        }
    }
}

fn usage() -> u8 {
    eprintln!("usage: ops NAME [REPEATS] | list | hello | exit");
    2
}
