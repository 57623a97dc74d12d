//! The command line: one file a subcommand.

pub(crate) mod bench;
mod deferred;
pub(crate) mod doctor;
mod inherited;
pub(crate) mod run;

use clap::{Parser, Subcommand};
use log::LevelFilter;
use std::io::Write;

/// Run unmodified Linux programs in ring 3 of a tiny kernel of their own, on
/// KVM.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct Cli {
    /// What to log on standard error: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: LevelFilter,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Writes a line to standard error, if there is one: what is lost when there
/// is none must not cost the program's status.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

const EXIT_STATUS: &str = "\
Exit status:
  the program's own, if it ran to its end
  124  the program ran longer than --timeout
  125  trapgate itself failed (no KVM, bad option, VM error)
  126  the program was found and cannot be executed
  127  the program was not found
  128+N  signal N killed the program";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program in a sandbox
    Run(run::Args),
    /// Say whether this host can run sandboxes, and how each door arrives
    Doctor(doctor::Args),
    /// Measure what doors, calls, exits and starts cost here, and compare
    Bench(deferred::Deferred<bench::Args>),
}
