//! `cargo xtask counts`: what each operation costs in guest instructions, beside
//! Linux, held against counts.toml.
//!
//! `file` is counts.toml; `programs` builds what measures; `script` is what one boot
//! of the AMD rig runs, and reads what it says; `judge` compares; `bless` writes a
//! measurement down; `show` prints. `test` has the same gate in its counting boot:
//! it takes `Gate`. docs/measuring.md has the rule.

mod bless;
mod file;
mod judge;
mod programs;
mod script;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use self::file::Table;
pub(crate) use self::judge::{Judged, judge};
pub(crate) use self::programs::rig_files;
pub(crate) use self::script::{Sightings, script};
use crate::lines::Lines;
use crate::rig::{self, Config, Cpu, End};
use crate::{setup, sh};

/// For the whole boot.
const TIMEOUT: Duration = Duration::from_secs(1200);

/// A count is worse than written down, or could not be measured.
const STATUS_WORSE: u8 = 1;
/// Nothing could be judged: counts.toml is wrong, or there is no rig.
const STATUS_BROKEN: u8 = 2;

/// Count the instructions of each operation, and hold them to counts.toml.
///
/// One boot of the AMD rig, whose time-stamp counter counts instructions, measures
/// every operation natively and in a sandbox. Printed are Linux's count, trapgate's,
/// what is written down, the target and the exits of an operation.
///
/// The status is 0 if nothing is worse than written down; 1 if something is, or an
/// operation that is written down cannot be measured, with a line for each; 2 if
/// nothing could be judged.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask counts                     all operations, some 30 seconds
  cargo xtask counts pipe futex          those whose name has one of these words
  cargo xtask counts --json >counts.json
  cargo xtask counts --bless             write down what is better, or new
  cargo xtask counts fstat --bless --raise 'mode and owner come from the tree now'")]
pub(crate) struct Args {
    /// Write what is better than counts.toml says into it, what is new, and Linux's
    /// counts. What is worse is refused
    #[arg(long)]
    bless: bool,
    /// Write down what is worse, too, and why: once an operation, and not beyond its
    /// target
    #[arg(long, value_name = "WHY", requires = "bless", requires = "filters")]
    raise: Option<String>,
    /// Print everything as one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Only operations whose name contains one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> ExitCode {
    match run(args) {
        _ if sh::interrupted() => ExitCode::from(sh::STATUS_INTERRUPTED),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(STATUS_WORSE),
        Err(error) => {
            sh::error(&format!("{error:#}"));
            ExitCode::from(STATUS_BROKEN)
        }
    }
}

/// Whether everything holds.
fn run(args: &Args) -> Result<bool> {
    let mut table = Table::read()?;
    let wanted = table.filtered(&args.filters);
    if wanted.operations.is_empty() {
        bail!("no operation matches {}; counts.toml has them", args.filters.join(", "));
    }
    setup::ensure(&Cpu::Amd.uses())?;
    rig::require(Cpu::Amd)?;
    let sightings = measure(&wanted)?;
    let judged: Vec<_> =
        wanted.operations.iter().map(|operation| judge(operation, &sightings)).collect();
    match args.json {
        true => println!("{}", show::json(&judged)?),
        false => anstream::print!("{}", show::table(&judged)),
    }
    let mut failures: Vec<_> = judged.iter().filter_map(Judged::failure).collect();
    if args.bless {
        let blessed = bless::bless(&mut table, &judged, args.raise.as_deref());
        table.write()?;
        blessed.written.iter().for_each(|line| sh::good(&format!("written: {line}")));
        failures = blessed.refused;
    } else {
        let notes = judged.iter().filter_map(Judged::note);
        notes.for_each(|note| sh::warn(&format!("{note}: cargo xtask counts --bless")));
    }
    failures.iter().for_each(|failure| sh::error(failure));
    Ok(failures.is_empty())
}

/// The boot.
fn measure(table: &Table) -> Result<Sightings> {
    let mut config = Config::new(Cpu::Amd, ["sh", "/counts.sh"]);
    config.files = programs::rig_files()?;
    let script = tempfile::NamedTempFile::new()?;
    script.as_file().write_all(script::script(table)?.as_bytes())?;
    config.files.push(programs::trapgate()?);
    config.files.push(rig::RigFile::new(script.path(), "/counts.sh"));
    config.icount = true;
    config.mem_mib = 1024;
    config.timeout = TIMEOUT;
    sh::step(&format!("counting {} operations in the AMD rig", table.operations.len()));
    let mut watcher = Watcher::new(2 * table.operations.len());
    let report = rig::run(&config, &mut watcher)?;
    let sightings = watcher.finish();
    match report.end {
        End::Exited(_) => Ok(sightings),
        End::Interrupted => bail!("interrupted"),
        // What it got to is judged; the rest could not be measured.
        End::TimedOut => {
            sh::warn(&format!("the rig was not done after {}", sh::seconds(TIMEOUT)));
            Ok(sightings)
        }
        End::Broke => bail!("the rig broke\n{}", report.diagnosis()),
    }
}

/// Shows how far it is, and keeps what comes.
struct Watcher {
    bar: ProgressBar,
    sightings: Sightings,
    pending: Lines,
}

impl Watcher {
    fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len}  {msg}, {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message("booting");
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, sightings: Sightings::default(), pending: Lines::default() }
    }

    fn line(&mut self, line: &str) {
        if let Some(what) = self.sightings.line(line) {
            self.bar.set_position(self.sightings.begun() as u64 - 1);
            self.bar.set_message(what);
        }
    }

    fn finish(mut self) -> Sightings {
        let last = self.pending.rest();
        self.line(&last);
        self.bar.finish_and_clear();
        self.sightings
    }
}

impl Write for Watcher {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        for line in self.pending.with(new) {
            self.line(&line);
        }
        Ok(new.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
