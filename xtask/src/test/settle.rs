//! What became of the tests that an executable was to run, also where it came to
//! no good end: whoever was running is to blame, the others run again.
//!
//! Called by `host` and `boot`. Pure.

use super::libtest::Output;
use super::results::{self, Outcome, Test};

/// How an executable's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this status as a shell has it.
    Exited(i32),
    /// Otherwise: it was ended, or what it ran in broke. In words.
    CutShort(String),
}

/// What failed where an executable came to a bad end and no test can be blamed.
pub(super) const END: &str = "(end)";

/// So much of an output is shown where nothing else explains an end.
const TAIL: usize = 60;

/// Takes from `planned` the tests that have an outcome and answers them, each with
/// `prefix` before its name. What is left in `planned` has not been run.
pub(super) fn settle(
    output: &Output,
    end: &End,
    prefix: &str,
    planned: &mut Vec<String>,
) -> Vec<Test> {
    let mut tests = results::tests(output, prefix);
    planned.retain(|name| !output.verdicts.contains_key(name));
    let failed = tests.iter().any(|test| matches!(test.outcome, Outcome::Failed { .. }));
    let why = match end {
        End::Exited(0) if output.ended => return tests,
        // 101 is libtest's own word for failed tests.
        End::Exited(_) if output.ended && failed => return tests,
        End::Exited(status) if output.ended => format!("status {status} after the last test"),
        End::Exited(status) => format!("the test executable died with status {status}"),
        End::CutShort(why) => why.clone(),
    };
    // Whoever was running is to blame. Where that cannot be seen, with several
    // threads, the end is a failure of its own: that the rest passes another time,
    // or that all had a verdict by then, does not undo it.
    let name = output.running.as_deref().unwrap_or(END);
    planned.retain(|planned| planned != name);
    tests.push(results::lost(format!("{prefix}{name}"), why, output.tail(TAIL)));
    tests
}

/// Gives up the tests that were not run.
pub(super) fn give_up(planned: &[String], end: &End, prefix: &str) -> Vec<Test> {
    let why = match end {
        End::Exited(status) => format!("was not run: status {status} before"),
        End::CutShort(why) => format!("was not run: {why}"),
    };
    let lost = |name| results::lost(format!("{prefix}{name}"), why.clone(), String::new());
    planned.iter().map(lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(text: &str, end: End) -> (Vec<(String, bool)>, Vec<String>) {
        let mut output = Output::default();
        text.lines().for_each(|line| output.line(line));
        let mut planned = ["a", "b", "c"].map(str::to_owned).to_vec();
        let tests = settle(&output, &end, "f::", &mut planned);
        let passed = |test: Test| (test.name, test.outcome == Outcome::Passed);
        (tests.into_iter().map(passed).collect(), planned)
    }

    fn test(name: &str, passed: bool) -> (String, bool) {
        (name.to_owned(), passed)
    }

    #[test]
    fn a_good_end_leaves_nothing() {
        let text = "test a ... ok\ntest b ... FAILED\ntest c ... ok\ntest result: FAILED. x\n";
        let (tests, left) = settled(text, End::Exited(101));
        assert_eq!(tests, [test("f::a", true), test("f::b", false), test("f::c", true)]);
        assert!(left.is_empty());
    }

    #[test]
    fn the_test_that_ran_at_a_crash_is_to_blame_and_the_rest_is_left() {
        let (tests, left) = settled("test a ... ok\ntest b ... \n", End::Exited(139));
        assert_eq!(tests, [test("f::a", true), test("f::b", false)]);
        assert_eq!(left, ["c"]);
    }

    #[test]
    fn a_hang_is_treated_like_a_crash() {
        let hung = End::CutShort("not done after 9 s".into());
        let (tests, left) = settled("test a ... \n", hung.clone());
        assert_eq!(tests, [test("f::a", false)]);
        assert_eq!(left, ["b", "c"]);
        let lost = give_up(&left, &hung, "f::");
        assert_eq!(lost[1].name, "f::c");
    }

    #[test]
    fn where_nobody_is_to_blame_the_end_is_a_failure_and_the_rest_is_left() {
        let hung = End::CutShort("not done after 9 s".into());
        for end in [End::Exited(139), End::Exited(0), hung.clone()] {
            let (tests, left) = settled("test c ... ok\n", end);
            assert_eq!(tests, [test("f::c", true), test("f::(end)", false)]);
            assert_eq!(left, ["a", "b"]);
        }
        // All have a verdict, and it does not end.
        let all = "test a ... ok\ntest b ... ok\ntest c ... ok\n";
        let (tests, left) = settled(all, hung);
        assert_eq!(tests.last(), Some(&test("f::(end)", false)));
        assert!(left.is_empty());
    }

    #[test]
    fn a_failure_that_nobody_is_known_for_is_one() {
        // A second crate's documentation that does not build; a verdict that was
        // lost in what somebody else wrote.
        let text = "test a ... ok\ntest result: ok. x\n";
        let (tests, _) = settled(text, End::Exited(101));
        assert_eq!(tests, [test("f::a", true), test("f::(end)", false)]);
        let text = "xtest a ... FAILED\n---- a stdout ----\nboom\n\nfailures:\n    a\n\n\
                    test result: FAILED. x\n";
        let (tests, left) = settled(text, End::Exited(101));
        assert_eq!(tests, [test("f::a", false)]);
        assert_eq!(left, ["b", "c"]);
    }

    #[test]
    fn a_bad_status_after_good_tests_is_a_failure() {
        let text = "test a ... ok\ntest result: ok. x\n";
        let (tests, _) = settled(text, End::Exited(139));
        assert_eq!(tests, [test("f::a", true), test("f::(end)", false)]);
    }
}
