//! Where a run was made: all that two runs may differ in besides the program.
//!
//! [`Environment::of`] reads it, from doctor's report, /proc, /sys and
//! CPUID; nothing in it names a machine or a user. [`differences`] says in
//! which points two differ, and [`comparable`] whether their times may be held
//! against each other.

use crate::bench::record::Delivery;
use crate::bench::record::clock::Clock;
use crate::doctor;
use serde::{Deserialize, Serialize};
use std::arch::x86_64::__cpuid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use trapgate::doors::Door;
use trapgate::machine::kvm::Kind;

/// Where a run was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// trapgate's version.
    pub trapgate: String,
    /// The host's kernel: its release.
    pub kernel: String,
    /// The CPU.
    pub cpu: Cpu,
    /// The host kernel's mitigations, by vulnerability.
    pub mitigations: BTreeMap<String, String>,
    /// KVM.
    pub kvm: Kvm,
    /// How each door arrives, by its name.
    pub doors: BTreeMap<String, Delivery>,
}

/// The CPU, as CPUID and the host describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
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
    /// The microcode's revision, as /proc/cpuinfo has it.
    pub microcode: Option<String>,
    /// The frequency in kHz when the run began, if the host tells.
    pub frequency_khz: Option<u64>,
    /// The governor of that frequency.
    pub governor: Option<String>,
    /// Whether the CPU may exceed its nominal frequency.
    pub boost: Option<bool>,
    /// The time-stamp counter's frequency in kHz, measured against the host's
    /// monotonic clock.
    pub tsc_khz: u64,
    /// The smallest step in which that counter moves, in ticks: no time is known
    /// better.
    pub tsc_step: u64,
    /// Whether that counter runs at one rate in all power states
    /// (CPUID.8000_0007:EDX\[8\]).
    pub invariant_tsc: bool,
    /// Whether two threads share a core.
    pub smt: Option<bool>,
    /// Online CPUs.
    pub online: usize,
    /// The emulator that this CPU is made of, if it is one: then no time is a
    /// time.
    pub emulator: Option<String>,
}

/// KVM, and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kvm {
    /// The kind, in words.
    pub kind: String,
    /// Whether ring 0 is interpreted.
    pub software: bool,
    /// The hypervisor under this host, if it is a guest itself.
    pub nested_in: Option<String>,
    /// The modules' parameters, as `module.parameter`.
    pub parameters: BTreeMap<String, String>,
}

impl Environment {
    /// How doctor found a door.
    pub fn door(&self, door: Door) -> Option<&Delivery> {
        self.doors.get(&door.to_string())
    }

    /// This host, as doctor found it, with its clock.
    pub fn of(report: doctor::Report, clock: Clock) -> Environment {
        let cpu = report.cpu;
        let hypervisor = hypervisor();
        let emulator = emulator(hypervisor.as_deref());
        Environment {
            trapgate: report.trapgate.to_owned(),
            kernel: report.kernel,
            cpu: Cpu {
                vendor: cpu.vendor,
                model_name: cpu.model_name,
                family: cpu.family,
                model: cpu.model,
                stepping: cpu.stepping,
                microcode: cpuinfo("microcode"),
                frequency_khz: frequency_khz(),
                governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
                boost: boost(),
                tsc_khz: clock.khz.get(),
                tsc_step: clock.step.get(),
                invariant_tsc: __cpuid(0x8000_0000).eax >= 0x8000_0007
                    && __cpuid(0x8000_0007).edx & 1 << 8 != 0,
                smt: read("/sys/devices/system/cpu/smt/active").map(|text| text == "1"),
                online: std::thread::available_parallelism().map_or(1, usize::from),
                emulator: emulator.clone(),
            },
            mitigations: cpu.mitigations,
            kvm: Kvm {
                kind: report.kind.to_string(),
                software: report.kind == Kind::Software,
                nested_in: hypervisor.filter(|_| emulator.is_none()),
                parameters: parameters(),
            },
            doors: report
                .doors
                .iter()
                .map(|door| (door.door.to_string(), door.delivery.clone()))
                .collect(),
        }
    }

    /// The smallest step of the clock in nanoseconds; 0 if its rate is none.
    pub fn step_ns(&self) -> f64 {
        let khz = self.cpu.tsc_khz as f64;
        if khz > 0.0 { self.cpu.tsc_step as f64 * 1e6 / khz } else { 0.0 }
    }

    /// Why the times of this environment are none of a CPU's with VMX or SVM;
    /// none if they are.
    pub fn caveat(&self) -> Option<String> {
        if let Some(emulator) = &self.cpu.emulator {
            return Some(format!(
                "a rig: the CPU is {emulator}, its times are the emulator's and its TSC may count \
                 instructions; counts hold, times do not"
            ));
        }
        if self.kvm.software {
            return Some(
                "a software KVM: it interprets ring 0 and traps every door; times are not a \
                 hardware KVM's"
                    .to_owned(),
            );
        }
        let under = self.kvm.nested_in.as_ref()?;
        Some(format!(
            "nested: this host is a guest of {under}, and each exit is an exit of two machines"
        ))
    }
}

/// A point in which two environments differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs: the path of the field in the record.
    pub what: String,
    /// In the first.
    pub before: String,
    /// In the second.
    pub after: String,
    /// Whether times may be compared in spite of it.
    pub harmless: bool,
}

/// Fields that may differ between runs whose times are compared: what is under
/// test, and what changes from moment to moment. A measured frequency is never
/// the same twice; [`differences`] allows it a thousandth. The counter's step is
/// part of what a comparison takes for noise.
const HARMLESS: [&str; 3] = ["trapgate", "cpu.frequency_khz", "cpu.tsc_step"];

/// In what two environments differ.
pub fn differences(before: &Environment, after: &Environment) -> Vec<Difference> {
    let (before_fields, after_fields) = (fields(before), fields(after));
    let names: BTreeSet<_> = before_fields.keys().chain(after_fields.keys()).collect();
    let (tsc_before, tsc_after) = (before.cpu.tsc_khz, after.cpu.tsc_khz);
    let same_tsc = tsc_before.abs_diff(tsc_after) <= tsc_before / 1000;
    names
        .into_iter()
        .filter(|name| before_fields.get(*name) != after_fields.get(*name))
        .filter(|name| !(same_tsc && *name == "cpu.tsc_khz"))
        .map(|name| {
            let shown = |fields: &BTreeMap<String, String>| {
                fields.get(name).cloned().unwrap_or_else(|| "not known".to_owned())
            };
            Difference {
                what: name.clone(),
                before: shown(&before_fields),
                after: shown(&after_fields),
                harmless: HARMLESS.contains(&name.as_str()),
            }
        })
        .collect()
}

/// Whether times of the two may be held against each other.
pub fn comparable(before: &Environment, after: &Environment) -> bool {
    differences(before, after).iter().all(|difference| difference.harmless)
}

/// Every field by its path, as text; what is not known is not there.
pub(crate) fn fields(environment: &Environment) -> BTreeMap<String, String> {
    fn walk(path: String, value: &serde_json::Value, fields: &mut BTreeMap<String, String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    let path =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(path, value, fields);
                }
            }
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => drop(fields.insert(path, text.clone())),
            other => drop(fields.insert(path, other.to_string())),
        }
    }
    let mut all = BTreeMap::new();
    let value = serde_json::to_value(environment).unwrap_or_default();
    walk(String::new(), &value, &mut all);
    all
}

/// The CPU's frequency at this moment, in kHz, if the host tells.
pub fn frequency_khz() -> Option<u64> {
    read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")?.parse().ok()
}

fn boost() -> Option<bool> {
    let no_turbo = read("/sys/devices/system/cpu/intel_pstate/no_turbo").map(|text| text == "0");
    no_turbo.or_else(|| read("/sys/devices/system/cpu/cpufreq/boost").map(|text| text == "1"))
}

/// A file's one line.
fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The first CPU's value of this name in /proc/cpuinfo.
fn cpuinfo(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// What CPUID.1:ECX\[31\] and leaf 4000_0000 say about a hypervisor, as in
/// Linux's Documentation/virt/kvm/x86/cpuid.rst.
fn hypervisor() -> Option<String> {
    if __cpuid(1).ecx & 1 << 31 == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let bytes: Vec<u8> =
        [leaf.ebx, leaf.ecx, leaf.edx].iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = if is_name { String::from_utf8_lossy(name).into_owned() } else { "unknown".into() };
    Some(match name.as_str() {
        "KVMKVMKVM" => "KVM".to_owned(),
        "TCGTCGTCGTCG" => "QEMU TCG".to_owned(),
        "Microsoft" => "Hyper-V".to_owned(),
        "VMwareVMware" => "VMware".to_owned(),
        "XenVMMXenVMM" => "Xen".to_owned(),
        _ => name,
    })
}

/// The emulator that this CPU is made of: by the hypervisor's name, or by the
/// firmware's and the machine's in DMI. QEMU under KVM has its machine too, but
/// then a hypervisor says that it is KVM.
fn emulator(hypervisor: Option<&str>) -> Option<String> {
    let dmi = |name: &str| read(&format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    if hypervisor == Some("QEMU TCG") || (hypervisor.is_none() && dmi("sys_vendor") == "QEMU") {
        return Some("QEMU TCG".to_owned());
    }
    dmi("bios_vendor").contains("Bochs").then(|| "Bochs".to_owned())
}

/// Parameters of KVM's modules, as far as one may read them.
fn parameters() -> BTreeMap<String, String> {
    let modules = doctor::modules();
    let each = modules.iter().flat_map(|module| {
        let directory = Path::new("/sys/module").join(module).join("parameters");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let value = read(entry.path().to_str()?)?;
            Some((format!("{module}.{}", entry.file_name().to_string_lossy()), value))
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn an_environment_is_comparable_with_itself() {
        let environment = sample::environment();
        assert_eq!(differences(&environment, &environment), []);
        assert!(comparable(&environment, &environment));
    }

    #[test]
    fn differences_name_the_field_and_both_values() {
        let before = sample::environment();
        let mut after = before.clone();
        after.cpu.governor = None;
        after.mitigations.insert("retbleed".into(), "Vulnerable".into());
        let found = differences(&before, &after);
        let named: Vec<_> = found
            .iter()
            .map(|found| (found.what.as_str(), found.before.as_str(), found.after.as_str()))
            .collect();
        let expected = [
            ("cpu.governor", "performance", "not known"),
            ("mitigations.retbleed", "Mitigation: untrained return thunk", "Vulnerable"),
        ];
        assert_eq!(named, expected);
        assert!(!comparable(&before, &after));
    }

    #[test]
    fn a_version_under_test_and_the_moments_frequency_do_not_forbid_comparing() {
        let before = sample::environment();
        let mut after = before.clone();
        after.trapgate = "9.9.9".into();
        after.cpu.frequency_khz = Some(1);
        after.cpu.tsc_khz += after.cpu.tsc_khz / 2000;
        assert_eq!(differences(&before, &after).len(), 2);
        assert!(comparable(&before, &after));
        after.cpu.tsc_khz = before.cpu.tsc_khz * 2;
        assert!(!comparable(&before, &after));
    }

    #[test]
    fn each_kind_of_unreal_time_is_called_by_its_name() {
        let mut environment = sample::environment();
        assert_eq!(environment.caveat(), None);
        environment.kvm.nested_in = Some("KVM".into());
        assert!(environment.caveat().unwrap().starts_with("nested"));
        environment.kvm.software = true;
        assert!(environment.caveat().unwrap().starts_with("a software KVM"));
        environment.cpu.emulator = Some("Bochs".into());
        assert!(environment.caveat().unwrap().starts_with("a rig: the CPU is Bochs"));
    }
}
