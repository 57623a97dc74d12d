//! [`Stats`] in words, a row a subject: what `--stats` prints. What did not
//! happen has no row.

use super::{Instructions, Phases, Stats};
use std::fmt;
use std::time::Duration;

/// Time in the unit that reads best.
pub(super) fn human_time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        ..1_000.0 => format!("{us:.0} µs"),
        ..1_000_000.0 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// `1 call`, `2 calls`.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Mebibytes, as short as they are exact to a hundredth.
fn mebibytes(bytes: u64) -> String {
    let text = format!("{:.2}", bytes as f64 / f64::from(1 << 20));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    // There is no touching nothing.
    if text == "0" && bytes > 0 { "0.01 MiB".to_owned() } else { format!("{text} MiB") }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<16}  {text}")
        };
        row(f, "KVM", self.kvm.to_string())?;
        for door in self.doors.iter().filter(|door| door.all() > 0) {
            let calls = counted(door.all(), "call");
            row(f, &door.name, format!("{calls}, {}", door.delivery()))?;
        }
        let exits = match self.kvm_exits {
            Some(exits) => format!("{exits}, {} of them to the VMM", self.vmm_exits),
            None => format!("{} to the VMM; KVM's own were not counted", self.vmm_exits),
        };
        row(f, "VM exits", exits)?;
        if let Some(Instructions { ring0, ring3 }) = self.instructions {
            row(f, "instructions", format!("{ring0} in ring 0, {ring3} in ring 3"))?;
        }
        let requests = &self.host_calls;
        if !requests.by_operation.is_empty() {
            let each = requests.by_operation.iter().map(|(name, count)| format!("{name} {count}"));
            row(f, "requests", each.collect::<Vec<_>>().join(", "))?;
        }
        if requests.refused > 0 {
            row(f, "refused", counted(requests.refused, "request"))?;
        }
        if self.page_faults > 0 || self.pages_mapped > 0 {
            let mapped = counted(self.pages_mapped, "page");
            row(f, "page faults", format!("{} ({mapped} mapped)", self.page_faults))?;
        }
        if let Some(number) = self.last_unknown_call {
            let calls = counted(self.unknown_calls, "call");
            let last = if self.unknown_calls == 1 { "" } else { "the last one " };
            let name = self.last_unknown_name();
            let name = name.map_or(format!("number {number}"), |name| format!("{name}(2)"));
            row(f, "not supported", format!("{calls}, {last}{name}"))?;
        }
        let ram = mebibytes(self.ram_bytes);
        let memory = match self.ram_resident_bytes {
            Some(resident) => format!("touched {} of {ram}", mebibytes(resident)),
            None => ram,
        };
        row(f, "memory", memory)?;
        let us = |us| human_time(Duration::from_micros(us));
        let Phases { create_us, load_us, run_us, .. } = self.time;
        let (create, load, run) = (us(create_us), us(load_us), us(run_us));
        write!(f, "  {:<16}  create {create}, load {load}, run {run}", "time")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;

    #[test]
    fn the_words_are_these() {
        let expected = "  KVM               SVM (AMD)
  SYSCALL, 64-bit   2 calls, native
  VM exits          4, 3 of them to the VMM
  requests          exit 1, write 2
  page faults       1 (16 pages mapped)
  memory            touched 0.41 MiB of 256 MiB
  time              create 812 µs, load 1.25 ms, run 2.00 s";
        assert_eq!(sample().to_string(), expected);
    }

    #[test]
    fn one_is_singular_and_nothing_has_no_row() {
        let mut stats = sample();
        stats.doors.iter_mut().for_each(|door| door.native /= 2);
        stats.host_calls.by_operation.clear();
        stats.host_calls.refused = 1;
        stats.pages_mapped = 1;
        stats.unknown_calls = 1;
        stats.last_unknown_call = Some(334);
        stats.ram_resident_bytes = Some(1);
        let text = stats.to_string();
        for row in [
            "SYSCALL, 64-bit   1 call, native\n",
            "refused           1 request\n",
            "page faults       1 (1 page mapped)\n",
            "not supported     1 call, rseq(2)\n",
            "memory            touched 0.01 MiB of 256 MiB\n",
        ] {
            assert!(text.contains(row), "no {row:?} in:\n{text}");
        }
        (stats.page_faults, stats.pages_mapped, stats.kvm_exits) = (0, 0, None);
        (stats.unknown_calls, stats.last_unknown_call) = (2, Some(5000));
        let text = stats.to_string();
        assert!(!text.contains("page faults") && !text.contains("requests"), "{text}");
        assert!(text.contains("3 to the VMM; KVM's own were not counted"), "{text}");
        assert!(text.contains("2 calls, the last one number 5000"), "{text}");
    }
}
