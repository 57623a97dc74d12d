//! A program that runs: [`Running`], modelled on [`std::process::Child`].
//!
//! The vCPU has a thread of its own (`vcpu_thread`); what is here belongs to the
//! one that started it: the pipes to the program, and its outcome. The outcome is
//! there when the program has ended; its VM is taken down behind it
//! ([`crate::Teardown`]).

use crate::error::Error;
use crate::machine::vcpu_thread::{KillHandle, VcpuThread};
use crate::sandbox::capture::{self, Kept};
use crate::sandbox::outcome::{End, Outcome, Output};
use std::io::{PipeReader, PipeWriter};
use std::time::Duration;

/// A program that runs. Dropped without a wait, it is stopped.
///
/// A timeout and a kill act whether or not somebody waits.
///
/// ```no_run
/// use std::io::{BufRead, BufReader, Write};
/// use trapgate::{Sandbox, Stdio};
///
/// let sandbox = Sandbox::builder()
///     .program("/bin/busybox")
///     .args(["sed", "-u", "s/ping/pong/"])
///     .stdin(Stdio::piped())
///     .stdout(Stdio::piped())
///     .build()?;
/// let mut running = sandbox.start()?;
/// let mut input = running.stdin.take().expect("it was asked for");
/// let mut lines = BufReader::new(running.stdout.take().expect("it was asked for")).lines();
/// writeln!(input, "ping")?;
/// assert_eq!(lines.next().expect("a line")?, "pong");
/// drop(input);
/// assert!(running.wait()?.end.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Running {
    /// To write what the program reads, if its input is [`crate::Stdio::piped`].
    /// Dropped, it is the input's end.
    pub stdin: Option<PipeWriter>,
    /// To read what the program writes, if its output is
    /// [`crate::Stdio::piped`]. While nobody reads, a pipe takes 64 KiB; then the
    /// program waits.
    pub stdout: Option<PipeReader>,
    /// The same of its standard error.
    pub stderr: Option<PipeReader>,
    progress: Progress,
    kill: KillHandle,
    /// Bytes of each file that are kept.
    output_limit: u64,
}

/// How far it got.
#[derive(Debug)]
enum Progress {
    /// It runs, or nobody has asked since.
    Runs(VcpuThread<Outcome>),
    /// It ended, and somebody has been told.
    Ended(Box<Outcome>),
    /// The VM failed, and somebody has been told.
    Failed,
}

impl Running {
    pub(crate) fn new(
        thread: VcpuThread<Outcome>,
        (stdin, stdout, stderr): (Option<PipeWriter>, Option<PipeReader>, Option<PipeReader>),
        output_limit: u64,
    ) -> Running {
        let kill = thread.kill_handle();
        Running { stdin, stdout, stderr, progress: Progress::Runs(thread), kill, output_limit }
    }

    /// Stops it: [`KillHandle::kill`].
    pub fn kill(&self) {
        self.kill.kill();
    }

    /// A handle to stop it with, from any thread.
    ///
    /// ```no_run
    /// use std::thread;
    /// use std::time::Duration;
    /// use trapgate::{End, Sandbox};
    ///
    /// let running = Sandbox::builder().program("./prog").build()?.start()?;
    /// let handle = running.kill_handle();
    /// thread::spawn(move || {
    ///     thread::sleep(Duration::from_secs(1));
    ///     handle.kill();
    /// });
    /// assert_eq!(running.wait()?.end, End::Stopped);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn kill_handle(&self) -> KillHandle {
        self.kill.clone()
    }

    /// What came of it, if it has ended.
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    ///
    /// let mut running = Sandbox::builder().program("./prog").build()?.start()?;
    /// if let Some(outcome) = running.try_wait()? {
    ///     println!("{}", outcome.end);
    /// }
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`], if the VM failed; [`Error::Reported`] from then on.
    pub fn try_wait(&mut self) -> Result<Option<Outcome>, Error> {
        self.wait_timeout(Duration::ZERO)
    }

    /// What came of it, if it ends within this time from now on. Otherwise it
    /// goes on.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use trapgate::Sandbox;
    ///
    /// let mut running = Sandbox::builder().program("./prog").build()?.start()?;
    /// let outcome = loop {
    ///     match running.wait_timeout(Duration::from_secs(1))? {
    ///         Some(outcome) => break outcome,
    ///         None => println!("still running"),
    ///     }
    /// };
    /// println!("{}", outcome.end);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Running::try_wait`].
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<Outcome>, Error> {
        if matches!(&self.progress, Progress::Runs(thread) if !thread.ends_within(limit)) {
            return Ok(None);
        }
        let outcome = self.end()?;
        self.progress = Progress::Ended(Box::new(outcome.clone()));
        Ok(Some(outcome))
    }

    /// Waits for its end. Its input ends first, and what it writes into pipes
    /// that nobody has taken is read and forgotten, so that it does not wait for
    /// a reader.
    ///
    /// # Errors
    /// As [`Running::try_wait`].
    pub fn wait(mut self) -> Result<Outcome, Error> {
        self.read_to_end(None).map(|(outcome, _)| outcome)
    }

    /// Waits for its end, and keeps what it writes into pipes that nobody has
    /// taken: of each file as much as [`crate::Builder::output_limit`] says. Its
    /// input ends first.
    ///
    /// ```no_run
    /// use trapgate::{Sandbox, Stdio};
    ///
    /// let builder = Sandbox::builder().program("./prog").stdout(Stdio::piped());
    /// let output = builder.build()?.start()?.wait_with_output()?;
    /// println!("{} bytes; {}", output.stdout.len(), output.end);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Running::try_wait`].
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        let (outcome, [stdout, stderr]) = self.read_to_end(Some(self.output_limit))?;
        let end = if stdout.is_cut || stderr.is_cut { End::TooMuchOutput } else { outcome.end };
        Ok(Output {
            end,
            stdout: stdout.bytes,
            stderr: stderr.bytes,
            place: outcome.place,
            stats: outcome.stats,
            teardown: outcome.teardown,
        })
    }

    /// Waits for its end while its pipes are read.
    fn read_to_end(&mut self, limit: Option<u64>) -> Result<(Outcome, [Kept; 2]), Error> {
        self.stdin = None;
        let pipes = [self.stdout.take(), self.stderr.take()];
        let kill = self.kill.clone();
        capture::meanwhile(pipes, limit, &kill, || self.end())
    }

    /// Waits for its end, but ends it itself after `limit` from now on.
    ///
    /// # Errors
    /// As [`Running::try_wait`].
    #[doc(hidden)]
    pub fn wait_at_most(self, limit: Duration) -> Result<Outcome, Error> {
        if let Progress::Runs(thread) = &self.progress
            && !thread.ends_within(limit)
        {
            thread.time_out()?;
        }
        self.wait()
    }

    /// Whether it waits in a system call: [`VcpuThread::sleeps`].
    #[doc(hidden)]
    pub fn sleeps(&self) -> bool {
        matches!(&self.progress, Progress::Runs(thread) if thread.sleeps())
    }

    /// Waits for its end; the next one is told that it has been reported.
    fn end(&mut self) -> Result<Outcome, Error> {
        match std::mem::replace(&mut self.progress, Progress::Failed) {
            Progress::Runs(thread) => {
                let teardown = thread.teardown();
                let (result, timed_out) = thread.join();
                result.map(|outcome| Outcome { teardown, ..outcome }.at_its_time(timed_out))
            }
            Progress::Ended(outcome) => Ok(*outcome),
            Progress::Failed => Err(Error::Reported),
        }
    }
}
