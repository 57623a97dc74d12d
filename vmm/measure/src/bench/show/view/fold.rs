//! What needs no row: doors that are trapped, not here, or failed, all of a kind
//! in one line with a few words of the reason. The record has every reason as
//! it was given.

use super::row::Row;
use crate::bench::record::{Delivery, Measurement};

/// The longest reason of a line.
const ROOM: usize = 120;

/// All of a kind.
pub(crate) struct Fold {
    /// The kind: "not here".
    pub(crate) word: &'static str,
    pub(crate) entries: Vec<Entry>,
}

/// All of a kind with one reason.
pub(crate) struct Entry {
    /// "SYSENTER 64-bit, compat".
    pub(crate) names: String,
    /// In a few words.
    pub(crate) why: String,
    /// Each with its whole reason.
    pub(crate) whole: Vec<(String, String)>,
}

impl Fold {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        let entries = self.entries.iter().map(|entry| format!("{} ({})", entry.names, entry.why));
        format!("{}: {}", self.word, entries.collect::<Vec<_>>().join("; "))
    }
}

/// Of these rows.
pub(crate) fn folds(rows: &[Row]) -> Vec<Fold> {
    let kinds = ["trapped", "not here", "failed", "not on the host"];
    let all = |word| match word {
        // What is not here is no door that is not trapped.
        "trapped" => rows.iter().filter(|row| !row.is_folded()).count(),
        _ => rows.len(),
    };
    let folds = kinds.into_iter().filter_map(|word| {
        let of_kind = rows.iter().filter_map(|row| told(row).find(|(kind, _)| *kind == word));
        of(word, of_kind.map(|(_, one)| one), all(word))
    });
    folds.collect()
}

/// What a row's deliveries say, by kind.
fn told<'a>(row: &Row<'a>) -> impl Iterator<Item = (&'static str, &'a Measurement)> {
    let guest = row.guest.filter(|one| why(one).is_some()).map(|one| {
        let word = match one.delivery {
            Some(Delivery::Absent { .. }) => "not here",
            Some(Delivery::Failed { .. }) => "failed",
            _ => "trapped",
        };
        (word, one)
    });
    // Where there is nothing in the guest either, that is all there is to say.
    let host =
        row.host.filter(|one| why(one).is_some() && !(row.guest.is_some() && row.is_folded()));
    guest.into_iter().chain(host.map(|one| ("not on the host", one)))
}

fn why(one: &Measurement) -> Option<&str> {
    one.delivery.as_ref()?.why()
}

/// These in one line; `all` is how many there are of any kind.
pub(crate) fn of<'a>(
    word: &'static str,
    measurements: impl Iterator<Item = &'a Measurement>,
    all: usize,
) -> Option<Fold> {
    let mut reasons: Vec<(String, Vec<&Measurement>)> = Vec::new();
    for one in measurements {
        let short = short(one);
        match reasons.iter_mut().find(|(known, _)| *known == short) {
            Some((_, list)) => list.push(one),
            None => reasons.push((short, vec![one])),
        }
    }
    let entries = reasons.into_iter().map(|(why_short, list)| Entry {
        names: if list.len() == all && all > 1 { "all".to_owned() } else { names(&list) },
        why: why_short,
        whole: list
            .iter()
            .map(|one| (one.label(), why(one).unwrap_or_default().to_owned()))
            .collect(),
    });
    let entries: Vec<_> = entries.collect();
    (!entries.is_empty()).then_some(Fold { word, entries })
}

/// Each name once, with its modes.
fn names(list: &[&Measurement]) -> String {
    let mut names: Vec<(String, Vec<&str>)> = Vec::new();
    for one in list {
        let steps = one.with.iter().map(|step| format!(" + {step}")).collect::<String>();
        let name = one.name.clone() + &steps;
        let at = names.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            names.push((name, Vec::new()));
            names.len() - 1
        });
        names[at].1.extend(one.mode.as_deref());
    }
    let names = names.into_iter().map(|(name, modes)| match modes[..] {
        [] => name,
        _ => format!("{name} {}", modes.join(", ")),
    });
    names.collect::<Vec<_>>().join("; ")
}

/// The reason without addresses, codes and dumps.
fn short(one: &Measurement) -> String {
    let why = why(one).unwrap_or_default();
    // "AMD has no such door: #UD": by what that was noticed, the record says.
    let why = match one.delivery {
        Some(Delivery::Absent { .. }) => why.split(": ").next().unwrap_or(why),
        _ => why,
    };
    let why = match why.find('[') {
        None | Some(0) => why,
        Some(dump) => {
            let until = why[..dump].rfind('(').unwrap_or(dump);
            why[..until].trim_end_matches([',', ' '])
        }
    };
    let is_place = |clause: &&str| {
        let mut words = clause.rsplit(' ');
        words.next().is_some_and(|last| last.starts_with("0x")) && words.next() != Some("INT")
    };
    let mut clauses = why.split(", ");
    let mut short = clauses.next().unwrap_or_default().to_owned();
    for clause in clauses.filter(|clause| !is_place(clause)) {
        short += ", ";
        short += clause;
    }
    if short.chars().count() > ROOM {
        short = short.chars().take(ROOM - 1).chain(['…']).collect();
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Group, Place};

    fn door(name: &str, mode: &str, delivery: Delivery) -> Measurement {
        let mut one = Measurement::new(Group::Doors, name, Some(mode), Place::Guest);
        one.delivery = Some(delivery);
        one
    }

    fn lines(measurements: &[Measurement]) -> Vec<String> {
        let rows = Row::pair(&measurements.iter().collect::<Vec<_>>());
        folds(&rows).iter().map(Fold::line).collect()
    }

    #[test]
    fn doors_that_the_cpu_has_not_are_one_line() {
        let absent = |why: &str| Delivery::Absent { why: why.into() };
        let doors = [
            door("SYSCALL", "64-bit", Delivery::Native),
            door("SYSENTER", "64-bit", absent("AMD has no such door: SIGILL")),
            door("SYSENTER", "compat", absent("AMD has no such door: #UD")),
            door("hypercall", "bare", absent("a software KVM has none")),
        ];
        let line = "not here: SYSENTER 64-bit, compat (AMD has no such door); \
                    hypercall bare (a software KVM has none)";
        assert_eq!(lines(&doors), [line]);
    }

    #[test]
    fn a_failures_line_has_its_reason_and_no_dump() {
        let failed = |why: &str| Delivery::Failed { why: why.into() };
        let doors = [
            door(
                "SYSCALL",
                "legacy",
                failed(
                    "this KVM ended it with KVM_EXIT_INTERNAL_ERROR, suberror 1: an instruction \
                 could not be emulated (data [1, a1c0000080b9cf0f, 84f4158b000084f0])",
                ),
            ),
            door("CALL", "bare", failed("#PF in ring 3, at 0xffffffff800232c0, error code 0x15")),
            door("INT 0x80", "bare", failed("it hangs at INT 0x80")),
            door("INT3", "bare", failed("it left [1, 2] behind")),
            door("SYSENTER", "bare", failed(&"x".repeat(300))),
        ];
        let [line] = &lines(&doors)[..] else { panic!("one line") };
        let start = "failed: SYSCALL legacy (this KVM ended it with KVM_EXIT_INTERNAL_ERROR, \
                     suberror 1: an instruction could not be emulated); CALL bare (#PF in ring 3); \
                     INT 0x80 bare (it hangs at INT 0x80); INT3 bare (it left); SYSENTER bare (xxx";
        assert!(line.starts_with(start) && line.ends_with("x…)"), "{line}");
    }

    #[test]
    fn what_is_true_of_all_is_said_of_all() {
        let trapped = || Delivery::Trapped { why: "this KVM interprets ring 0".into() };
        let absent = Delivery::Absent { why: "none".into() };
        let mut doors = vec![door("OUT", "bare", trapped()), door("MMIO", "bare", trapped())];
        doors.push(door("hypercall", "bare", absent));
        let all = "trapped: all (this KVM interprets ring 0)";
        assert_eq!(lines(&doors), [all, "not here: hypercall bare (none)"]);
    }

    #[test]
    fn a_host_without_a_door_that_the_guest_has_is_told() {
        let guest = door("INT 0x80", "compat", Delivery::Native);
        let mut host = door("INT 0x80", "compat", Delivery::Absent { why: "no IA32".into() });
        host.place = Place::Host;
        assert_eq!(
            lines(&[guest.clone(), host.clone()]),
            ["not on the host: INT 0x80 compat (no IA32)"]
        );
        let neither =
            Measurement { delivery: Some(Delivery::Absent { why: "none".into() }), ..guest };
        assert_eq!(lines(&[neither, host]), ["not here: INT 0x80 compat (none)"]);
    }
}
