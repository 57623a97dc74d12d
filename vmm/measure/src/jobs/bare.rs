//! Measures bare round trips: from 64-bit ring 3 into ring 0 and back, with a
//! handler that answers with one instruction. The floor under a system call, and
//! no system call.
//!
//! Guest: `job::bare`. On a KVM with VMX or SVM the CPU does all of it by itself,
//! but for [`RoundTrip::InvalidOpcode`]: KVM intercepts #UD, so that one is a VM
//! exit as well.

use super::{Context, Measured, Options, attempt};
use serde::Serialize;
use std::fmt;
use trapgate::Error;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate::machine::kvm::{Kind, Maker};
use trapgate_abi::job::{bare, kind};

/// A way into ring 0 and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundTrip {
    /// SYSCALL and SYSRET.
    Syscall,
    /// SYSENTER and SYSRET: SYSEXIT does not restore flags.
    Sysenter,
    /// INT 0x80 and IRET.
    Int80,
    /// INT3 and IRET.
    Int3,
    /// UD2, whose handler steps over it, and IRET.
    InvalidOpcode,
    /// A load from a page that is not there, whose handler steps over it, and
    /// IRET. The page stays away.
    PageFault,
    /// A far CALL through a 64-bit call gate, and RETF.
    CallGate,
}

impl RoundTrip {
    /// All of them.
    pub const ALL: [RoundTrip; 7] = {
        use RoundTrip::*;
        [Syscall, Sysenter, Int80, Int3, InvalidOpcode, PageFault, CallGate]
    };

    fn number(self) -> u64 {
        match self {
            RoundTrip::Syscall => bare::SYSCALL,
            RoundTrip::Sysenter => bare::SYSENTER,
            RoundTrip::Int80 => bare::INT80,
            RoundTrip::Int3 => bare::INT3,
            RoundTrip::InvalidOpcode => bare::INVALID_OPCODE,
            RoundTrip::PageFault => bare::PAGE_FAULT,
            RoundTrip::CallGate => bare::CALL_GATE,
        }
    }

    /// Whether the maker's CPUs have it in 64-bit mode.
    pub fn is_made_by(self, maker: Maker) -> bool {
        let instruction = match self {
            RoundTrip::Sysenter => Instruction::Sysenter,
            RoundTrip::Syscall => Instruction::Syscall,
            _ => return true,
        };
        Door { instruction, mode: Mode::Long }.is_made_by(maker)
    }
}

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoundTrip::Syscall => "SYSCALL, SYSRET",
            RoundTrip::Sysenter => "SYSENTER, SYSRET",
            RoundTrip::Int80 => "INT 0x80, IRET",
            RoundTrip::Int3 => "INT3, IRET",
            RoundTrip::InvalidOpcode => "#UD, IRET behind it",
            RoundTrip::PageFault => "#PF, IRET behind it",
            RoundTrip::CallGate => "CALL through a gate, RETF",
        })
    }
}

/// Measures one round trip, in a VM of its own.
///
/// Where the maker has none it is [`Absent`](crate::doors::Delivery::Absent), where this KVM
/// does not deliver it [`Failed`](crate::doors::Delivery::Failed), and neither is an error. A
/// software KVM's figures are [`Trapped`](crate::doors::Delivery::Trapped).
///
/// # Errors
/// [`Error::Amount`]; and [`Error`], for whatever keeps a VM from running, or if
/// the guest kernel fails.
pub fn measure(trip: RoundTrip, options: &Options) -> Result<Measured, Error> {
    let maker = Maker::of_this_cpu();
    let absent = format!("{maker} has no such door");
    let context = Context {
        place: "64-bit mode",
        absent: (!trip.is_made_by(maker)).then_some(&absent),
        trapped: (Kind::of_this_host() == Kind::Software)
            .then_some("this KVM delivers exceptions itself, and interprets ring 0"),
    };
    Ok(attempt(kind::BARE, trip.number(), options, None)?.measured(&context))
}
