//! Tests of the gate: on a made-up record, and on two records each of one binary
//! in all three places (`counts.csv`).

use super::*;
use crate::bench::record::{Counted, Group, LeadOf, Place};
use crate::bench::sample;
use serde::Deserialize;

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

/// The sample, of one block and so without known noise.
fn of_one_block() -> Report {
    let mut report = sample::report();
    for one in &mut report.measurements {
        if let Some(timed) = &mut one.timed {
            timed.blocks.truncate(1);
        }
    }
    report
}

#[test]
fn times_of_one_block_are_not_judged_and_a_gate_without_any_other_is_no_pass() {
    let baseline = of_one_block();
    let mut current = of_one_block();
    current.measurements[0].timed = Some(sample::times(15_000));
    current.measurements[0].timed.as_mut().expect("timed").blocks.truncate(1);
    assert_eq!(gate(&baseline, &current, TIMES), Err(GateError::NoTimes));
    assert_eq!(exceeded(&baseline, &current, COUNTS), []);
    // Counts that are worse are no less so.
    current.measurements[0].counted.as_mut().expect("counted").instructions = Some(90.0);
    let id = current.measurements[0].id.clone();
    assert_eq!(exceeded(&baseline, &current, TIMES), [(id, Figure::Instructions)]);
}

#[test]
fn the_text_says_how_many_times_were_not_judged() {
    let baseline = sample::report();
    let mut current = baseline.clone();
    current.measurements[0].timed.as_mut().expect("timed").blocks.truncate(1);
    let verdicts = gate(&baseline, &current, TIMES).expect("comparable");
    let text = text(&verdicts, TIMES);
    let judged = verdicts.len() - 1;
    assert!(text.starts_with("Gate passed") && text.contains(&format!("of {judged} compared")));
    assert!(text.contains("Times of 1 were not judged: with one block"), "{text}");
    assert!(!text.contains("Exits of"), "{text}");
}

#[test]
fn a_step_of_the_coarser_clock_of_the_two_is_no_regression() {
    let baseline = sample::report();
    let mut current = baseline.clone();
    current.measurements[0].timed = Some(sample::times(170));
    assert_eq!(exceeded(&baseline, &current, TIMES).len(), 1);
    for coarse in [true, false] {
        let (mut baseline, mut current) = (baseline.clone(), current.clone());
        let report = if coarse { &mut baseline } else { &mut current };
        report.environment.cpu.tsc_step = 100;
        assert_eq!(exceeded(&baseline, &current, TIMES), []);
    }
}

#[test]
fn the_times_that_are_shown_are_those_that_were_judged() {
    let baseline = sample::report();
    let mut current = baseline.clone();
    let mut timed = sample::times(170);
    timed.lead.ns = timed.batched_ns().expect("a loop");
    timed.lead.of = LeadOf::Loop;
    current.measurements[0].timed = Some(timed.clone());
    let verdicts = gate(&baseline, &current, TIMES).expect("comparable");
    let verdict = verdicts.iter().find(|one| one.figure == Figure::Time).expect("one");
    let before = baseline.measurements[0].timed.as_ref().expect("timed");
    assert_eq!(Some(verdict.baseline), before.batched_ns());
    assert_ne!(verdict.baseline, before.lead.ns);
    assert_eq!(Some(verdict.current), timed.batched_ns());
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
    // Fewer that do not repeat tell nothing.
    let mut more = baseline.clone();
    more.measurements[0].counted.as_mut().expect("counted").exits = Some(4.0);
    for (baseline, baseline_repeats, current_repeats, software) in [
        (&baseline, false, true, false),
        (&more, true, false, false),
        (&baseline, true, true, true),
        (&baseline, true, false, true),
    ] {
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
fn exits_that_do_not_repeat_fail_if_even_the_least_are_beyond_the_limit() {
    let baseline = sample::report();
    let mut current = baseline.clone();
    let counts = [300.0, 304.0, 311.0].map(|exits| Counted {
        exits: Some(exits),
        instructions: Some(75.0),
        ..Counted::default()
    });
    current.measurements[0].counted = Counted::least(counts.into());
    assert_eq!(current.measurements[0].repeated_exits(), None);
    let id = current.measurements[0].id.clone();
    assert_eq!(exceeded(&baseline, &current, COUNTS), [(id, Figure::Exits)]);
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

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    kvm: String,
    run: usize,
    id: String,
    instructions: Option<f64>,
    exits: Option<f64>,
    repeated: bool,
}

/// The counts of a run on this kind of KVM, as a record.
fn stored(kvm: &str, run: usize) -> Report {
    let mut report = sample::report();
    report.environment.kvm.software = kvm == "software";
    report.environment.kvm.kind = kvm.to_owned();
    let mut reader = csv::Reader::from_reader(&include_bytes!("counts.csv")[..]);
    let lines = reader.deserialize().map(|line| -> Line { line.expect("a line") });
    let measurements = lines.filter(|line| line.kvm == kvm && line.run == run).map(|line| {
        let Line { id, instructions, exits, repeated: exits_repeated, .. } = line;
        let counted = Counted { instructions, exits, exits_repeated, ..Counted::default() };
        let of_group = Measurement::new(Group::Calls, "any", None, Place::Guest);
        Measurement { id, counted: Some(counted), ..of_group }
    });
    report.measurements = measurements.collect();
    report
}

#[test]
fn stored_runs_of_one_binary_pass_in_all_three_places() {
    let nothing_allowed = Limit { percent: 0.0, timed: false };
    for kvm in ["software", "svm", "vmx"] {
        let (first, second) = (stored(kvm, 1), stored(kvm, 2));
        for (baseline, current) in [(&first, &second), (&second, &first)] {
            assert_eq!(exceeded(baseline, current, nothing_allowed), [], "{kvm}");
            let verdicts = gate(baseline, current, nothing_allowed).expect("comparable");
            let judged =
                |figure| verdicts.iter().filter(|one| one.judged && one.figure == figure).count();
            assert!(judged(Figure::Instructions) >= 9, "{kvm}: {verdicts:#?}");
            // What does not repeat must not be all of it, where exits are exits.
            let exits = [("software", 0), ("svm", 10), ("vmx", 10)];
            assert!(exits.contains(&(kvm, judged(Figure::Exits))), "{kvm}: {verdicts:#?}");
        }
    }
    // They were not alike under the software KVM: a gate on them would fail.
    let exits = |run| {
        stored("software", run).measurements.iter().map(Measurement::exits).collect::<Vec<_>>()
    };
    assert_ne!(exits(1), exits(2));
}
