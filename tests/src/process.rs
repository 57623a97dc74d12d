//! Processes with bounded time, and what came of them.

use crate::place::scale;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::io::{PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, str};

/// Held for reading while a process is being started, for writing while an
/// executable is being written.
pub(crate) static SPAWNING: RwLock<()> = RwLock::new(());

/// How long a process may take if the test does not say.
pub(crate) fn default_limit() -> Duration {
    Duration::from_secs(scale(60, 120, 300))
}

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command line.
    pub command: String,
    /// The exit status, or 128 and the signal, as a shell has it.
    pub status: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote there.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub time: Duration,
}

impl Ran {
    /// Fails the test with everything that there is to see.
    ///
    /// # Panics
    /// Always.
    #[track_caller]
    pub fn fail(&self, expected: &str) -> ! {
        panic!("{}", self.describe(expected));
    }

    /// Everything that there is to see, beside what was expected.
    pub fn describe(&self, expected: &str) -> String {
        format!(
            "\ncommand   {}\nexpected  {expected}\ngot       status {} after {:.1?}\n{}{}",
            self.command,
            self.status,
            self.time,
            block("stdout", &self.stdout),
            block("stderr", &self.stderr),
        )
    }

    /// Expects something in words.
    ///
    /// # Panics
    /// If it is not so.
    #[track_caller]
    pub fn expect(&self, holds: bool, expected: &str) -> &Ran {
        if !holds {
            self.fail(expected);
        }
        self
    }

    /// Expects this status.
    ///
    /// # Panics
    /// If it is another one.
    #[track_caller]
    pub fn expect_status(&self, status: i32) -> &Ran {
        self.expect(self.status == status, &format!("status {status}"))
    }

    /// Expects exactly this on standard output.
    ///
    /// # Panics
    /// If it is something else.
    #[track_caller]
    pub fn expect_stdout(&self, stdout: impl AsRef<[u8]>) -> &Ran {
        let stdout = stdout.as_ref();
        self.expect(self.stdout == stdout, &block("stdout", stdout))
    }

    /// Expects this text somewhere on standard error.
    ///
    /// # Panics
    /// If it is not there.
    #[track_caller]
    pub fn expect_in_stderr(&self, text: &str) -> &Ran {
        let found = self.stderr_text().contains(text);
        self.expect(found, &format!("{text:?} on stderr"))
    }

    /// Whether this is how trapgate refuses something: one line of its own on
    /// standard error, nothing on standard output, and this status. If not,
    /// everything that there is to see.
    ///
    /// # Errors
    /// If it is not.
    pub fn is_refusal(&self, status: i32) -> Result<(), String> {
        let text = self.stderr_text();
        let one_line = text.starts_with("trapgate: ")
            && text.ends_with('\n')
            && text.matches('\n').count() == 1
            && !text.contains("panicked")
            && !text.contains(|c: char| c.is_control() && c != '\n');
        if self.status == status && self.stdout.is_empty() && one_line {
            return Ok(());
        }
        Err(self.describe(&format!(
            "status {status}, and one line on stderr without controls: trapgate: …"
        )))
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Bytes for a failure message: text if they are some, and not too many.
fn block(name: &str, bytes: &[u8]) -> String {
    format!("{name} ({} bytes):\n{}\n", bytes.len(), shown(bytes))
}

/// Bytes for a failure message.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 3000;
    let (start, cut) = match bytes.len() {
        ..=MOST => (bytes, String::new()),
        length => (&bytes[..MOST], format!("\n… {} bytes more", length - MOST)),
    };
    let mut text = String::new();
    match str::from_utf8(start) {
        Ok(plain) => text.push_str(plain),
        Err(_) => {
            for chunk in start.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    write!(text, "\\x{byte:02x}").expect("a String takes all");
                }
            }
        }
    }
    text.trim_end_matches('\n').to_owned() + &cut
}

/// Writes everything on a thread of its own, then closes the pipe.
fn feed(pipe: Option<ChildStdin>, input: Vec<u8>) {
    thread::spawn(move || {
        if let Some(mut pipe) = pipe {
            // A program need not read all of its input.
            let _ = pipe.write_all(&input);
        }
    });
}

/// Reads to the end on a thread of its own.
fn collect(source: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What came before an error came.
            let _ = source.read_to_end(&mut bytes);
        }
        // Nobody waits any more if the test has failed.
        let _ = send.send(bytes);
    });
    receive
}

/// The test's ends of the pipes that are a process's standard files.
#[derive(Default)]
pub(crate) struct Ends {
    /// To be written to its standard input, which is then closed.
    pub(crate) input: Option<Vec<u8>>,
    /// To be read as its standard output.
    pub(crate) read: Option<PipeReader>,
    /// Not to be read, and not to be closed before it has ended.
    pub(crate) kept: Option<PipeReader>,
}

/// A process that runs. It is killed if the test ends before it.
pub struct Started {
    command: String,
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    start: Instant,
    _kept: Option<PipeReader>,
    /// The writing end of its standard input, if that is a pipe which the test
    /// keeps open.
    pub stdin: Option<ChildStdin>,
}

impl Started {
    /// Starts a command.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn new(mut command: Command, shown: String, ends: Ends) -> Started {
        let start = Instant::now();
        let mut child = {
            let _lock = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
            let spawned = command.spawn();
            spawned.unwrap_or_else(|error| panic!("{shown}: cannot be started: {error}"))
        };
        // Closes the test's own copies of what the child was given.
        drop(command);
        let mut stdin = child.stdin.take();
        if let Some(input) = ends.input {
            feed(stdin.take(), input);
        }
        let stdout = match ends.read {
            Some(reader) => collect(Some(reader)),
            None => collect(child.stdout.take()),
        };
        Started {
            stdout,
            stderr: collect(child.stderr.take()),
            command: shown,
            child,
            start,
            _kept: ends.kept,
            stdin,
        }
    }

    /// Its process number.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the process is ours");
    }

    /// Sends it and what it started a signal, as a terminal does; it leads its
    /// group.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal).expect("the group is ours");
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If that cannot be found out.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("the process is ours").is_none()
    }

    /// Waits for its end, at most `limit` from its start.
    ///
    /// # Panics
    /// If it has not ended by then; it is killed.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Ran {
        let status = self.wait(limit);
        let time = self.start.elapsed();
        if status.is_none() {
            self.end();
        }
        // Somebody else may hold the pipes still: an end all the same.
        let patience = Duration::from_secs(scale(5, 20, 60));
        let read = |pipe: &Receiver<Vec<u8>>| pipe.recv_timeout(patience);
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        let closed = stdout.is_ok() && stderr.is_ok();
        let ran = Ran {
            command: self.command.clone(),
            status: status.map_or(-1, number),
            stdout: stdout.unwrap_or_default(),
            stderr: stderr.unwrap_or_default(),
            time,
        };
        ran.expect(status.is_some(), &format!("an end within {limit:?}"));
        ran.expect(closed, "that nobody holds its standard files after its end");
        ran
    }

    /// Its status, if it ends within `limit` of its start. Nothing runs here
    /// meanwhile: a look every few milliseconds is a process beside it, and in
    /// Bochs that is enough to kill a 32-bit program (docs/testing.md).
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let pid = self.pid();
        let (send, ended) = mpsc::channel();
        thread::spawn(move || {
            // It stays for the child's own wait, and its number with it.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            // Nobody waits any more if the time is up.
            let _ = send.send(());
        });
        // Either way the next line knows.
        let _ = ended.recv_timeout(limit.saturating_sub(self.start.elapsed()));
        self.child.try_wait().expect("the process is ours")
    }

    /// Kills it, if it still runs.
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}

/// A status as a shell has it.
fn number(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, signal) => 128 + signal.unwrap_or(0),
    }
}

/// The numbers of the processes whose parent is `pid`.
///
/// # Panics
/// Without /proc.
pub fn children(pid: Pid) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("there is /proc");
    let parent_of = |number: i32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // pid (name) state ppid: the name may hold anything.
        let after = stat.rsplit_once(") ")?.1;
        after.split(' ').nth(1)?.parse::<i32>().ok()
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| parent_of(*number) == Some(pid.as_raw()))
        .collect()
}
