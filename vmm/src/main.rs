//! The program `trapgate`.

mod cli;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command, terminal, usage};
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
        Command::Run(args) => cli::run::main(args),
        Command::Doctor(args) => cli::doctor::main(&args),
        Command::Bench(args) => cli::bench::main(&args.0),
        Command::Schema(args) => cli::schema::main(&args.0),
        Command::Completions(args) => cli::completions::main(&args.0),
        Command::Man(args) => cli::man::main(&args.0),
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
