//! The program `trapgate`.

mod cli;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use trapgate::error::{Error, status};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let failed = error.use_stderr();
            return ExitCode::from(if failed { status::SETUP } else { 0 });
        }
    };
    env_logger::Builder::new().filter_level(cli.log).format_timestamp(None).init();
    let result = match cli.command {
        Command::Run(args) => cli::run::main(args),
        Command::Doctor(args) => cli::doctor::main(&args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // An error of the library's says its cause itself.
            match error.downcast_ref::<Error>() {
                Some(error) => eprintln!("trapgate: {error}"),
                None => eprintln!("trapgate: {error:#}"),
            }
            ExitCode::from(error.downcast_ref::<Error>().map_or(status::SETUP, Error::status))
        }
    }
}
