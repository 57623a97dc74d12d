//! The registers with which a program dies: natively by ptrace(2), in a sandbox
//! by the report. Signal handlers would say the same, if both had them.
#![allow(unsafe_code, reason = "a child asks for tracing before it becomes the program")]

use crate::case::Case;
use crate::oracle::is_unstable;
use crate::process::{Ran, SPAWNING, default_limit};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

/// A death by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The signal.
    pub signal: i32,
    /// The registers that the CPU's mode has, by the names that a report uses.
    /// If the program says where the vDSO's landing pad is, an EIP in the vDSO
    /// is counted from there.
    pub registers: BTreeMap<String, u64>,
    /// What it had written, without that line.
    pub stdout: String,
}

impl Case {
    /// Runs it both ways and expects that it dies the same death: by the same
    /// signal, with the same registers. Answers it.
    ///
    /// # Panics
    /// If something differs.
    #[track_caller]
    pub fn same_death(&self) -> Death {
        self.same_death_in(|_, value| Some(value))
    }

    /// The same, with only that of each register compared which `part` makes of
    /// its name and value.
    ///
    /// # Panics
    /// If something else differs.
    #[track_caller]
    pub fn same_death_in(&self, part: impl Fn(&str, u64) -> Option<u64>) -> Death {
        let native = self.native_death().only(&part);
        let ran = self.sandboxed();
        let Some(sandboxed) = reported(&ran) else {
            ran.fail(&format!("death with a report, as natively: {native:x?}"))
        };
        let sandboxed = sandboxed.only(&part);
        let again = || self.native_death().only(&part);
        if native != sandboxed && !is_unstable(&ran.command, &native, &sandboxed, again) {
            ran.fail(&format!("as natively: {}", native.but(&sandboxed)));
        }
        sandboxed
    }

    /// Runs it as an ordinary process, traced.
    ///
    /// # Panics
    /// If it does not die by a signal, in time.
    #[track_caller]
    pub fn native_death(&self) -> Death {
        let mut child = self.traced(Stdio::null());
        let pid = Pid::from_raw(child.id().cast_signed());
        let start = Instant::now();
        let mut is_program = false;
        let signal = loop {
            assert!(start.elapsed() < default_limit(), "{self:?} runs on");
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)).expect("the process is ours") {
                WaitStatus::StillAlive => thread::sleep(Duration::from_millis(1)),
                WaitStatus::Stopped(_, Signal::SIGTRAP) if !is_program => {
                    is_program = true;
                    ptrace::cont(pid, None).expect("it is stopped");
                }
                WaitStatus::Stopped(_, signal) => break signal,
                other => panic!("{self:?}: {other:?}, not death by a signal"),
            }
        };
        let registers = ptrace::getregs(pid).expect("it is stopped");
        // Whose death is known need not be waited for.
        let _ = child.kill();
        let mut stdout = String::new();
        let mut pipe = child.stdout.take().expect("a pipe");
        pipe.read_to_string(&mut stdout).expect("programs write text");
        child.wait().expect("the process is ours");
        Death::new(signal as i32, general(&registers), stdout)
    }

    /// A process that stops when it becomes the program.
    pub(crate) fn traced(&self, stderr: Stdio) -> Child {
        let mut command = self.native_command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        // SAFETY: one system call, which is safe in a child.
        unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
        let _lock = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
        command.spawn().unwrap_or_else(|error| panic!("{self:?}: cannot be started: {error}"))
    }
}

impl Death {
    fn new(signal: i32, mut registers: BTreeMap<String, u64>, stdout: String) -> Death {
        const PAD: &str = "landing pad 0x";
        let mut rest = String::new();
        for line in stdout.lines() {
            match line.strip_prefix(PAD).map(|number| u64::from_str_radix(number, 16)) {
                Some(Ok(pad)) => {
                    let eip = registers.get_mut("eip");
                    if let Some(eip) = eip.filter(|eip| eip.abs_diff(pad) < 16) {
                        *eip = eip.wrapping_sub(pad);
                    }
                }
                _ => rest = rest + line + "\n",
            }
        }
        Death { signal, registers, stdout: rest }
    }

    /// With only that of each register which `part` makes of it.
    fn only(mut self, part: impl Fn(&str, u64) -> Option<u64>) -> Death {
        let registers = std::mem::take(&mut self.registers).into_iter();
        let parts = registers.filter_map(|(name, value)| Some((part(&name, value)?, name)));
        self.registers = parts.map(|(value, name)| (name, value)).collect();
        self
    }

    /// In words, what is different here than there.
    fn but(&self, other: &Death) -> String {
        let mut words = String::new();
        if self.signal != other.signal {
            words += &format!("signal {}, not {}\n", self.signal, other.signal);
        }
        let names: BTreeSet<_> = self.registers.keys().chain(other.registers.keys()).collect();
        for name in names {
            let (one, another) = (self.registers.get(name), other.registers.get(name));
            if one != another {
                words += &format!("{name} {one:x?}, not {another:x?}\n");
            }
        }
        if self.stdout != other.stdout {
            words += &format!("stdout {:?}, not {:?}\n", self.stdout, other.stdout);
        }
        words
    }

    /// A register's value.
    ///
    /// # Panics
    /// If the CPU's mode has none of this name.
    pub fn register(&self, name: &str) -> u64 {
        *self.registers.get(name).unwrap_or_else(|| panic!("no {name} in {self:x?}"))
    }
}

/// What ptrace(2) tells, by a report's names.
fn general(regs: &nix::libc::user_regs_struct) -> BTreeMap<String, u64> {
    let r = regs;
    let wide = [
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("rbp", r.rbp),
        ("rsp", r.rsp),
        ("rip", r.rip),
        ("rflags", r.eflags),
    ];
    let further = [
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r11", r.r11),
        ("r12", r.r12),
        ("r13", r.r13),
        ("r14", r.r14),
        ("r15", r.r15),
    ];
    let mut registers = BTreeMap::from([("cs".to_owned(), r.cs), ("ss".to_owned(), r.ss)]);
    if r.cs == u64::from(trapgate_abi::x86::selector::USER32_CS) {
        let narrow = |(name, value): (&str, u64)| (name.replacen('r', "e", 1), value as u32 as u64);
        registers.extend(wide.map(narrow));
    } else {
        registers
            .extend(wide.into_iter().chain(further).map(|(name, value)| (name.to_owned(), value)));
    }
    registers
}

/// The death that a sandbox's report tells of.
fn reported(ran: &Ran) -> Option<Death> {
    let signal = ran.status.checked_sub(128).filter(|&signal| signal > 0)?;
    let text = ran.stderr_text();
    // Behind the first two lines: names and numbers, two by two.
    let words: Vec<&str> = text.lines().skip(2).flat_map(str::split_whitespace).collect();
    let pair = |pair: &[&str]| Some((pair[0].to_owned(), u64::from_str_radix(pair[1], 16).ok()?));
    let registers = words.chunks_exact(2).map(pair).collect::<Option<_>>()?;
    Some(Death::new(signal, registers, ran.stdout_text()))
}
