//! The clocks of `linux-gate.so.1`, called by 32-bit code with the C ABI: as in
//! `time`, with i386's structures. Seconds beyond 2038 are cut off where they
//! have 32 bits, as Linux does.
#![allow(unsafe_code, reason = "follows a C caller's pointers, makes calls")]

use crate::clock::{now, realtime, split};
use core::arch::asm;
use trapgate_abi::clock::{RESOLUTION_NS, is_wall_clock};
use trapgate_uapi::syscall::nr32;

/// `struct timespec` with 32 bits, and `struct timeval` with microseconds.
type Time32 = [u32; 2];
/// `struct __kernel_timespec`.
type Time64 = [u64; 2];

/// The kernel's own call, by whatever door `__kernel_vsyscall` takes.
#[inline(always)]
fn call(number: u32, first: u32, second: u32) -> u32 {
    let result: u32;
    // SAFETY: what the C caller asked for; all registers but eax come back.
    unsafe {
        asm!("call __kernel_vsyscall", inlateout("eax") number => result,
             in("ebx") first, in("ecx") second);
    }
    result
}

/// clock_gettime(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_gettime(clock: i32, time: *mut Time32) -> i32 {
    let Some(ns) = now(clock) else {
        return call(nr32::CLOCK_GETTIME, clock as u32, time as u32) as i32;
    };
    let (seconds, rest) = split(ns);
    // SAFETY: the caller's pointer.
    unsafe { time.write_unaligned([seconds as u32, rest]) };
    0
}

/// clock_gettime64(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_gettime64(clock: i32, time: *mut Time64) -> i32 {
    let Some(ns) = now(clock) else {
        return call(nr32::CLOCK_GETTIME64, clock as u32, time as u32) as i32;
    };
    let (seconds, rest) = split(ns);
    // SAFETY: the caller's pointer.
    unsafe { time.write_unaligned([seconds, rest.into()]) };
    0
}

/// clock_getres(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_clock_getres(clock: i32, resolution: *mut Time32) -> i32 {
    if !is_wall_clock(clock) {
        return call(nr32::CLOCK_GETRES, clock as u32, resolution as u32) as i32;
    }
    if !resolution.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { resolution.write_unaligned([0, RESOLUTION_NS as u32]) };
    }
    0
}

/// gettimeofday(2): the time zone is UTC.
#[unsafe(no_mangle)]
extern "C" fn __vdso_gettimeofday(time: *mut Time32, zone: *mut [u32; 2]) -> i32 {
    if !time.is_null() {
        let Some(now) = realtime() else {
            return call(nr32::GETTIMEOFDAY, time as u32, zone as u32) as i32;
        };
        let (seconds, rest) = split(now);
        // SAFETY: the caller's pointer.
        unsafe { time.write_unaligned([seconds as u32, rest / 1000]) };
    }
    if !zone.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { zone.write_unaligned([0; 2]) };
    }
    0
}

/// time(2)
#[unsafe(no_mangle)]
extern "C" fn __vdso_time(seconds: *mut u32) -> u32 {
    let Some(now) = realtime() else { return call(nr32::TIME, seconds as u32, 0) };
    let now = split(now).0 as u32;
    if !seconds.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { seconds.write_unaligned(now) };
    }
    now
}

/// getcpu(2): there is one.
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
