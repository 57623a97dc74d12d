//! Ways out of the VM, measured in ring 0: what an instruction costs that KVM or
//! the VMM must answer.
//!
//! Called by `carry_out`. A bracket is `lfence; rdtsc; lfence` … `rdtscp; lfence`, or
//! the former twice (Intel SDM vol. 2B, "RDTSC" and "RDTSCP"). Batches come first
//! and warm up the single calls; a call and its empty bracket take turns.
#![allow(unsafe_code, reason = "single instructions; results are at an address")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use trapgate_abi::hypercall::Request as HostRequest;
use trapgate_abi::job::{Answer, DEVICE, NO_EXCEPTION, PORT, Request, SAMPLES, exits, phase};
use trapgate_arch::cpu;
use trapgate_arch::phys::direct;
use trapgate_kernel::host::Call;

/// Measures one of them.
pub(super) fn measure(request: &Request) -> Answer {
    match request.item {
        exits::PORT_WRITE => run(request, PortWrite),
        exits::MMIO_WRITE => run(request, MmioWrite),
        exits::HALT => run(request, Halt),
        exits::CPUID => run(request, Cpuid { highest: 0 }),
        exits::VMCALL => run(request, Hypercall::<true> { result: u64::MAX }),
        exits::VMMCALL => run(request, Hypercall::<false> { result: u64::MAX }),
        exits::NULL_REQUEST => run(request, NullRequest { call: null_request(), served: false }),
        other => panic!("there is no exit {other}"),
    }
}

/// A way out.
trait Exit {
    /// What must be so before each, outside the bracket.
    #[inline(always)]
    fn before(&mut self) {}
    /// Leaves the VM.
    fn leave(&mut self);
    /// Whether the last one was answered as it should be.
    fn worked(&self) -> bool {
        true
    }
}

fn run(request: &Request, exit: impl Exit) -> Answer {
    if request.rdtscp != 0 {
        measured::<true>(request, exit)
    } else {
        measured::<false>(request, exit)
    }
}

/// A first one, batches, single ones.
#[inline(never)]
fn measured<const RDTSCP: bool>(request: &Request, mut exit: impl Exit) -> Answer {
    exit.before();
    exit.leave();
    let worked = exit.worked();
    let batches: *mut [u64; 2] = direct(request.results + request.batches_at());
    for index in 0..request.batches as usize {
        let with = batch(request.calls, || {
            exit.before();
            exit.leave();
        });
        let without = batch(request.calls, || exit.before());
        // SAFETY: the VMM has room for as many results as it asks for.
        unsafe { batches.add(index).write_volatile([with, without]) };
    }
    let samples: *mut [u32; 2] = direct(request.results + SAMPLES);
    for index in 0..request.samples as usize {
        exit.before();
        let start = first();
        exit.leave();
        let with = last::<RDTSCP>().wrapping_sub(start);
        let start = first();
        let without = last::<RDTSCP>().wrapping_sub(start);
        // SAFETY: as above.
        unsafe { samples.add(index).write_volatile([with, without]) };
    }
    Answer {
        phase: phase::DONE,
        vector: NO_EXCEPTION,
        error_code: NO_EXCEPTION,
        rip: 0,
        cs: 0,
        worked: (worked && exit.worked()).into(),
    }
}

/// Ticks of so many calls in one bracket.
#[inline(always)]
fn batch(calls: u64, mut call: impl FnMut()) -> u64 {
    let start = ticks();
    for _ in 0..calls {
        call();
        // SAFETY: nothing; it keeps the loop a loop.
        unsafe { asm!("", options(nostack, preserves_flags)) };
    }
    ticks().wrapping_sub(start)
}

/// The counter, fenced on both sides.
#[inline(always)]
fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The bracket's left half: the counter's low half.
#[inline(always)]
fn first() -> u32 {
    ticks() as u32
}

/// The bracket's right half: the counter's low half.
#[inline(always)]
fn last<const RDTSCP: bool>() -> u32 {
    if !RDTSCP {
        return first();
    }
    let low: u32;
    // SAFETY: reads a counter; the request says that there is RDTSCP.
    unsafe {
        asm!("rdtscp", "lfence", out("eax") low, out("edx") _, out("ecx") _, options(nostack));
    }
    low
}

struct PortWrite;

impl Exit for PortWrite {
    #[inline(always)]
    fn leave(&mut self) {
        cpu::out(PORT);
    }
}

struct MmioWrite;

impl Exit for MmioWrite {
    #[inline(always)]
    fn leave(&mut self) {
        // SAFETY: the VMM has mapped the page in this job, and no RAM is there.
        unsafe { asm!("mov dword ptr [{}], eax", in(reg) direct::<u32>(DEVICE), options(nostack)) };
    }
}

struct Halt;

impl Exit for Halt {
    #[inline(always)]
    fn leave(&mut self) {
        // SAFETY: the VMM goes on at once.
        unsafe { asm!("hlt", options(nostack)) };
    }
}

struct Cpuid {
    /// The highest leaf, which no CPU says is 0.
    highest: u32,
}

impl Exit for Cpuid {
    #[inline(always)]
    fn leave(&mut self) {
        self.highest = __cpuid(0).eax;
    }

    fn worked(&self) -> bool {
        self.highest != 0
    }
}

/// VMCALL, or VMMCALL.
struct Hypercall<const INTEL: bool> {
    result: u64,
}

impl<const INTEL: bool> Exit for Hypercall<INTEL> {
    /// Linux, Documentation/virt/kvm/x86/hypercalls.rst: the number in RAX, the
    /// result too.
    #[inline(always)]
    fn leave(&mut self) {
        /// Does nothing, and has since there are hypercalls.
        const VAPIC_POLL_IRQ: u64 = 1;
        // SAFETY: KVM changes no other register and no memory.
        unsafe {
            if INTEL {
                asm!("vmcall", inlateout("rax") VAPIC_POLL_IRQ => self.result, options(nostack));
            } else {
                asm!("vmmcall", inlateout("rax") VAPIC_POLL_IRQ => self.result, options(nostack));
            }
        }
    }

    fn worked(&self) -> bool {
        self.result == 0
    }
}

/// To give no memory back.
fn null_request() -> Call {
    Call::new(HostRequest::Discard)
}

struct NullRequest {
    call: Call,
    served: bool,
}

impl Exit for NullRequest {
    /// The reply has overwritten the request.
    #[inline(always)]
    fn before(&mut self) {
        self.call = null_request();
    }

    #[inline(always)]
    fn leave(&mut self) {
        self.served = self.call.submit() == Ok(0);
    }

    fn worked(&self) -> bool {
        self.served
    }
}
