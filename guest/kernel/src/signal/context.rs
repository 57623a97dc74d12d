//! What a frame of either width is made of: the registers, with the flags that a program
//! may have.

use super::info::Info;
use super::signals::LastFault;
use trapgate_abi::x86::{rflags, selector};
use trapgate_uapi::signal::{Sigaction, Sigaltstack};

/// Of RFLAGS, those that a return from a handler sets (Linux: `FIX_EFLAGS`).
pub const RESTORED: u64 = rflags::AC
    | rflags::OF
    | rflags::DF
    | rflags::TF
    | rflags::SF
    | rflags::ZF
    | rflags::AF
    | rflags::PF
    | rflags::CF
    | rflags::RF;

/// Of RFLAGS, those that are off when a handler begins.
pub const OFF_IN_HANDLER: u64 = rflags::DF | rflags::RF | rflags::TF;

/// What a handler is called for.
pub struct Call<'a> {
    /// How.
    pub action: &'a Sigaction,
    /// What it is told.
    pub info: &'a Info,
    /// What is blocked again when it returns.
    pub mask: u64,
    /// The alternate stack as it was.
    pub stack: Sigaltstack,
    /// The last exception.
    pub fault: LastFault,
}

/// Where on the program's stack something is.
#[derive(Clone, Copy)]
pub struct Place {
    /// The frame.
    pub frame: u64,
    /// x87 and vector registers.
    pub state: u64,
}

/// RFLAGS behind a handler: the program chooses some of them.
pub const fn restored_flags(now: u64, wanted: u64) -> u64 {
    now & !RESTORED | wanted & RESTORED
}

/// Whether ring 3 runs 64-bit code by this selector.
pub const fn is_64_bit(cs: u64) -> bool {
    cs == selector::USER_CS as u64
}
