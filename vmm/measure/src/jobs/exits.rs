//! Measures what leaving the VM costs: from an instruction in ring 0 to the one
//! after it.
//!
//! Guest: `job::exits`. What the VMM has to answer, it counts: an exit that did
//! not come here is none.

use super::{Attempt, Context, Measured, Options, attempt};
use crate::doors::Delivery;
use serde::Serialize;
use std::fmt;
use trapgate::Error;
use trapgate::machine::exit::Reason;
use trapgate::machine::kvm::{Kind, Maker};
use trapgate_abi::job::{DEVICE, PORT, exits, kind};

/// A way out of the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    /// OUT to a port without a device: to the VMM, which goes on at once.
    PortWrite,
    /// A store to what is no RAM: to the VMM, which goes on at once. KVM decodes
    /// the instruction.
    MmioWrite,
    /// HLT: to the VMM, which wakes the CPU at once.
    Halt,
    /// CPUID, leaf 0: KVM answers it.
    Cpuid,
    /// VMCALL or VMMCALL, by maker, with a number that KVM answers itself
    /// (Linux: `KVM_HC_VAPIC_POLL_IRQ`).
    Hypercall,
    /// A request that does nothing: to the VMM, and there the whole way through
    /// decoding, policy and service.
    NullRequest,
}

impl ExitKind {
    /// All of them.
    pub const ALL: [ExitKind; 6] = {
        use ExitKind::*;
        [PortWrite, MmioWrite, Halt, Cpuid, Hypercall, NullRequest]
    };

    fn number(self, maker: Maker) -> u64 {
        match (self, maker) {
            (ExitKind::PortWrite, _) => exits::PORT_WRITE,
            (ExitKind::MmioWrite, _) => exits::MMIO_WRITE,
            (ExitKind::Halt, _) => exits::HALT,
            (ExitKind::Cpuid, _) => exits::CPUID,
            (ExitKind::Hypercall, Maker::Intel) => exits::VMCALL,
            (ExitKind::Hypercall, Maker::Amd) => exits::VMMCALL,
            (ExitKind::NullRequest, _) => exits::NULL_REQUEST,
        }
    }

    /// Which exits the VMM lets pass for it.
    fn passes(self) -> Option<fn(&Reason) -> bool> {
        match self {
            ExitKind::PortWrite => Some(|reason| *reason == Reason::PortWrite { port: PORT }),
            ExitKind::MmioWrite => Some(|reason| *reason == Reason::NotRam { address: DEVICE }),
            ExitKind::Halt => Some(|reason| *reason == Reason::Halted),
            ExitKind::Cpuid | ExitKind::Hypercall | ExitKind::NullRequest => None,
        }
    }

    /// Whether the VMM serves it: once a call.
    fn is_served(self) -> bool {
        self.passes().is_some() || self == ExitKind::NullRequest
    }
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExitKind::PortWrite => "OUT to the VMM",
            ExitKind::MmioWrite => "MMIO store to the VMM",
            ExitKind::Halt => "HLT and wake-up",
            ExitKind::Cpuid => "CPUID in KVM",
            ExitKind::Hypercall => "hypercall in KVM",
            ExitKind::NullRequest => "null request to the VMM",
        })
    }
}

/// Measures one way out, in a VM of its own.
///
/// # Errors
/// [`Error::Amount`]; and [`Error`], for whatever keeps a VM from running, or if
/// the guest kernel fails.
pub fn measure(exit: ExitKind, options: &Options) -> Result<Measured, Error> {
    let software = Kind::of_this_host() == Kind::Software;
    if software && exit == ExitKind::Hypercall {
        // Not tried: the vCPU hangs at it.
        let why = "a software KVM has no hypercall of the CPU's".to_owned();
        return Ok(Measured::nothing(Delivery::Absent { why }));
    }
    let context = Context {
        place: "64-bit mode",
        absent: None,
        trapped: software.then_some("this KVM interprets ring 0, so that no CPU leaves a VM"),
    };
    let item = exit.number(Maker::of_this_cpu());
    let attempt = attempt(kind::EXITS, item, options, exit.passes())?;
    Ok(checked(exit, options, attempt, &context))
}

/// What was measured, if it was as often served as it was made.
fn checked(exit: ExitKind, options: &Options, attempt: Attempt, context: &Context<'_>) -> Measured {
    let Options { samples, batches, calls_per_batch, .. } = options;
    let made = 1 + samples + batches * calls_per_batch;
    match attempt {
        Attempt::Done(results) if exit.is_served() && results.served != made => Measured::failed(
            format!("of {made} exits that the guest kernel made, {} came here", results.served),
        ),
        attempt => attempt.measured(context),
    }
}
