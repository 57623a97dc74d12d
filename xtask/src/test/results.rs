//! What came of all tests in all places, and whether that is good enough.
//!
//! Filled by `host` and `rigs`, printed by `summary`. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::libtest::{Elsewhere, Note, Output, Verdict};
use super::places::Place;

/// How one test ended in one place. Each counts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// Why, and what it wrote.
    Failed {
        why: String,
        output: String,
    },
    /// What is missing, each thing once.
    Skipped(Vec<String>),
    /// It belongs to another place as a whole.
    Elsewhere(Elsewhere),
    /// Neither passed nor failed: what the native runs did, a line a case.
    Unstable(Vec<String>),
}

/// A test in a place.
#[derive(Clone, Debug)]
pub(super) struct Test {
    /// With its file before it: `exact::modes::…`.
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// Cases that it leaves to other places.
    pub(super) cases: Vec<Elsewhere>,
}

/// A file's stay in a place, done.
pub(super) struct Ran {
    pub(super) place: Place,
    pub(super) file: String,
    pub(super) tests: Vec<Test>,
    pub(super) time: Duration,
    /// What the table says, if it does.
    pub(super) expected: Option<f64>,
}

/// A number of tests of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) elsewhere: usize,
    pub(super) unstable: usize,
}

impl Tally {
    pub(super) fn of<'a>(tests: impl Iterator<Item = &'a Test>) -> Self {
        let mut tally = Self::default();
        for test in tests {
            *match test.outcome {
                Outcome::Passed => &mut tally.passed,
                Outcome::Failed { .. } => &mut tally.failed,
                Outcome::Skipped(_) => &mut tally.skipped,
                Outcome::Elsewhere(_) => &mut tally.elsewhere,
                Outcome::Unstable(_) => &mut tally.unstable,
            } += 1;
        }
        tally
    }

    /// `3 passed, 1 FAILED`: what is not zero.
    pub(super) fn words(self) -> String {
        let parts = [
            (self.passed, "passed"),
            (self.failed, "FAILED"),
            (self.skipped, "skipped"),
            (self.unstable, "unstable"),
            (self.elsewhere, "elsewhere"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        if words.is_empty() { "no test".to_owned() } else { words.join(", ") }
    }
}

/// The tests of one executable's output. `planned` are those that should have a
/// verdict; what has none is left out here, and somebody must run it again or call
/// it lost. `prefix` goes before each name.
pub(super) fn tests(output: &Output, prefix: &str) -> Vec<Test> {
    let test = |(name, verdict): (&String, &Verdict)| {
        let notes = output.notes.iter().filter(|(test, _)| test == name).map(|(_, note)| note);
        let (mut missing, mut unstable, mut cases) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut whole = None;
        for note in notes {
            match note {
                Note::Missing(what) => {
                    missing.insert(what.clone());
                }
                Note::Unstable(words) => unstable.push(words.clone()),
                Note::Elsewhere(case) if case.case.is_none() => whole = Some(case.clone()),
                Note::Elsewhere(case) => cases.push(case.clone()),
            }
        }
        let outcome = match verdict {
            Verdict::Failed => Outcome::Failed {
                why: "failed".to_owned(),
                output: output.failures.get(name).cloned().unwrap_or_default(),
            },
            Verdict::Ignored => Outcome::Skipped(vec!["#[ignore]".to_owned()]),
            Verdict::Passed if !missing.is_empty() => Outcome::Skipped(Vec::from_iter(missing)),
            Verdict::Passed if !unstable.is_empty() => Outcome::Unstable(unstable),
            Verdict::Passed => whole.map_or(Outcome::Passed, Outcome::Elsewhere),
        };
        Test { name: format!("{prefix}{name}"), outcome, cases }
    };
    output.verdicts.iter().map(test).collect()
}

/// A test that has no verdict of its own.
pub(super) fn lost(name: String, why: String, output: String) -> Test {
    Test { name, outcome: Outcome::Failed { why, output }, cases: Vec::new() }
}

/// What must have run for the run to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Require {
    /// Every place, with nothing skipped, and each test somewhere
    All,
    /// This machine, with its KVM, and nothing skipped there
    Kvm,
    /// The AMD rig, and nothing skipped there
    Amd,
    /// The Intel rig, and nothing skipped there
    Intel,
}

impl Require {
    /// Whether a place is one that nothing may be skipped in.
    fn covers(self, place: Place) -> bool {
        use crate::rig::Cpu;
        match self {
            Require::All => true,
            Require::Kvm => place.rig().is_none(),
            Require::Amd => place.rig() == Some(Cpu::Amd),
            Require::Intel => place.rig() == Some(Cpu::Intel),
        }
    }
}

/// What came of a whole run.
#[derive(Default)]
pub(super) struct Results {
    pub(super) ran: Vec<Ran>,
    /// What failed without being a test: a build, a rig.
    pub(super) broken: Vec<(String, String)>,
    /// Places that should have run and could not, and why.
    pub(super) absent: Vec<(Place, String)>,
    /// Places that nobody asked for.
    pub(super) not_asked: Vec<Place>,
    /// Whether only some tests were asked for.
    pub(super) filtered: bool,
}

/// Tests that lack the same thing in the same place.
pub(super) struct Skip<'a> {
    pub(super) place: Place,
    pub(super) what: &'a str,
    /// None: all that there is.
    pub(super) tests: Vec<&'a str>,
}

impl Results {
    pub(super) fn tests(&self) -> impl Iterator<Item = (Place, &Test)> {
        self.ran.iter().flat_map(|ran| ran.tests.iter().map(|test| (ran.place, test)))
    }

    /// Over all places. A place that could not run counts as one that is skipped,
    /// what broke as one that failed.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::of(self.tests().map(|(_, test)| test));
        tally.failed += self.broken.len();
        tally.skipped += self.absent.len();
        tally
    }

    /// What is skipped, by place and reason. A test that lacks two things is under
    /// both.
    pub(super) fn skips(&self) -> Vec<Skip<'_>> {
        let mut skips: Vec<_> = self
            .absent
            .iter()
            .map(|(place, why)| Skip { place: *place, what: why, tests: Vec::new() })
            .collect();
        let mut by_reason = BTreeMap::<(Place, &str), Vec<&str>>::new();
        for (place, test) in self.tests() {
            if let Outcome::Skipped(missing) = &test.outcome {
                for what in missing {
                    by_reason.entry((place, what)).or_default().push(&test.name);
                }
            }
        }
        let by_reason = by_reason.into_iter();
        skips.extend(by_reason.map(|((place, what), tests)| Skip { place, what, tests }));
        skips
    }

    /// The tests and cases that each place which ran left to another, so that they
    /// ran nowhere, with where they belong. What is skipped for lack of something
    /// is named as that; what needs another CPU or a longer run cannot be had here.
    pub(super) fn nowhere(&self) -> Vec<(String, &Elsewhere)> {
        let mut somewhere = BTreeSet::new();
        let mut left = BTreeMap::new();
        for (_, test) in self.tests() {
            let case = |case: &str| (test.name.clone(), case.to_owned());
            match &test.outcome {
                Outcome::Elsewhere(elsewhere) => {
                    left.entry(case("")).or_insert(elsewhere);
                }
                // A failure or a skip is named already.
                _ => {
                    somewhere.insert(case(""));
                }
            }
        }
        // A case ran where its test ran and did not leave it out.
        for (_, test) in self.tests().filter(|(_, test)| !test.is_elsewhere()) {
            for elsewhere in &test.cases {
                let key = elsewhere.case.clone().unwrap_or_default();
                let ran = self.tests().any(|(_, other)| {
                    other.name == test.name
                        && !other.is_elsewhere()
                        && other.cases.iter().all(|other| other.case != elsewhere.case)
                });
                if !ran {
                    left.entry((test.name.clone(), key)).or_insert(elsewhere);
                }
            }
        }
        left.retain(|key, elsewhere| {
            !somewhere.contains(key)
                && !elsewhere.needs_another_cpu()
                && !elsewhere.needs_a_full_run()
        });
        let name = |(test, case): (String, String)| {
            if case.is_empty() { test } else { format!("{test}, {case}") }
        };
        left.into_iter().map(|(key, elsewhere)| (name(key), elsewhere)).collect()
    }

    /// Whether all tests in all places were asked for: only then it says something
    /// that a test ran nowhere.
    pub(super) fn is_whole(&self) -> bool {
        self.not_asked.is_empty() && !self.filtered
    }

    /// Whether there was nothing to run. This machine has all tests, so a rig that is
    /// not there may have had some only if this machine was not asked.
    pub(super) fn is_empty(&self) -> bool {
        let asked_for_all = !self.not_asked.contains(&Place::Host);
        self.ran.is_empty() && self.broken.is_empty() && (self.absent.is_empty() || asked_for_all)
    }

    /// Makes failures of the places that could not run: somebody asked for them by
    /// name.
    pub(super) fn break_absent(&mut self) {
        let broken = |(place, why): (Place, String)| (place.name().to_owned(), why);
        self.broken.extend(self.absent.drain(..).map(broken));
    }

    /// What keeps the run from being good besides failures, in lines.
    pub(super) fn unmet(&self, required: &[Require]) -> Vec<String> {
        let covered = |place| required.iter().any(|require| require.covers(place));
        let skips = self.skips().into_iter().filter(|skip| covered(skip.place));
        let mut unmet: Vec<_> = skips
            .map(|skip| format!("nothing may be skipped in {}: {}", skip.place.name(), skip.what))
            .collect();
        if required.contains(&Require::All) && self.is_whole() {
            let nowhere = self.nowhere();
            unmet.extend(nowhere.into_iter().map(|(name, elsewhere)| {
                format!("each test must run somewhere: {name} belongs to {}", elsewhere.home)
            }));
        }
        unmet
    }
}

impl Test {
    fn is_elsewhere(&self) -> bool {
        matches!(self.outcome, Outcome::Elsewhere(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        let mut output = Output::default();
        text.lines().for_each(|line| output.line(line));
        output
    }

    fn ran(place: Place, text: &str) -> Ran {
        let tests = tests(&output(text), "file::");
        Ran { place, file: "file".into(), tests, time: Duration::ZERO, expected: None }
    }

    fn results<const N: usize>(ran: [Ran; N]) -> Results {
        Results { ran: ran.into(), ..Results::default() }
    }

    const LEFT: &str = "test a ... ELSEWHERE: a: all of it: a rig: no door\nok\n";
    const CASE: &str = "test a ... ELSEWHERE: a: nt: a rig: no door\nok\n";

    #[test]
    fn each_test_counts_once_and_a_skip_is_no_pass() {
        let text = "SKIPPED: a: gcc\nSKIPPED: a: gcc\nUNSTABLE: b: x: y\nSKIPPED: c: gcc\n\
                    test a ... ok\ntest b ... ok\ntest c ... FAILED\ntest d ... ok\n\
                    test e ... ignored\n";
        let results = results([ran(Place::Host, text), ran(Place::Amd, LEFT)]);
        let tally = Tally { passed: 1, failed: 1, skipped: 2, elsewhere: 1, unstable: 1 };
        assert_eq!(results.tally(), tally);
        assert_eq!(tally.words(), "1 passed, 1 FAILED, 2 skipped, 1 unstable, 1 elsewhere");
    }

    #[test]
    fn a_failure_comes_with_what_the_test_wrote() {
        let text = "test a ... FAILED\nfailures:\n---- a stdout ----\nwhy\nfailures:\n    a\n";
        let failed = Outcome::Failed { why: "failed".into(), output: "why\n".into() };
        assert_eq!(ran(Place::Host, text).tests[0].outcome, failed);
    }

    #[test]
    fn what_is_missing_is_grouped_by_place_and_thing() {
        let text = "SKIPPED: a: gcc\nSKIPPED: b: gcc\nSKIPPED: b: musl-gcc\ntest a ... ok\ntest b ... ok\n";
        let mut results = results([ran(Place::Host, text)]);
        results.absent.push((Place::Intel, "no bochs".into()));
        let skips: Vec<_> =
            results.skips().iter().map(|s| (s.place, s.what.to_owned(), s.tests.len())).collect();
        let expected =
            [(Place::Intel, "no bochs", 0), (Place::Host, "gcc", 2), (Place::Host, "musl-gcc", 1)];
        assert_eq!(skips, expected.map(|(place, what, count)| (place, what.to_owned(), count)));
    }

    #[test]
    fn a_test_that_every_place_leaves_to_another_ran_nowhere() {
        let nowhere = |results: &Results| -> Vec<_> {
            results.nowhere().into_iter().map(|(name, _)| name).collect()
        };
        let left = results([ran(Place::Host, LEFT), ran(Place::Amd, LEFT)]);
        assert_eq!(nowhere(&left), ["file::a"]);
        let ran_in_one = results([ran(Place::Host, LEFT), ran(Place::Amd, "test a ... ok\n")]);
        assert!(nowhere(&ran_in_one).is_empty());
        let case = results([ran(Place::Host, CASE), ran(Place::Amd, LEFT)]);
        assert_eq!(nowhere(&case), ["file::a, nt"]);
        let case_in_one = results([ran(Place::Host, CASE), ran(Place::Amd, "test a ... ok\n")]);
        assert!(nowhere(&case_in_one).is_empty());
        // What no run on this machine can show is nobody's fault.
        let other = "test a ... ELSEWHERE: a: all of it: another CPU: no door\nok\n";
        assert!(nowhere(&results([ran(Place::Host, other)])).is_empty());
    }

    #[test]
    fn a_rig_that_is_not_there_is_no_test_that_matched() {
        let mut results = results([]);
        assert!(results.is_empty());
        results.absent.push((Place::Intel, "no bochs".into()));
        assert!(results.is_empty());
        results.not_asked.push(Place::Host);
        assert!(!results.is_empty());
        results.break_absent();
        assert_eq!(results.tally(), Tally { failed: 1, ..Tally::default() });
    }

    #[test]
    fn what_is_required_may_not_be_skipped() {
        let mut results = results([ran(Place::Host, "SKIPPED: a: gcc\ntest a ... ok\n")]);
        results.absent.push((Place::Intel, "no bochs".into()));
        assert!(results.unmet(&[]).is_empty());
        assert!(results.unmet(&[Require::Amd]).is_empty());
        assert_eq!(results.unmet(&[Require::Kvm]).len(), 1);
        let intel = results.unmet(&[Require::Intel]);
        assert_eq!(intel, ["nothing may be skipped in Intel rig: no bochs"]);
        assert_eq!(results.unmet(&[Require::All]).len(), 2);
    }

    #[test]
    fn a_test_that_ran_nowhere_fails_a_run_of_everything_only() {
        let mut results = results([ran(Place::Host, LEFT)]);
        assert_eq!(
            results.unmet(&[Require::All]),
            ["each test must run somewhere: file::a belongs to a rig"]
        );
        assert!(results.unmet(&[Require::Kvm]).is_empty());
        results.not_asked.push(Place::Amd);
        assert!(results.unmet(&[Require::All]).is_empty());
    }
}
