//! Running other programs, and telling the user about it.
//!
//! Used by every subcommand. All of xtask's own words go to standard error, so
//! that standard output is only what the programs print. Colours appear on
//! terminals only (`anstream` decides).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The status after Ctrl-C and its relatives: 128 + SIGINT.
pub(crate) const STATUS_INTERRUPTED: u8 = 130;

/// How often waiting loops look at the world.
pub(crate) const TICK: Duration = Duration::from_millis(20);

const STEP: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Turns the signals that ask us to end into a flag, so that every waiting loop
/// can clean up (an emulator, a temporary directory) before the process ends.
pub(crate) fn watch_signals() {
    let flag = INTERRUPTED.get_or_init(Default::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A signal that cannot be caught keeps its default action: still an end.
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
}

/// Whether the user asked us to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Prints a headline: what happens next.
pub(crate) fn step(text: &str) {
    anstream::eprintln!("{STEP}==> {text}{STEP:#}");
}

/// Prints that something is well.
pub(crate) fn good(text: &str) {
    anstream::eprintln!("{GOOD}{text}{GOOD:#}");
}

/// Prints that something was left out or went wrong, as a line among others.
pub(crate) fn bad(text: &str) {
    anstream::eprintln!("{ERROR}{text}{ERROR:#}");
}

/// Prints what the user should know although work goes on.
pub(crate) fn warn(text: &str) {
    anstream::eprintln!("{WARNING}warning:{WARNING:#} {text}");
}

/// Prints why work ended.
pub(crate) fn error(text: &str) {
    anstream::eprintln!("{ERROR}error:{ERROR:#} {text}");
}

/// The workspace's top directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// `cargo`, the very one that runs us, in the workspace's top directory.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = capture(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let dir = metadata["target_directory"].as_str();
    Ok(dir.context("cargo metadata names no target_directory")?.into())
}

/// The files that a cargo command built with `--message-format=json` reports as
/// executables, each with its target's name.
pub(crate) fn cargo_executables(args: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut command = cargo(args);
    command.arg("--message-format=json-render-diagnostics");
    executables(&mut command)
}

/// The same of a command that has this option already.
pub(crate) fn executables(command: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    step(&display(command));
    Ok(parse_executables(&capture(command)?))
}

fn parse_executables(messages: &str) -> Vec<(String, PathBuf)> {
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((
            message["target"]["name"].as_str()?.to_owned(),
            message["executable"].as_str()?.into(),
        ))
    };
    messages.lines().filter_map(executable).collect()
}

/// A command as one could type it: changed environment, program, arguments.
pub(crate) fn display(command: &Command) -> String {
    // shlex is right but anxious: it would quote every `=` and `,` too.
    let is_plain = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,.:/@%".contains(c);
        !text.is_empty() && text.chars().all(plain)
    };
    let quote = |text: &OsStr| {
        let text = text.to_string_lossy().into_owned();
        match shlex::try_quote(&text) {
            Ok(quoted) if !is_plain(&text) => quoted.into_owned(),
            _ => text,
        }
    };
    let environment = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quote(value)))
    });
    environment
        .chain([quote(command.get_program())])
        .chain(command.get_args().map(quote))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Prints the command, runs it with our own input and output, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<Duration> {
    step(&display(command));
    run_quietly(command)
}

/// Runs the command with our own input and output, and fails if it does.
pub(crate) fn run_quietly(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", display(command));
    }
    Ok(start.elapsed())
}

/// Runs the command with our own input and output; ends it if we are asked to end.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", display(command)))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupted() {
            child.kill()?;
            child.wait()?;
            bail!("interrupted");
        }
        thread::sleep(TICK);
    }
}

/// What the command prints on standard output; fails if the command does.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", display(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", display(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program's file, looked for as a shell does.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into()).filter(|path: &PathBuf| path.is_file());
    }
    // Debian keeps some administrators' programs out of a user's PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Seconds, or minutes and seconds, for a person.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{:.1} s", time.as_secs_f64()),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_could_type_it() {
        let mut command = Command::new("echo");
        command.args(["two words", "it's", "--plain=x", ""]).env("A", "b c");
        assert_eq!(display(&command), r#"A='b c' echo 'two words' "it's" --plain=x ''"#);
    }

    #[test]
    fn executables_are_found_among_cargo_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"doors"},"executable":"/t/doors-1"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            parse_executables(messages),
            [("doors".to_owned(), PathBuf::from("/t/doors-1"))]
        );
    }

    #[test]
    fn times_are_short() {
        assert_eq!(seconds(Duration::from_millis(1260)), "1.3 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run_quietly(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().starts_with("`false` failed"));
    }
}
