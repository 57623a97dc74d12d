//! The end of a test run: what failed and what was left out by name, and one last
//! line. What failed tests wrote was shown when they failed (`screen`).
//!
//! Called by `test::run`. On standard output, so that `| tail -1` is the result.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::places::Place;
use super::results::{Outcome, Results, Tally};
use super::screen::is_over;
use crate::sh;

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// So many names are shown of those that lack the same thing.
const MOST: usize = 20;

/// Names are wrapped at this column.
const WIDTH: usize = 100;

/// Prints it. `unmet` is what else was required.
pub(super) fn print(results: &Results, unmet: &[String], time: Duration, verbose: bool) {
    anstream::print!("{}", text(results, unmet, time, verbose));
}

fn text(results: &Results, unmet: &[String], time: Duration, verbose: bool) -> String {
    let mut text = broken(results);
    text += &format!("{HEAD}==> summary{HEAD:#}\n");
    text += &places(results);
    text += &over(results);
    text += &elsewhere(results, verbose);
    text += &unstable(results);
    text += &skipped(results, verbose);
    text += &failed(results);
    for line in unmet {
        text += &format!("  {BAD}REQUIRED{BAD:#}  {line}\n");
    }
    let tally = results.tally();
    let good = tally.failed == 0 && unmet.is_empty();
    let style = if good { GOOD } else { BAD };
    text += &format!("  {} in all\n", sh::seconds(time));
    let Tally { passed, failed, skipped, .. } = tally;
    text + &format!("{style}{passed} passed, {failed} failed, {skipped} skipped{style:#}\n")
}

/// What is to be said of a build or a rig that failed.
fn broken(results: &Results) -> String {
    let mut text = String::new();
    for (what, why) in &results.broken {
        text += &format!("\n{BAD}---- {what}{BAD:#}\n{}\n", why.trim());
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// A line for each place.
fn places(results: &Results) -> String {
    let mut text = String::new();
    for place in Place::ALL {
        let ran = || results.ran.iter().filter(|ran| ran.place == place);
        if ran().next().is_some() {
            let tally = Tally::of(ran().flat_map(|ran| &ran.tests));
            let time = sh::seconds(ran().map(|ran| ran.time).sum());
            text += &format!("  {:<16}  {}, {time}\n", place.name(), tally.words());
        }
    }
    if !results.not_asked.is_empty() {
        let names: Vec<_> = results.not_asked.iter().map(|place| place.name()).collect();
        text += &format!("  not asked for: {}\n", names.join(", "));
    }
    text
}

/// Files that take much longer than the table says.
fn over(results: &Results) -> String {
    let mut text = String::new();
    for ran in results.ran.iter().filter(|ran| is_over(ran)) {
        text += &format!(
            "  {ODD}over time{ODD:#}  {} in {}: {}, should take {:.0} s (tests/places.toml)\n",
            ran.file,
            ran.place.name(),
            sh::seconds(ran.time),
            ran.expected.unwrap_or_default()
        );
    }
    text
}

/// What places left to others: a number if it did run, by name if not.
fn elsewhere(results: &Results, verbose: bool) -> String {
    let mut text = String::new();
    let nowhere = results.nowhere();
    let mut other = 0;
    let mut later = Vec::new();
    for (place, test) in results.tests() {
        let whole = match &test.outcome {
            Outcome::Elsewhere(elsewhere) => Some(elsewhere),
            _ => None,
        };
        for elsewhere in test.cases.iter().chain(whole) {
            if elsewhere.needs_a_full_run() {
                later.push(test.name.as_str());
                continue;
            }
            other += 1;
            if verbose {
                let case = elsewhere.case.as_ref().map(|case| format!(", {case}"));
                text += &format!(
                    "  elsewhere  {}{} ({}): in {}, for {}\n",
                    test.name,
                    case.unwrap_or_default(),
                    place.name(),
                    elsewhere.home,
                    elsewhere.why
                );
            }
        }
    }
    if !later.is_empty() {
        text += &format!("  {} tests take long and are left to a full run\n", later.len());
        if verbose {
            text += &wrapped(&later);
        }
    }
    if other > 0 {
        let what = if results.is_whole() { "ran nowhere" } else { "ran in no place of this run" };
        text += &format!(
            "  {other} tests and cases belong elsewhere, of which {} {what}\n",
            nowhere.len()
        );
        if results.is_whole() || verbose {
            for (name, elsewhere) in nowhere {
                text += &format!("    {name}: in {}, for {}\n", elsewhere.home, elsewhere.why);
            }
        }
    }
    text
}

/// Cases whose native runs do not agree with each other.
fn unstable(results: &Results) -> String {
    let mut text = String::new();
    let mut count = 0;
    for (place, test) in results.tests() {
        if let Outcome::Unstable(cases) = &test.outcome {
            count += 1;
            for case in cases {
                let (place, name) = (place.name(), &test.name);
                text += &format!("  {ODD}UNSTABLE{ODD:#}  {name} ({place}): {case}\n");
            }
        }
    }
    if count > 0 {
        text += &format!("  {count} with an unstable oracle: neither passed nor failed\n");
    }
    text
}

/// What lacks something, by place and thing.
fn skipped(results: &Results, verbose: bool) -> String {
    let mut text = String::new();
    for skip in results.skips() {
        let (place, what) = (skip.place.name(), skip.what);
        match skip.tests.len() {
            0 => text += &format!("  {ODD}SKIPPED{ODD:#}   {place}: {what}\n"),
            count => {
                text += &format!("  {ODD}SKIPPED{ODD:#}   {place}: {count} for lack of {what}\n");
                let shown = if verbose { count } else { count.min(MOST) };
                text += &wrapped(&skip.tests[..shown]);
                if shown < count {
                    text += &format!("              and {} more: --verbose\n", count - shown);
                }
            }
        }
    }
    text
}

fn failed(results: &Results) -> String {
    let mut text = String::new();
    for (place, test) in results.tests() {
        if let Outcome::Failed { why, .. } = &test.outcome {
            let (place, name) = (place.name(), &test.name);
            text += &format!("  {BAD}FAILED{BAD:#}    {name} ({place}): {why}\n");
        }
    }
    for (what, _) in &results.broken {
        text += &format!("  {BAD}FAILED{BAD:#}    {what}\n");
    }
    text
}

/// Names, some a line.
fn wrapped(names: &[&str]) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { "," } else { "" };
        if column == 0 || column + name.len() + 2 > WIDTH {
            let end = if column == 0 { "" } else { "\n" };
            write!(text, "{end}              {name}{comma}").expect("a String takes all");
            column = 14 + name.len() + comma.len();
        } else {
            write!(text, " {name}{comma}").expect("a String takes all");
            column += 1 + name.len() + comma.len();
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::libtest::Output;
    use super::super::results::{Ran, tests};
    use super::*;

    fn ran(place: Place, text: &str) -> Ran {
        let mut output = Output::default();
        text.lines().for_each(|line| output.line(line));
        let tests = tests(&output, "f::");
        Ran { place, file: "f".into(), tests, time: Duration::from_secs(1), expected: None }
    }

    fn plain(results: &Results, unmet: &[String]) -> String {
        let text = text(results, unmet, Duration::from_secs(75), false);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_last_line_is_the_result() {
        let host = "test a ... ok\ntest b ... FAILED\nSKIPPED: c: gcc\ntest c ... ok\n";
        let results = Results { ran: vec![ran(Place::Host, host)], ..Results::default() };
        let text = plain(&results, &["this and that".to_owned()]);
        assert_eq!(
            text,
            "==> summary\n\
             \u{20} this machine      1 passed, 1 FAILED, 1 skipped, 1.0 s\n\
             \u{20} SKIPPED   this machine: 1 for lack of gcc\n\
             \u{20}             f::c\n\
             \u{20} FAILED    f::b (this machine): failed\n\
             \u{20} REQUIRED  this and that\n\
             \u{20} 75.0 s in all\n\
             1 passed, 1 failed, 1 skipped\n"
        );
    }

    #[test]
    fn an_unstable_oracle_is_named_with_its_outcomes() {
        let text = "UNSTABLE: a: /x: natively 139, then 0\ntest a ... ok\n";
        let results = Results { ran: vec![ran(Place::Intel, text)], ..Results::default() };
        let text = plain(&results, &[]);
        assert!(text.contains("UNSTABLE  f::a (Intel rig): /x: natively 139, then 0\n"), "{text}");
        assert!(text.contains("1 with an unstable oracle: neither passed nor failed\n"));
        assert!(text.ends_with("0 passed, 0 failed, 0 skipped\n"));
    }

    #[test]
    fn what_broke_is_explained_and_counts_as_failed() {
        let mut results = Results::default();
        results.broken.push(("the rigs".into(), "no compiler\n".into()));
        let text = plain(&results, &[]);
        assert!(text.starts_with("\n---- the rigs\nno compiler\n\n==> summary\n"), "{text}");
        assert!(
            text.ends_with(
                "  FAILED    the rigs\n  75.0 s in all\n0 passed, 1 failed, 0 skipped\n"
            )
        );
    }

    #[test]
    fn a_place_that_is_missing_is_skipped_and_counted() {
        let mut results =
            Results { ran: vec![ran(Place::Host, "test a ... ok\n")], ..Results::default() };
        results.absent.push((Place::Intel, "the Intel rig cannot run: no bochs".into()));
        let text = plain(&results, &[]);
        assert!(text.contains("SKIPPED   Intel rig: the Intel rig cannot run: no bochs\n"));
        assert!(text.ends_with("1 passed, 0 failed, 1 skipped\n"));
    }

    #[test]
    fn what_ran_nowhere_is_named_and_what_ran_is_counted() {
        let left = "test a ... ELSEWHERE: a: all of it: a rig: no door\nok\n";
        let both = vec![ran(Place::Host, left), ran(Place::Amd, "test a ... ok\n")];
        let text = plain(&Results { ran: both, ..Results::default() }, &[]);
        assert!(text.contains("1 tests and cases belong elsewhere, of which 0 ran nowhere\n"));
        let one = Results { ran: vec![ran(Place::Host, left)], ..Results::default() };
        assert!(plain(&one, &[]).contains("    f::a: in a rig, for no door\n"));
    }

    #[test]
    fn many_that_lack_the_same_thing_are_cut_short() {
        let host: String =
            (0..30).map(|n| format!("SKIPPED: t{n}: KVM\ntest t{n} ... ok\n")).collect();
        let text =
            plain(&Results { ran: vec![ran(Place::Host, &host)], ..Results::default() }, &[]);
        assert!(text.contains("this machine: 30 for lack of KVM\n"));
        assert!(text.contains("              and 10 more: --verbose\n"));
        assert!(text.ends_with("0 passed, 0 failed, 30 skipped\n"));
    }

    #[test]
    fn names_are_wrapped() {
        let name = "a".repeat(40);
        let names = [name.as_str(); 3];
        let text = wrapped(&names);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }
}
