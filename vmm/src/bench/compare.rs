//! Two records beside each other: `trapgate bench compare A B`.
//!
//! It judges nothing; [`super::gate`] does. Called by `cli::bench`.

use super::environment::{Difference, comparable, differences};
use super::record::{Measurement, Report, Summary, Timed};
use super::stats::{self, Ratio};
use super::{table, units};
use serde::Serialize;

/// Two records, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// In what the environments differ.
    pub differences: Vec<Difference>,
    /// Whether times may be compared in spite of that.
    pub comparable: bool,
    /// The measurements that both have.
    pub rows: Vec<Row>,
    /// Ids that only the first has.
    pub only_before: Vec<String>,
    /// Ids that only the second has.
    pub only_after: Vec<String>,
}

/// One measurement in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// How its door arrived in each, where that changed: then the figures are
    /// not of the same thing.
    pub delivery: Option<(String, String)>,
    /// Medians in nanoseconds, without the bracket.
    pub median_ns: Option<(f64, f64)>,
    /// The second median as a multiple of the first.
    pub ratio: Option<Ratio>,
    /// Guest instructions.
    pub instructions: Option<(f64, f64)>,
    /// Exits.
    pub exits: Option<(f64, f64)>,
}

impl Row {
    /// What the interval of the ratio says, in a word.
    pub fn verdict(&self) -> &'static str {
        match self.ratio {
            None => "",
            Some(Ratio { low, .. }) if low > 1.0 => "slower",
            Some(Ratio { high, .. }) if high < 1.0 => "faster",
            Some(_) => "no difference seen",
        }
    }
}

/// Both of two figures, if both are there.
fn both<T>(before: Option<T>, after: Option<T>) -> Option<(T, T)> {
    before.zip(after)
}

/// The summary that is compared, and how finely it was read.
fn figure(timed: &Timed) -> (&Summary, f64) {
    (&timed.ns.subtracted, timed.ns_of_tick())
}

/// The ratio of two timed measurements.
pub(super) fn ratio(before: &Timed, after: &Timed) -> Option<Ratio> {
    let ((before, tick), (after, other_tick)) = (figure(before), figure(after));
    stats::ratio(before, after, tick.max(other_tick))
}

fn row(before: &Measurement, after: &Measurement) -> Row {
    let timed = both(before.timed.as_ref(), after.timed.as_ref());
    let how = |measurement: &Measurement| {
        measurement.delivery.as_ref().map(|delivery| delivery.word().to_owned())
    };
    Row {
        id: before.id.clone(),
        delivery: both(how(before), how(after)).filter(|(before, after)| before != after),
        median_ns: both(before.median_ns(), after.median_ns()),
        ratio: timed.and_then(|(before, after)| ratio(before, after)),
        instructions: both(before.instructions(), after.instructions()),
        exits: both(before.exits(), after.exits()),
    }
}

/// Compares two records.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let ids_missing_in = |report: &Report, other: &Report| {
        let missing = report.measurements.iter().filter(|one| other.find(&one.id).is_none());
        missing.map(|one| one.id.clone()).collect()
    };
    Comparison {
        differences: differences(&before.environment, &after.environment),
        comparable: comparable(&before.environment, &after.environment),
        rows: before
            .measurements
            .iter()
            .filter_map(|one| Some(row(one, after.find(&one.id)?)))
            .collect(),
        only_before: ids_missing_in(before, after),
        only_after: ids_missing_in(after, before),
    }
}

/// The comparison as text.
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    for difference in &comparison.differences {
        let Difference { what, before, after, .. } = difference;
        out += &format!("  {what}: {before} -> {after}\n");
    }
    out = match (comparison.differences.is_empty(), comparison.comparable) {
        (true, _) => "The environments are the same.\n".to_owned(),
        (false, true) => format!("The environments differ, where it does no harm:\n{out}"),
        (false, false) => {
            format!("The environments differ: ratios of times say little about the code.\n{out}")
        }
    };
    let header =
        ["measurement", "before", "after", "ratio (95 %)", "time", "instructions", "exits"];
    let rows = comparison.rows.iter().map(|row| {
        let time = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), units::time);
        let counts = |counts: Option<(f64, f64)>| match counts {
            None => "-".to_owned(),
            Some((before, after)) if before == after => units::count(before),
            Some((before, after)) => format!(
                "{} -> {} ({})",
                units::count(before),
                units::count(after),
                units::change(before, after)
            ),
        };
        let ratio = row.ratio.map_or_else(
            || "-".to_owned(),
            |Ratio { ratio, low, high }| format!("{ratio:.3} ({low:.3} to {high:.3})"),
        );
        let verdict = match &row.delivery {
            Some((before, after)) => format!("was {before}, is {after}"),
            None => row.verdict().to_owned(),
        };
        vec![
            row.id.clone(),
            time(row.median_ns.map(|both| both.0)),
            time(row.median_ns.map(|both| both.1)),
            ratio,
            verdict,
            counts(row.instructions),
            counts(row.exits),
        ]
    });
    out += &table::align(&header, rows.collect(), 0);
    for (ids, which) in [(&comparison.only_before, "first"), (&comparison.only_after, "second")] {
        for id in ids {
            out += &format!("Only in the {which}: {id}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_record_beside_itself_shows_no_difference() {
        let report = sample::report();
        let comparison = compare(&report, &report);
        assert!(comparison.comparable && comparison.differences.is_empty());
        assert_eq!(comparison.rows.len(), report.measurements.len());
        for row in &comparison.rows {
            assert!(["", "no difference seen"].contains(&row.verdict()), "{row:?}");
            assert!(row.delivery.is_none());
        }
    }

    #[test]
    fn a_slower_door_is_seen_with_its_ratio_and_a_changed_delivery_is_named() {
        let before = sample::report();
        let mut after = before.clone();
        after.measurements[0].timed = Some(sample::times(165));
        after.measurements[1].timed = Some(sample::times(200));
        after.measurements[2].delivery =
            Some(crate::bench::record::Delivery::Trapped { why: "arrives as #UD".into() });
        let comparison = compare(&before, &after);
        let ratio = comparison.rows[0].ratio.expect("timed");
        assert!((ratio.ratio - 1.1).abs() < 0.02, "{ratio:?}");
        assert_eq!(comparison.rows[0].verdict(), "slower");
        assert_eq!(comparison.rows[1].verdict(), "faster");
        let text = text(&comparison);
        assert!(text.contains("was native, is trapped"), "{text}");
    }

    #[test]
    fn what_only_one_of_the_two_has_is_listed() {
        let before = sample::report();
        let mut after = before.clone();
        let gone = after.measurements.remove(0).id;
        after.measurements[0].id = "doors/new".into();
        let comparison = compare(&before, &after);
        assert_eq!(comparison.only_before, [gone, "doors/syscall/64-bit/host".to_owned()]);
        assert_eq!(comparison.only_after, ["doors/new"]);
    }
}
