//! A record against a baseline: passed or not. For CI, by `--baseline FILE
//! --max-regression PCT`.
//!
//! A gate that fails without a reason is soon switched off, so only what does not
//! change by itself is gated on: instructions, and exits that were as many each
//! time they were counted, in both records, where no software KVM mixes its
//! host's interrupts into them. Where they repeated in the baseline only, they are
//! gated on if even the least of them is beyond the limit. Times are gated on only
//! if asked, and only between equal environments; one is exceeded when more than
//! the limit is beyond what noise explains, and not judged where noise is not
//! known. A gate that finds nothing to compare, or no time though it was asked for
//! times, is an error and no pass.

use crate::bench::judge::change::Change;
use crate::bench::record::environment::{Difference, differences};
use crate::bench::record::units;
use crate::bench::record::{Measurement, Report};
use crate::bench::show::table;
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
    /// Whether it was judged at all: exits are not where they do not repeat, times
    /// not where there is but one block.
    pub judged: bool,
}

/// Why nothing could be judged.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum GateError {
    /// The two records have no figure in common that can be gated on.
    #[error("the baseline has no figure in common with this run: nothing to compare{hint}")]
    Nothing {
        /// What would help, if that is known.
        hint: &'static str,
    },
    /// Times were asked for, and each has too few blocks in one of the records.
    #[error(
        "no time could be judged: noise is known from two blocks on; measure both with more samples"
    )]
    NoTimes,
    /// One of the two was interrupted.
    #[error("{which} was interrupted: what it did not come to cannot be judged")]
    Partial {
        /// Which one.
        which: &'static str,
    },
    /// Doors arrive otherwise on each kind of KVM.
    #[error(
        "the baseline is of another kind of KVM: was {before}, is {after}; \
         keep a baseline for each"
    )]
    Kinds {
        /// The baseline's.
        before: String,
        /// This run's.
        after: String,
    },
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
/// [`GateError`], if there is nothing to judge or it must not be.
pub fn gate(baseline: &Report, current: &Report, limit: Limit) -> Result<Vec<Verdict>, GateError> {
    for (report, which) in [(baseline, "the baseline"), (current, "this run")] {
        if report.partial {
            return Err(GateError::Partial { which });
        }
    }
    let kinds = [baseline, current].map(|report| &report.environment.kvm.kind);
    if kinds[0] != kinds[1] {
        return Err(GateError::Kinds { before: kinds[0].clone(), after: kinds[1].clone() });
    }
    if limit.timed {
        check_environments(baseline, current)?;
    }
    // What was not asked for this time is not missed.
    let asked = |one: &&Measurement| current.method.groups.contains(&one.group);
    let judge = Judge { baseline, current, limit };
    let measurements = baseline.measurements.iter().filter(asked);
    let verdicts: Vec<_> = measurements.flat_map(|before| judge.verdicts(before)).collect();
    let judged = |figure| verdicts.iter().any(|one| one.judged && one.figure == figure);
    // What is worse by its counts is worse, whatever the times are.
    let exceeded = verdicts.iter().any(|verdict| verdict.exceeded);
    let has_times = verdicts.iter().any(|verdict| verdict.figure == Figure::Time);
    if has_times && !judged(Figure::Time) && !exceeded {
        return Err(GateError::NoTimes);
    }
    if [Figure::Instructions, Figure::Exits, Figure::Time].into_iter().any(judged) {
        return Ok(verdicts);
    }
    let software = current.environment.kvm.software;
    let hint = match software {
        true => "; on a software KVM that takes instructions: measure both with --count",
        false => "",
    };
    Err(GateError::Nothing { hint })
}

/// Whether times may be judged.
fn check_environments(baseline: &Report, current: &Report) -> Result<(), GateError> {
    let harmful: Vec<_> = differences(&baseline.environment, &current.environment)
        .into_iter()
        .filter(|difference| !difference.harmless)
        .collect();
    let Some(Difference { what, before, after, .. }) = harmful.first() else { return Ok(()) };
    let more = match harmful.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let first = format!("{what} was {before}, is {after}");
    Err(GateError::Environments { first, more })
}

/// Grown by more than the limit: also from nothing to something.
fn beyond(before: f64, after: f64, limit: Limit) -> bool {
    after > before * (1.0 + limit.percent / 100.0)
}

/// What is judged, and how strictly.
struct Judge<'a> {
    baseline: &'a Report,
    current: &'a Report,
    limit: Limit,
}

impl Judge<'_> {
    /// Of one measurement of the baseline. A figure that it lacks is not judged.
    fn verdicts(&self, before: &Measurement) -> Vec<Verdict> {
        let after = self.current.find(&before.id);
        let mut verdicts = Vec::new();
        let method = &self.current.method;
        if let Some(baseline) = before.instructions().filter(|_| method.counted) {
            let current = after.and_then(Measurement::instructions);
            verdicts.push(self.verdict(before, Figure::Instructions, baseline, current));
        }
        let current = after.and_then(Measurement::exits);
        // A quick run counts few.
        if let Some(baseline) = before.exits().filter(|_| !method.quick || current.is_some()) {
            let repeated = |one: &Measurement| one.repeated_exits().is_some();
            let mut verdict = self.verdict(before, Figure::Exits, baseline, current);
            // These are the least of all blocks: what is beyond the limit is so in the
            // least disturbed one, whether the others had as many or more.
            let tells = current.is_none() || after.is_some_and(repeated) || verdict.exceeded;
            verdict.judged = repeated(before) && tells && !self.current.environment.kvm.software;
            verdict.exceeded &= verdict.judged;
            verdicts.push(verdict);
        }
        if let Some(timed) = before.timed.as_ref().filter(|_| self.limit.timed) {
            let reports = [self.baseline, self.current];
            let steps_ns = reports.map(|report| report.environment.step_ns());
            let later = after.and_then(|after| after.timed.as_ref());
            verdicts.push(match later {
                None => self.verdict(before, Figure::Time, timed.lead.ns, None),
                Some(later) => {
                    let change = Change::of(timed, later, steps_ns[0].max(steps_ns[1]));
                    Verdict {
                        id: before.id.clone(),
                        figure: Figure::Time,
                        baseline: change.before_ns,
                        current: change.after_ns,
                        exceeded: change.is_above(self.limit.percent),
                        judged: change.noise_ns.is_some(),
                    }
                }
            });
        }
        verdicts
    }

    /// A figure that is gone is beyond every limit.
    fn verdict(
        &self,
        before: &Measurement,
        figure: Figure,
        baseline: f64,
        current: Option<f64>,
    ) -> Verdict {
        let (figure, current, exceeded) = match current {
            Some(current) => (figure, current, beyond(baseline, current, self.limit)),
            None => (Figure::Presence, 0.0, true),
        };
        Verdict { id: before.id.clone(), figure, baseline, current, exceeded, judged: true }
    }
}

/// The verdicts as text: what was exceeded, and how many were not.
pub fn text(verdicts: &[Verdict], limit: Limit) -> String {
    let (judged, not): (Vec<_>, Vec<_>) = verdicts.iter().partition(|verdict| verdict.judged);
    let exceeded: Vec<_> = judged.iter().filter(|verdict| verdict.exceeded).collect();
    let (percent, count) = (limit.percent, judged.len());
    let reasons = [
        (false, "Exits", "they do not repeat"),
        (true, "Times", "with one block, noise is not known"),
    ];
    let not = reasons.iter().filter_map(|(of_times, figures, why)| {
        let is_time = |verdict: &&&Verdict| (verdict.figure == Figure::Time) == *of_times;
        let count = not.iter().filter(is_time).count();
        (count > 0).then(|| format!("{figures} of {count} were not judged: {why}.\n"))
    });
    let not: String = not.collect();
    if exceeded.is_empty() {
        return format!(
            "Gate passed: at most {percent} % above the baseline, of {count} compared.\n{not}"
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
        "Gate failed: more than {percent} % above the baseline are {} of {count} compared.\n{}{not}",
        exceeded.len(),
        table::align(&header, rows.collect(), 0),
    )
}

#[cfg(test)]
mod tests;
