//! The calls of a program: natively by ptrace(2), in a sandbox by `run --strace`.
#![allow(unsafe_code, reason = "ptrace(2) with a request that nix does not have everywhere")]

use crate::case::Case;
use crate::process::{Ran, default_limit};
use crate::programs::directory;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::{Abi, X32_BIT};

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// As many arguments as it has.
    pub arguments: Vec<u64>,
    /// What it came to: a number, or an error by its name; none, if it did not come
    /// back.
    pub result: Option<Result<i64, String>>,
}

/// Calls whose result is an address, or a number that the host gives out.
const OWN_RESULTS: [&str; 9] = [
    "brk",
    "mmap",
    "mmap2",
    "mremap",
    "getpid",
    "gettid",
    "getppid",
    "set_tid_address",
    "clock_gettime",
];

impl Call {
    /// What must be the same in every run: no addresses, and no process's number.
    #[must_use]
    pub fn same(mut self) -> Call {
        for argument in &mut self.arguments {
            // No number that a program of the tests passes is larger, but -1.
            let is_number = *argument < 1 << 20 || *argument as u32 == u32::MAX;
            *argument = if is_number { *argument } else { 1 << 20 };
        }
        if OWN_RESULTS.contains(&self.name.as_str())
            && let Some(Ok(result)) = &mut self.result
        {
            *result = 0;
        }
        self
    }
}

/// The calls in a trace's text, and its other lines.
///
/// # Panics
/// If a line is neither a call nor one of those that begin with a mark.
#[track_caller]
pub fn parse(text: &str) -> (Vec<Call>, Vec<String>) {
    let (mut calls, mut others) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("+++") || line.starts_with('[') || line.starts_with("<...") {
            others.push(line.to_owned());
        } else {
            calls.push(call(line).unwrap_or_else(|| panic!("{line:?} is no call in\n{text}")));
        }
    }
    (calls, others)
}

/// `name(0x1, 0x2) = 3`
fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = match rest.split_once(") = ") {
        Some((arguments, result)) => (arguments, Some(result)),
        None => (rest.strip_suffix(" <unfinished ...>")?, None),
    };
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let arguments = arguments.split(", ").filter(|text| !text.is_empty()).map(number);
    let result = match result {
        None | Some("?") => None,
        // Behind the question mark: how it goes on.
        Some(result) => Some(match result.strip_prefix("-1 ").or(result.strip_prefix("? ")) {
            Some(error) => Err(error.split(' ').next()?.to_owned()),
            None => Ok(number(result).map(u64::cast_signed).or(result.parse().ok())?),
        }),
    };
    Some(Call { name: name.to_owned(), arguments: arguments.collect::<Option<_>>()?, result })
}

impl Case {
    /// Runs it by `trapgate run --strace=FILE`: the run, and what is in the file.
    ///
    /// # Panics
    /// If it does not end in time, or there is no file.
    #[track_caller]
    pub fn strace(&self) -> (Ran, String) {
        let directory = directory();
        let file = directory.path().join("calls");
        let mut option = OsString::from("--strace=");
        option.push(&file);
        let ran = self.clone().options([option]).sandboxed();
        let text = fs::read_to_string(&file);
        let text = text.unwrap_or_else(|error| ran.fail(&format!("a trace, not {error}")));
        (ran, text)
    }

    /// Runs it as an ordinary process, and answers its calls, from behind the
    /// execve(2) that began it.
    ///
    /// # Panics
    /// If it cannot be traced.
    #[track_caller]
    #[expect(clippy::zombie_processes, reason = "waitpid(2) has seen its end")]
    pub fn native_calls(&self) -> Vec<Call> {
        let mut child = self.traced(Stdio::piped());
        let stdout = read(child.stdout.take().expect("a pipe"));
        let stderr = read(child.stderr.take().expect("a pipe"));
        let pid = Pid::from_raw(child.id().cast_signed());
        let start = Instant::now();
        let mut calls: Vec<Call> = Vec::new();
        let mut is_program = false;
        loop {
            assert!(start.elapsed() < default_limit(), "{self:?} runs on");
            let signal = match waitpid(pid, None).expect("the process is ours") {
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => break,
                WaitStatus::PtraceSyscall(_) => {
                    step(pid, &mut calls);
                    None
                }
                // It became the program.
                WaitStatus::Stopped(..) if !is_program => {
                    is_program = true;
                    let options = Options::PTRACE_O_TRACESYSGOOD;
                    ptrace::setoptions(pid, options).expect("it is stopped");
                    None
                }
                WaitStatus::Stopped(_, signal) => Some(signal),
                other => panic!("{self:?}: {other:?}"),
            };
            ptrace::syscall(pid, signal).expect("it is stopped");
        }
        for reader in [stdout, stderr] {
            reader.join().expect("no panic");
        }
        calls
    }
}

/// Reads a pipe to its end.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || _ = pipe.read_to_end(&mut Vec::new()))
}

/// What a stopped process is about to ask, or was answered (`struct
/// ptrace_syscall_info`, as words: not every C library has it).
fn step(pid: Pid, calls: &mut Vec<Call>) {
    const GET_SYSCALL_INFO: libc::c_long = 0x420e;
    const ENTRY: u8 = 1;
    const EXIT: u8 = 2;
    let mut words = [0u64; 11];
    let (size, at) = (size_of_val(&words), words.as_mut_ptr());
    // SAFETY: the kernel writes no more than so many bytes.
    let written =
        unsafe { libc::syscall(libc::SYS_ptrace, GET_SYSCALL_INFO, pid.as_raw(), size, at) };
    assert!(written > 0, "it is stopped at a call");
    let [head, _, _, first, arguments @ ..] = words;
    let abi = match head >> 32 {
        0x4000_0003 => Abi::I386,
        _ => Abi::X86_64,
    };
    if head as u8 == ENTRY {
        let number = first as u32;
        let (abi, number) = match number & X32_BIT {
            0 => (abi, number),
            _ => (Abi::X32, number & !X32_BIT),
        };
        let row = abi.row(number);
        let unknown = || format!("syscall_{:#x}", first as u32);
        let name = row.map_or_else(unknown, |row| row.name.to_owned());
        let count = row.map_or(6, |row| row.arguments.into());
        calls.push(Call { name, arguments: arguments[..count].to_vec(), result: None });
    } else if head as u8 == EXIT
        && let Some(call) = calls.last_mut()
    {
        // Of the execve(2) there is only the end, before any call.
        call.result = Some(match from_return(first) {
            Ok(_) if abi == Abi::I386 => Ok(i64::from(first as i32)),
            Ok(_) => Ok(first.cast_signed()),
            Err(errno) => Err(errno.name().to_owned()),
        });
    }
}
