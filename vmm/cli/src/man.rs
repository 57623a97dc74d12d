//! `trapgate man`: a manual page for trapgate and each subcommand. `cargo xtask
//! man` calls it, for packages.

use crate::cli::Cli;
use anyhow::Context;
use clap::{Args as ClapArgs, Command, CommandFactory, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use trapgate::error::shown;
use trapgate_measure::version::RELEASE;

const AFTER_HELP: &str = "\
Examples:
  trapgate man target/man
  man -l target/man/trapgate-run.1

Exit status: 0, or 125 if they cannot be written";

/// Write trapgate's manual pages
#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The directory to write them into; made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

/// Writes the pages; answers the exit status.
///
/// # Errors
/// If one cannot be written.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    let directory = &args.directory;
    fs::create_dir_all(directory).with_context(|| shown(directory))?;
    // The release alone: a page is the same whatever commit it is made of.
    let mut root = Cli::command().disable_help_subcommand(true).version(RELEASE);
    root.build();
    pages(&root, directory)?;
    Ok(0)
}

/// The page of `command`, and those of all below it.
fn pages(command: &Command, directory: &Path) -> anyhow::Result<()> {
    for below in command.get_subcommands() {
        pages(below, directory)?;
    }
    let man = Man::new(command.clone()).source(format!("trapgate {RELEASE}"));
    // An empty date would be no word in the page's head, and shift the others.
    let man = man.date(" ").manual("User Commands");
    let path = directory.join(man.get_filename());
    let mut page = Vec::new();
    render(&man, command, &mut page)?;
    fs::write(&path, page).with_context(|| shown(&path))
}

/// clap_mangen's sections, and what stands at the end of the help as sections
/// of their own instead of one called "extra".
fn render(man: &Man, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    end.split("\n\n").try_for_each(|part| section(part, page))
}

/// A part of the help's end: `Examples:` and lines as they are, or a sentence.
fn section(part: &str, page: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    let (title, rest) = match part.split_once(':') {
        Some((title, rest)) if !title.contains(['.', '\n']) => (title, rest),
        _ => ("Notes", part),
    };
    roff.control("SH", [title.to_uppercase().as_str()]);
    match rest.strip_prefix('\n') {
        Some(lines) => {
            roff.control("nf", []);
            for line in lines.lines() {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        }
        None => {
            roff.text([roman(rest.trim_start())]);
        }
    }
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_examples() {
        let directory = tempfile::tempdir().expect("room");
        let directory = directory.path().join("man");
        main(&Args { directory: directory.clone() }).expect("ours");
        let page = |name: &str| fs::read_to_string(directory.join(name)).expect(name);
        for name in ["trapgate.1", "trapgate-run.1", "trapgate-doctor.1", "trapgate-bench.1"] {
            let page = page(name);
            assert!(page.contains(".SH EXAMPLES\n") && !page.contains(".SH EXTRA"), "{page}");
        }
        assert!(page("trapgate-run.1").contains(".SH \"EXIT STATUS\"\n.nf\n"));
        assert!(page("trapgate-doctor.1").contains(".SH \"EXIT STATUS\"\n0 if"));
        let head = format!(".TH trapgate 1 \" \" \"trapgate {RELEASE}\" \"User Commands\"\n");
        assert!(page("trapgate.1").contains(&head), "{}", page("trapgate.1"));
        assert!(page("trapgate-bench-compare.1").contains("trapgate bench compare"));
    }
}
