//! A record and its verdicts as JUnit XML, which CI systems show: a suite for
//! each group, a case for each measurement. Called by `cli::bench`.
//!
//! A figure beyond the baseline is a failure, a door that should work and does
//! not is an error, one that the architecture lacks is skipped.

use super::gate::{Figure, Verdict};
use super::record::{Delivery, Group, Measurement, Report};
use super::units;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

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
            suite.add_test_case(case(&one.id, status(one, verdicts), one));
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
            suite.add_test_case(TestCase::new(id, status));
        }
        if suite.tests > 0 {
            document.add_test_suite(suite);
        }
    }
    document.to_string()
}

fn case(id: &str, status: TestCaseStatus, one: &Measurement) -> TestCase {
    let mut case = TestCase::new(id, status);
    let mut lines = Vec::new();
    if let Some(timed) = &one.timed {
        lines.push(format!("median {}", units::time(timed.ns.subtracted.median)));
    }
    if let Some(counted) = &one.counted {
        let count = units::optional_count;
        let (instructions, exits) = (count(counted.instructions), count(counted.exits));
        lines.push(format!("instructions {instructions}, exits {exits}"));
    }
    case.set_system_out(lines.join("\n"));
    case
}

fn status(one: &Measurement, verdicts: &[Verdict]) -> TestCaseStatus {
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
        Some(Delivery::Failed { why }) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(why.as_str());
            status
        }
        Some(Delivery::Absent { why }) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        _ => TestCaseStatus::success(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::{Limit, gate};
    use super::super::sample;
    use super::*;

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
