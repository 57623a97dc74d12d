//! The program `trapgate`: one file a subcommand. `cli` is the command line,
//! `usage` says what is wrong with one, `terminal` how much is said and in which
//! colours.

/// Exit statuses, for the end of a help page.
macro_rules! exit_status {
    () => {
        "\
Exit status:
  the program's own, if it ran to its end
  124  the program ran longer than --timeout
  125  trapgate itself failed (no KVM, bad option, VM error)
  126  the program was found and cannot be executed
  127  the program was not found
  128+N  signal N killed the program"
    };
}

mod bench;
mod cli;
mod completions;
mod deferred;
mod doctor;
mod inherited;
mod man;
mod run;
mod schema;
mod terminal;
mod usage;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use std::ffi::OsString;
use std::process::ExitCode;
use trapgate::error::{Error, status};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let command = Cli::command().color(terminal::colour_of_help(&words));
    let matches = command.try_get_matches_from(&words);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error, &words),
    };
    if let Err(error) = terminal::set_up(cli.log, cli.color) {
        cli::say(&format!("trapgate: {error}"));
        return ExitCode::from(status::SETUP);
    }
    let result = match cli.command {
        Command::Run(args) => run::main(args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Bench(args) => bench::main(&args.0),
        Command::Schema(args) => schema::main(&args.0),
        Command::Completions(args) => completions::main(&args.0),
        Command::Man(args) => man::main(&args.0),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // An error of the library's says its cause itself.
            match error.downcast_ref::<Error>() {
                Some(error) if error.is_for_doctor() => {
                    cli::say(&format!("trapgate: {error}: run 'trapgate doctor' for details"));
                }
                Some(error) => cli::say(&format!("trapgate: {error}")),
                None => cli::say(&format!("trapgate: {error:#}")),
            }
            ExitCode::from(error.downcast_ref::<Error>().map_or(status::SETUP, Error::status))
        }
    }
}
