//! A record against a baseline: passed or not. For CI, by `--baseline FILE
//! --max-regression PCT`.
//!
//! A gate that fails without a reason is soon switched off, so only what does not
//! change by itself is gated on: instructions, and exits that were as many each
//! time they were counted, in both records, where no software KVM mixes its
//! host's interrupts into them. Times are gated on only if asked, and only
//! between equal environments; one is exceeded when more than the limit is beyond
//! what noise explains. A gate that finds nothing to compare is an error and no
//! pass.

use super::change::Change;
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
    /// Whether it was judged at all: exits are not where they do not repeat.
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
    let judge = Judge { current, limit };
    let measurements = baseline.measurements.iter().filter(asked);
    let verdicts: Vec<_> = measurements.flat_map(|before| judge.verdicts(before)).collect();
    let compared =
        verdicts.iter().any(|verdict| verdict.judged && verdict.figure != Figure::Presence);
    if compared {
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
        // A quick run counts none.
        if let Some(baseline) = before.exits().filter(|_| !method.quick) {
            let current = after.and_then(Measurement::exits);
            let repeated = |one: &Measurement| one.repeated_exits().is_some();
            let both = repeated(before) && (current.is_none() || after.is_some_and(repeated));
            let mut verdict = self.verdict(before, Figure::Exits, baseline, current);
            verdict.judged = both && !self.current.environment.kvm.software;
            verdict.exceeded &= verdict.judged;
            verdicts.push(verdict);
        }
        if let Some(timed) = before.timed.as_ref().filter(|_| self.limit.timed) {
            let step_ns = self.current.environment.step_ns();
            let later = after.and_then(|after| after.timed.as_ref());
            let current = later.map(|later| later.lead.ns);
            let mut verdict = self.verdict(before, Figure::Time, timed.lead.ns, current);
            if let Some(later) = later {
                verdict.exceeded = Change::of(timed, later, step_ns).is_above(self.limit.percent);
            }
            verdicts.push(verdict);
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
    let not = match not.len() {
        0 => String::new(),
        count => format!("Exits of {count} were not judged: they do not repeat.\n"),
    };
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
        let nothing = || Err(GateError::Nothing { hint: "" });
        assert_eq!(gate(&baseline, &current, COUNTS), nothing());
        assert_eq!(gate(&current, &baseline, COUNTS), nothing());
        // Exits alone, on a software KVM.
        let [mut baseline, mut current] = [baseline.clone(), baseline];
        for report in [&mut baseline, &mut current] {
            report.environment.kvm.software = true;
            report.method.counted = false;
        }
        let error = gate(&baseline, &current, COUNTS).unwrap_err().to_string();
        assert!(error.ends_with("measure both with --count"), "{error}");
    }

    #[test]
    fn exits_are_judged_only_where_they_repeated_in_both_and_no_software_kvm_made_them() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements[0].counted.as_mut().expect("counted").exits = Some(3.75);
        let id = current.measurements[0].id.clone();
        assert_eq!(exceeded(&baseline, &current, COUNTS), [(id, Figure::Exits)]);
        for (baseline_repeats, current_repeats, software) in
            [(false, true, false), (true, false, false), (true, true, true)]
        {
            let (mut baseline, mut current) = (baseline.clone(), current.clone());
            for (report, repeats) in
                [(&mut baseline, baseline_repeats), (&mut current, current_repeats)]
            {
                report.environment.kvm.software = software;
                let counted = report.measurements[0].counted.as_mut().expect("counted");
                counted.exits_repeated = repeats;
            }
            assert_eq!(exceeded(&baseline, &current, COUNTS), []);
            let verdicts = gate(&baseline, &current, COUNTS).expect("comparable");
            let text = text(&verdicts, COUNTS);
            assert!(text.contains("were not judged: they do not repeat"), "{text}");
        }
    }

    #[test]
    fn what_a_quick_run_or_one_without_counts_does_not_bring_is_not_missed() {
        let baseline = sample::report();
        let without = |quick, counted| {
            let mut current = baseline.clone();
            (current.method.quick, current.method.counted) = (quick, counted);
            for one in current.measurements.iter_mut().filter_map(|one| one.counted.as_mut()) {
                one.exits = one.exits.filter(|_| !quick);
                one.instructions = one.instructions.filter(|_| counted);
            }
            current
        };
        assert_eq!(exceeded(&baseline, &without(true, true), COUNTS), []);
        assert_eq!(exceeded(&baseline, &without(false, false), COUNTS), []);
        let nothing = gate(&baseline, &without(true, false), COUNTS);
        assert_eq!(nothing, Err(GateError::Nothing { hint: "" }));
        // One that should have brought them is another matter.
        let mut gone = without(true, true);
        gone.method.quick = false;
        assert!(exceeded(&baseline, &gone, COUNTS).iter().all(|one| one.1 == Figure::Presence));
        assert!(!exceeded(&baseline, &gone, COUNTS).is_empty());
    }

    #[test]
    fn an_interrupted_run_and_a_baseline_of_another_kind_of_kvm_are_no_pass() {
        let report = sample::report();
        let mut partial = report.clone();
        partial.partial = true;
        let which = |baseline, current| gate(baseline, current, COUNTS).unwrap_err().to_string();
        assert!(which(&report, &partial).starts_with("this run was interrupted"));
        assert!(which(&partial, &report).starts_with("the baseline was interrupted"));
        let mut other = report.clone();
        other.environment.kvm.kind = "VMX (Intel)".into();
        let error = which(&report, &other);
        assert!(error.contains("was SVM (AMD), is VMX (Intel)"), "{error}");
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
