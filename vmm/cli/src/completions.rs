//! `trapgate completions`: what a shell's Tab key knows of trapgate.

use crate::cli::Cli;
use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  source <(trapgate completions bash)       for this shell, once
  trapgate completions bash > /etc/bash_completion.d/trapgate
  trapgate completions fish > ~/.config/fish/completions/trapgate.fish
  trapgate completions zsh > ~/.zfunc/_trapgate

Exit status: 0, or 125 if it cannot be written";

/// Print a shell's completions of trapgate's command line
#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the completions; answers the exit status.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trapgate", &mut text);
    crate::cli::print(&text).map(|()| 0)
}
