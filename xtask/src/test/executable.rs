//! Test executables: built by cargo, asked for their tests, run to an end.
//!
//! Used by `host`, and by `rigs` for building and asking. `leftovers` ends what
//! tests leave behind.

mod leftovers;

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use self::leftovers::Leftovers;
use super::libtest::{self, Output};
use super::settle::End;
use crate::sh;

/// A test executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Executable {
    /// A test file's name, or the last name of its package's directory: what stands
    /// before its tests' names.
    pub(super) name: String,
    /// Whether it is a file of `tests/tests`.
    pub(super) is_file: bool,
    pub(super) path: PathBuf,
    /// The package's directory, in which cargo would run it.
    pub(super) directory: PathBuf,
}

/// Builds by `cargo test --no-run` with these arguments, and finds what was built.
pub(super) fn build(args: &[&str]) -> Result<Vec<Executable>> {
    let mut command = sh::cargo(&["test", "--no-run"]);
    command.args(args);
    sh::step(&sh::display(&command));
    command.arg("--message-format=json-render-diagnostics");
    Ok(parse(&sh::capture(&mut command)?))
}

/// The test executables among cargo's messages.
fn parse(messages: &str) -> Vec<Executable> {
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        // Examples and programs are built, too, and are no tests.
        message["profile"]["test"].as_bool().filter(|is_test| *is_test)?;
        let path = message["executable"].as_str()?.into();
        let manifest = PathBuf::from(message["manifest_path"].as_str()?);
        let directory = manifest.parent()?.to_owned();
        let is_file = message["target"]["kind"][0] == "test";
        let name = match is_file {
            true => message["target"]["name"].as_str()?.to_owned(),
            false => directory.file_name()?.to_string_lossy().into_owned(),
        };
        Some(Executable { name, is_file, path, directory })
    };
    messages.lines().filter_map(executable).collect()
}

impl Executable {
    /// The names of its tests.
    pub(super) fn tests(&self) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["--list", "--format", "terse"]);
        Ok(libtest::listed(&sh::capture(&mut command)?))
    }

    /// A command that runs it as cargo would.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.directory).stdin(Stdio::null());
        command
    }
}

/// Runs a command that prints as libtest does; `said` gets each line. After `limit`
/// it is ended, with all that it started; its temporary files are removed.
pub(super) fn run(
    mut command: Command,
    limit: Duration,
    mut said: impl FnMut(&str),
) -> Result<(Output, End)> {
    let start = Instant::now();
    let leftovers = Leftovers::of(&mut command)?;
    // A group of its own, to be ended as a whole; Ctrl-C is for us.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", sh::display(&command)))?;
    let (send, lines) = mpsc::channel();
    forward(child.stdout.take(), send.clone());
    forward(child.stderr.take(), send);
    let mut output = Output::default();
    let mut status = None;
    let cut_short = loop {
        match lines.recv_timeout(sh::TICK) {
            Ok(line) => {
                said(&line);
                output.line(&line);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) if status.is_some() => break None,
            Err(RecvTimeoutError::Disconnected) => thread::sleep(sh::TICK),
            // Whoever holds the pipes after its end is not waited for.
            Err(RecvTimeoutError::Timeout) if status.is_some() => break None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        status = child.try_wait()?;
        if sh::interrupted() {
            break Some("interrupted".to_owned());
        } else if status.is_none() && start.elapsed() >= limit {
            break Some(format!("not done after {}", sh::seconds(start.elapsed())));
        }
    };
    let group = Pid::from_child(&child);
    // What a test left behind is ended with it; mostly there is nothing. First while
    // it can be seen who started whom.
    leftovers.kill();
    let _ = kill_process_group(group, Signal::KILL);
    let end = match (cut_short, child.wait()?) {
        (Some(why), _) => End::CutShort(why),
        (None, status) => End::Exited(number(status)),
    };
    if sh::interrupted() {
        bail!("interrupted");
    }
    Ok((output, end))
}

/// Sends each line, from a thread that ends with the pipe.
fn forward(pipe: Option<impl io::Read + Send + 'static>, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        let Some(pipe) = pipe else { return };
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            // Nobody listens any more after an end that was forced.
            let _ = to.send(text.trim_end_matches(['\n', '\r']).to_owned());
            line.clear();
        }
    });
}

/// A status as a shell has it.
fn number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Output, End) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit, |_| {}).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_streams_are_read_to_the_end() {
        let (output, end) = shell("echo 'test a ... ok'; echo 'SKIPPED: a: x' >&2; exit 3", LONG);
        assert_eq!((output.verdicts.len(), output.notes.len()), (1, 1));
        assert_eq!(end, End::Exited(3));
    }

    #[test]
    fn a_death_by_signal_is_a_status() {
        assert_eq!(shell("kill -SEGV $$", LONG).1, End::Exited(139));
    }

    #[test]
    fn what_is_not_done_in_time_is_ended_with_its_children() {
        let start = Instant::now();
        let (output, end) = shell("echo 'test a ... '; sleep 100 & sleep 100", sh::TICK * 5);
        assert!(matches!(end, End::CutShort(_)));
        assert_eq!(output.running.as_deref(), Some("a"));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn whoever_holds_the_pipes_after_the_end_is_not_waited_for() {
        let start = Instant::now();
        let (_, end) = shell("sleep 100 & exit 0", LONG);
        assert_eq!(end, End::Exited(0));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn tests_are_found_among_cargos_messages() {
        let root = sh::root().display();
        let message = |kind: &str, name: &str, directory: &str, test: bool| {
            format!(
                r#"{{"target":{{"name":"{name}","kind":["{kind}"]}},"profile":{{"test":{test}}},"executable":"/t/{name}-1","manifest_path":"{root}/{directory}/Cargo.toml"}}"#
            )
        };
        let messages = [
            message("test", "doors", "tests", true),
            message("lib", "trapgate", "vmm", true),
            message("lib", "trapgate_measure", "vmm/measure", true),
            message("example", "steps", "vmm/measure", false),
            "not json".to_owned(),
        ];
        let found = parse(&messages.join("\n"));
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.is_file)).collect();
        assert_eq!(names, [("doors", true), ("vmm", false), ("measure", false)]);
        assert!(found[1].directory.ends_with("vmm"));
    }
}
