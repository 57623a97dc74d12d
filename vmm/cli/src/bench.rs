//! `trapgate bench`: what the doors, calls, exits and starts cost here.
//!
//! The measuring and everything done with figures is `trapgate_measure::bench`; this
//! is its command line. `compare` and `show` work on records that exist;
//! `schema` prints what a record is like.

mod files;
mod output;
mod progress;

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use files::Files;
use progress::Terminal;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use trapgate::error::status;
use trapgate::mitigation::Mitigations;
use trapgate_measure::bench::judge::compare;
use trapgate_measure::bench::judge::gate::{self, Limit};
use trapgate_measure::bench::record::{Group, Report};
use trapgate_measure::bench::show::table;
use trapgate_measure::bench::{self, MOST_SAMPLES, Options};

/// A figure is worse than the baseline allows.
const REGRESSION: u8 = 3;
/// Ctrl-C: 128 and SIGINT's number, as a shell has it.
const INTERRUPTED: u8 = status::SIGNAL + libc::SIGINT as u8;

const EXAMPLES: &str = "\
Examples:
  trapgate bench                            all there is, in some minutes
  trapgate bench doors calls --quick        a look at two groups
  trapgate bench --json after.json          and the record in a file
  trapgate bench compare before.json after.json
  trapgate bench --baseline before.json --max-regression 2

";

const EXAMPLES_COMPARE: &str = "\
Examples:
  trapgate bench compare before.json after.json
  trapgate bench compare before.json after.json --json

Exit status: 0, or 125 if a record cannot be read";

const EXAMPLES_SHOW: &str = "\
Examples:
  trapgate bench show after.json
  trapgate bench show after.json --html after.html

";

const EXAMPLES_SCHEMA: &str = "\
Examples:
  trapgate bench schema > bench-schema.json

Exit status: 0, or 125 if it cannot be written";

const EXIT_STATUS: &str = "\
Exit status:
  0    measured, and nothing was worse than the baseline allows
  3    a figure was worse than --max-regression allows
  125  nothing was measured or judged: no KVM, a bad option, a file that cannot be read or written
  130  interrupted by Ctrl-C: what was measured until then was printed and written, marked as
       partial (a second Ctrl-C ends at once)

docs/measuring.md says how figures are made and what they mean.";

/// Measure what doors, calls, exits and starts cost here, and compare
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = [EXAMPLES, EXIT_STATUS].concat())]
pub(crate) struct Args {
    #[command(subcommand)]
    on_records: Option<OnRecords>,
    /// What to measure [default: all]
    #[arg(value_name = "GROUP")]
    groups: Vec<Choice>,
    /// Samples of each measurement [default: 10000]
    #[arg(long, value_name = "N", value_parser = count())]
    samples: Option<u64>,
    /// Calls before the first sample [default: 500]
    #[arg(long, value_name = "N", value_parser = count())]
    warm_up: Option<u64>,
    /// Calls in a batch of legacy mode, bare round trips and exits [default: 1000]
    #[arg(long, value_name = "N", value_parser = count())]
    batch: Option<u64>,
    /// Samples of each start [default: 300]
    #[arg(long, value_name = "N", value_parser = count())]
    starts: Option<u64>,
    /// A look and no result: a twentieth of the samples
    #[arg(long)]
    quick: bool,
    /// Count guest instructions too, by single steps
    #[arg(long)]
    count: bool,
    /// Measure doors also with these mitigation steps on, and with what Linux
    /// chooses on this CPU (docs/mitigations.md lists them)
    #[arg(long, value_name = "STEPS", default_value_t = Mitigations::NONE)]
    with: Mitigations,
    /// Leave these steps out of what Linux chooses
    #[arg(long, value_name = "STEPS", default_value_t = Mitigations::NONE)]
    without: Mitigations,
    #[command(flatten)]
    output: Formats,
    #[command(flatten)]
    gate: Gate,
}

/// Files to write.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Files ('-': standard output, in place of the table)")]
struct Formats {
    /// Write the record into a file, as JSON ('trapgate bench schema' prints its schema)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures into a file, as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the table into a file, as Markdown
    #[arg(long, value_name = "FILE")]
    export_markdown: Option<PathBuf>,
    /// Write a report into a file, as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write measurements and what became of them into a file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A baseline to hold figures against.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Gate")]
struct Gate {
    /// Compare with this record; by default only what is counted, not times
    #[arg(long, value_name = "FILE", requires = "max_regression")]
    baseline: Option<PathBuf>,
    /// By how many percent a figure may be above the baseline (status 3 if more)
    #[arg(long, value_name = "PERCENT", requires = "baseline", value_parser = parse_percent)]
    max_regression: Option<f64>,
    /// Compare times too; only between equal environments
    #[arg(long, requires = "baseline")]
    gate_times: bool,
}

/// What works on records that exist.
#[derive(Debug, Subcommand)]
enum OnRecords {
    /// Say how two records differ: ratios with confidence intervals, counts, environments
    #[command(after_help = EXAMPLES_COMPARE)]
    Compare {
        /// The record from before
        before: PathBuf,
        /// The record to compare with it
        after: PathBuf,
        /// By how many percent a time must have changed to be called slower or
        /// faster, if noise does not explain it
        #[arg(long, value_name = "PERCENT", default_value_t = compare::THRESHOLD_PERCENT)]
        #[arg(value_parser = parse_percent)]
        threshold: f64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a record again, or write it in other formats, or hold it against a baseline
    #[command(after_help = [EXAMPLES_SHOW, EXIT_STATUS].concat())]
    Show {
        /// The record
        record: PathBuf,
        #[command(flatten)]
        output: Formats,
        #[command(flatten)]
        gate: Gate,
    },
    /// Print the JSON schema of the records
    #[command(after_help = EXAMPLES_SCHEMA)]
    Schema,
}

/// A group, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// A null call by each door in each mode
    Doors,
    /// Representative calls
    Calls,
    /// Ways out of the guest and back
    Exits,
    /// Where the time of a call goes
    Steps,
    /// From nothing to the program's end
    Start,
    /// All of them
    All,
}

impl Choice {
    fn group(self) -> Option<Group> {
        match self {
            Choice::Doors => Some(Group::Doors),
            Choice::Calls => Some(Group::Calls),
            Choice::Exits => Some(Group::Exits),
            Choice::Steps => Some(Group::Steps),
            Choice::Start => Some(Group::Start),
            Choice::All => None,
        }
    }
}

fn count() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=MOST_SAMPLES)
}

fn parse_percent(text: &str) -> Result<f64, &'static str> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("it must be a number of percent, 0 or more"),
    }
}

impl Args {
    fn options(&self) -> Options {
        let all = self.groups.is_empty() || self.groups.contains(&Choice::All);
        let chosen =
            |group: &Group| all || self.groups.iter().any(|choice| choice.group() == Some(*group));
        let whole = Options::default();
        let part = if self.quick { 20 } else { 1 };
        Options {
            groups: Group::ALL.into_iter().filter(chosen).collect(),
            samples: self.samples.unwrap_or(whole.samples / part),
            warm_up: self.warm_up.unwrap_or(whole.warm_up / part),
            batch: self.batch.unwrap_or(whole.batch),
            starts: self.starts.unwrap_or(whole.starts / part),
            mitigations: bench::Choice { with: self.with, without: self.without },
            quick: self.quick,
            counted: self.count,
        }
    }
}

/// Measures, or works on records; answers the exit status.
///
/// # Errors
/// Whatever keeps it from that.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    match &args.on_records {
        None => measure(args),
        Some(OnRecords::Compare { before, after, threshold, json }) => {
            compare_records(before, after, *threshold, *json)
        }
        Some(OnRecords::Show { record, output, gate }) => {
            let report = bench::record::read(record)?;
            finish(&report, Files::open(output)?, baseline(gate)?)
        }
        Some(OnRecords::Schema) => print(bench::SCHEMA_JSON).map(|()| 0),
    }
}

fn measure(args: &Args) -> anyhow::Result<u8> {
    // Whatever can be wrong with files is found before minutes have passed.
    let baseline = baseline(&args.gate)?;
    let files = Files::open(&args.output)?;
    let mut progress = Terminal::new()?;
    let report = bench::run(&args.options(), &mut progress).map_err(|error| match error {
        // As the other subcommands say it.
        bench::Error::Sandbox(error) => anyhow::Error::new(error),
        error => anyhow::Error::new(error),
    })?;
    drop(progress);
    // What was interrupted is shown and kept, and not judged.
    let baseline = baseline.filter(|_| !report.partial);
    let status = finish(&report, files, baseline)?;
    Ok(if report.partial { INTERRUPTED } else { status })
}

/// The baseline and how much worse one may be.
fn baseline(gate: &Gate) -> anyhow::Result<Option<(Report, Limit)>> {
    let (Some(path), Some(percent)) = (&gate.baseline, gate.max_regression) else {
        return Ok(None);
    };
    let baseline = bench::record::read(path).context("--baseline")?;
    Ok(Some((baseline, Limit { percent, timed: gate.gate_times })))
}

/// Prints, judges and writes a record.
fn finish(report: &Report, files: Files, baseline: Option<(Report, Limit)>) -> anyhow::Result<u8> {
    // What was measured is shown and kept, whatever the gate says.
    let judged = match &baseline {
        None => Ok(Vec::new()),
        Some((baseline, limit)) => gate::gate(baseline, report, *limit),
    };
    let verdicts = judged.as_deref().unwrap_or_default();
    let gate = match (&baseline, &judged) {
        (Some((_, limit)), Ok(verdicts)) => gate::text(verdicts, *limit),
        _ => String::new(),
    };
    // Who asked for a file on standard output wants nothing else there.
    if files.to_stdout {
        for line in anstream::adapter::strip_str(&gate).to_string().lines() {
            crate::cli::say(line);
        }
    } else {
        let between = if gate.is_empty() { "" } else { "\n" };
        print(&(table::text(report) + between + &gate))?;
    }
    files.write(report, verdicts)?;
    let exceeded = verdicts.iter().any(|verdict| verdict.exceeded);
    judged?;
    Ok(if exceeded { REGRESSION } else { 0 })
}

fn compare_records(before: &Path, after: &Path, threshold: f64, json: bool) -> anyhow::Result<u8> {
    let comparison =
        compare::compare(&bench::record::read(before)?, &bench::record::read(after)?, threshold);
    if json {
        print(&(serde_json::to_string_pretty(&comparison)? + "\n"))?;
    } else {
        print(&compare::text(&comparison))?;
    }
    Ok(0)
}

/// Prints to standard output. A reader that has gone has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}
