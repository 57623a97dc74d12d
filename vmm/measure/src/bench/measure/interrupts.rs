//! How many interrupts one of the host's CPUs has had: /proc/interrupts.

use std::fs;

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupts(Option<u64>);

impl Interrupts {
    /// Those of `cpu` until now; unknown without the file.
    pub(crate) fn of(cpu: usize) -> Interrupts {
        let text = fs::read_to_string("/proc/interrupts").ok();
        Interrupts(text.and_then(|text| column(&text, cpu)))
    }

    /// How many came since an earlier reading; 0 if that is unknown.
    pub(crate) fn since(self, earlier: Interrupts) -> u64 {
        match (earlier.0, self.0) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => 0,
        }
    }
}

/// The sum of a CPU's column. The first line names the CPUs that are online.
fn column(text: &str, cpu: usize) -> Option<u64> {
    let mut lines = text.lines();
    let name = format!("CPU{cpu}");
    let index = lines.next()?.split_whitespace().position(|word| word == name)?;
    // A row: its name, a number for each CPU, words.
    let number = |line: &str| line.split_whitespace().nth(1 + index)?.parse::<u64>().ok();
    Some(lines.filter_map(number).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpus_column_is_summed() {
        let text = "           CPU0       CPU2\n  4:  10  20  IO-APIC 4-edge ttyS0\n\
                    NMI:  1  2  Non-maskable interrupts\nERR:  7\n";
        assert_eq!(column(text, 0), Some(18));
        assert_eq!(column(text, 2), Some(22));
        assert_eq!(column(text, 1), None);
        assert_eq!(column("", 0), None);
    }

    #[test]
    fn unknown_readings_count_nothing() {
        let (some, none) = (Interrupts(Some(5)), Interrupts(None));
        assert_eq!(Interrupts(Some(8)).since(some), 3);
        assert_eq!(some.since(none), 0);
        assert_eq!(none.since(some), 0);
    }
}
