//! The brackets and loops of `bench-probe`.
//!
//! An operation comes as two functions: with it, and without it but otherwise
//! the same (`ops`). A bracket is `lfence; rdtsc; lfence` … `rdtscp; lfence`
//! (Intel SDM vol. 2B, "RDTSCP": it waits for what stands before, the LFENCE
//! keeps what follows back); the empty bracket is around the function without
//! it, and taken in turn with the other, so that both see the same caches.
#![allow(unsafe_code, reason = "reads the time-stamp counter")]

#[cfg(target_arch = "x86_64")]
mod calls;
mod doors;
mod ops;

use core::arch::asm;
use trapgate_abi::bench::{Command, MAX_SAMPLES, Operation, Reply};
use trapgate_rt::Args;

/// Samples of one command, in ticks.
pub struct Samples {
    /// With the operation.
    pub with: [u32; MAX_SAMPLES as usize],
    /// Without it.
    pub without: [u32; MAX_SAMPLES as usize],
}

impl Default for Samples {
    fn default() -> Samples {
        Samples { with: [0; MAX_SAMPLES as usize], without: [0; MAX_SAMPLES as usize] }
    }
}

/// A list of samples as they go over the wire.
pub fn bytes_of(list: &[u32]) -> &[u8] {
    // SAFETY: integers are bytes, and x86 is little-endian.
    unsafe { core::slice::from_raw_parts(list.as_ptr().cast(), size_of_val(list)) }
}

/// Something to measure.
pub(crate) trait Measured {
    /// What must be so before each call, outside the bracket.
    #[inline(always)]
    fn before(&mut self) {}
    /// The operation.
    fn with(&mut self);
    /// The same, told when its bracket began.
    #[inline(always)]
    fn with_start(&mut self, _start: u32) {
        self.with();
    }
    /// All of [`Measured::with`] but the operation itself.
    #[inline(always)]
    fn without(&mut self) {}
    /// Whether calls can follow each other without [`Measured::before`].
    const BATCHES: bool = true;
}

/// Carries a command out.
pub fn carry_out(
    operation: Operation,
    command: &Command,
    rdtscp: bool,
    args: Args,
    samples: &mut Samples,
) -> Reply {
    ops::dispatch(operation, args, Run { command, rdtscp, samples }).unwrap_or_default()
}

/// One command on its way.
pub(crate) struct Run<'a> {
    command: &'a Command,
    rdtscp: bool,
    samples: &'a mut Samples,
}

impl Run<'_> {
    /// Measures `operation`.
    #[inline(always)]
    pub(crate) fn measure<M: Measured>(self, operation: M) -> Reply {
        if self.rdtscp { self.run::<M, true>(operation) } else { self.run::<M, false>(operation) }
    }

    #[inline(never)]
    fn run<M: Measured, const RDTSCP: bool>(self, mut operation: M) -> Reply {
        let Run { command, samples, .. } = self;
        let mut reply = Reply { done: 1, samples: command.samples, ..Reply::default() };
        for _ in 0..command.warm_up {
            operation.before();
            operation.with();
            operation.without();
        }
        let mut cpu = None;
        let lists = samples.with.iter_mut().zip(&mut samples.without);
        for (with, without) in lists.take(command.samples as usize) {
            operation.before();
            let start = first();
            operation.with_start(start);
            let (end, aux) = last::<RDTSCP>();
            *with = end.wrapping_sub(start);
            let start = first();
            operation.without();
            let (end, _) = last::<RDTSCP>();
            *without = end.wrapping_sub(start);
            reply.migrations += u64::from(cpu.is_some_and(|cpu| cpu != aux));
            cpu = Some(aux);
        }
        if M::BATCHES && command.batch > 0 {
            reply.batch_ticks = batch::<RDTSCP>(command.batch, || operation.with());
            reply.empty_batch_ticks = batch::<RDTSCP>(command.batch, || operation.without());
        }
        reply
    }
}

/// Ticks of so many calls in one bracket.
#[inline(always)]
fn batch<const RDTSCP: bool>(calls: u64, mut call: impl FnMut()) -> u64 {
    let start = ticks();
    for _ in 0..calls as usize {
        call();
        // SAFETY: nothing; it keeps the compiler from merging calls.
        unsafe { asm!("", options(nostack, preserves_flags)) };
    }
    ticks().wrapping_sub(start)
}

/// The bracket's left half: the low half of the counter.
#[inline(always)]
fn first() -> u32 {
    let low: u32;
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") _, options(nostack)) };
    low
}

/// The bracket's right half, with TSC_AUX: the low half of the counter.
#[inline(always)]
fn last<const RDTSCP: bool>() -> (u32, u32) {
    if !RDTSCP {
        return (first(), 0);
    }
    let (low, aux): (u32, u32);
    // SAFETY: reads a counter; the command says that there is RDTSCP.
    unsafe {
        asm!("rdtscp", "lfence", out("eax") low, out("edx") _, out("ecx") aux, options(nostack));
    }
    (low, aux)
}

/// The whole counter, fenced on both sides.
#[inline(always)]
fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}
