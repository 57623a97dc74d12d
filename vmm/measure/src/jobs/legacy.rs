//! Measures the doors of legacy protected mode (EFER.LMA = 0): the only mode in
//! which an AMD CPU has SYSENTER.
//!
//! The kernel leaves long mode, its own ring-3 code goes through one door, and
//! the kernel comes back (guest: `job::legacy`). What is measured is the CPU's
//! way in and out, with paging off and one instruction in ring 0.

use super::{Context, Measured, Options, attempt};
use serde::Serialize;
use trapgate::Error;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate::machine::kvm::Maker;
use trapgate_abi::job::{kind, legacy};

/// A measured door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The door; its mode is [`Mode::Legacy`].
    #[serde(flatten)]
    pub door: Door,
    /// Paging in legacy mode: always `"off"`.
    pub paging: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub measured: Measured,
}

/// Measures legacy mode's door of this instruction, in a VM of its own.
///
/// A KVM that cannot run legacy mode is a
/// [`Delivery::Failed`](crate::doors::Delivery::Failed), and no error.
///
/// # Errors
/// [`Error::Amount`]; and [`Error`], for whatever keeps a VM from running, or if
/// the guest kernel fails.
pub fn measure(instruction: Instruction, options: &Options) -> Result<Report, Error> {
    let item = match instruction {
        Instruction::Int80 => legacy::INT80,
        Instruction::Sysenter => legacy::SYSENTER,
        Instruction::Syscall => legacy::SYSCALL,
    };
    let door = Door { instruction, mode: Mode::Legacy };
    let maker = Maker::of_this_cpu();
    let absent = format!("{maker} has no such door");
    let context = Context {
        place: "legacy mode",
        absent: (!door.is_made_by(maker)).then_some(&absent),
        trapped: None,
    };
    let measured = attempt(kind::LEGACY, item, options, None)?.measured(&context);
    Ok(Report { door, paging: "off", measured })
}
