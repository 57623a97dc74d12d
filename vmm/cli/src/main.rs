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
mod ending;
mod image;
mod inherited;
mod man;
mod quick;
mod run;
mod schema;
mod terminal;
mod usage;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use dlmalloc::GlobalDlmalloc;
use log::LevelFilter;
use std::ffi::OsString;
use std::io::{Write, stdout};
use trapgate::error::{Error, status};

/// musl's own takes memory from Linux and gives it back for every few objects: an
/// eighth of what a start of a sandbox took was that.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() {
    let words: Vec<OsString> = std::env::args_os().collect();
    ending::with(match quick::read(&words) {
        Some(args) => carry_out(None, ColorChoice::Auto, Command::Run(Box::new(args))),
        None => {
            let status = by_clap(&words);
            let _ = stdout().flush();
            status
        }
    })
}

/// Does what a command line says that clap reads.
fn by_clap(words: &[OsString]) -> u8 {
    let command = Cli::command().color(terminal::colour_of_help(words));
    let matches = command.try_get_matches_from(words);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => carry_out(cli.log, cli.color, cli.command),
        Err(error) => usage::answer(&error, words),
    }
}

/// Does what was asked for; answers this process's status.
fn carry_out(log: Option<LevelFilter>, color: ColorChoice, command: Command) -> u8 {
    if let Err(error) = terminal::set_up(log, color) {
        cli::say(&format!("trapgate: {error}"));
        return status::SETUP;
    }
    let result = match command {
        Command::Run(args) => run::main(*args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Bench(args) => bench::main(&args.0),
        Command::Image(args) => image::main(&args.0),
        Command::Schema(args) => schema::main(&args.0),
        Command::Completions(args) => completions::main(&args.0),
        Command::Man(args) => man::main(&args.0),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            // An error of the library's says its cause itself.
            match error.downcast_ref::<Error>() {
                Some(error) if error.is_for_doctor() => {
                    cli::say(&format!("trapgate: {error}: run 'trapgate doctor' for details"));
                }
                Some(error) => cli::say(&format!("trapgate: {error}")),
                None => cli::say(&format!("trapgate: {error:#}")),
            }
            error.downcast_ref::<Error>().map_or(status::SETUP, Error::status)
        }
    }
}
