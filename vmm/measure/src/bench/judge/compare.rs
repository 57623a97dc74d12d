//! Two records beside each other: `trapgate bench compare A B`.
//!
//! It fails nothing; `gate` does. Called by `cli::bench`.

use crate::bench::judge::change::{Change, Verdict};
use crate::bench::record::environment::{Difference, comparable, differences};
use crate::bench::record::units;
use crate::bench::record::{Measurement, Report};
use crate::bench::show::table;
use serde::Serialize;

/// The percentage below which a change is none, unless somebody asks for
/// another.
pub const THRESHOLD_PERCENT: f64 = 1.0;

/// Two records, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How many rows are what.
    pub tally: Tally,
    /// In what the environments differ.
    pub differences: Vec<Difference>,
    /// Whether times may be compared in spite of that.
    pub comparable: bool,
    /// What else limits what this says: a quick run, an interrupted one.
    pub notes: Vec<String>,
    /// The measurements that have figures in both.
    pub rows: Vec<Row>,
    /// Ids that only the first has.
    pub only_before: Vec<String>,
    /// Ids that only the second has.
    pub only_after: Vec<String>,
}

/// How many times are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// No difference beyond noise and threshold.
    pub same: usize,
    /// Slower.
    pub slower: usize,
    /// Faster.
    pub faster: usize,
    /// Without enough blocks to tell.
    pub unknown: usize,
    /// Of doors that arrive otherwise: other things.
    pub other_delivery: usize,
}

/// One measurement in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// How its door arrived in each, where that changed: then the figures are
    /// not of the same thing.
    pub delivery: Option<(String, String)>,
    /// Its time.
    pub time: Option<Change>,
    /// What became of its time; none of other things.
    pub verdict: Option<Verdict>,
    /// Guest instructions.
    pub instructions: Option<(f64, f64)>,
    /// Exits, if they repeated in both.
    pub exits: Option<(f64, f64)>,
}

/// Compares two records. A change of up to `threshold_percent` is none.
pub fn compare(before: &Report, after: &Report, threshold_percent: f64) -> Comparison {
    let ids_missing_in = |report: &Report, other: &Report| {
        let missing = report.measurements.iter().filter(|one| other.find(&one.id).is_none());
        missing.map(|one| one.id.clone()).collect()
    };
    let pair = Pair { before, after, threshold_percent };
    let rows: Vec<_> = before.measurements.iter().filter_map(|one| pair.row(one)).collect();
    Comparison {
        tally: Tally::of(&rows),
        differences: differences(&before.environment, &after.environment),
        comparable: comparable(&before.environment, &after.environment),
        notes: notes([(before, "first"), (after, "second")]),
        rows,
        only_before: ids_missing_in(before, after),
        only_after: ids_missing_in(after, before),
    }
}

fn notes(reports: [(&Report, &str); 2]) -> Vec<String> {
    let notes = reports.iter().flat_map(|(report, name)| {
        let kinds = [
            (report.method.quick, "a quick run: a look, and no result"),
            (report.partial, "of a run that was interrupted"),
        ];
        let so = kinds.into_iter().filter(|(is_so, _)| *is_so);
        so.map(move |(_, what)| format!("the {name} record is {what}"))
    });
    notes.collect()
}

impl Tally {
    fn of(rows: &[Row]) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            match row.verdict {
                Some(Verdict::Same) => tally.same += 1,
                Some(Verdict::Slower) => tally.slower += 1,
                Some(Verdict::Faster) => tally.faster += 1,
                Some(Verdict::Unknown) => tally.unknown += 1,
                None if row.delivery.is_some() => tally.other_delivery += 1,
                None => {}
            }
        }
        tally
    }
}

/// Two records, and how they are compared.
struct Pair<'a> {
    before: &'a Report,
    after: &'a Report,
    threshold_percent: f64,
}

impl Pair<'_> {
    /// A measurement of the first, if it has something to compare in both.
    fn row(&self, before: &Measurement) -> Option<Row> {
        let after = self.after.find(&before.id)?;
        let word = |one: &Measurement| one.delivery.as_ref().map(|how| how.word().to_owned());
        let delivery = word(before).zip(word(after)).filter(|(before, after)| before != after);
        let step_ns = self.before.environment.step_ns().max(self.after.environment.step_ns());
        let timed = before.timed.as_ref().zip(after.timed.as_ref());
        let time = timed.map(|(before, after)| Change::of(before, after, step_ns));
        let judged = time.as_ref().filter(|_| delivery.is_none());
        let exits = |one: &Measurement, report: &Report| {
            one.repeated_exits().filter(|_| !report.environment.kvm.software)
        };
        let row = Row {
            id: before.id.clone(),
            verdict: judged.map(|time| time.verdict(self.threshold_percent)),
            time,
            instructions: before.instructions().zip(after.instructions()),
            exits: exits(before, self.before).zip(exits(after, self.after)),
            delivery,
        };
        let has_something =
            row.delivery.is_some() || row.time.is_some() || row.instructions.is_some();
        has_something.then_some(row)
    }
}

/// The comparison as text: the answer first.
pub fn text(comparison: &Comparison) -> String {
    let mut out = tally(&comparison.tally) + "\n";
    out += &match (comparison.differences.is_empty(), comparison.comparable) {
        (true, _) => "The environments are the same.\n".to_owned(),
        (false, true) => "The environments differ, where it does no harm:\n".to_owned(),
        (false, false) => {
            "The environments differ: ratios of times say little about the code.\n".to_owned()
        }
    };
    for Difference { what, before, after, .. } in &comparison.differences {
        out += &format!("  {what}: {before} -> {after}\n");
    }
    for note in &comparison.notes {
        out += &format!("Note: {note}.\n");
    }
    let header = ["measurement", "before", "after", "change", "noise", ""];
    out += &table::align(&header, comparison.rows.iter().filter_map(cells).collect(), 0);
    out.extend(comparison.rows.iter().flat_map(counts));
    for (ids, which) in [(&comparison.only_before, "first"), (&comparison.only_after, "second")] {
        for id in ids {
            out += &format!("Only in the {which}: {id}\n");
        }
    }
    out
}

/// `41 the same, 2 slower`.
fn tally(tally: &Tally) -> String {
    let Tally { same, slower, faster, unknown, other_delivery } = *tally;
    let others = [
        (slower, "slower"),
        (faster, "faster"),
        (unknown, "with too few blocks to tell"),
        (other_delivery, "that arrive otherwise"),
    ];
    let others = others.iter().filter(|(count, _)| *count > 0);
    let others = others.map(|(count, what)| format!(", {count} {what}"));
    format!("Times: {same} the same{}", others.collect::<String>())
}

/// A row of the table of times.
fn cells(row: &Row) -> Option<Vec<String>> {
    let what = match (&row.delivery, row.verdict) {
        (Some((before, after)), _) => format!("was {before}, is {after}"),
        (None, Some(Verdict::Slower)) => "slower".to_owned(),
        (None, Some(Verdict::Faster)) => "faster".to_owned(),
        (None, Some(Verdict::Unknown)) => "not known".to_owned(),
        (None, Some(Verdict::Same)) => String::new(),
        (None, None) => return None,
    };
    let time = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), units::time);
    let before_ns = row.time.map(|time| time.before_ns);
    let after_ns = row.time.map(|time| time.after_ns);
    let judged = row.time.filter(|time| row.verdict.is_some() && time.before_ns > 0.0);
    let change = judged.map(|time| units::change(time.before_ns, time.after_ns));
    let noise = judged.and_then(|time| Some(time.noise_ns? / time.before_ns * 100.0));
    Some(vec![
        row.id.clone(),
        time(before_ns),
        time(after_ns),
        change.unwrap_or_else(|| "-".to_owned()),
        noise.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %")),
        what,
    ])
}

/// The counts of a row that changed, a line each.
fn counts(row: &Row) -> Vec<String> {
    let counts = [("instructions", row.instructions), ("exits", row.exits)];
    let changed = counts.iter().filter_map(|(what, counts)| {
        let (before, after) = counts.filter(|(before, after)| before != after)?;
        let change = units::change(before, after);
        let (before, after) = (units::count(before), units::count(after));
        Some(format!("{}: {what} {before} -> {after} ({change})\n", row.id))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::Delivery;
    use crate::bench::sample;

    #[test]
    fn a_record_beside_itself_shows_no_difference_and_no_row_without_figures() {
        let report = sample::report();
        let comparison = compare(&report, &report, 0.0);
        assert!(comparison.comparable && comparison.differences.is_empty());
        let timed = report.measurements.iter().filter(|one| one.timed.is_some()).count();
        assert!(timed < report.measurements.len());
        assert_eq!(comparison.rows.len(), timed);
        assert_eq!(comparison.tally, Tally { same: timed, ..Tally::default() });
        assert!(comparison.rows.iter().all(|row| row.delivery.is_none()));
        let text = text(&comparison);
        assert!(text.starts_with(&format!("Times: {timed} the same\n")), "{text}");
    }

    #[test]
    fn a_slower_door_is_seen_and_a_changed_delivery_is_named() {
        let before = sample::report();
        let mut after = before.clone();
        after.measurements[0].timed = Some(sample::times(1650));
        after.measurements[1].timed = Some(sample::times(200));
        after.measurements[2].delivery = Some(Delivery::Trapped { why: "arrives as #UD".into() });
        let comparison = compare(&before, &after, THRESHOLD_PERCENT);
        let verdicts: Vec<_> = comparison.rows.iter().map(|row| row.verdict).take(3).collect();
        assert_eq!(verdicts, [Some(Verdict::Slower), Some(Verdict::Faster), None]);
        let text = text(&comparison);
        for part in ["1 slower, 1 faster, 1 that arrive otherwise", "was native, is trapped"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }

    #[test]
    fn counts_that_changed_are_named_and_exits_only_where_they_repeat() {
        let before = sample::report();
        let mut after = before.clone();
        let counted = after.measurements[0].counted.as_mut().expect("counted");
        (counted.instructions, counted.exits) = (Some(90.0), Some(3.0));
        let shown = |before: &Report, after: &Report| text(&compare(before, after, 1.0));
        let id = &before.measurements[0].id;
        let text = shown(&before, &after);
        assert!(text.contains(&format!("{id}: instructions 75 -> 90 (+20.0 %)\n")), "{text}");
        assert!(text.contains(&format!("{id}: exits 0 -> 3 (from 0)\n")), "{text}");
        after.measurements[0].counted.as_mut().expect("counted").exits_repeated = false;
        let text = shown(&before, &after);
        assert!(!text.contains("exits"), "{text}");
    }

    #[test]
    fn what_only_one_of_the_two_has_is_listed() {
        let before = sample::report();
        let mut after = before.clone();
        let gone = after.measurements.remove(0).id;
        after.measurements[0].id = "doors/new".into();
        let comparison = compare(&before, &after, 1.0);
        assert_eq!(comparison.only_before, [gone, "doors/syscall/64-bit/host".to_owned()]);
        assert_eq!(comparison.only_after, ["doors/new"]);
    }

    #[test]
    fn quick_and_interrupted_runs_are_noted() {
        let before = sample::report();
        let mut after = before.clone();
        (after.method.quick, after.partial) = (true, true);
        let text = text(&compare(&before, &after, 1.0));
        assert!(text.contains("Note: the second record is a quick run"), "{text}");
        assert!(
            text.contains("Note: the second record is of a run that was interrupted"),
            "{text}"
        );
        assert!(!text.contains("the first record"), "{text}");
    }
}
