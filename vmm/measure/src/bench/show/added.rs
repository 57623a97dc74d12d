//! What mitigation steps add to the plain doors: sets of steps in rows, doors in
//! columns. Pure; a part of `view`.

use crate::bench::record::units;
use crate::bench::record::{Delivery, Measurement};
use crate::bench::show::view::fold::{self, Fold};
use crate::bench::show::view::row::NOTHING;

/// What stands above it.
pub(crate) const TITLE: &str = "What mitigation steps add to the plain doors (median)";

/// The table.
pub(crate) struct Added {
    /// The columns.
    pub(crate) doors: Vec<String>,
    /// The rows.
    pub(crate) sets: Vec<Set>,
    /// What has no figure because it failed, and why.
    pub(crate) failed: Option<Fold>,
}

/// A row: steps that are on together.
pub(crate) struct Set {
    pub(crate) name: String,
    /// One for each door.
    pub(crate) cells: Vec<Cell>,
}

/// What the steps add to one door.
pub(crate) struct Cell {
    /// By how much the median grew; `-` if one of the two was not measured.
    pub(crate) time: String,
    /// How many instructions more there are, with a sign; empty if they were
    /// not counted.
    pub(crate) instructions: String,
    /// What that is made of; empty if it is not there.
    pub(crate) detail: String,
}

impl Added {
    /// Of `hardened` doors, beside the same among `plain` ones.
    pub(crate) fn of(hardened: &[&Measurement], plain: &[&Measurement]) -> Added {
        let mut doors: Vec<String> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for one in hardened {
            for (list, name) in [(&mut doors, one.plain_label()), (&mut names, set_name(one))] {
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        let cell = |name: &str, door: &str| {
            let with =
                hardened.iter().find(|one| set_name(one) == name && one.plain_label() == door);
            let pair = with.and_then(|with| {
                plain.iter().find(|one| one.is_same_as(with)).map(|without| Cell::of(with, without))
            });
            pair.unwrap_or_else(Cell::nothing)
        };
        let sets = names.into_iter().map(|name| {
            let cells = doors.iter().map(|door| cell(&name, door)).collect();
            Set { name, cells }
        });
        let failed = hardened.iter().copied();
        let failed = failed.filter(|one| matches!(one.delivery, Some(Delivery::Failed { .. })));
        let (sets, failed) = (sets.collect(), fold::of("failed", failed, usize::MAX));
        // A figure says how its door arrives.
        let head = |door: &String| {
            let same = plain.iter().find(|one| one.plain_label() == *door);
            match same.and_then(|one| one.delivery.as_ref()) {
                None | Some(Delivery::Native) => door.clone(),
                Some(delivery) => format!("{door} ({})", delivery.word()),
            }
        };
        Added { sets, failed, doors: doors.iter().map(head).collect() }
    }
}

impl Cell {
    /// In one line: "1.25 µs, +1925 instr.".
    pub(crate) fn text(&self) -> String {
        match &self.instructions[..] {
            "" => self.time.clone(),
            instructions => format!("{}, {instructions} instr.", self.time),
        }
    }

    fn nothing() -> Cell {
        Cell { time: NOTHING.to_owned(), instructions: String::new(), detail: String::new() }
    }

    fn of(with: &Measurement, without: &Measurement) -> Cell {
        let failed = matches!(with.delivery, Some(Delivery::Failed { .. }));
        let medians = with.median_ns().zip(without.median_ns()).filter(|_| !failed);
        let Some((now, before)) = medians else { return Cell::nothing() };
        let mut detail = format!("{}, without {}", units::time(now), units::time(before));
        let counts = with.instructions().zip(without.instructions());
        let instructions = counts.map(|(now, before)| {
            detail += &format!("; {now} instructions, without {before}");
            format!("{:+}", now - before)
        });
        let instructions = instructions.unwrap_or_default();
        Cell { time: units::time(now - before), instructions, detail }
    }
}

fn set_name(one: &Measurement) -> String {
    one.with.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn a_door_is_held_against_itself_without_steps() {
        let report = sample::report();
        let all: Vec<_> = report.measurements.iter().collect();
        let (hardened, plain): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| !one.with.is_empty());
        let added = Added::of(&hardened, &plain);
        assert_eq!(added.doors, ["SYSCALL, 64-bit"]);
        let [set] = &added.sets[..] else { panic!("one set") };
        assert_eq!(
            (set.name.as_str(), set.cells[0].text().as_str()),
            ("ibpb", "1.25 µs, +1925 instr.")
        );
        assert!(
            set.cells[0].detail.contains("2000 instructions, without 75"),
            "{}",
            set.cells[0].detail
        );
    }

    #[test]
    fn a_step_that_fails_says_why_and_one_that_was_not_measured_nothing() {
        let report = sample::report();
        let plain = &report.measurements[0];
        let hardened = plain.clone().with(&["pti"]);
        let why = "the probe took too long";
        let failed = Measurement {
            delivery: Some(Delivery::Failed { why: why.into() }),
            ..hardened.clone()
        };
        let other = Measurement { timed: None, ..plain.clone().with(&["ibrs"]) };
        let added = Added::of(&[&failed, &other], &[plain]);
        let cells: Vec<_> = added.sets.iter().map(|set| set.cells[0].text()).collect();
        assert_eq!(cells, ["-", "-"]);
        let line = added.failed.map(|failed| failed.line());
        assert_eq!(line, Some(format!("failed: SYSCALL + pti 64-bit ({why})")));
        assert_eq!(added.doors, ["SYSCALL, 64-bit"]);
        let trapped = Delivery::Trapped { why: "#UD".into() };
        let trapped = Measurement { delivery: Some(trapped), ..plain.clone() };
        assert_eq!(Added::of(&[&other], &[&trapped]).doors, ["SYSCALL, 64-bit (trapped)"]);
        assert_eq!(Added::of(&[&hardened], &[]).sets[0].cells[0].text(), "-");
    }
}
