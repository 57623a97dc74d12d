//! The functions of `linux-vdso.so.1`, called by ring 3 with the C ABI. They
//! read the TSC and the data page, and answer what the kernel's own calls
//! answer (`guest::sys::time`): the formula is `abi::clock`'s for both.
//!
//! A pointer that is no use is the program's fault, literally: SIGSEGV here,
//! as on Linux, and no EFAULT.
#![allow(unsafe_code, reason = "follows a C caller's pointers, reads the TSC, makes calls")]

use core::arch::{asm, global_asm};
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::clock::{NSEC_PER_SEC, RESOLUTION_NS, id, is_wall_clock};
use trapgate_abi::syscall::nr64;

/// `struct timespec`, and `struct timeval` with microseconds.
type Time = [u64; 2];

// The names without a prefix, which the C library's own definitions override.
global_asm!(
    ".macro alias name",
    ".weak \\name",
    ".type \\name, @function",
    ".set \\name, __vdso_\\name",
    ".endm",
    "alias clock_gettime",
    "alias clock_getres",
    "alias gettimeofday",
    "alias time",
    "alias getcpu",
);

/// The data page. The VMM filled it in before the program's first instruction,
/// and nobody can write to it.
#[inline(always)]
fn clock_info() -> &'static ClockInfo {
    let page: *const ClockInfo;
    // SAFETY: takes an address.
    unsafe {
        asm!("lea {}, [rip + vvar]", out(reg) page,
             options(pure, nomem, nostack, preserves_flags));
    }
    // SAFETY: the page before the image; a program that has unmapped it gets
    // the SIGSEGV that it asked for.
    unsafe { &*page }
}

/// The time-stamp counter, not earlier than what stands before the call.
#[inline(always)]
fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// What `clock` shows, in nanoseconds.
#[inline(always)]
fn now(clock: i32) -> Option<u64> {
    // The check first: a clock that is none must not cost the TSC.
    if is_wall_clock(clock) { clock_info().read(clock, tsc()) } else { None }
}

/// The kernel's own call, for clocks that are not this file's business.
#[inline(always)]
fn call(number: u32, clock: i32, time: *mut Time) -> i32 {
    let result: i64;
    // SAFETY: what the C caller asked for.
    unsafe {
        asm!("syscall", inlateout("rax") u64::from(number) => result,
             in("rdi") i64::from(clock), in("rsi") time,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result as i32
}

/// clock_gettime(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_gettime(clock: i32, time: *mut Time) -> i32 {
    let Some(ns) = now(clock) else { return call(nr64::CLOCK_GETTIME, clock, time) };
    // SAFETY: the caller's pointer.
    unsafe { time.write_unaligned([ns / NSEC_PER_SEC, ns % NSEC_PER_SEC]) };
    0
}

/// clock_getres(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_getres(clock: i32, resolution: *mut Time) -> i32 {
    if !is_wall_clock(clock) {
        return call(nr64::CLOCK_GETRES, clock, resolution);
    }
    if !resolution.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { resolution.write_unaligned([0, RESOLUTION_NS]) };
    }
    0
}

/// gettimeofday(2): the time zone is UTC.
#[unsafe(no_mangle)]
extern "C" fn __vdso_gettimeofday(time: *mut Time, zone: *mut [u32; 2]) -> i32 {
    if !time.is_null() {
        let ns = now(id::REALTIME).unwrap_or(0);
        // SAFETY: the caller's pointer.
        unsafe { time.write_unaligned([ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 1000]) };
    }
    if !zone.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { zone.write_unaligned([0; 2]) };
    }
    0
}

/// time(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_time(seconds: *mut u64) -> u64 {
    let now = now(id::REALTIME).unwrap_or(0) / NSEC_PER_SEC;
    if !seconds.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { seconds.write_unaligned(now) };
    }
    now
}

/// getcpu(2): there is one. Linux asks the limit of GDT entry 15 (LSL), which
/// a KVM that lends ring 3 the host's GDT answers with the host's number.
#[unsafe(no_mangle)]
extern "C" fn __vdso_getcpu(cpu: *mut u32, node: *mut u32, _unused: *mut u8) -> i32 {
    for pointer in [cpu, node] {
        if !pointer.is_null() {
            // SAFETY: the caller's pointer.
            unsafe { pointer.write_unaligned(0) };
        }
    }
    0
}
