//! The plain lines of `trapgate run`, read without clap: describing the whole
//! command line to clap and having it parse one takes longer than the kernel
//! and the program of a small sandbox together.
//!
//! What is not understood here is no mistake: clap reads that line, and has the
//! last word on what is wrong with one. A test holds both readings of the same
//! line against each other.

use crate::run::{self, Args};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

/// The arguments of a line `trapgate run [OPTION]... PROGRAM [ARG]...`, if all
/// its options are among the plain ones.
pub(crate) fn read(words: &[OsString]) -> Option<Args> {
    let [_, command, words @ ..] = words else { return None };
    // Where the options end by a mark, clap may know better what is meant.
    if command != "run" || words.iter().any(|word| word == "--") {
        return None;
    }
    let mut args = Args::default();
    let mut rest = words;
    loop {
        let (word, behind) = rest.split_first()?;
        match word.to_str() {
            Some("--stats") if !args.stats => args.stats = true,
            Some("--dense") if !args.dense => args.dense = true,
            Some("--inherit-env") if !args.inherit_env => args.inherit_env = true,
            Some("--with-libs") if !args.with_libs => args.with_libs = true,
            Some(option) if option.starts_with('-') => {
                let (value, behind) = behind.split_first()?;
                take(&mut args, option, value)?;
                rest = behind;
                continue;
            }
            None if word.as_encoded_bytes().starts_with(b"-") => return None,
            _ => break,
        }
        rest = behind;
    }
    if args.with_libs && args.root.is_some() {
        return None;
    }
    args.command = rest.to_vec();
    Some(args)
}

/// Takes an option with its value, each but `--env` at most once.
fn take(args: &mut Args, option: &str, value: &OsStr) -> Option<()> {
    let value = value.to_str().filter(|value| !value.starts_with('-'))?;
    match option {
        "-m" | "--memory" if args.memory.is_none() => {
            args.memory = Some(FromStr::from_str(value).ok()?)
        }
        "--disk" if args.disk.is_none() => args.disk = Some(FromStr::from_str(value).ok()?),
        "-t" | "--timeout" if args.timeout.is_none() => {
            args.timeout = Some(trapgate::sandbox::recipe::parse_time(value).ok()?);
        }
        "--root" if args.root.is_none() => args.root = Some(PathBuf::from(value)),
        "-e" | "--env" => args.env.push(run::parse_variable(value).ok()?),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use proptest::prelude::*;

    /// Words that lines are made of.
    const WORDS: [&str; 28] = [
        "run",
        "-m",
        "--memory",
        "--disk",
        "16M",
        "1",
        "0",
        "-t",
        "--timeout",
        "10s",
        "-e",
        "--env",
        "A=1",
        "=1",
        "",
        "--stats",
        "--inherit-env",
        "--dense",
        "--root",
        "--with-libs",
        "--",
        "-",
        "-x",
        "prog",
        "doctor",
        "--memory=16M",
        "-t1s",
        "--help",
    ];

    /// Whether clap reads the line as it was read here, if it was.
    fn agrees(words: &[&str]) -> Result<bool, TestCaseError> {
        let words: Vec<_> = ["trapgate"].iter().chain(words).map(OsString::from).collect();
        let Some(quick) = read(&words) else { return Ok(false) };
        let cli = Cli::try_parse_from(&words);
        prop_assert!(cli.is_ok(), "{:?}: {}", words, cli.unwrap_err());
        let cli = cli.expect("it was just looked at");
        prop_assert_eq!((cli.log, cli.color), (None, clap::ColorChoice::Auto));
        let Command::Run(args) = cli.command else { panic!("{words:?}: {:?}", cli.command) };
        prop_assert_eq!(format!("{quick:?}"), format!("{args:?}"));
        Ok(true)
    }

    #[test]
    fn the_usual_lines_are_read_and_what_is_unusual_is_claps() {
        for (line, is_read) in [
            ("run ./hello", true),
            ("run -m 64M -t 10s ./job 100 --stats -x", true),
            ("run -e LANG=C -e HOME ./job", true),
            ("run --stats --inherit-env hello", true),
            ("run images/hello-syscall.toml", true),
            ("run --root a.tar -m 64M busybox ls --root b", true),
            ("run --root= x", false),
            ("run --with-libs jq -n 1", true),
            ("run --with-libs --with-libs jq", false),
            ("run --root", false),
            ("run --root a.tar --root b.tar x", false),
            ("run", false),
            ("run --stats", false),
            ("run --stats --stats x", false),
            ("run --strace x", false),
            ("run --strace=file x", false),
            ("run -m 1M -m 2M x", false),
            ("run -m 0 x", false),
            ("run -t -1s x", false),
            ("run --deny clock x", false),
            ("run -- x", false),
            ("run x -- y", false),
            ("run --help", false),
            ("run -m64M -eA=1 x -m", false),
            ("--log info run x", false),
            ("doctor", false),
        ] {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(agrees(&words).expect(line), is_read, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_here_clap_reads_alike(
            words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..8),
        ) {
            let line: Vec<_> = ["run"].into_iter().chain(words).collect();
            agrees(&line)?;
        }
    }
}
