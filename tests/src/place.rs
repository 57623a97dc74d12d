//! Where the tests run: this machine or a rig; with a KVM or without.

use crate::skip::missing;
use std::env;
use std::sync::OnceLock;
use trapgate::Mitigations;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate::machine::kvm::{Kind, Maker, vm};
use trapgate_measure::doctor::{try_door, tsc_is_a_clock as tsc_of};
use trapgate_measure::doors::Delivery;

/// Where the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An ordinary machine.
    Host,
    /// The rig with kvm_amd: a software CPU, several times slower.
    Amd,
    /// The rig with kvm_intel: a software CPU, about 50 times slower.
    Intel,
}

/// Where this test runs.
pub fn place() -> Place {
    match env::var("TRAPGATE_RIG").as_deref() {
        Ok("amd") => Place::Amd,
        Ok("intel") => Place::Intel,
        Ok(other) => panic!("TRAPGATE_RIG={other}: there is no such rig"),
        Err(_) => Place::Host,
    }
}

/// Whether the time-stamp counter counts instructions here, so that a figure has
/// one right value: always in the Intel rig, and in the AMD rig if it was started
/// so.
pub fn counts_instructions() -> bool {
    place() == Place::Intel || env::var("TRAPGATE_TSC").as_deref() == Ok("instructions")
}

/// Whether KVM's time-stamp counter runs with time: in the rigs, unless the AMD
/// one was started otherwise; here, as doctor finds it.
pub fn tsc_is_a_clock() -> bool {
    match place() {
        Place::Host => vm::open().ok().and_then(|kvm| tsc_of(&kvm)) != Some(false),
        Place::Amd | Place::Intel => env::var("TRAPGATE_TSC").as_deref() != Ok("unstable"),
    }
}

/// Whether this KVM lets SYSENTER, which the CPU has, come to the guest's kernel.
///
/// A KVM on hardware must, and is not asked. A software one leaves the
/// instruction to the CPU: some CPUs raise an exception at it, which names the
/// door; with others it ends in the host's own entry, and the guest sees a jump
/// to an address of the host's. `trapgate doctor` calls that failed, and no
/// program comes there: `__kernel_vsyscall` takes INT 0x80.
pub fn sysenter_arrives() -> bool {
    static ARRIVES: OnceLock<bool> = OnceLock::new();
    *ARRIVES.get_or_init(|| {
        if Kind::of_this_host() != Kind::Software || Maker::of_this_cpu() != Maker::Intel {
            return true;
        }
        let door = Door { instruction: Instruction::Sysenter, mode: Mode::Compat };
        !matches!(try_door(door, Mitigations::NONE), Delivery::Failed { .. })
    })
}

/// The value for this place, such as how often to repeat something.
pub fn scale<T>(host: T, amd: T, intel: T) -> T {
    match place() {
        Place::Host => host,
        Place::Amd => amd,
        Place::Intel => intel,
    }
}

/// How often to repeat what finds rare mistakes: in every run, and in a long one
/// (`cargo xtask test --long`). Both shall find the same mistakes, the long one
/// more surely.
pub fn rounds<T>(every: T, long: T) -> T {
    if env::var_os("TRAPGATE_LONG").is_some() { long } else { every }
}

/// Whether there is a KVM that can be used.
///
/// # Panics
/// If there is none, unless `TRAPGATE_NO_KVM=skip`: a machine whose KVM is
/// missing must not look as if all was tested.
pub fn kvm() -> bool {
    let Err(error) = trapgate::machine::kvm::vm::open() else {
        return true;
    };
    if env::var("TRAPGATE_NO_KVM").as_deref() == Ok("skip") {
        missing("KVM");
        return false;
    }
    panic!("NO KVM: {error} (TRAPGATE_NO_KVM=skip skips the tests that need it)");
}
