//! The tests in the rigs: a static build, then one boot for each test executable.
//!
//! Called by `test::run`; calls cargo and `rig::run`. Both rigs run side by side,
//! for each emulator keeps one core busy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::prefixed::Prefixed;
use super::{Args, Line, Outcome, Which};
use crate::rig::{self, Config, Cpu, End, RigFile, kernel::Kernel};
use crate::sh;

/// The tests in the rigs.
pub(super) fn run(args: &Args, summary: &mut Vec<Line>) {
    if args.no_rig {
        let why = Outcome::Skipped("--no-rig was given".into());
        summary.push(Line::new("both rigs", why));
        return;
    }
    let mut cpus = Vec::new();
    for cpu in args.rig.unwrap_or(Which::Both).cpus() {
        match rig::require(*cpu).and_then(|()| Kernel::get()) {
            Ok(_) => cpus.push(*cpu),
            Err(error) => {
                let why = format!("{error:#}");
                let asked_for = args.rig.is_some();
                let outcome = if asked_for { Outcome::Failed } else { Outcome::Skipped };
                summary.push(Line::new(format!("{} rig", cpu.name()), outcome(why)));
            }
        }
    }
    if cpus.is_empty() {
        return;
    }
    let build = match Build::make(args.filter.as_deref()) {
        Ok(build) => build,
        Err(error) => {
            let failed = Outcome::Failed(format!("{error:#}"));
            summary.push(Line::new("static build for the rigs", failed));
            return;
        }
    };
    thread::scope(|scope| {
        let build = &build;
        let threads: Vec<_> =
            cpus.into_iter().map(|cpu| scope.spawn(move || build.run_in(cpu, args))).collect();
        for thread in threads {
            summary.extend(thread.join().expect("a rig's thread does not panic"));
        }
    });
}

/// Tests that hold exact numbers of instructions: in the AMD rig, they need a
/// clock that counts them, which makes it slower.
const COUNTED: &[&str] = &["count", "method", "jobs", "legacy"];
/// Tests of what follows the time-stamp counter: they run once more in an AMD
/// rig whose Linux does not trust it.
const CLOCKS: &[&str] = &["vdso"];

/// What a rig's time-stamp counter is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counter {
    /// As the emulator has it: Bochs counts instructions, QEMU tells the time.
    AsItIs,
    /// It counts instructions.
    Instructions,
    /// Linux does not trust it.
    Unstable,
}

impl Counter {
    /// The boots that these tests need.
    fn all(cpu: Cpu, tests: &str) -> &'static [Counter] {
        match cpu {
            Cpu::Amd if COUNTED.contains(&tests) => &[Counter::Instructions],
            Cpu::Amd if CLOCKS.contains(&tests) => &[Counter::AsItIs, Counter::Unstable],
            _ => &[Counter::AsItIs],
        }
    }

    /// What tests are told (`trapgate_tests::place`).
    fn variable(self) -> Option<&'static str> {
        match self {
            Counter::AsItIs => None,
            Counter::Instructions => Some("TRAPGATE_TSC=instructions"),
            Counter::Unstable => Some("TRAPGATE_TSC=unstable"),
        }
    }
}

/// What runs in the rigs.
struct Build {
    /// The test executables: name and file.
    tests: Vec<(String, PathBuf)>,
    /// What every rig gets besides.
    files: Vec<RigFile>,
}

/// How programs for the rigs are built. A profile of their own: tests as in dev,
/// but quick and small enough for a software CPU.
const STATIC: &[&str] = &[
    "--target=x86_64-unknown-linux-musl",
    "--profile=rig",
    "--config=profile.rig.inherits='dev'",
    "--config=profile.rig.opt-level=1",
    "--config=profile.rig.debug=0",
    "--config=profile.rig.strip='debuginfo'",
];

impl Build {
    fn make(filter: Option<&str>) -> Result<Self> {
        let tests = ["test", "-p", "trapgate-tests", "--no-run"];
        let mut tests = sh::cargo_executables(&[&tests, STATIC].concat())?;
        // A static program runs here as well as there: ask it what a boot would do.
        tests.retain(|(_, file)| !has_no_test(file, filter));
        let files = rig_files()?;
        Ok(Self { tests, files })
    }

    /// One boot for each executable.
    fn run_in(&self, cpu: Cpu, args: &Args) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.tests.is_empty() {
            let why = Outcome::Skipped("no test matches".into());
            lines.push(Line::new(format!("{} rig", cpu.name()), why));
        }
        for (name, file) in &self.tests {
            for &counter in Counter::all(cpu, name) {
                if sh::interrupted() {
                    return lines;
                }
                let unstable = if counter == Counter::Unstable { ", tsc=unstable" } else { "" };
                let what = format!("{} rig, {name}{unstable}", cpu.name());
                sh::step(&what);
                let outcome = self.run_one(cpu, counter, name, file, args);
                let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
                lines.push(Line::new(what, outcome));
            }
        }
        lines
    }

    fn run_one(
        &self,
        cpu: Cpu,
        counter: Counter,
        name: &str,
        file: &Path,
        args: &Args,
    ) -> Result<Outcome> {
        let place = format!("/tests/{name}");
        let mut config = Config::new(cpu, ["env"]);
        config.command.push(format!("TRAPGATE_RIG={}", cpu.name()));
        config.command.extend(counter.variable().map(Into::into));
        config.icount = counter == Counter::Instructions;
        if counter == Counter::Unstable {
            config.append = "tsc=unstable".to_owned();
        }
        config.command.extend([place.clone(), "--test-threads=1".into()]);
        config.command.extend(args.filter.clone());
        config.files = self.files.clone();
        config.files.push(RigFile::new(file, place));
        config.mem_mib = 1024;
        config.timeout = Duration::from_secs(args.rig_timeout);

        let mut out = Prefixed::new(io::stdout(), format!("[{}] ", cpu.name()));
        let report = rig::run(&config, &mut out)?;
        out.finish()?;
        let time = sh::seconds(report.total);
        let result = out.result.unwrap_or_else(|| "no result line".into());
        Ok(match report.end {
            End::Exited(0) => Outcome::Passed(format!("{result}, {time}")),
            End::Exited(status) => Outcome::Failed(format!("{result}, status {status}, {time}")),
            End::TimedOut => Outcome::Failed(format!("not done after {time}")),
            End::Interrupted => Outcome::Failed("interrupted".into()),
            End::Broke => {
                sh::error(&format!("{what} broke\n{}", report.diagnosis(), what = cpu.name()));
                Outcome::Failed(format!("the rig broke after {time}"))
            }
        })
    }
}

/// Everything that tests in a rig find besides themselves and /bin/busybox:
/// the command line program, and the ready-made static programs.
fn rig_files() -> Result<Vec<RigFile>> {
    let trapgate = ["build", "-p", "trapgate", "--bin", "trapgate"];
    let built = sh::cargo_executables(&[&trapgate, STATIC].concat())?;
    let (_, trapgate) = built.first().context("cargo built no trapgate")?;
    let mut files = vec![RigFile::new(trapgate, "/bin/trapgate")];
    let programs = sh::target_dir()?.join("programs");
    if programs.is_dir() {
        for entry in fs::read_dir(&programs)? {
            let entry = entry?;
            if entry.path().is_file() {
                let place = format!("/programs/{}", entry.file_name().to_string_lossy());
                files.push(RigFile::new(entry.path(), place));
            }
        }
    }
    files.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(files)
}

/// Whether the executable says that none of its tests would run. An answer that
/// is not understood counts as no.
fn has_no_test(file: &Path, filter: Option<&str>) -> bool {
    let output = Command::new(file).arg("--list").args(filter).output();
    output.is_ok_and(|output| {
        let list = String::from_utf8_lossy(&output.stdout);
        output.status.success()
            && list.contains("0 tests, ")
            && !list.lines().any(|line| line.ends_with(": test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_program_has_tests_and_none_of_a_silly_name() {
        let own = std::env::current_exe().unwrap();
        assert!(!has_no_test(&own, None));
        assert!(has_no_test(&own, Some("a name that no test has")));
        assert!(!has_no_test(Path::new("/bin/false"), None));
    }
}
