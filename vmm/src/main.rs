//! The program `trapgate`.

mod cli;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command};
use std::process::ExitCode;
use trapgate::error::{Error, status};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    env_logger::Builder::new().filter_level(cli.log).format_timestamp(None).init();
    let result = match cli.command {
        Command::Run(args) => cli::run::main(args),
        Command::Doctor(args) => cli::doctor::main(&args),
        Command::Bench(args) => cli::bench::main(&args.0),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // An error of the library's says its cause itself.
            match error.downcast_ref::<Error>() {
                Some(error) => cli::say(&format!("trapgate: {error}")),
                None => cli::say(&format!("trapgate: {error:#}")),
            }
            ExitCode::from(error.downcast_ref::<Error>().map_or(status::SETUP, Error::status))
        }
    }
}

/// What clap has to say: help on standard output, or a mistake in one line.
fn usage(error: &clap::Error) -> ExitCode {
    let help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help || !error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(if help { status::SETUP } else { 0 });
    }
    // clap's message goes on for several lines: usage, tips.
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let mistake = lines.next().unwrap_or("a mistake in the options");
    let mistake = mistake.strip_prefix("error: ").unwrap_or(mistake);
    let rest = lines.filter(|line| !line.is_empty()).map(|line| {
        if line.starts_with("tip:") { format!("; {line}") } else { format!(" {line}") }
    });
    let rest = rest.collect::<String>();
    cli::say(&format!("trapgate: {mistake}{rest}; see 'trapgate --help'"));
    ExitCode::from(status::SETUP)
}
