//! What a test executable leaves behind: processes and temporary files.
//!
//! Called by `run` around each one. Tests start programs in process groups of their
//! own, so a killed group is not all. Whatever was started has the executable's
//! temporary directory in its environment, or an ancestor that has: that is how it
//! is known.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::sh;

/// A temporary directory, and all processes that were told of it.
pub(super) struct Leftovers {
    directory: TempDir,
}

impl Leftovers {
    /// Makes the directory and tells the command of it.
    pub(super) fn of(command: &mut Command) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("xtask.").tempdir();
        let directory = directory.context("cannot create a temporary directory")?;
        command.env("TMPDIR", directory.path());
        Ok(Self { directory })
    }

    /// Kills every process that is left. What these may start meanwhile is found by
    /// another look.
    pub(super) fn kill(&self) {
        // One that cannot be killed must not hold us for ever.
        for _ in 0..10 {
            let left = marked(self.directory.path());
            if left.is_empty() {
                break;
            }
            for process in left.into_iter().filter_map(Pid::from_raw) {
                // It may just have ended.
                let _ = kill_process(process, Signal::KILL);
            }
            thread::sleep(sh::TICK);
        }
    }
}

/// The processes that have the directory in their environment, and all below them.
/// Zombies have no environment.
fn marked(directory: &Path) -> Vec<i32> {
    let mark = format!("TMPDIR={}", directory.display());
    let has_mark = |process: i32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: HashMap<i32, i32> = processes.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut marked: Vec<_> = parents.keys().copied().filter(|id| has_mark(*id)).collect();
    let mut next = 0;
    while next < marked.len() {
        let children = parents.iter().filter(|(_, parent)| **parent == marked[next]);
        let new: Vec<_> = children.map(|(id, _)| *id).filter(|id| !marked.contains(id)).collect();
        marked.extend(new);
        next += 1;
    }
    marked
}

/// The parent of a process that lives.
fn parent(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may have anything in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_process_with_a_group_and_an_environment_of_its_own_is_ended_too() {
        let mut command = Command::new("sh");
        // One that outlives its parent, and one that was told of nothing.
        let script = "(setsid sleep 1000 & echo $!) ; env -i setsid sleep 1000 & echo $!; wait";
        command.args(["-c", script]).stdout(Stdio::piped());
        let leftovers = Leftovers::of(&mut command).unwrap();
        let mut shell = command.spawn().unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines().take(2);
        let started: Vec<i32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
        assert!(started.iter().all(|process| parent(*process).is_some()));
        leftovers.kill();
        shell.wait().unwrap();
        assert!(marked(leftovers.directory.path()).is_empty());
        assert!(started.iter().all(|process| parent(*process).is_none()), "{started:?}");
    }

    #[test]
    fn what_was_written_is_removed() {
        let mut command = Command::new("sh");
        command.args(["-c", "touch \"$TMPDIR/file\""]);
        let leftovers = Leftovers::of(&mut command).unwrap();
        assert!(command.status().unwrap().success());
        let directory = leftovers.directory.path().to_owned();
        assert!(directory.join("file").exists());
        drop(leftovers);
        assert!(!directory.exists());
    }
}
