//! The functions of `linux-vdso.so.1`, called by ring 3 with the C ABI. They
//! read the clock (`clock`), and answer what the kernel's own calls answer
//! (the kernel's `sys::time`).
//!
//! A pointer that is no use is the program's fault, literally: SIGSEGV here,
//! as on Linux, and no EFAULT.
#![allow(unsafe_code, reason = "follows a C caller's pointers, makes calls")]

use crate::clock::{now, realtime, split};
use core::arch::{asm, global_asm};
use trapgate_abi::clock::{RESOLUTION_NS, is_wall_clock};
use trapgate_uapi::syscall::nr64;

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

/// The kernel's own call, for what [`now`] does not know.
#[inline(always)]
fn call(number: u32, first: u64, second: u64) -> u64 {
    let result: u64;
    // SAFETY: what the C caller asked for.
    unsafe {
        asm!("syscall", inlateout("rax") u64::from(number) => result,
             in("rdi") first, in("rsi") second,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// clock_gettime(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_gettime(clock: i32, time: *mut Time) -> i32 {
    let Some(ns) = now(clock) else {
        return call(nr64::CLOCK_GETTIME, clock as u64, time as u64) as i32;
    };
    let (seconds, rest) = split(ns);
    // SAFETY: the caller's pointer.
    unsafe { time.write_unaligned([seconds, rest.into()]) };
    0
}

/// clock_getres(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_getres(clock: i32, resolution: *mut Time) -> i32 {
    if !is_wall_clock(clock) {
        return call(nr64::CLOCK_GETRES, clock as u64, resolution as u64) as i32;
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
        let Some(now) = realtime() else {
            return call(nr64::GETTIMEOFDAY, time as u64, zone as u64) as i32;
        };
        let (seconds, rest) = split(now);
        // SAFETY: the caller's pointer.
        unsafe { time.write_unaligned([seconds, (rest / 1000).into()]) };
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
    let Some(now) = realtime() else { return call(nr64::TIME, seconds as u64, 0) };
    let (now, _) = split(now);
    if !seconds.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { seconds.write_unaligned(now) };
    }
    now
}

/// getcpu(2): there is one. Linux asks the limit of GDT entry 15 (LSL); not
/// every KVM lets ring 3 see the guest's GDT.
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
