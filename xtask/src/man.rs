//! `cargo xtask man`: trapgate's manual pages, for packages.
//!
//! trapgate writes them itself (`trapgate man`): so they cannot differ from what
//! it takes, and xtask need not be linked with all of the VMM to know its command
//! line.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::sh;

/// Write trapgate's manual pages, one for each subcommand.
///
/// To read one: man -l target/man/trapgate-run.1
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory to write them into [default: target/man]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let built = sh::cargo_executables(&["build", "-p", "trapgate-cli", "--bin", "trapgate"])?;
    let (_, trapgate) = built.first().context("cargo built no trapgate")?;
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => sh::target_dir()?.join("man"),
    };
    sh::run(Command::new(trapgate).arg("man").arg(&directory))?;
    sh::good(&format!("manual pages in {}", directory.display()));
    Ok(ExitCode::SUCCESS)
}
