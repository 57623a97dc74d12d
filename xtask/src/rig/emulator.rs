//! A running emulator: started, watched to its end, never left behind.
//!
//! Called by `rig::run`; `amd` and `intel` make the command. Both emulators write
//! their guest's two serial ports into files of the work directory: `log` (kernel
//! log and our marks) and `out` (the command's output), which are followed here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::initramfs::MARK_EXIT;
use crate::debian::Program;
use crate::sh;

/// The files that an emulator writes, relative to its work directory.
pub(crate) const LOG: &str = "log";
pub(crate) const OUT: &str = "out";
pub(crate) const ERRORS: &str = "errors";

/// How long a guest that said its last word may take to switch itself off.
const GRACE: Duration = Duration::from_secs(20);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The command ended with this status.
    Exited(u8),
    /// The time was over first.
    TimedOut,
    /// The user asked us to end.
    Interrupted,
    /// The guest or the emulator ended without the command's status.
    Broke,
}

/// An emulator's process. Dropping it ends it.
pub(crate) struct Emulator {
    child: Child,
    dir: PathBuf,
}

impl Emulator {
    /// A command for `program` that works in `dir`.
    pub(crate) fn command(program: &Program, dir: &Path) -> Command {
        // Die with us even when we are killed without a chance to clean up.
        let mut command = match sh::which("setpriv") {
            Some(setpriv) => program.command_after(&setpriv, &["--pdeathsig", "KILL", "--"]),
            None => program.command(),
        };
        // Out of the terminal's reach: Ctrl-C is for us, we end the emulator.
        command.process_group(0).current_dir(dir);
        command
    }

    /// Starts the command, whose guest writes into `dir`.
    pub(crate) fn start(mut command: Command, dir: &Path) -> Result<Self> {
        for name in [LOG, OUT] {
            File::create(dir.join(name))?;
        }
        let child =
            command.spawn().with_context(|| format!("cannot start `{}`", sh::display(&command)))?;
        Ok(Self { child, dir: dir.to_owned() })
    }

    /// Passes the command's output on until the run's end. A sink whose flush fails
    /// with `TimedOut` ends it as the timeout does: it may know what should have come.
    pub(crate) fn watch(mut self, timeout: Duration, out: &mut dyn Write) -> Result<Watched> {
        let deadline = Instant::now() + timeout;
        let mut output = Follower::open(&self.dir.join(OUT))?;
        let mut log_file = Follower::open(&self.dir.join(LOG))?;
        let mut log = Vec::new();
        let mut first_output = None;
        let mut last_word: Option<Instant> = None;
        let cut_short = loop {
            // In this order: what was written before the end is not missed.
            let ended = self.child.try_wait()?.is_some();
            if output.pass_on(out)? && first_output.is_none() {
                first_output = Some(Instant::now());
            }
            if log_file.pass_on(&mut log)? && last_word.is_none() && said_last_word(&log) {
                last_word = Some(Instant::now());
            }
            if ended || last_word.is_some_and(|since| since.elapsed() > GRACE) {
                break None;
            } else if sh::interrupted() {
                break Some(End::Interrupted);
            } else if Instant::now() >= deadline || is_tired(out) {
                break Some(End::TimedOut);
            }
            thread::sleep(sh::TICK);
        };
        self.stop();
        output.pass_on(out)?;
        log_file.pass_on(&mut log)?;
        let log = String::from_utf8_lossy(&log).replace('\r', "");
        let exited = exit_status(&log).map(End::Exited);
        Ok(Watched { end: exited.or(cut_short).unwrap_or(End::Broke), log, first_output })
    }

    fn stop(&mut self) {
        // Both fail only if the process has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the sink has waited long enough for what should come next.
fn is_tired(out: &mut dyn Write) -> bool {
    out.flush().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// What was seen of a run.
pub(crate) struct Watched {
    pub(crate) end: End,
    pub(crate) log: String,
    pub(crate) first_output: Option<Instant>,
}

/// The status that `/init` wrote. The blank behind the number tells that it is whole.
fn exit_status(log: &str) -> Option<u8> {
    let (_, tail) = log.rsplit_once(MARK_EXIT)?;
    tail.split_once(' ')?.0.parse().ok()
}

/// After these words only the power switch is left. The panic matters in Bochs,
/// where a kernel that reboots would start all over.
fn said_last_word(log: &[u8]) -> bool {
    let log = String::from_utf8_lossy(log);
    exit_status(&log).is_some() || log.contains("Kernel panic - not syncing")
}

/// A file that grows, read as it does.
struct Follower(File);

impl Follower {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?))
    }

    /// Passes on what is new; whether there was any.
    fn pass_on(&mut self, to: &mut (impl Write + ?Sized)) -> io::Result<bool> {
        let mut new = Vec::new();
        self.0.read_to_end(&mut new)?;
        if !new.is_empty() {
            to.write_all(&new)?;
            to.flush()?;
        }
        Ok(!new.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_mark_is_the_status() {
        assert_eq!(exit_status("boot\nRIG-START 1.0\nRIG-EXIT 7 2.5\n"), Some(7));
        assert_eq!(exit_status("boot\nRIG-EXIT 12"), None);
        assert_eq!(exit_status("boot\n"), None);
    }

    fn shell(script: &str) -> (tempfile::TempDir, Emulator) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Emulator::command(&Program::of_system("/bin/sh".into()), dir.path());
        command.args(["-c", script]);
        let emulator = Emulator::start(command, dir.path()).unwrap();
        (dir, emulator)
    }

    #[test]
    fn output_and_status_come_from_the_two_ports() {
        let (_dir, emulator) = shell("echo hello >>out; printf 'RIG-EXIT 3 1.5\\r\\n' >>log");
        let mut out = Vec::new();
        let watched = emulator.watch(Duration::from_secs(10), &mut out).unwrap();
        assert_eq!(watched.end, End::Exited(3));
        assert_eq!(out, b"hello\n");
        assert_eq!(watched.log, "RIG-EXIT 3 1.5\n");
    }

    #[test]
    fn an_end_without_a_mark_is_a_broken_rig() {
        let (_dir, emulator) = shell("exit 0");
        let watched = emulator.watch(Duration::from_secs(10), &mut Vec::new()).unwrap();
        assert_eq!(watched.end, End::Broke);
    }

    #[test]
    fn a_timeout_ends_the_emulator() {
        let (_dir, emulator) = shell("exec sleep 1000");
        let process = PathBuf::from(format!("/proc/{}", emulator.child.id()));
        assert!(process.exists());
        let watched = emulator.watch(Duration::from_millis(50), &mut Vec::new()).unwrap();
        assert_eq!(watched.end, End::TimedOut);
        assert!(!process.exists());
    }

    #[test]
    fn a_sink_that_waits_no_longer_ends_the_emulator() {
        struct Tired;
        impl Write for Tired {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
        let (_dir, emulator) = shell("exec sleep 1000");
        let watched = emulator.watch(Duration::from_secs(100), &mut Tired).unwrap();
        assert_eq!(watched.end, End::TimedOut);
    }

    #[test]
    fn a_sink_that_fails_ends_the_emulator() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (_dir, emulator) = shell("echo hello >>out; exec sleep 1000");
        let process = PathBuf::from(format!("/proc/{}", emulator.child.id()));
        assert!(emulator.watch(Duration::from_secs(10), &mut Closed).is_err());
        assert!(!process.exists());
    }
}
