//! What a test executable says, line by line: verdicts, failures, and our own
//! tests' notes (`tests/src/skip.rs`).
//!
//! Used by `host` and `boot`. It reads libtest's plain output, for its JSON is
//! unstable. Standard output and standard error may come as one stream (in a rig)
//! or as two.

use std::collections::BTreeMap;

/// How a test ended, by libtest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    Ignored,
}

/// What a test said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Something that it needs is not there.
    Missing(String),
    /// A case, or all of it, belongs to another place.
    Elsewhere(Elsewhere),
    /// The native run of a case does not agree with itself.
    Unstable(String),
}

/// A case that belongs to another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// Which; none: the whole test.
    pub(super) case: Option<String>,
    /// Where it belongs.
    pub(super) home: String,
    /// Why not here.
    pub(super) why: String,
}

impl Elsewhere {
    /// Whether it belongs to a place that no run on this machine reaches.
    pub(super) fn needs_another_cpu(&self) -> bool {
        self.home == "another CPU"
    }

    /// Whether it belongs to a run that is not a quick one.
    pub(super) fn needs_a_full_run(&self) -> bool {
        self.home == "a full run"
    }
}

/// Everything that one executable said.
#[derive(Default)]
pub(super) struct Output {
    /// The verdicts, by the test's name.
    pub(super) verdicts: BTreeMap<String, Verdict>,
    /// What failed tests had written, by the test's name.
    pub(super) failures: BTreeMap<String, String>,
    /// What tests said, by the test's name.
    pub(super) notes: Vec<(String, Note)>,
    /// The test that has begun, as far as that can be seen: with one thread.
    pub(super) running: Option<String>,
    /// Whether there was a last line with a result.
    pub(super) ended: bool,
    /// All lines, for when nothing else explains an end.
    lines: Vec<String>,
    /// The failed test whose output comes.
    block: Option<String>,
}

impl Output {
    /// Takes a line of standard output or standard error, without its end.
    pub(super) fn line(&mut self, line: &str) {
        self.lines.push(line.to_owned());
        let line = line.trim_end();
        if self.in_block(line) {
            return;
        }
        if let Some((name, rest)) = test_line(line) {
            match verdict(rest) {
                Some(verdict) => self.verdict(name.to_owned(), verdict),
                None => {
                    self.running = Some(name.to_owned());
                    self.note(rest);
                }
            }
        } else if let (Some(name), Some(verdict)) = (&self.running, verdict(line)) {
            // Something was written between the name and the verdict.
            self.verdict(name.clone(), verdict);
        } else if line.starts_with("test result: ") {
            self.ended = true;
        } else {
            self.note(line);
        }
    }

    /// The last lines, and how many there are before them.
    pub(super) fn tail(&self, most: usize) -> String {
        let cut = self.lines.len().saturating_sub(most);
        let more = if cut > 0 { format!("… {cut} lines before\n") } else { String::new() };
        more + &self.lines[cut..].join("\n")
    }

    fn verdict(&mut self, name: String, verdict: Verdict) {
        self.running = None;
        self.verdicts.insert(name, verdict);
    }

    fn note(&mut self, line: &str) {
        self.notes.extend(note(line));
    }

    /// Whether the line is part of what a failed test wrote, or its headline.
    fn in_block(&mut self, line: &str) -> bool {
        let headline =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = headline {
            self.block = Some(name.to_owned());
            self.failures.insert(name.to_owned(), String::new());
            // Whatever became of its line.
            self.verdicts.insert(name.to_owned(), Verdict::Failed);
            return true;
        }
        if line == "failures:" {
            self.block = None;
            return true;
        }
        let Some(text) = self.block.as_ref().and_then(|name| self.failures.get_mut(name)) else {
            return false;
        };
        *text += line;
        *text += "\n";
        true
    }
}

/// `test NAME ... REST`.
fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ...")?;
    Some((name.strip_suffix(" - should panic").unwrap_or(name), rest.trim_start()))
}

fn verdict(text: &str) -> Option<Verdict> {
    // With --report-time there is more behind it; ignored tests have a reason.
    match text.split([' ', ',']).next()? {
        "ok" => Some(Verdict::Passed),
        "FAILED" => Some(Verdict::Failed),
        "ignored" => Some(Verdict::Ignored),
        _ => None,
    }
}

/// A line of `tests/src/skip.rs`: the kind, the test's name, the rest.
fn note(line: &str) -> Option<(String, Note)> {
    let (kind, rest) = line.split_once(": ")?;
    let (test, words) = rest.split_once(": ")?;
    let note = match kind {
        "SKIPPED" => Note::Missing(words.to_owned()),
        "UNSTABLE" => Note::Unstable(words.to_owned()),
        "ELSEWHERE" => {
            let [case, home, why] = words.splitn(3, ": ").collect::<Vec<_>>().try_into().ok()?;
            let case = (case != "all of it").then(|| case.to_owned());
            Note::Elsewhere(Elsewhere { case, home: home.to_owned(), why: why.to_owned() })
        }
        _ => return None,
    };
    Some((test.to_owned(), note))
}

/// The names that `--list --format terse` prints.
pub(super) fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Output {
        let mut output = Output::default();
        text.lines().for_each(|line| output.line(line));
        output
    }

    #[test]
    fn verdicts_come_by_name_and_a_last_line_ends_them() {
        let output = read(
            "\nrunning 4 tests\ntest a::b ... ok\ntest c ... FAILED\ntest d ... ignored, why\n\
             test e - should panic ... ok\n",
        );
        let verdicts: Vec<_> = output.verdicts.clone().into_iter().collect();
        let expected = [
            ("a::b", Verdict::Passed),
            ("c", Verdict::Failed),
            ("d", Verdict::Ignored),
            ("e", Verdict::Passed),
        ];
        assert_eq!(verdicts, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
        assert!(!output.ended);
        assert!(read("test result: FAILED. 1 passed; 1 failed; 0 ignored\n").ended);
    }

    #[test]
    fn what_a_failed_test_wrote_is_kept_whole_and_judges_nothing() {
        let output = read(
            "test c ... FAILED\n\nfailures:\n\n---- c stdout ----\npanicked\n\ntest x ... ok\n\
             SKIPPED: y: z\n\nfailures:\n    c\n\ntest result: FAILED. 0 passed\n",
        );
        assert_eq!(output.failures["c"], "panicked\n\ntest x ... ok\nSKIPPED: y: z\n\n");
        assert_eq!(output.verdicts.len(), 1);
        assert!(output.notes.is_empty() && output.ended);
    }

    /// As a rig's one serial port has it.
    #[test]
    fn a_note_between_name_and_verdict_belongs_to_both() {
        let output = read("test a ... SKIPPED: a: gcc\nSKIPPED: a: musl-gcc\nok\ntest b ... ok\n");
        assert_eq!(output.verdicts["a"], Verdict::Passed);
        assert_eq!(output.verdicts["b"], Verdict::Passed);
        let note = |what: &str| ("a".to_owned(), Note::Missing(what.to_owned()));
        assert_eq!(output.notes, [note("gcc"), note("musl-gcc")]);
    }

    #[test]
    fn the_test_that_runs_is_known_until_its_verdict() {
        assert_eq!(read("test a ... ok\ntest b ... ").running.as_deref(), Some("b"));
        assert_eq!(read("test b ... \nok\n").running, None);
    }

    #[test]
    fn notes_are_what_the_harness_writes() {
        let elsewhere = |case: Option<&str>| {
            Note::Elsewhere(Elsewhere {
                case: case.map(str::to_owned),
                home: "a rig".to_owned(),
                why: "it is so: here".to_owned(),
            })
        };
        let text = "ELSEWHERE: m::t: all of it: a rig: it is so: here\n\
                    ELSEWHERE: m::t: one case: a rig: it is so: here\n\
                    UNSTABLE: m::t: \"/x\": natively 1, then 2\n\
                    something: else: entirely\n";
        let notes = [
            elsewhere(None),
            elsewhere(Some("one case")),
            Note::Unstable("\"/x\": natively 1, then 2".to_owned()),
        ];
        assert_eq!(read(text).notes, notes.map(|note| ("m::t".to_owned(), note)));
    }

    #[test]
    fn doc_tests_have_names_with_blanks() {
        let output = read(
            "test vmm/src/lib.rs - (line 4) ... ok\ntest x.rs - A::b (line 4) - compile ... FAILED\n",
        );
        assert_eq!(output.verdicts["vmm/src/lib.rs - (line 4)"], Verdict::Passed);
        assert_eq!(output.verdicts["x.rs - A::b (line 4) - compile"], Verdict::Failed);
    }

    #[test]
    fn a_list_is_of_tests() {
        assert_eq!(listed("a::b: test\nc: benchmark\nd: test\n"), ["a::b", "d"]);
    }

    #[test]
    fn the_end_of_an_output_says_how_much_was_before_it() {
        assert_eq!(read("a\nb\nc\n").tail(2), "… 1 lines before\nb\nc");
        assert_eq!(read("a\n").tail(2), "a");
    }
}
