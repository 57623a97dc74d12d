//! A record and its verdicts as JUnit XML, which CI systems show: a suite for
//! each group, a case for each measurement. Called by `cli::bench`.
//!
//! A figure beyond the baseline is a failure, a door that should work and does
//! not is an error; one that the architecture lacks is skipped, and so is what
//! this kind of KVM cannot do at all. A case's time is that of its samples.

use crate::bench::judge::gate::{Figure, Verdict};
use crate::bench::record::units;
use crate::bench::record::{Delivery, Group, Measurement, Report};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The document.
///
/// # Errors
/// None that can happen: the writer is memory.
pub fn text(report: &Report, verdicts: &[Verdict]) -> Result<String, quick_junit::SerializeError> {
    let mut document = quick_junit::Report::new("trapgate bench");
    for group in Group::ALL {
        let of_group = |one: &&Measurement| one.group == group;
        let mut suite = TestSuite::new(group.name());
        for one in report.measurements.iter().filter(of_group) {
            suite.add_test_case(case(one, status(one, report, verdicts)));
        }
        // What the baseline has and this run has not.
        let mut gone: Vec<_> = verdicts
            .iter()
            .filter(|verdict| report.find(&verdict.id).is_none())
            .filter(|verdict| verdict.id.split('/').next() == Some(group.name()))
            .map(|verdict| &verdict.id)
            .collect();
        gone.dedup();
        for id in gone {
            let message = "it is in the baseline and was not measured";
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message);
            let mut case = TestCase::new(id, status);
            case.set_classname(classname(group));
            suite.add_test_case(case);
        }
        if suite.tests > 0 {
            document.add_test_suite(suite);
        }
    }
    document.to_string()
}

/// As a package and its class, which is how CI systems sort cases.
fn classname(group: Group) -> String {
    format!("trapgate.bench.{group}")
}

fn case(one: &Measurement, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(&one.id, status);
    case.set_classname(classname(one.group));
    let taken = one.timed.as_ref().map_or(0.0, |timed| {
        let empty = timed.ns.empty.map_or(0.0, |empty| empty.mean);
        timed.samples as f64 * (timed.ns.raw.mean + empty)
    });
    case.set_time(Duration::from_nanos(taken as u64));
    let mut lines = Vec::new();
    if let Some(timed) = &one.timed {
        lines.push(units::time(timed.lead.ns));
    }
    if let Some(counted) = &one.counted {
        let count = units::optional_count;
        let (instructions, exits) = (count(counted.instructions), count(counted.exits));
        lines.push(format!("instructions {instructions}, exits {exits}"));
    }
    case.set_system_out(lines.join("\n"));
    case
}

fn status(one: &Measurement, report: &Report, verdicts: &[Verdict]) -> TestCaseStatus {
    let failures: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.id == one.id && verdict.exceeded)
        .map(|verdict| match verdict.figure {
            Figure::Presence => "a figure of the baseline is gone".to_owned(),
            figure => {
                let change = units::change(verdict.baseline, verdict.current);
                format!("{figure}: {} -> {} ({change})", verdict.baseline, verdict.current)
            }
        })
        .collect();
    if !failures.is_empty() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(failures.join("; "));
        return status;
    }
    match &one.delivery {
        Some(Delivery::Failed { why }) if !report.is_beyond_kvm(one) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(why.as_str());
            status
        }
        Some(Delivery::Absent { why } | Delivery::Failed { why }) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        _ => TestCaseStatus::success(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::judge::gate::{Limit, gate};
    use crate::bench::sample;

    const LIMIT: Limit = Limit { percent: 5.0, timed: false };

    #[test]
    fn cases_have_the_status_that_ci_should_show() {
        let report = sample::report();
        let text = text(&report, &[]).expect("memory");
        assert!(text.starts_with("<?xml"), "{text}");
        let totals = format!("tests=\"{}\"", report.measurements.len());
        for part in
            [totals.as_str(), "failures=\"0\"", "errors=\"1\"", "<skipped", "&lt;sometimes&gt;"]
        {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }

    #[test]
    fn every_case_has_its_class_and_the_time_of_its_samples() {
        let report = sample::report();
        let text = text(&report, &[]).expect("memory");
        let cases = text.matches("<testcase ").count();
        assert_eq!(text.matches("classname=\"trapgate.bench.").count(), cases);
        // 10,000 of 150 ticks at 3 GHz, brackets included.
        let door = text.lines().find(|line| line.contains("doors/syscall/64-bit/guest\""));
        assert!(door.is_some_and(|line| line.contains("time=\"0.001\"")), "{door:?}");
    }

    #[test]
    fn what_a_software_kvm_cannot_do_at_all_is_skipped_and_what_it_should_do_is_an_error() {
        let mut report = sample::report();
        report.environment.kvm.software = true;
        let errors = |report: &Report| {
            let text = text(report, &[]).expect("memory");
            (text.matches("<error").count(), text.matches("<skipped").count())
        };
        // The door of legacy mode.
        assert_eq!(errors(&report), (0, 2));
        report.measurements[0].delivery = Some(Delivery::Failed { why: "it took long".into() });
        assert_eq!(errors(&report), (1, 2));
        report.environment.kvm.software = false;
        assert_eq!(errors(&report), (2, 1));
    }

    #[test]
    fn what_was_exceeded_and_what_is_gone_are_failures() {
        let baseline = sample::report();
        let mut current = baseline.clone();
        current.measurements[0].counted.as_mut().expect("counted").instructions = Some(100.0);
        let gone = current.measurements.remove(2).id;
        let verdicts = gate(&baseline, &current, LIMIT).expect("comparable");
        let text = text(&current, &verdicts).expect("memory");
        assert!(text.contains("failures=\"2\""), "{text}");
        assert!(text.contains("instructions: 75 -&gt; 100 (+33.3 %)"), "{text}");
        assert_eq!(text.matches(&gone).count(), 1, "{text}");
    }
}
