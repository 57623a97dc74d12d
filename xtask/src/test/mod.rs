//! `cargo xtask test`: every test, on this machine and in both rigs.
//!
//! Called by people, by `check` and by `.ci/run`. On the host it is plain
//! `cargo test`; for the rigs the test package's executables are built statically
//! and run one boot each, both rigs side by side. One summary at the end says
//! what ran and, loudly, what did not.

mod prefixed;
mod rigs;

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::rig::Cpu;
use crate::{setup, sh};

/// Run all tests: on this machine, then in the AMD and the Intel rig.
///
/// Starts with `cargo xtask setup`. A rig that this machine cannot run is left
/// out and reported, unless it was asked for with --rig. The status is 0 if
/// everything that ran passed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only on this machine
    #[arg(long, conflicts_with = "rig")]
    no_rig: bool,
    /// In which rigs (by default both, where they can run)
    #[arg(long, value_name = "WHICH")]
    rig: Option<Which>,
    /// Time for one test executable in a rig
    #[arg(long, value_name = "SECS", default_value_t = 1500)]
    rig_timeout: u64,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// The rigs that one can ask for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Amd,
    Intel,
    Both,
}

impl Which {
    fn cpus(self) -> &'static [Cpu] {
        match self {
            Self::Amd => &[Cpu::Amd],
            Self::Intel => &[Cpu::Intel],
            Self::Both => &[Cpu::Amd, Cpu::Intel],
        }
    }
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    run(args)
}

/// Runs the tests on a machine that is set up.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let mut summary = Vec::new();
    host(args, &mut summary);
    if !sh::interrupted() {
        rigs::run(args, &mut summary);
    }
    if sh::interrupted() {
        bail!("interrupted");
    }
    let passed = summary.iter().all(|line| !matches!(line.outcome, Outcome::Failed(_)));
    print(&summary, start.elapsed());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line of the summary.
struct Line {
    what: String,
    outcome: Outcome,
}

enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

impl Line {
    fn new(what: impl Into<String>, outcome: Outcome) -> Self {
        let what = what.into();
        Self { what, outcome }
    }
}

fn print(summary: &[Line], time: Duration) {
    sh::step("summary");
    for Line { what, outcome } in summary {
        match outcome {
            Outcome::Passed(how) => sh::good(&format!("  passed   {what}: {how}")),
            Outcome::Failed(why) => sh::bad(&format!("  FAILED   {what}: {why}")),
            Outcome::Skipped(why) => sh::bad(&format!("  SKIPPED  {what}: {why}")),
        }
    }
    eprintln!("  total {}", sh::seconds(time));
}

/// The tests on this machine.
fn host(args: &Args, summary: &mut Vec<Line>) {
    let filter = args.filter.as_deref();
    let mut all = sh::cargo(&["test", "--no-fail-fast"]);
    match kvm_problem() {
        None => cargo_test("this machine, with its KVM", all.args(filter), summary),
        Some(problem) => {
            sh::warn(&format!("{problem}: no virtual machine on this machine itself"));
            // The tests that need it say, one by one, that they are left out.
            all.env("TRAPGATE_NO_KVM", "skip");
            cargo_test("this machine, without KVM", all.args(filter), summary);
            let skipped = Outcome::Skipped(problem);
            summary.push(Line::new("VM behaviour on this machine", skipped));
        }
    }
    let mut guest = sh::cargo(&["test", "--no-fail-fast", "-p", "trapgate-guest", "--lib"]);
    cargo_test("the kernel's pure parts", guest.args(filter), summary);
}

fn cargo_test(what: &str, command: &mut Command, summary: &mut Vec<Line>) {
    let outcome = match sh::run(command) {
        Ok(time) => Outcome::Passed(sh::seconds(time)),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    summary.push(Line::new(what, outcome));
}

/// Why this machine's KVM cannot be used, if so.
pub(crate) fn kvm_problem() -> Option<String> {
    let result = fs::File::options().read(true).write(true).open("/dev/kvm");
    result.err().map(|error| format!("/dev/kvm cannot be opened ({error})"))
}
