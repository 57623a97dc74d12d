//! Crash reports: of the program, and of the kernel. Data comes in, words go
//! out; symbols and instructions are named.

mod interpreted;
mod place;

pub(crate) use interpreted::is_uninterpreted;
pub use place::{Doing, Place};

use crate::symbols::Symbols;
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction};
use kvm_bindings::{kvm_regs, kvm_sregs};
use std::fmt;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{BACKTRACE_DEPTH, Fault, NO_VECTOR, OUT_OF_MEMORY};
use trapgate_abi::hypercall::{self, FailureKind, Message, Request};
use trapgate_abi::layout::KERNEL_BASE;
use trapgate_abi::x86::{page_fault, selector, vector};

/// A program's death by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The program.
    pub name: String,
    /// The signal, signal(7).
    pub signal: u8,
    /// Its cause.
    pub fault: Fault,
    /// The program's registers. CS says whether the CPU ran 32-bit code, and
    /// so how registers and instruction are shown.
    pub regs: PtRegs,
    /// The function at RIP, if the program has symbols; and the file that it is in, where the
    /// kernel has loaded that: the program or a library in its tree.
    pub location: Option<String>,
    /// Whether the instruction was illegal only here: the CPU has it, but this
    /// KVM interprets 32-bit code.
    pub uninterpreted: bool,
}

/// A signal's name and meaning, as signal(7) has them.
pub fn signal_name(signal: u8) -> (&'static str, &'static str) {
    match signal {
        1 => ("SIGHUP", "hangup"),
        2 => ("SIGINT", "interrupt"),
        3 => ("SIGQUIT", "quit"),
        4 => ("SIGILL", "illegal instruction"),
        5 => ("SIGTRAP", "breakpoint or trap"),
        6 => ("SIGABRT", "abort"),
        7 => ("SIGBUS", "bus error"),
        8 => ("SIGFPE", "arithmetic error"),
        9 => ("SIGKILL", "killed"),
        10 => ("SIGUSR1", "user signal 1"),
        11 => ("SIGSEGV", "segmentation fault"),
        12 => ("SIGUSR2", "user signal 2"),
        13 => ("SIGPIPE", "broken pipe"),
        14 => ("SIGALRM", "alarm"),
        15 => ("SIGTERM", "terminated"),
        16 => ("SIGSTKFLT", "stack fault"),
        24 => ("SIGXCPU", "CPU time limit"),
        25 => ("SIGXFSZ", "file size limit"),
        26 => ("SIGVTALRM", "virtual alarm"),
        27 => ("SIGPROF", "profiling timer"),
        29 => ("SIGIO", "I/O possible"),
        30 => ("SIGPWR", "power failure"),
        31 => ("SIGSYS", "bad system call"),
        34..=64 => ("a real-time signal", "no default meaning"),
        _ => ("an unknown signal", "no meaning"),
    }
}

impl Crash {
    /// Whether Linux would dump core: then there is something to report.
    pub fn is_error(&self) -> bool {
        self.fault.vector != NO_VECTOR
            || matches!(self.signal, 3 | 4 | 5 | 6 | 7 | 8 | 11 | 24 | 25 | 31)
    }

    /// 32 or 64: the mode that the CPU was in. A 64-bit program can jump into
    /// 32-bit code and back, so this is of the moment, not of the program.
    pub fn bits(&self) -> u32 {
        bits(&self.regs)
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (signal, meaning) = signal_name(self.signal);
        write!(f, "{}: killed by {signal} ({meaning})", self.name)?;
        if let Some(cause) = cause(&self.fault) {
            write!(f, ", {cause}")?;
        }
        write!(f, "\n  at {:#x}", self.regs.rip)?;
        if let Some(location) = &self.location {
            write!(f, " <{location}>")?;
        }
        if let Some(instruction) = instruction(&self.fault, &self.regs) {
            write!(f, ": {instruction}")?;
        }
        writeln!(f)?;
        if self.uninterpreted {
            writeln!(f, "  {UNINTERPRETED}")?;
        }
        write!(f, "{}", Registers(&self.regs))
    }
}

/// What [`Crash::uninterpreted`] means for whoever reads the report.
const UNINTERPRETED: &str = "the CPU has this instruction, but this software KVM interprets 32-bit \
     code and does not: run the program on a host with VMX or SVM, or a 64-bit build of it here";

/// The mode that CS selects: 32 for compatibility mode, else 64.
fn bits(regs: &PtRegs) -> u32 {
    if regs.cs == u64::from(selector::USER32_CS) { 32 } else { 64 }
}

/// What an exception was about, in words.
fn cause(fault: &Fault) -> Option<String> {
    match fault.vector {
        NO_VECTOR => return None,
        OUT_OF_MEMORY => return Some("out of memory: raise --memory".to_owned()),
        _ => {}
    }
    let number = fault.vector as u8;
    if number == vector::PF {
        let code = fault.error_code;
        let access = match code {
            _ if code & page_fault::W != 0 => "writing",
            _ if code & page_fault::I != 0 => "executing",
            _ => "reading",
        };
        let why = if code & page_fault::P != 0 { "protected" } else { "not mapped" };
        return Some(format!("{access} {:#x}, which is {why}", fault.address));
    }
    let name = vector::name(number).map_or(format!("vector {number:#x}"), str::to_owned);
    Some(match fault.error_code {
        0 => name,
        code => format!("{name}, error code {code:#x}"),
    })
}

/// The bytes at RIP, if they could be read.
fn code(fault: &Fault) -> Option<Vec<u8>> {
    let mut code = [fault.code_low.to_le_bytes(), fault.code_high.to_le_bytes()].concat();
    let length = usize::try_from(fault.code_len).ok().filter(|length| *length <= code.len())?;
    code.truncate(length);
    Some(code).filter(|code| !code.is_empty())
}

/// The instruction at RIP, valid or not.
fn decoded(fault: &Fault, regs: &PtRegs) -> Option<Instruction> {
    let code = code(fault)?;
    Some(Decoder::with_ip(bits(regs), &code, regs.rip, DecoderOptions::NONE).decode())
}

/// The instruction at RIP, in AT&T's syntax as objdump(1) prints it.
fn instruction(fault: &Fault, regs: &PtRegs) -> Option<String> {
    let instruction = decoded(fault, regs)?;
    if instruction.is_invalid() {
        let code = code(fault).unwrap_or_default();
        let bytes: Vec<_> = code.iter().map(|byte| format!("{byte:02x}")).collect();
        return Some(format!("no instruction ({})", bytes.join(" ")));
    }
    let mut text = String::new();
    GasFormatter::new().format(&instruction, &mut text);
    Some(text)
}

/// General registers in rows of four: those that the CPU's mode has.
struct Registers<'a>(&'a PtRegs);

impl fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        if bits(r) == 32 {
            return self.write32(f);
        }
        let rows = [
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
            [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
            [("r8", r.r8), ("r9", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
        ];
        for row in rows {
            write!(f, " ")?;
            for (name, value) in row {
                write!(f, " {name:>3} {value:016x}")?;
            }
            writeln!(f)?;
        }
        write!(f, "  rip {:016x}  rflags {:08x}  cs {:02x}  ss {:02x}", r.rip, r.rflags, r.cs, r.ss)
    }
}

impl Registers<'_> {
    /// The lower halves, which are all that 32-bit code has.
    fn write32(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        let rows = [
            [("eax", r.rax), ("ebx", r.rbx), ("ecx", r.rcx), ("edx", r.rdx)],
            [("esi", r.rsi), ("edi", r.rdi), ("ebp", r.rbp), ("esp", r.rsp)],
        ];
        for row in rows {
            write!(f, " ")?;
            for (name, value) in row {
                write!(f, " {name} {:08x}", value as u32)?;
            }
            writeln!(f)?;
        }
        let (eip, eflags) = (r.rip as u32, r.rflags as u32);
        write!(f, "  eip {eip:08x}  eflags {eflags:08x}  cs {:02x}  ss {:02x}", r.cs, r.ss)
    }
}

/// The guest kernel's own failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelReport {
    kind: FailureKind,
    words: String,
    fault: Fault,
    regs: PtRegs,
    backtrace: Vec<(u64, Option<String>)>,
    location: Option<String>,
}

/// The most bytes of a panic's words that are read.
const MOST_WORDS: u64 = 1024;

impl KernelReport {
    /// From the request [`Request::Failed`] and its message; `read` copies bytes
    /// out of guest memory, if that is where they are, and `symbols` are the
    /// kernel's.
    pub fn new(
        request: &Request,
        message: &Message,
        read: &dyn Fn(u64, &mut [u8]) -> bool,
        symbols: &Symbols<'_>,
    ) -> Self {
        let name = |address: u64| symbols.lookup(address, 0).map(|symbol| symbol.to_string());
        let (fault, regs) = hypercall::crash(message);
        let (kind, words) = match *request {
            Request::Failed { kind, words } => {
                let mut bytes = vec![0; words.length.min(MOST_WORDS) as usize];
                match read(words.address, &mut bytes) {
                    true => (kind, printable(&bytes)),
                    false => (kind, String::new()),
                }
            }
            _ => (FailureKind::Fault, String::new()),
        };
        let addresses: [u64; BACKTRACE_DEPTH] = hypercall::backtrace(message);
        let backtrace = addresses
            .into_iter()
            .take_while(|address| *address >= KERNEL_BASE)
            .map(|address| (address, name(address)));
        let location = name(regs.rip);
        KernelReport { kind, words, fault, regs, backtrace: backtrace.collect(), location }
    }
}

/// Bytes of the guest's as text that cannot harm a terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for KernelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest kernel failed (a defect of trapgate's, or an attack): ")?;
        match self.kind {
            FailureKind::Panic => writeln!(f, "panic: {}", self.words)?,
            FailureKind::Fault => {
                let cause = cause(&self.fault).unwrap_or_else(|| "a fault".to_owned());
                write!(f, "{cause}\n  at {:#x}", self.regs.rip)?;
                match &self.location {
                    Some(location) => writeln!(f, " <{location}>")?,
                    None => writeln!(f)?,
                }
                writeln!(f, "{}", Registers(&self.regs))?;
            }
        }
        write!(f, "  return addresses on its stack:")?;
        for (address, name) in &self.backtrace {
            write!(f, "\n    {address:#x} {}", name.as_deref().unwrap_or(""))?;
        }
        Ok(())
    }
}

/// A vCPU's state in a few lines, for exits that nobody expected; `symbols`
/// are the kernel's.
pub(crate) fn cpu_state(regs: &kvm_regs, sregs: &kvm_sregs, symbols: &Symbols<'_>) -> String {
    let shown = pt_regs(regs, sregs);
    let location = symbols.lookup(regs.rip, 0);
    let location = location.map_or(String::new(), |symbol| format!(" <{symbol}>"));
    format!(
        "{}{location}\n  cr0 {:x}  cr2 {:x}  cr3 {:x}  cr4 {:x}  efer {:x}",
        Registers(&shown),
        sregs.cr0,
        sregs.cr2,
        sregs.cr3,
        sregs.cr4,
        sregs.efer
    )
}

/// A vCPU's registers as the kernel saves a program's.
pub(crate) fn pt_regs(regs: &kvm_regs, sregs: &kvm_sregs) -> PtRegs {
    PtRegs {
        r15: regs.r15,
        r14: regs.r14,
        r13: regs.r13,
        r12: regs.r12,
        rbp: regs.rbp,
        rbx: regs.rbx,
        r11: regs.r11,
        r10: regs.r10,
        r9: regs.r9,
        r8: regs.r8,
        rax: regs.rax,
        rcx: regs.rcx,
        rdx: regs.rdx,
        rsi: regs.rsi,
        rdi: regs.rdi,
        orig_rax: 0,
        rip: regs.rip,
        cs: sregs.cs.selector.into(),
        rflags: regs.rflags,
        rsp: regs.rsp,
        ss: sregs.ss.selector.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash() -> Crash {
        let fault = Fault {
            vector: vector::PF.into(),
            error_code: page_fault::U | page_fault::W,
            address: 0x10,
            code_low: u64::from_le_bytes([0x48, 0x89, 0x07, 0xc3, 0, 0, 0, 0]),
            code_high: 0,
            code_len: 16,
        };
        let regs = PtRegs { rip: 0x40_1000, rdi: 0x10, ..PtRegs::default() };
        let location = Some("main+0x4".to_owned());
        let name = "./prog".to_owned();
        Crash { name, signal: 11, fault, regs, location, uninterpreted: false }
    }

    #[test]
    fn a_crash_names_signal_cause_place_and_instruction() {
        let text = crash().to_string();
        let mut lines = text.lines();
        let first = "./prog: killed by SIGSEGV (segmentation fault), \
                     writing 0x10, which is not mapped";
        assert_eq!(lines.next(), Some(first));
        assert_eq!(lines.next(), Some("  at 0x401000 <main+0x4>: mov %rax,(%rdi)"));
        assert!(text.contains("rdi 0000000000000010"));
    }

    #[test]
    fn what_the_interpreter_lacks_is_said_in_a_line() {
        let crash = Crash { uninterpreted: true, ..crash() };
        let text = crash.to_string();
        let line = text.lines().nth(2).unwrap_or_default();
        assert!(line.starts_with("  the CPU has this instruction"), "{text}");
        assert!(line.contains("VMX or SVM"), "{text}");
    }

    #[test]
    fn a_crash_of_32_bit_code_shows_32_bit_registers_and_instruction() {
        let mut crash = crash();
        // 0x44 is an instruction in 32-bit code, and REX.R in 64-bit code.
        crash.fault.code_low = u64::from_le_bytes([0x44, 0x89, 0x07, 0xc3, 0, 0, 0, 0]);
        assert!(crash.to_string().contains(": mov %r8d,(%rdi)\n"));
        assert_eq!(crash.bits(), 64);
        crash.regs = PtRegs {
            rax: 0xdead_beef_0000_0001,
            rdi: 0x10,
            rsp: 0xffff_dfec,
            r8: 0x88,
            rip: 0x804_9000,
            rflags: 0x1_0202,
            cs: selector::USER32_CS.into(),
            ss: selector::USER_DS.into(),
            ..PtRegs::default()
        };
        assert_eq!(crash.bits(), 32);
        let expected = "./prog: killed by SIGSEGV (segmentation fault), \
             writing 0x10, which is not mapped\n  \
             at 0x8049000 <main+0x4>: inc %esp\n  \
             eax 00000001 ebx 00000000 ecx 00000000 edx 00000000\n  \
             esi 00000000 edi 00000010 ebp 00000000 esp ffffdfec\n  \
             eip 08049000  eflags 00010202  cs 23  ss 2b";
        assert_eq!(crash.to_string(), expected);
    }

    #[test]
    fn code_that_could_not_be_read_is_left_out() {
        let mut crash = crash();
        crash.fault.code_len = 0;
        assert!(crash.to_string().contains("at 0x401000 <main+0x4>\n"));
        crash.fault.code_len = u64::MAX;
        assert!(crash.to_string().contains("at 0x401000 <main+0x4>\n"));
    }

    #[test]
    fn the_guests_words_cannot_steer_a_terminal() {
        assert_eq!(printable(b"a\x1b[31mb\nc\xff"), "a [31mb c\u{fffd}");
    }
}
