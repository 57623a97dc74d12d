//! The counts gate as one of the files of the AMD rig's counting boot: each
//! operation that counts.toml has written down is a test, `counts::NAME`.
//!
//! Used by `rigs` and `boot`; `crate::counts` measures and judges.

use anyhow::Result;

use super::Context;
use super::places::Place;
use super::queue::Work;
use super::results::{Outcome, Test, lost};
use crate::counts::{Judged, Sightings, Table, judge, script};

/// Stands where others have a file of `tests/tests`.
pub(super) const FILE: &str = "counts";

/// Expected, as in tests/places.toml: on an idle machine, for all operations.
const SECONDS: f64 = 25.0;

/// The operations that the filters ask for, if the place is the one that counts.
pub(super) fn work(context: &Context, place: Place) -> Option<Work> {
    if place != Place::AmdCounting {
        return None;
    }
    let all = &context.counts.operations;
    let names = all.iter().map(|operation| format!("{FILE}::{}", operation.name));
    let tests: Vec<_> = names.filter(|name| context.filters.take(name)).collect();
    let seconds = SECONDS * tests.len() as f64 / all.len().max(1) as f64;
    let is_whole = tests.len() == all.len();
    (!tests.is_empty()).then(|| Work { file: FILE.to_owned(), tests, seconds, is_whole })
}

/// What the rig's shell is to do for it.
pub(super) fn commands(table: &Table, tests: &[String]) -> Result<String> {
    script(&of(table, tests))
}

/// What came of it: a test for each operation that is written down, and what is to be
/// said besides.
pub(super) fn settle(
    table: &Table,
    tests: &[String],
    sightings: &Sightings,
) -> (Vec<Test>, Vec<String>) {
    let operations = of(table, tests).operations;
    let judged: Vec<_> = operations.iter().map(|one| judge(one, sightings)).collect();
    let written = judged.iter().filter(|judged| judged.operation.is_written_down());
    let tests: Vec<_> = written.map(test).collect();
    let mut remarks: Vec<_> = judged.iter().filter_map(Judged::note).collect();
    for remark in &mut remarks {
        *remark += ": cargo xtask counts --bless";
    }
    let others = judged.len() - tests.len();
    if others > 0 {
        remarks.push(format!("{others} operations are not written down (cargo xtask counts)"));
    }
    (tests, remarks)
}

fn test(judged: &Judged) -> Test {
    let name = format!("{FILE}::{}", judged.operation.name);
    match judged.failure() {
        Some(failure) => lost(name, "worse than counts.toml, or not measured".to_owned(), failure),
        None => Test { name, outcome: Outcome::Passed, cases: Vec::new() },
    }
}

/// The operations of these tests.
fn of(table: &Table, tests: &[String]) -> Table {
    let is_asked_for = |name: &str| {
        let names = tests.iter().filter_map(|test| test.strip_prefix(FILE)?.strip_prefix("::"));
        names.into_iter().any(|test| test == name)
    };
    let operations = table.operations.iter().filter(|one| is_asked_for(&one.name));
    Table { operations: operations.cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, written: &str) -> String {
        format!(
            "[[operation]]\nname = \"{name}\"\nwhat = \"\"\nprogram = [\"ops\", \"{name}\"]\n\
             target = {{ count = 3, exits = 0 }}\n{written}"
        )
    }

    #[test]
    fn what_is_written_down_is_a_test_and_what_is_not_a_remark() {
        let written = "count = 3\nexits = 0\n";
        let rows = [row("a", written), row("b", written), row("c", ""), row("d", written)];
        let table = Table::parse(&rows.concat()).unwrap();
        let asked = ["counts::a", "counts::b", "counts::c"].map(str::to_owned);
        let mut seen = Sightings::default();
        for (name, count) in [("a", 3), ("b", 4), ("c", 5)] {
            let line = format!("instructions={count} elements=1");
            for repeats in [20, 40] {
                for line in
                    [&format!("COUNTS sandbox {name} {repeats}"), &line, "{\"vmm_exits\":3}"]
                {
                    seen.line(line);
                }
                seen.line("COUNTS-STATUS 0");
            }
        }
        let (tests, remarks) = settle(&table, &asked, &seen);
        let names: Vec<_> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["counts::a", "counts::b"]);
        assert_eq!(tests[0].outcome, Outcome::Passed);
        let Outcome::Failed { output, .. } = &tests[1].outcome else { panic!() };
        assert_eq!(output, "b: 4 instructions, written down are 3");
        assert_eq!(
            remarks,
            [
                "c exists, and is not written down: cargo xtask counts --bless",
                "1 operations are not written down (cargo xtask counts)"
            ]
        );
        assert!(commands(&table, &asked).unwrap().contains("\nsandbox c /counts/ops c\n"));
    }
}
