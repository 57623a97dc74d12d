//! `trapgate schema`: the JSON schemas of what trapgate writes.

use clap::{Args as ClapArgs, ValueEnum};
use trapgate::stats;
use trapgate_measure::{bench, doctor};

const AFTER_HELP: &str = "\
Examples:
  trapgate schema stats
  trapgate schema doctor > doctor-schema.json

Exit status: 0, or 125 if it cannot be written";

/// Print the JSON schema of what trapgate writes
#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Of what
    #[arg(value_name = "WHAT")]
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// What 'trapgate run --stats-json' writes
    Stats,
    /// What 'trapgate doctor --json' prints
    Doctor,
    /// What 'trapgate bench --json' writes
    Bench,
    /// What 'trapgate image ls --json' prints
    Images,
}

/// Prints the schema; answers the exit status.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    let text = match args.what {
        What::Stats => stats::record::SCHEMA_JSON,
        What::Doctor => doctor::SCHEMA_JSON,
        What::Bench => bench::SCHEMA_JSON,
        What::Images => trapgate::root::SCHEMA_JSON,
    };
    crate::cli::print(text.as_bytes()).map(|()| 0)
}
