//! The operations that are no door: a function, NOPs, and calls that do
//! something.

use super::doors::native as doors;
use super::{Measured, Run};
use core::arch::asm;
use trapgate_abi::bench::{Operation, Reply};
use trapgate_rt::Args;

/// Measures `operation`; `None` if this probe has no such thing.
pub(super) fn dispatch(operation: Operation, args: Args, run: Run<'_>) -> Option<Reply> {
    Some(match operation {
        Operation::Nothing => run.measure(Nothing),
        Operation::Syscall => run.measure(doors::Syscall),
        Operation::Int80 => run.measure(doors::Int80),
        Operation::Function => run.measure(Function),
        Operation::Nops100 => run.measure(Nops::<100>),
        Operation::Nops1000 => run.measure(Nops::<1000>),
        _ => return only_here(operation, args, run),
    })
}

#[cfg(target_arch = "x86")]
fn only_here(operation: Operation, _: Args, run: Run<'_>) -> Option<Reply> {
    Some(match operation {
        Operation::Sysenter => run.measure(doors::Sysenter),
        Operation::Vsyscall => run.measure(doors::Vsyscall::find()?),
        _ => return None,
    })
}

#[cfg(target_arch = "x86_64")]
fn only_here(operation: Operation, args: Args, run: Run<'_>) -> Option<Reply> {
    use super::calls::{Brk, ClockGettime, Cpuid, MmapMunmap, PageFault, Read1, Vdso, Write};
    Some(match operation {
        Operation::SyscallStamped => run.measure(doors::SyscallStamped),
        Operation::Vdso => run.measure(Vdso::find(args)?),
        Operation::ClockGettime => run.measure(ClockGettime::new()),
        Operation::Write1 => run.measure(Write::<1>),
        Operation::Write64K => run.measure(Write::<65536>),
        Operation::Read1 => run.measure(Read1),
        Operation::MmapMunmap => run.measure(MmapMunmap),
        Operation::PageFault => run.measure(PageFault::new()?),
        Operation::Brk => run.measure(Brk),
        Operation::Cpuid => run.measure(Cpuid),
        _ => return None,
    })
}

struct Nothing;

impl Measured for Nothing {
    #[inline(always)]
    fn with(&mut self) {}
}

struct Function;

#[inline(never)]
extern "C" fn returns_at_once() {
    // SAFETY: nothing; it keeps the compiler from removing the call.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

impl Measured for Function {
    #[inline(always)]
    fn with(&mut self) {
        returns_at_once();
    }
}

/// A known length: the check of all others.
struct Nops<const COUNT: usize>;

impl Measured for Nops<100> {
    #[inline(always)]
    fn with(&mut self) {
        // SAFETY: does nothing.
        unsafe { asm!(".rept 100", "nop", ".endr", options(nomem, nostack, preserves_flags)) };
    }
}

impl Measured for Nops<1000> {
    #[inline(always)]
    fn with(&mut self) {
        // SAFETY: does nothing.
        unsafe { asm!(".rept 1000", "nop", ".endr", options(nomem, nostack, preserves_flags)) };
    }
}
