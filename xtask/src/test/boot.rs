//! One boot of a rig and the files that run in it, one after the other.
//!
//! Called by `rigs`. The rig runs a shell script that prints a mark before and
//! behind each file; what comes between them is that file's output. A file that
//! hangs is seen from here, without any process beside the tests: the boot is
//! ended, and what it did not get to runs in another one.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::mem;
use std::time::Instant;

use anyhow::Result;

use super::Context;
use super::counts;
use super::debian;
use super::libtest::Output;
use super::places::{Place, limit};
use super::queue::{Boot, Work};
use super::results::{Ran, Test};
use super::screen::{Running, Screen};
use super::settle::{END, End, give_up, settle};
use crate::counts::{Sightings, Table};
use crate::lines::Lines;
use crate::rig::{self, Config, End as RigEnd, RigFile};
use crate::sh;

const MARK_FILE: &str = "TRAPGATE-FILE ";
const MARK_STATUS: &str = "TRAPGATE-STATUS ";

/// Where the one executable is in the rig.
pub(super) const EXECUTABLE: &str = "/tests";

/// What came of a boot.
pub(super) struct Booted {
    pub(super) ran: Vec<Ran>,
    /// What it did not get to.
    pub(super) rest: Vec<Work>,
    /// The rig broke where no test ran: nobody else can be blamed.
    pub(super) broken: Option<String>,
}

/// Runs it; `files` are what each rig gets besides.
pub(super) fn run(context: &Context, boot: Boot, files: &[RigFile]) -> Result<Booted> {
    let place = boot.place;
    let cpu = place.rig().expect("a boot is of a rig");
    let work = tempfile::tempdir()?;
    let script = work.path().join("script");
    fs::write(&script, self::script(&boot.work, &context.counts)?)?;

    let mut config = Config::new(cpu, ["env"]);
    config.command.push(format!("TRAPGATE_RIG={}", cpu.name()));
    config.command.extend(context.length().map(|(name, value)| format!("{name}={value}")));
    match place {
        Place::AmdCounting => {
            config.command.push("TRAPGATE_TSC=instructions".to_owned());
            config.icount = true;
        }
        Place::AmdUnstableTsc => {
            config.command.push("TRAPGATE_TSC=unstable".to_owned());
            config.append = "tsc=unstable".to_owned();
        }
        Place::Host | Place::Amd | Place::Intel => {}
    }
    config.command.extend(["sh".to_owned(), "/script".to_owned()]);
    config.files = files.to_vec();
    if boot.work.iter().any(|work| work.file == debian::FILE) {
        config.files.extend(debian::rig_files(cpu)?);
    }
    config.files.push(RigFile::new(&script, "/script"));
    // Linux has no transparent huge pages below 512 MiB.
    config.mem_mib = 1024;
    config.timeout = boot.work.iter().map(|work| limit(work.seconds)).sum();

    let running = context.screen.running(place.name(), Some(boot.seconds()));
    let (screen, running) = (&context.screen, Some(&running));
    let mut watcher = Watcher::new(place, boot.work, &context.counts, screen, running);
    let report = rig::run(&config, &mut watcher)?;
    let end = match report.end {
        RigEnd::Exited(status) => End::Exited(status.into()),
        RigEnd::TimedOut => End::CutShort(watcher.late()),
        RigEnd::Interrupted => End::CutShort("interrupted".to_owned()),
        RigEnd::Broke => End::CutShort("the rig broke".to_owned()),
    };
    let diagnosis = (report.end == RigEnd::Broke).then(|| report.diagnosis());
    Ok(watcher.finish(&end, diagnosis))
}

/// The script that runs the files. An empty line comes before a mark, for a test
/// that dies leaves an unfinished one.
fn script(work: &[Work], table: &Table) -> Result<String> {
    let mut script = String::new();
    for Work { file, tests, .. } in work {
        let run = match file == counts::FILE {
            true => counts::commands(table, tests)?,
            false => format!("{EXECUTABLE} --test-threads=1 --exact {}\n", tests.join(" ")),
        };
        script += &format!("echo '{MARK_FILE}{file}'\n{run}printf '\\n{MARK_STATUS}%s\\n' $?\n");
    }
    Ok(script)
}

/// Takes a rig's output apart as it comes.
struct Watcher<'a> {
    place: Place,
    counts: &'a Table,
    screen: &'a Screen,
    running: Option<&'a Running>,
    todo: VecDeque<Work>,
    current: Option<Current>,
    ran: Vec<Ran>,
    rest: Vec<Work>,
    /// A line without an end as yet.
    pending: Lines,
}

/// The file that runs.
struct Current {
    work: Work,
    output: Output,
    /// What is counted there, if it is that.
    sightings: Sightings,
    start: Instant,
}

impl<'a> Watcher<'a> {
    fn new(
        place: Place,
        work: Vec<Work>,
        counts: &'a Table,
        screen: &'a Screen,
        running: Option<&'a Running>,
    ) -> Self {
        Self {
            place,
            counts,
            screen,
            running,
            todo: work.into(),
            current: None,
            ran: Vec::new(),
            rest: Vec::new(),
            pending: Lines::default(),
        }
    }

    fn line(&mut self, line: &str) {
        self.screen.said(self.place, line);
        if line.starts_with(MARK_FILE) {
            let Some(work) = self.todo.pop_front() else { return };
            if let Some(running) = self.running {
                running.now(&format!("{}  {}", self.place.name(), work.file));
            }
            let (output, sightings) = (Output::default(), Sightings::default());
            self.current = Some(Current { work, output, sightings, start: Instant::now() });
        } else if let Some(status) = line.strip_prefix(MARK_STATUS) {
            self.end_file(&End::Exited(status.parse().unwrap_or(-1)), None);
        } else if let Some(current) = &mut self.current {
            match current.work.file == counts::FILE {
                true => drop(current.sightings.line(line)),
                false => current.output.line(line),
            }
        }
    }

    /// The current file has come to an end, with something to say about it.
    fn end_file(&mut self, end: &End, diagnosis: Option<&str>) {
        let Some(Current { mut work, output, sightings, start }) = self.current.take() else {
            return;
        };
        let whole = work.tests.len();
        let mut tests = if work.file == counts::FILE {
            let (tests, remarks) =
                counts::settle(self.counts, &mem::take(&mut work.tests), &sightings);
            remarks.iter().for_each(|remark| self.screen.step(&format!("counts: {remark}")));
            tests
        } else {
            // The names have their file in them already.
            settle(&output, end, "", &mut work.tests)
        };
        for test in tests.iter_mut().filter(|test| test.name == END) {
            test.name = format!("{}::{END}", work.file);
        }
        if let Some(diagnosis) = diagnosis {
            blame(&mut tests, diagnosis);
        }
        if work.tests.len() == whole {
            // No progress: another boot would make none either.
            tests.extend(give_up(&mem::take(&mut work.tests), end, ""));
        }
        // Of a whole file's stay only: what a part of it takes, nobody has said.
        let expected = (work.is_whole && work.tests.is_empty()).then_some(work.seconds);
        let (place, file, time) = (self.place, work.file.clone(), start.elapsed());
        let ran = Ran { place, file, tests, time, expected };
        self.screen.done(&ran);
        self.ran.push(ran);
        if !work.tests.is_empty() {
            work.seconds *= work.tests.len() as f64 / whole as f64;
            work.is_whole = false;
            self.rest.push(work);
        }
    }

    /// Whether the current file should have been done long ago.
    fn is_late(&self) -> bool {
        let late = |current: &Current| current.start.elapsed() > limit(current.work.seconds);
        self.current.as_ref().is_some_and(late)
    }

    fn late(&self) -> String {
        let time = self.current.as_ref().map(|current| current.start.elapsed());
        format!("not done after {}", sh::seconds(time.unwrap_or_default()))
    }

    /// The boot has ended.
    fn finish(mut self, end: &End, diagnosis: Option<String>) -> Booted {
        let last = self.pending.rest();
        if !last.is_empty() {
            self.line(&last);
        }
        let broken = match (&self.current, &diagnosis) {
            (None, Some(diagnosis)) => Some(diagnosis.clone()),
            _ => None,
        };
        self.end_file(end, diagnosis.as_deref());
        self.rest.extend(self.todo);
        Booted { ran: self.ran, rest: self.rest, broken }
    }
}

/// Adds what the rig said to the failures.
fn blame(tests: &mut [Test], diagnosis: &str) {
    use super::results::Outcome;
    for test in tests {
        if let Outcome::Failed { output, .. } = &mut test.outcome {
            *output += diagnosis;
        }
    }
}

impl Write for Watcher<'_> {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        for line in self.pending.with(new) {
            self.line(&line);
        }
        Ok(new.len())
    }

    /// Called all the time, also when nothing comes: the one chance to see a hang.
    fn flush(&mut self) -> io::Result<()> {
        if self.is_late() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::results::Outcome;

    fn work(file: &str, tests: &[&str]) -> Work {
        let tests = tests.iter().map(|test| format!("{file}::{test}")).collect();
        Work { file: file.into(), tests, seconds: 4.0, is_whole: true }
    }

    fn watch(text: &str, end: &End, diagnosis: Option<&str>) -> (Booted, Vec<(String, bool)>) {
        let (screen, counts) = (Screen::new(false), Table::default());
        let todo = vec![work("one", &["a", "b"]), work("two", &["c"])];
        let mut watcher = Watcher::new(Place::Amd, todo, &counts, &screen, None);
        for part in text.as_bytes().chunks(7) {
            watcher.write_all(part).unwrap();
        }
        let booted = watcher.finish(end, diagnosis.map(str::to_owned));
        let tests = booted.ran.iter().flat_map(|ran| &ran.tests);
        let tests = tests.map(|test| (test.name.clone(), test.outcome == Outcome::Passed));
        let tests = tests.collect();
        (booted, tests)
    }

    fn test(name: &str, passed: bool) -> (String, bool) {
        (name.to_owned(), passed)
    }

    const ONE: &str = "TRAPGATE-FILE one\nrunning 2 tests\ntest one::a ... ok\r\ntest one::b ... ok\n\
                       test result: ok. 2\n\nTRAPGATE-STATUS 0\n";
    const TWO: &str =
        "TRAPGATE-FILE two\ntest two::c ... ok\ntest result: ok. 1\n\nTRAPGATE-STATUS 0\n";

    #[test]
    fn each_files_tests_are_its_own() {
        let (booted, tests) = watch(&format!("{ONE}{TWO}"), &End::Exited(0), None);
        assert_eq!(tests, ["one::a", "one::b", "two::c"].map(|name| test(name, true)));
        assert_eq!(booted.ran.len(), 2);
        assert!(booted.rest.is_empty() && booted.broken.is_none());
    }

    #[test]
    fn a_crash_loses_one_test_and_the_next_file_runs_on() {
        let text = format!("TRAPGATE-FILE one\ntest one::a ... \nTRAPGATE-STATUS 139\n{TWO}");
        let (booted, tests) = watch(&text, &End::Exited(0), None);
        assert_eq!(tests, [test("one::a", false), test("two::c", true)]);
        assert_eq!(booted.rest, [Work { seconds: 2.0, is_whole: false, ..work("one", &["b"]) }]);
    }

    #[test]
    fn a_rig_that_breaks_loses_one_test_and_the_rest_is_left() {
        let text = "TRAPGATE-FILE one\ntest one::a ... ok\ntest one::b ... ";
        let end = End::CutShort("the rig broke".into());
        let (booted, tests) = watch(text, &end, Some("panic!"));
        assert_eq!(tests, [test("one::a", true), test("one::b", false)]);
        assert_eq!(booted.rest, [work("two", &["c"])]);
        let Outcome::Failed { output, .. } = &booted.ran[0].tests[1].outcome else { panic!() };
        assert!(output.ends_with("panic!"));
        assert!(booted.broken.is_none());
    }

    #[test]
    fn a_rig_that_breaks_before_the_first_test_is_broken() {
        let end = End::CutShort("the rig broke".into());
        let (booted, tests) = watch("", &end, Some("no disk"));
        assert!(tests.is_empty());
        assert_eq!(booted.broken.as_deref(), Some("no disk"));
        assert_eq!(booted.rest.len(), 2);
    }

    #[test]
    fn a_file_that_makes_no_progress_is_given_up() {
        let text = format!("TRAPGATE-FILE one\n\nTRAPGATE-STATUS 127\n{TWO}");
        let (booted, tests) = watch(&text, &End::Exited(0), None);
        let lost = ["one::(end)", "one::a", "one::b"].map(|name| test(name, false));
        assert_eq!(tests, [&lost[..], &[test("two::c", true)]].concat());
        assert!(booted.rest.is_empty());
    }

    #[test]
    fn what_was_counted_is_judged_by_name_and_not_run_again() {
        let row = |name: &str| {
            format!(
                "[[operation]]\nname = \"{name}\"\nwhat = \"\"\nprogram = [\"ops\"]\n\
                 count = 3\nexits = 0\ntarget = {{ count = 3, exits = 0 }}\n"
            )
        };
        let table = Table::parse(&[row("a"), row("b")].concat()).unwrap();
        let (screen, work) = (Screen::new(false), work("counts", &["a", "b"]));
        assert!(
            script(std::slice::from_ref(&work), &table)
                .unwrap()
                .contains("\nsandbox a /counts/ops\n")
        );
        let mut watcher = Watcher::new(Place::AmdCounting, vec![work], &table, &screen, None);
        let said = "instructions=3 elements=1\n{\"vmm_exits\":2}\nCOUNTS-STATUS 0\n";
        let text = format!(
            "TRAPGATE-FILE counts\nCOUNTS sandbox a 20\n{said}COUNTS sandbox a 40\n{said}\
             COUNTS sandbox b 20\nhalf a line"
        );
        watcher.write_all(text.as_bytes()).unwrap();
        let booted = watcher.finish(&End::CutShort("the rig broke".into()), None);
        assert!(booted.rest.is_empty() && booted.broken.is_none());
        let [a, b] = &booted.ran[0].tests[..] else { panic!() };
        assert_eq!((a.name.as_str(), &a.outcome), ("counts::a", &Outcome::Passed));
        let Outcome::Failed { output, .. } = &b.outcome else { panic!() };
        assert_eq!(output, "b: not measured: it did not end: half a line");
    }

    #[test]
    fn the_script_runs_each_files_tests_between_marks() {
        assert_eq!(
            script(&[work("one", &["a", "b"])], &Table::default()).unwrap(),
            "echo 'TRAPGATE-FILE one'\n/tests --test-threads=1 --exact one::a one::b\n\
             printf '\\nTRAPGATE-STATUS %s\\n' $?\n"
        );
    }
}
