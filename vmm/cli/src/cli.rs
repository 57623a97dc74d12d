//! The command line: its subcommands, and what they say.

use crate::deferred::Deferred;
use crate::{bench, completions, doctor, image, man, run, schema, terminal};
use anyhow::Context;
use clap::{ColorChoice, Parser, Subcommand};
use log::LevelFilter;
use std::io::{ErrorKind, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use trapgate_loader::text::escaped;

/// Run unmodified Linux programs in ring 3 of a tiny kernel of their own, on
/// KVM.
#[derive(Debug, Parser)]
#[command(name = "trapgate", version = trapgate_measure::version::long())]
#[command(max_term_width = terminal::MOST_COLUMNS, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// What to log on standard error [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", value_parser = terminal::levels())]
    #[arg(help_heading = GLOBAL)]
    pub(crate) log: Option<LevelFilter>,
    /// When to write in colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    #[arg(help_heading = GLOBAL)]
    pub(crate) color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is the same for every subcommand stands apart from its own options.
const GLOBAL: &str = "Global options";

const AFTER_HELP: &str = concat!(
    "\
Examples:
  trapgate doctor                           can this machine run sandboxes?
  trapgate run ./hello                      a static Linux program, in a sandbox
  trapgate run -m 64M -t 10s ./job 100      with 64 MiB, for 10 seconds at most
  trapgate run --root alpine.tar.gz busybox ls
  trapgate bench doors --quick              what a system call costs here

Environment:
  TRAPGATE_LOG    what to log, where --log does not say
  TRAPGATE_CACHE  where images of roots are kept [default: trapgate in
                  $XDG_CACHE_HOME, or in ~/.cache]
  NO_COLOR        if it is set: no colours, where --color does not say

",
    exit_status!()
);

/// Writes a line to standard error, if there is one: what is lost when there
/// is none must not cost the program's status. Words of a command line or of a
/// recipe may be in it, so nothing in it steers the terminal.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", tame(line));
}

/// The same, but gives up then, if there is a time: standard error may be a pipe that is
/// full and that nobody reads.
pub(crate) fn say_until(line: &str, limit: Option<Instant>) {
    let Some(limit) = limit else { return say(line) };
    let (said, done) = mpsc::channel();
    let line = line.to_owned();
    let says = thread::Builder::new().spawn(move || {
        say(&line);
        let _ = said.send(());
    });
    if says.is_ok() {
        // What waits beyond that ends with this process.
        let _ = done.recv_timeout(limit.saturating_duration_since(Instant::now()));
    }
}

/// The text, with what steers a terminal written as escapes; its lines remain.
fn tame(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| escaped(line.chars())).collect();
    lines.join("\n")
}

/// Prints to standard output. A reader that has gone has read enough.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program in a sandbox
    Run(Box<run::Args>),
    /// Say whether this host can run sandboxes, and how each door arrives
    Doctor(doctor::Args),
    /// Measure what doors, calls, exits and starts cost here, and compare
    Bench(Deferred<bench::Args>),
    /// Make, list, check and remove images of roots
    Image(Deferred<image::Args>),
    /// Print the JSON schema of what trapgate writes
    Schema(Deferred<schema::Args>),
    /// Print a shell's completions of trapgate's command line
    Completions(Deferred<completions::Args>),
    /// Write trapgate's manual pages
    Man(Deferred<man::Args>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The command and all below it, but clap's own `help`.
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        below.flat_map(all).chain([command.clone()]).collect()
    }

    #[test]
    fn nothing_that_is_said_steers_the_terminal() {
        assert_eq!(tame("a \u{1b}[31mb\r\u{202e}\nnext"), "a \\u{1b}[31mb\\r\\u{202e}\nnext");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_examples_that_are_no_mistakes() {
        let mut root = Cli::command();
        root.build();
        for command in all(&root) {
            let name = command.get_bin_name().unwrap_or_default().to_owned();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| {
                panic!("no examples in the help of '{name}'");
            });
            let mut lines = examples.lines().take_while(|line| !line.is_empty()).peekable();
            assert!(lines.peek().is_some(), "no example for '{name}'");
            for line in lines {
                assert!(line.chars().count() <= 80, "too long for a terminal: {line:?}");
                // Words that are not the command's begin behind two spaces.
                let shell = line.trim_start().split("  ").next().unwrap_or_default();
                for part in shell.split(['|', '>', '&', ';']) {
                    let words: Vec<_> = part.split_whitespace().collect();
                    if words.first() == Some(&"trapgate") {
                        let parsed = Cli::command().try_get_matches_from(words);
                        assert!(parsed.is_ok(), "{line:?}: {}", parsed.unwrap_err());
                    }
                }
            }
        }
    }
}
