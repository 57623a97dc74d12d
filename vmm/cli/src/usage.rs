//! What is wrong with a command line, in one line: what, what was perhaps meant,
//! and whose help says more.

use crate::cli::Cli;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use trapgate::error::status;

/// What clap has to say about `words`: help on standard output, or a mistake in
/// one line.
pub(crate) fn answer(error: &clap::Error, words: &[OsString]) -> u8 {
    let help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help || !error.use_stderr() {
        let _ = error.print();
        return if help { status::SETUP } else { 0 };
    }
    crate::cli::say(&format!("trapgate: {}", mistake(error, words)));
    status::SETUP
}

/// What looks like an option of `trapgate run` and stands, behind `--`, where the
/// program's name is to be.
pub(crate) fn unknown_option(option: &OsStr) -> String {
    let words = ["trapgate".into(), "run".into(), option.to_owned()];
    match Cli::command().try_get_matches_from(&words) {
        Err(error) => mistake(&error, &words),
        // "-" alone.
        Ok(_) => format!("'{}' is no program (see 'trapgate run --help')", option.display()),
    }
}

/// The mistake, without the name in front.
fn mistake(error: &clap::Error, words: &[OsString]) -> String {
    // clap's message goes on for several lines: tips, usage.
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| {
        let is_more = ["tip:", "Usage:", "For more information"];
        !is_more.iter().any(|more| line.starts_with(more))
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let what = lines.join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let whose = whose_help(words);
    let meant = meant(error, &whose).map(|meant| format!(": {meant}")).unwrap_or_default();
    format!("{what}{meant} (see '{whose} --help')")
}

/// What the mistake was perhaps meant to be.
fn meant(error: &clap::Error, whose: &str) -> Option<String> {
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && is_program(name)
    {
        return Some(format!("did you mean: trapgate run {name}"));
    }
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && whose == "trapgate"
        && has_option("run", option)
    {
        return Some(format!("did you mean: trapgate run {option}"));
    }
    let kinds =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let suggested = kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        // The likeliest is the last.
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    });
    // clap's other tips are how to make a value of it: nobody means that here.
    suggested.map(|suggested| format!("did you mean '{suggested}'?"))
}

/// Whether the subcommand has this option.
fn has_option(subcommand: &str, option: &str) -> bool {
    let root = Cli::command();
    let below = root.find_subcommand(subcommand);
    let mut options = below.into_iter().flat_map(Command::get_arguments);
    options
        .any(|known| known.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long)))
}

/// Whether it is rather a program's name than a subcommand's.
fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    name.contains('/')
        || Path::new(name).is_file()
        || std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// The command whose help tells more: the last one that the words name.
fn whose_help(words: &[OsString]) -> String {
    let mut root = Cli::command();
    root.build();
    let mut command: &Command = &root;
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(option) = word.to_str().and_then(|word| word.strip_prefix("--")) {
            let known = command.get_arguments().find(|known| known.get_long() == Some(option));
            if known.is_some_and(|known| known.get_action().takes_values()) {
                words.next();
            }
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
        } else {
            break;
        }
    }
    command.get_bin_name().unwrap_or("trapgate").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about this line.
    fn said(line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        let error = Cli::command().try_get_matches_from(&words).expect_err(line);
        mistake(&error, &words)
    }

    #[test]
    fn the_help_that_is_named_is_that_of_the_subcommand() {
        for (line, command) in [
            ("trapgate --log=bogus doctor", "trapgate doctor"),
            ("trapgate run --memory=0 x", "trapgate run"),
            ("trapgate --log warn --color never run --memory=0 x", "trapgate run"),
            ("trapgate doctor --jsn", "trapgate doctor"),
            ("trapgate bench --samples 0", "trapgate bench"),
            ("trapgate bench compare", "trapgate bench compare"),
            ("trapgate frobnicate", "trapgate"),
        ] {
            let text = said(line);
            assert!(text.ends_with(&format!("(see '{command} --help')")), "{line}: {text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn what_was_perhaps_meant_is_said() {
        for (line, meant) in [
            ("trapgate ./hello", ": did you mean: trapgate run ./hello (see"),
            ("trapgate sh", "trapgate run sh"),
            ("trapgate benhc", "did you mean 'bench'?"),
            ("trapgate doctor --jsno", "did you mean '--json'?"),
            ("trapgate --timeout 5 ./hello", ": did you mean: trapgate run --timeout (see"),
            ("trapgate --log inof run x", "did you mean 'info'?"),
        ] {
            let text = said(line);
            assert!(text.contains(meant), "{line}: {text}");
            assert!(!text.contains("as a value"), "{line}: {text}");
        }
        let text = unknown_option(OsStr::new("--tiemout=5"));
        assert!(text.contains("'--tiemout' found: did you mean '--timeout'?"), "{text}");
        assert!(text.ends_with("(see 'trapgate run --help')"), "{text}");
        assert!(unknown_option(OsStr::new("--colour")).contains("'--color'"));
        assert!(unknown_option(OsStr::new("-")).contains("'-' is no program"));
    }

    #[test]
    fn a_level_that_is_none_is_answered_with_all_of_them() {
        let text = said("trapgate --log bogus run x");
        assert!(text.contains("[possible values: off, error, warn, info, debug, trace]"), "{text}");
    }
}
