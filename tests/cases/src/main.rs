//! `cases WIDTH DIRECTORY`: makes the calls of the cases on standard input, and writes
//! what came of each; WIDTH is `x86_64` (by SYSCALL) or `i386` (by INT 0x80).
//!
//! Run natively and in a sandbox it writes the same, if the sandbox does as Linux does:
//! tests/tests/files.rs compares the two. It must be root, DIRECTORY be empty, and the
//! descriptors from 3 on be closed. What it writes of a case is its name, a line a
//! call with its result, and the tree that the case leaves.
//!
//! tests/cases/README.md says how cases are written.

mod call;
mod constants;
mod memory;
mod script;
mod setting;
mod show;
mod tokens;
mod tree;

use crate::call::{Calls, Width};
use crate::script::Case;
use crate::setting::Setting;
use std::io::{Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (width, directory) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["x86_64", directory] => (Width::X86_64, directory.to_owned()),
        ["i386", directory] => (Width::I386, directory.to_owned()),
        _ => {
            eprintln!("cases x86_64|i386 DIRECTORY < CASES");
            return ExitCode::from(2);
        }
    };
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("standard input is text");
    let setting = Setting::new(&directory);
    let mut calls = Calls::new(width);
    for (index, case) in Case::all(&text).filter(|case| case.is_for(width)).enumerate() {
        // A case a write: whatever ends the program has a name.
        let mut out = format!("= {}\n", case.name);
        print(&out);
        out.clear();
        match setting.enter(index) {
            Ok(()) => {
                case.lines.iter().for_each(|line| out.push_str(&script::run(&mut calls, line)));
                out.push_str(&tree::of_this_directory());
            }
            Err(error) => out.push_str(&format!("  (its directory: {error})\n")),
        }
        setting.leave();
        print(&out);
    }
    print("= end\n");
    ExitCode::SUCCESS
}

fn print(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).expect("standard output takes it");
    std::io::stdout().flush().expect("standard output takes it");
}
