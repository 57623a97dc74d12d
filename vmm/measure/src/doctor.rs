//! What this host can do for a sandbox: looked up, and tried.
//!
//! [`examine`] collects facts; `cli::doctor` prints them. Nothing is guessed:
//! each door is tried with a program that goes through it.

mod cgroup;

use crate::doors::Delivery;
use crate::{jobs, version};
use kvm_ioctls::{Cap, Kvm};
use serde::Serialize;
use std::arch::x86_64::__cpuid;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use trapgate::doors::{self, Door, Instruction, Mode};
use trapgate::machine::Machine;
use trapgate::machine::kvm::{Kind, Maker, vm};
use trapgate::machine::memory::LEAST;
use trapgate::mitigation::linux::Host;
use trapgate::stats::Stats;
use trapgate::{ByteSize, End, Error, Mitigations, Outcome, Sandbox, Stdio, report};

/// Goes through the door named by its argument, and through no other.
static DOOR_PROBE: &[u8] = include_bytes!(env!("TRAPGATE_DOOR_PROBE"));
/// The same in 32 bits.
static DOOR_PROBE_32: &[u8] = include_bytes!(env!("TRAPGATE_DOOR_PROBE_32"));

/// Memory of the sandbox that tries a door.
const PROBE_MEMORY: ByteSize = ByteSize(4 << 20);
/// Longer than any door takes, on any KVM.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A door, tried.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TriedDoor {
    /// The door.
    #[serde(flatten)]
    pub door: Door,
    /// What came of it.
    pub delivery: Delivery,
    /// Whether the architecture promises something else.
    pub unexpected: bool,
}

/// A capability of KVM's that trapgate uses.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capability {
    /// Its name in KVM's interface.
    pub name: &'static str,
    /// Whether trapgate needs it.
    pub required: bool,
    /// Whether it is there.
    pub present: bool,
}

/// The CPU as CPUID describes it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cpu {
    /// The maker's name, as in CPUID leaf 0.
    pub vendor: String,
    /// The brand string.
    pub model_name: String,
    /// Family, as displayed.
    pub family: u32,
    /// Model, as displayed.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// The host kernel's mitigations, by vulnerability.
    pub mitigations: BTreeMap<String, String>,
}

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Problem {
    /// Whether no workload can run because of it.
    pub fatal: bool,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// What the first field of a report as JSON says.
pub const SCHEMA: &str = "trapgate-doctor";
/// The version of the report's types.
pub const VERSION: u32 = 1;

/// The JSON schema of the reports of this version.
pub const SCHEMA_JSON: &str = include_str!("../docs/doctor-schema.json");

/// Everything [`examine`] found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// "trapgate-doctor".
    pub schema: &'static str,
    /// The version of this form.
    pub version: u32,
    /// trapgate's version.
    pub trapgate: &'static str,
    /// The commit that it was built from, if that is known.
    pub commit: Option<&'static str>,
    /// The version of the interface between VMM and kernel.
    pub abi_version: u64,
    /// Whether workloads can run.
    pub usable: bool,
    /// The host's kernel.
    pub kernel: String,
    /// KVM's API version, if /dev/kvm could be opened.
    pub api_version: Option<i32>,
    /// The kind of KVM.
    pub kind: Kind,
    /// KVM's modules that are loaded.
    pub modules: Vec<String>,
    /// The capabilities that trapgate uses.
    pub capabilities: Vec<Capability>,
    /// The CPU.
    pub cpu: Cpu,
    /// The doors.
    pub doors: Vec<TriedDoor>,
    /// The instruction that the 32-bit vDSO's `__kernel_vsyscall` uses.
    pub kernel_vsyscall: Option<Instruction>,
    /// Whether a guest's time-stamp counter runs with time, so that its clocks
    /// cost no exit.
    pub tsc_is_a_clock: Option<bool>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Looks at this host and tries it.
pub fn examine() -> Report {
    let mut problems = Vec::new();
    let mut fatal = |what: String, advice: &str| {
        problems.push(Problem { fatal: true, what, advice: advice.to_owned() });
    };
    let kind = Kind::of_this_host();
    let kvm = match vm::open() {
        Ok(kvm) => Some(kvm),
        Err(Error::NoKvm { source, advice }) => {
            fatal(format!("/dev/kvm cannot be used: {source}"), &advice);
            None
        }
        Err(error) => {
            fatal(error.to_string(), "use a Linux with KVM's stable interface");
            None
        }
    };
    let capabilities = kvm.as_ref().map(capabilities).unwrap_or_default();
    for missing in capabilities.iter().filter(|cap| cap.required && !cap.present) {
        fatal(format!("this KVM has no {}", missing.name), "use a newer Linux");
    }
    let doors = if kvm.is_some() { try_doors(Mitigations::NONE) } else { Vec::new() };
    for door in &doors {
        if let Delivery::Failed { why } = &door.delivery
            && is_needed(door.door, kind)
        {
            let advice = "report it as a defect, with what --json prints";
            fatal(format!("{}: {why}", door.door), advice);
        }
    }
    let kvm_works = kvm.is_some();
    if kvm_works && kind == Kind::Software {
        problems.push(Problem {
            fatal: false,
            what: "this KVM is a software one: ring 0 is interpreted, every door is trapped"
                .to_owned(),
            advice: "workloads run; figures are not hardware's: measure on a host with VMX or SVM"
                .to_owned(),
        });
    }
    let tsc_is_a_clock = kvm.as_ref().and_then(tsc_is_a_clock);
    if tsc_is_a_clock == Some(false) {
        problems.push(Problem {
            fatal: false,
            what: "KVM's time-stamp counter does not run with time here".to_owned(),
            advice:
                "workloads run, and each look at a clock costs a VM exit; 'dmesg | grep -i tsc' \
                     says why Linux does not trust the CPU's counter"
                    .to_owned(),
        });
    }
    if let Some(wait) = kvm.as_ref().and_then(cgroup::wait)
        && let Some(command) = cgroup::command(&read("/proc/self/mountinfo"))
    {
        problems.push(Problem {
            fatal: false,
            what: format!("making a VM waits {} ms for a lock of Linux's", wait.as_millis()),
            advice: format!(
                "workloads run, each so much later; as root: '{command}' (from Linux 6.0 on)"
            ),
        });
    }
    Report {
        schema: SCHEMA,
        version: VERSION,
        trapgate: version::RELEASE,
        commit: version::COMMIT,
        abi_version: trapgate_abi::ABI_VERSION,
        usable: problems.iter().all(|problem| !problem.fatal),
        kernel: read("/proc/sys/kernel/osrelease"),
        api_version: kvm.map(|kvm| kvm.get_api_version()),
        kind,
        modules: modules(),
        capabilities,
        cpu: cpu(),
        doors,
        kernel_vsyscall: kvm_works.then(kernel_vsyscall).flatten(),
        tsc_is_a_clock,
        problems,
    }
}

/// Whether the time-stamp counter of KVM's guests runs with time: watches that
/// of a VM which never runs. `None` if there can be no VM.
pub fn tsc_is_a_clock(kvm: &Kvm) -> Option<bool> {
    /// Long beside reading a clock.
    const WATCHED: Duration = Duration::from_millis(2);
    let machine = Machine::new(kvm, LEAST).ok()?;
    thread::sleep(WATCHED);
    machine.clock().ok().map(|(_, is_a_clock)| is_a_clock)
}

fn capabilities(kvm: &Kvm) -> Vec<Capability> {
    /// Not in kvm-ioctls: KVM_CAP_BINARY_STATS_FD.
    const STATS_FD: u64 = 203;
    let list = [
        ("KVM_CAP_USER_MEMORY", true, kvm.check_extension(Cap::UserMemory)),
        ("KVM_CAP_EXT_CPUID", true, kvm.check_extension(Cap::ExtCpuid)),
        ("KVM_CAP_IMMEDIATE_EXIT", true, kvm.check_extension(Cap::ImmediateExit)),
        ("KVM_CAP_GET_TSC_KHZ", true, kvm.check_extension(Cap::GetTscKhz)),
        ("KVM_CAP_XCRS", false, kvm.check_extension(Cap::Xcrs)),
        ("KVM_CAP_BINARY_STATS_FD", false, kvm.check_extension_raw(STATS_FD as _) > 0),
    ];
    list.map(|(name, required, present)| Capability { name, required, present }).to_vec()
}

/// Tries each door in a sandbox of its own, with these steps on its way.
pub fn try_doors(steps: Mitigations) -> Vec<TriedDoor> {
    let maker = Maker::of_this_cpu();
    let tried = doors::ALL.map(|door| {
        let delivery = try_door_of(door, maker, steps);
        let unexpected = delivery.is_unexpected(door, maker);
        TriedDoor { door, delivery, unexpected }
    });
    tried.to_vec()
}

/// Whether workloads need it of a KVM of this kind. No program runs in legacy
/// mode; and on a software KVM no program comes to the fast doors of 32-bit
/// code, because `__kernel_vsyscall` takes INT 0x80 there ([`trapgate::boot::vdso::FastDoor`]).
fn is_needed(door: Door, kind: Kind) -> bool {
    let is_fast_32_bit = door.instruction == Instruction::Sysenter
        || (door.instruction == Instruction::Syscall && door.mode == Mode::Compat);
    door.mode != Mode::Legacy && !(kind == Kind::Software && is_fast_32_bit)
}

/// Tries one door in a sandbox of its own, with these steps on its way.
pub fn try_door(door: Door, steps: Mitigations) -> Delivery {
    try_door_of(door, Maker::of_this_cpu(), steps)
}

fn try_door_of(door: Door, maker: Maker, steps: Mitigations) -> Delivery {
    let argument = match door.instruction {
        Instruction::Syscall if door.mode == Mode::Long => "syscall64",
        Instruction::Syscall => "syscall",
        Instruction::Sysenter => "sysenter",
        Instruction::Int80 => "int80",
    };
    let probe = match door.mode {
        Mode::Long => DOOR_PROBE,
        Mode::Compat => DOOR_PROBE_32,
        Mode::Legacy => return try_legacy(door.instruction),
    };
    let failed = |why| Delivery::Failed { why };
    match run_probe(probe, argument, steps) {
        Err(error) => failed(error.to_string()),
        Ok(outcome) => match outcome.end {
            End::Exited(0) => delivery(door, &outcome.stats),
            End::Exited(_) => failed("getpid through it gave a wrong answer".to_owned()),
            End::Killed(crash) if !door.is_made_by(maker) => {
                let (signal, _) = report::signal_name(crash.signal);
                Delivery::Absent { why: format!("{maker} has no such door: {signal}") }
            }
            End::Killed(crash) => failed(crash.to_string().lines().next().unwrap_or("").to_owned()),
            _ => failed("it hangs".to_owned()),
        },
    }
}

/// Tries a door of legacy mode: a few calls by the kernel's own ring-3 code.
fn try_legacy(instruction: Instruction) -> Delivery {
    let few = jobs::Options {
        samples: 1,
        batches: 1,
        calls_per_batch: 1,
        timeout: PROBE_TIMEOUT,
        ..jobs::Options::default()
    };
    match jobs::legacy::measure(instruction, &few) {
        Ok(report) => report.measured.delivery,
        Err(error) => Delivery::Failed { why: error.to_string() },
    }
}

fn run_probe(probe: &'static [u8], argument: &str, steps: Mitigations) -> Result<Outcome, Error> {
    Sandbox::builder()
        .program_bytes("door-probe", probe)
        .args([argument])
        .memory(PROBE_MEMORY)
        .timeout(PROBE_TIMEOUT)
        .mitigations(steps)
        .stdin(Stdio::Closed)
        .stdout(Stdio::Closed)
        .stderr(Stdio::Closed)
        .build()?
        .run()
}

fn delivery(door: Door, stats: &Stats) -> Delivery {
    let calls = stats.calls(door);
    match (calls, stats.last_trap) {
        ((1.., 0), _) => Delivery::Native,
        ((0, 1..), Some(vector)) => Delivery::Trapped { why: format!("arrives as {vector}") },
        _ => Delivery::Failed { why: "the kernel did not see its calls".to_owned() },
    }
}

/// Which door `__kernel_vsyscall` takes: a 32-bit program calls it.
fn kernel_vsyscall() -> Option<Instruction> {
    let outcome = run_probe(DOOR_PROBE_32, "vsyscall", Mitigations::NONE).ok()?;
    let used = |door: &&Door| door.mode == Mode::Compat && outcome.stats.calls(**door) != (0, 0);
    doors::ALL.iter().find(used).map(|door| door.instruction)
}

pub(crate) fn modules() -> Vec<String> {
    let known = ["kvm", "kvm_intel", "kvm_amd", "kvm_pvm"];
    let loaded = known.iter().filter(|name| Path::new("/sys/module").join(name).exists());
    loaded.map(|name| (*name).to_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// CPUID leaves 0, 1 and 8000_0002 to 8000_0004 (Intel SDM vol. 2A, "CPUID").
fn cpu() -> Cpu {
    let text = |registers: &[u32]| {
        let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_le_bytes()).collect();
        String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']).to_owned()
    };
    let maker = __cpuid(0);
    let signature = __cpuid(1).eax;
    let brand = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(|leaf| {
        let leaf = __cpuid(leaf);
        [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]
    });
    let (family, model) = (signature >> 8 & 0xf, signature >> 4 & 0xf);
    let extended = matches!(family, 6 | 15);
    Cpu {
        vendor: text(&[maker.ebx, maker.edx, maker.ecx]),
        model_name: text(brand.as_flattened()),
        family: if family == 15 { 15 + (signature >> 20 & 0xff) } else { family },
        model: if extended { model | signature >> 12 & 0xf0 } else { model },
        stepping: signature & 0xf,
        mitigations: Host::read().vulnerabilities,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TRAPGATE_BLESS=1` writes the file anew.
    #[test]
    fn a_software_kvm_may_lack_the_doors_that_the_vdso_does_not_take() {
        let needed = |kind| doors::ALL.map(|door| u8::from(is_needed(door, kind)));
        // SYSCALL, SYSENTER, INT 0x80: 64-bit, compat, legacy.
        assert_eq!(needed(Kind::Software), [1, 0, 1, 0, 0, 1, 0, 0, 0]);
        for kind in [Kind::Vmx, Kind::Svm] {
            assert_eq!(needed(kind), [1, 1, 1, 1, 1, 1, 0, 0, 0]);
        }
    }

    #[test]
    fn the_schema_in_docs_is_that_of_the_types() {
        let schema = schemars::schema_for!(Report);
        trapgate::schemas::hold("doctor-schema.json", &schema, SCHEMA_JSON);
    }
}
