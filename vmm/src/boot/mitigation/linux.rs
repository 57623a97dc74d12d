//! Which steps Linux takes on this host, by what it says of itself.

use super::{Mitigations, Step};
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// What Linux says of itself.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The files of /sys/devices/system/cpu/vulnerabilities, by name.
    pub vulnerabilities: BTreeMap<String, String>,
    /// /proc/cmdline.
    pub command_line: String,
    /// The kernel's configuration, as Debian and others have it in /boot; empty
    /// if it is not there.
    pub config: String,
}

impl Host {
    /// This one. What cannot be read is empty.
    pub fn read() -> Host {
        let directory = Path::new("/sys/devices/system/cpu/vulnerabilities");
        let files = fs::read_dir(directory).into_iter().flatten().flatten();
        let vulnerabilities = files.filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            Some((file.file_name().to_string_lossy().into_owned(), text.trim().to_owned()))
        });
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let config = |release: io::Result<String>| {
            release.map(|release| text(&format!("/boot/config-{}", release.trim())))
        };
        Host {
            vulnerabilities: vulnerabilities.collect(),
            command_line: text("/proc/cmdline"),
            config: config(fs::read_to_string("/proc/sys/kernel/osrelease")).unwrap_or_default(),
        }
    }
}

impl Mitigations {
    /// The steps that Linux takes, as the host says
    /// (Documentation/admin-guide/hw-vuln and arch/x86/kernel/cpu/bugs.c).
    pub fn linux_default(host: &Host) -> Mitigations {
        let steps = Step::ALL.into_iter();
        steps.filter(|step| takes(host, *step)).collect()
    }
}

fn takes(host: &Host, step: Step) -> bool {
    let state = |name: &str| host.vulnerabilities.get(name).map_or("", String::as_str);
    // The parts of spectre_v2; older kernels put commas between them.
    let mut spectre_v2 = state("spectre_v2").split([';', ',']).map(str::trim);
    match step {
        Step::Pti => state("meltdown").starts_with("Mitigation: PTI"),
        // Kernel IBRS. With the enhanced kind it is on for good, at no door.
        Step::Ibrs => spectre_v2.next() == Some("Mitigation: IBRS"),
        Step::Untrain => {
            let safe_return = state("spec_rstack_overflow").to_lowercase();
            state("retbleed").contains("untrained return thunk") || safe_return.contains("safe ret")
        }
        Step::BhiClear => spectre_v2.any(|part| part == "BHI: SW loop"),
        Step::KstackOffset => {
            let option = "randomize_kstack_offset=";
            let mut words = host.command_line.split_whitespace().rev();
            match words.find_map(|word| word.strip_prefix(option)) {
                Some(value) => matches!(value, "1" | "y" | "Y" | "on" | "true"),
                None => host
                    .config
                    .lines()
                    .any(|line| line == "CONFIG_RANDOMIZE_KSTACK_OFFSET_DEFAULT=y"),
            }
        }
        Step::Retpoline => spectre_v2.next().is_some_and(|part| {
            part.starts_with("Mitigation") && part.to_lowercase().contains("retpoline")
        }),
        // Of MMIO stale data alone the buffers are cleared for guests only.
        Step::Verw => {
            let clears = |name| state(name).contains("Clear CPU buffers");
            clears("mds")
                || clears("tsx_async_abort")
                || (clears("tsa") && !state("tsa").ends_with(": VM"))
                || state("reg_file_data_sampling").contains("Clear Register File")
        }
        Step::SwapgsFence => state("spectre_v1").starts_with("Mitigation: usercopy/swapgs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: (&str, &str) =
        ("spectre_v1", "Mitigation: usercopy/swapgs barriers and __user pointer sanitization");

    fn default_of(files: &[(&str, &str)]) -> String {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let vulnerabilities = files.iter().map(own).collect();
        Mitigations::linux_default(&Host { vulnerabilities, ..Host::default() }).to_string()
    }

    #[test]
    fn skylake_has_the_old_list() {
        let list = default_of(&[
            V1,
            ("meltdown", "Mitigation: PTI"),
            ("mds", "Mitigation: Clear CPU buffers; SMT vulnerable"),
            ("mmio_stale_data", "Mitigation: Clear CPU buffers; SMT vulnerable"),
            ("retbleed", "Mitigation: IBRS"),
            ("spec_rstack_overflow", "Not affected"),
            (
                "spectre_v2",
                "Mitigation: IBRS; IBPB: conditional; STIBP: conditional; RSB filling; \
                 PBRSB-eIBRS: Not affected; BHI: Not affected",
            ),
            ("tsx_async_abort", "Mitigation: Clear CPU buffers; SMT vulnerable"),
        ]);
        assert_eq!(list, "pti,ibrs,verw,swapgs-fence");
    }

    #[test]
    fn ice_lake_has_enhanced_ibrs_and_no_write_at_the_door() {
        let list = default_of(&[
            V1,
            ("meltdown", "Not affected"),
            ("mds", "Not affected"),
            ("mmio_stale_data", "Mitigation: Clear CPU buffers; SMT vulnerable"),
            ("retbleed", "Not affected"),
            (
                "spectre_v2",
                "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; \
                 PBRSB-eIBRS: SW sequence; BHI: SW loop, KVM: SW loop",
            ),
            ("tsx_async_abort", "Not affected"),
        ]);
        assert_eq!(list, "bhi-clear,swapgs-fence");
    }

    #[test]
    fn alder_lake_clears_its_register_file_and_has_bhi_in_hardware() {
        let list = default_of(&[
            V1,
            ("reg_file_data_sampling", "Mitigation: Clear Register File"),
            (
                "spectre_v2",
                "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; \
                 PBRSB-eIBRS: SW sequence; BHI: BHI_DIS_S",
            ),
        ]);
        assert_eq!(list, "verw,swapgs-fence");
    }

    #[test]
    fn zen_2_untrains_its_returns() {
        let list = default_of(&[
            V1,
            ("retbleed", "Mitigation: untrained return thunk; SMT enabled with STIBP protection"),
            ("spec_rstack_overflow", "Mitigation: Safe RET"),
            (
                "spectre_v2",
                "Mitigation: Retpolines; IBPB: conditional; STIBP: always-on; RSB filling; \
                 PBRSB-eIBRS: Not affected; BHI: Not affected",
            ),
        ]);
        assert_eq!(list, "untrain,retpoline,swapgs-fence");
    }

    #[test]
    fn zen_5_in_a_guest_without_microcode_still_has_safe_returns() {
        let list = default_of(&[
            V1,
            ("meltdown", "Not affected"),
            ("spec_rstack_overflow", "Vulnerable: Safe RET, no microcode"),
            (
                "spectre_v2",
                "Mitigation: Retpolines; STIBP: disabled; RSB filling; \
                 PBRSB-eIBRS: Not affected; BHI: Not affected",
            ),
            ("tsa", "Not affected"),
        ]);
        assert_eq!(list, "untrain,retpoline,swapgs-fence");
    }

    #[test]
    fn old_kernels_put_commas_and_mitigations_off_leaves_nothing() {
        let old = [(
            "spectre_v2",
            "Mitigation: Full generic retpoline, IBPB: conditional, IBRS_FW, STIBP: conditional",
        )];
        assert_eq!(default_of(&old), "retpoline");
        let off = [
            ("meltdown", "Vulnerable"),
            ("mds", "Vulnerable; SMT vulnerable"),
            ("retbleed", "Vulnerable"),
            ("spec_rstack_overflow", "Vulnerable"),
            (
                "spectre_v1",
                "Vulnerable: __user pointer sanitization and usercopy barriers only; \
              no swapgs barriers",
            ),
            (
                "spectre_v2",
                "Vulnerable; IBPB: disabled; STIBP: disabled; \
              PBRSB-eIBRS: Vulnerable; BHI: Vulnerable, KVM: SW loop",
            ),
            ("tsa", "Mitigation: Clear CPU buffers: VM"),
        ];
        assert_eq!(default_of(&off), "none");
    }

    #[test]
    fn the_stacks_offset_follows_the_command_line_before_the_configuration() {
        let default = |command_line: &str, config: &str| {
            let (command_line, config) = (command_line.to_owned(), config.to_owned());
            let host = Host { command_line, config, ..Host::default() };
            Mitigations::linux_default(&host).has(Step::KstackOffset)
        };
        let on = "CONFIG_RANDOMIZE_KSTACK_OFFSET=y\nCONFIG_RANDOMIZE_KSTACK_OFFSET_DEFAULT=y\n";
        assert!(default("quiet", on));
        assert!(!default("randomize_kstack_offset=on randomize_kstack_offset=off", on));
        assert!(default("randomize_kstack_offset=on", ""));
        assert!(!default("", "# CONFIG_RANDOMIZE_KSTACK_OFFSET_DEFAULT is not set\n"));
    }
}
