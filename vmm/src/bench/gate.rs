//! A record against a baseline: passed or not. For CI, by `--baseline FILE
//! --max-regression PCT`.
//!
//! Counted figures are gated on always: they do not depend on time. Times are
//! gated on only if asked, and only between equal environments; one is exceeded
//! when its whole confidence interval lies beyond the limit. A gate that finds
//! nothing to compare is an error and no pass.

use super::compare::ratio;
use super::environment::{Difference, differences};
use super::record::{Measurement, Report};
use super::{table, units};
use serde::Serialize;
use std::fmt;
use thiserror::Error;

/// What a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// By how many percent a figure may grow.
    pub percent: f64,
    /// Whether times count too.
    pub timed: bool,
}

/// The figure that a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// Guest instructions.
    Instructions,
    /// Exits.
    Exits,
    /// Median time in nanoseconds, without the bracket.
    Time,
    /// Whether there is a figure at all, as there was in the baseline.
    Presence,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Figure::Instructions => "instructions",
            Figure::Exits => "exits",
            Figure::Time => "time",
            Figure::Presence => "a figure",
        })
    }
}

/// What became of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The measurement's id.
    pub id: String,
    /// The figure.
    pub figure: Figure,
    /// In the baseline.
    pub baseline: f64,
    /// Now.
    pub current: f64,
    /// Whether it grew by more than the limit.
    pub exceeded: bool,
}

/// Why nothing could be judged.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum GateError {
    /// The two records have no figure in common.
    #[error("the baseline has no figure in common with this run: nothing to compare")]
    Nothing,
    /// Times were to be judged between different environments.
    #[error(
        "times cannot be gated on between different environments: {first}{more}; \
         see 'trapgate bench compare'"
    )]
    Environments {
        /// The first difference.
        first: String,
        /// How many more there are.
        more: String,
    },
}

/// Judges a record.
///
/// # Errors
/// [`GateError`], if there is nothing to judge or times must not be.
pub fn gate(baseline: &Report, current: &Report, limit: Limit) -> Result<Vec<Verdict>, GateError> {
    if limit.timed {
        let harmful: Vec<_> = differences(&baseline.environment, &current.environment)
            .into_iter()
            .filter(|difference| !difference.harmless)
            .collect();
        if let Some(Difference { what, before, after, .. }) = harmful.first() {
            let more = match harmful.len() {
                1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            let first = format!("{what} was {before}, is {after}");
            return Err(GateError::Environments { first, more });
        }
    }
    // What was not asked for this time is not missed.
    let asked = |one: &&Measurement| current.method.groups.contains(&one.group);
    let verdicts: Vec<_> = baseline
        .measurements
        .iter()
        .filter(asked)
        .flat_map(|before| verdicts(before, current.find(&before.id), limit))
        .collect();
    let compared = verdicts.iter().any(|verdict| verdict.figure != Figure::Presence);
    if compared { Ok(verdicts) } else { Err(GateError::Nothing) }
}

/// Grown by more than the limit: also from nothing to something.
fn beyond(before: f64, after: f64, limit: Limit) -> bool {
    after > before * (1.0 + limit.percent / 100.0)
}

fn verdicts(before: &Measurement, after: Option<&Measurement>, limit: Limit) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut judge = |figure, before_after: Option<(f64, Option<f64>)>, exceeded: Option<bool>| {
        // A figure that the baseline lacks is not judged.
        let Some((baseline, current)) = before_after else { return };
        let (figure, current, exceeded) = match current {
            Some(current) => {
                (figure, current, exceeded.unwrap_or_else(|| beyond(baseline, current, limit)))
            }
            None => (Figure::Presence, 0.0, true),
        };
        let id = before.id.clone();
        verdicts.push(Verdict { id, figure, baseline, current, exceeded });
    };
    let counted =
        |of: fn(&Measurement) -> Option<f64>| of(before).map(|count| (count, after.and_then(of)));
    judge(Figure::Instructions, counted(Measurement::instructions), None);
    judge(Figure::Exits, counted(Measurement::exits), None);
    if limit.timed
        && let Some(before) = &before.timed
    {
        let after = after.and_then(|after| after.timed.as_ref());
        let median = |timed: &super::record::Timed| timed.ns.subtracted.median;
        let low = after.and_then(|after| ratio(before, after)).map(|ratio| ratio.low);
        let exceeded = low.is_some_and(|low| low > 1.0 + limit.percent / 100.0);
        judge(Figure::Time, Some((median(before), after.map(median))), Some(exceeded));
    }
    verdicts
}

/// The verdicts as text: what was exceeded, and how many were not.
pub fn text(verdicts: &[Verdict], limit: Limit) -> String {
    let exceeded: Vec<_> = verdicts.iter().filter(|verdict| verdict.exceeded).collect();
    let percent = limit.percent;
    if exceeded.is_empty() {
        let count = verdicts.len();
        return format!(
            "Gate passed: at most {percent} % above the baseline, of {count} compared.\n"
        );
    }
    let rows = exceeded.iter().map(|verdict| {
        let Verdict { id, figure, baseline, current, .. } = verdict;
        let shown: fn(f64) -> String =
            if *figure == Figure::Time { units::time } else { units::count };
        let (now, change) = match figure {
            Figure::Presence => ("gone".to_owned(), String::new()),
            _ => (shown(*current), units::change(*baseline, *current)),
        };
        vec![id.clone(), figure.to_string(), shown(*baseline), now, change]
    });
    let header = ["measurement", "figure", "baseline", "now", "change"];
    format!(
        "Gate failed: more than {percent} % above the baseline are {} of {} compared.\n{}",
        exceeded.len(),
        verdicts.len(),
        table::align(&header, rows.collect(), 0),
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const COUNTS: Limit = Limit { percent: 5.0, timed: false };
    const TIMES: Limit = Limit { percent: 5.0, timed: true };

    fn exceeded(baseline: &Report, current: &Report, limit: Limit) -> Vec<(String, Figure)> {
        let verdicts = gate(baseline, current, limit).expect("comparable");
        let exceeded = verdicts.into_iter().filter(|verdict| verdict.exceeded);
        exceeded.map(|verdict| (verdict.id, verdict.figure)).collect()
    }

    #[test]
    fn a_run_passes_against_itself() {
        let report = sample::report();
        for limit in [COUNTS, TIMES, Limit { percent: 0.0, timed: false }] {
            assert_eq!(exceeded(&report, &report, limit), []);
        }
    }

    #[test]
    fn more_instructions_than_the_limit_allows_fail_and_just_as_many_pass() {
        let baseline = sample::report();
        for (instructions, fails) in [(75.0, false), (78.75, false), (78.76, true), (1e9, true)] {
            let mut current = baseline.clone();
            let counted = current.measurements[0].counted.as_mut().expect("counted");
            counted.instructions = Some(instructions);
            let id = current.measurements[0].id.clone();
            let expected = if fails { vec![(id, Figure::Instructions)] } else { vec![] };
            assert_eq!(exceeded(&baseline, &current, COUNTS), expected, "{instructions}");
        }
    }

    #[test]
    fn an_exit_where_there_was_none_fails() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements[0].counted.as_mut().expect("counted").exits = Some(0.01);
        let id = current.measurements[0].id.clone();
        assert_eq!(exceeded(&baseline, &current, COUNTS), [(id, Figure::Exits)]);
    }

    #[test]
    fn times_fail_only_if_asked() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements[0].timed = Some(sample::times(170));
        let id = current.measurements[0].id.clone();
        assert_eq!(exceeded(&baseline, &current, COUNTS), []);
        assert_eq!(exceeded(&baseline, &current, TIMES), [(id, Figure::Time)]);
    }

    #[test]
    fn times_are_not_judged_between_different_environments_but_counts_are() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.environment.cpu.model += 1;
        current.environment.kernel = "6.13.0".into();
        assert_eq!(exceeded(&baseline, &current, COUNTS), []);
        let error = gate(&baseline, &current, TIMES).unwrap_err().to_string();
        assert!(error.contains("cpu.model was 1, is 2, and 1 more"), "{error}");
    }

    #[test]
    fn a_figure_that_is_gone_fails_but_not_in_a_group_that_was_not_asked_for() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        let gone = current.measurements.remove(0).id;
        let twice = vec![(gone.clone(), Figure::Presence), (gone, Figure::Presence)];
        assert_eq!(exceeded(&baseline, &current, COUNTS), twice);
        current.method.groups.retain(|group| *group != crate::bench::record::Group::Doors);
        assert_eq!(exceeded(&baseline, &current, COUNTS), []);
    }

    #[test]
    fn a_gate_with_nothing_to_compare_is_no_pass() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements.clear();
        assert_eq!(gate(&baseline, &current, COUNTS), Err(GateError::Nothing));
        assert_eq!(gate(&current, &baseline, COUNTS), Err(GateError::Nothing));
    }

    #[test]
    fn the_text_names_what_was_exceeded_and_by_how_much() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements[0].counted.as_mut().expect("counted").instructions = Some(90.0);
        let text = text(&gate(&baseline, &current, COUNTS).expect("comparable"), COUNTS);
        for part in ["doors/syscall/64-bit/guest", "instructions", "75", "90", "+20.0 %"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
