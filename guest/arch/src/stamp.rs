//! Stamps between the doors' own ([`trapgate_abi::stamps`]): those of the dispatch.
#![allow(unsafe_code, reason = "reads the time-stamp counter, writes a record through GS")]

use super::percpu::STAMPING;
use core::arch::asm;
use core::mem::offset_of;
use trapgate_abi::stamps::{Record, Stamping};

/// The handler is known.
#[inline(always)]
pub fn found() {
    stamp::<{ offset_of!(Record, found) }>();
}

/// The handler is done.
#[inline(always)]
pub fn handled() {
    stamp::<{ offset_of!(Record, handled) }>();
}

/// Writes the counter's low half into the field at `FIELD` of this call's record,
/// with nothing in flight before or after.
#[inline(always)]
fn stamp<const FIELD: usize>() {
    // SAFETY: GS points to this CPU's block in ring 0, and the door of this call
    // has seen to its record. It may change memory, as far as the compiler knows,
    // so that nothing is moved across it.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", "mov rdx, gs:[{record}]", "mov [rdx + {field}], eax",
             record = const STAMPING + offset_of!(Stamping, record), field = const FIELD,
             out("eax") _, out("edx") _, options(nostack, preserves_flags));
    }
}
