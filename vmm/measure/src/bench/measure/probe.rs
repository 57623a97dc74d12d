//! The probe: a program that measures itself on command, in a sandbox or as a
//! process of the host's. [`trapgate_abi::bench`] says what they agree on.
//!
//! What a probe in a sandbox answers are the guest's bytes: as many are read as
//! were asked for, and what is strange ends the measurement.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command as Process, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use trapgate::machine::affinity;
use trapgate::machine::kvm::stats_fd::VcpuStats;
use trapgate::stats::Stats;
use trapgate::{Builder, ByteSize, End, Error, Outcome, Running, Stdio, report};
use trapgate_abi::bench::{Command, MAX_SAMPLES, Operation, Reply};

/// The 64-bit probe.
static PROBE: &[u8] = include_bytes!(env!("TRAPGATE_BENCH_PROBE"));
/// The 32-bit one.
static PROBE_32: &[u8] = include_bytes!(env!("TRAPGATE_BENCH_PROBE_32"));

/// RAM of a probe's sandbox.
const MEMORY: ByteSize = ByteSize(32 << 20);
/// How long a guest may take from its answer to its wait for a command.
const RESTLESS: Duration = Duration::from_secs(1);
/// How often that is looked at.
const SOON: Duration = Duration::from_micros(50);
/// Longer than any command takes, in the slowest rig; and than any end.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The size of the probe's pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Compatibility mode.
    W32,
    /// 64-bit mode.
    W64,
}

impl Width {
    fn program(self) -> &'static [u8] {
        match self {
            Width::W32 => PROBE_32,
            Width::W64 => PROBE,
        }
    }
}

/// A probe that waits for commands.
pub struct Probe {
    /// Where commands go; taken at the end.
    input: Option<File>,
    /// Where answers come from.
    output: File,
    /// Taken at the end.
    body: Option<Body>,
}

enum Body {
    Guest(Running, Option<Arc<VcpuStats>>),
    Host(Child),
}

/// What a probe measured.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The loops.
    pub reply: Reply,
    /// Ticks of each bracket.
    pub with: Vec<u32>,
    /// Ticks of each empty bracket.
    pub without: Vec<u32>,
    /// How long the answer took, command and samples included.
    pub wall: Duration,
}

/// Why a probe did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A sandbox could not be made or started. What fails later is
    /// [`ProbeError::Ended`].
    #[error(transparent)]
    Sandbox(#[from] Error),
    /// A call of the host's failed.
    #[error("{0}: {1}")]
    Host(&'static str, #[source] io::Error),
    /// It has no such operation.
    #[error("the probe has no such operation")]
    Unknown,
    /// A signal killed it.
    #[error("the probe was killed by {}", report::signal_name(*.0 as u8).0)]
    Killed(i32),
    /// It ended instead of answering.
    #[error("the probe {0}")]
    Ended(String),
    /// What it answered is no answer.
    #[error("the probe answered something else")]
    Malformed,
}

fn host(what: &'static str) -> impl Fn(io::Error) -> ProbeError {
    move |error| ProbeError::Host(what, error)
}

impl Probe {
    /// Starts one in the sandbox that `builder` describes but for the program
    /// and its standard files.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn in_sandbox(width: Width, builder: Builder) -> Result<Probe, ProbeError> {
        let (stdin, input) = io::pipe().map_err(host("pipe"))?;
        let (output, stdout) = io::pipe().map_err(host("pipe"))?;
        let sandbox = builder
            .program_bytes("bench-probe", width.program())
            .memory(MEMORY)
            .stdin(Stdio::Fd(stdin.into()))
            .stdout(Stdio::Fd(stdout.into()))
            .stderr(Stdio::Fd(sink()?.into()))
            .build()?;
        let exits = sandbox.kvm_stats();
        let body = Body::Guest(sandbox.start()?, exits);
        Ok(Probe::new(OwnedFd::from(input), OwnedFd::from(output), body))
    }

    /// Starts one as an ordinary process, on one of the host's CPUs.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn as_process(width: Width, cpu: usize) -> Result<Probe, ProbeError> {
        let (stdin, input) = io::pipe().map_err(host("pipe"))?;
        let (output, stdout) = io::pipe().map_err(host("pipe"))?;
        let program = memory_file(width.program()).map_err(host("memfd_create"))?;
        let child = Process::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            // A Ctrl-C is for the bench, which then ends in good order.
            .process_group(0)
            .env_clear()
            .stdin(stdin)
            .stdout(stdout)
            .stderr(sink()?)
            .spawn()
            .map_err(host("starting the probe as a process"))?;
        affinity::set(child.id() as i32, cpu).map_err(host("sched_setaffinity"))?;
        Ok(Probe::new(OwnedFd::from(input), OwnedFd::from(output), Body::Host(child)))
    }

    fn new(input: OwnedFd, output: OwnedFd, body: Body) -> Probe {
        Probe { input: Some(input.into()), output: output.into(), body: Some(body) }
    }

    /// Gives a command and waits for the answer.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn measure(&mut self, command: &Command) -> Result<Answer, ProbeError> {
        let start = Instant::now();
        let answer = self.exchange(command);
        match answer {
            Ok(answer) if answer.reply.done == 0 => Err(ProbeError::Unknown),
            Ok(answer) => Ok(Answer { wall: start.elapsed(), ..answer }),
            Err(error) if is_end(&error) => Err(self.end()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(ProbeError::Malformed),
            Err(error) => Err(host("talking with the probe")(error)),
        }
    }

    fn exchange(&mut self, command: &Command) -> io::Result<Answer> {
        let mut bytes: Vec<u8> =
            command.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
        if command.operation == Operation::Read1 as u64 {
            // What the calls read. A pipe takes as much without a reader.
            let calls = command.samples + command.warm_up + command.batch;
            bytes.extend((0..calls).map(|_| b'.'));
        }
        let Some(input) = &mut self.input else { return Err(io::ErrorKind::BrokenPipe.into()) };
        input.write_all(&bytes)?;
        let mut output = Patient { file: &self.output, deadline: Instant::now() + TIMEOUT };
        answer(&mut output, command)
    }

    /// Ends it, and tells what the run cost if that was in a sandbox.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn finish(self) -> Result<Option<Stats>, ProbeError> {
        self.outcome().map(|outcome| outcome.map(|outcome| outcome.stats))
    }

    /// Ends it; what came of it, if that was in a sandbox.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn outcome(mut self) -> Result<Option<Outcome>, ProbeError> {
        // Without input, it ends.
        self.input = None;
        match self.body.take() {
            Some(Body::Guest(running, _)) => match running.wait_at_most(TIMEOUT) {
                Ok(outcome @ Outcome { end: End::Exited(0), .. }) => Ok(Some(outcome)),
                result => Err(in_sandbox(result)),
            },
            Some(Body::Host(mut child)) => match child.wait().map_err(host("wait"))? {
                status if status.success() => Ok(None),
                status => Err(as_process(status)),
            },
            None => Err(ProbeError::Ended("has ended already".to_owned())),
        }
    }

    /// How it ended, if it did so without being told.
    fn end(&mut self) -> ProbeError {
        self.input = None;
        match self.body.take() {
            Some(Body::Guest(running, _)) => in_sandbox(running.wait_at_most(TIMEOUT)),
            Some(Body::Host(mut child)) => child.wait().map_or_else(host("wait"), as_process),
            None => ProbeError::Ended("has ended already".to_owned()),
        }
    }

    /// Exits so far that the guest caused, once it waits for a command: then
    /// there are no more. Unknown on the host.
    pub(crate) fn exits_at_rest(&self) -> Option<u64> {
        let Some(Body::Guest(running, Some(stats))) = &self.body else { return None };
        let deadline = Instant::now() + RESTLESS;
        while !running.sleeps() && Instant::now() < deadline {
            thread::sleep(SOON);
        }
        stats.own_exits()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.input = None;
        if let Some(Body::Host(mut child)) = self.body.take() {
            // One that does not end by itself has nothing to say.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a probe answers to `command`.
fn answer(output: &mut impl Read, command: &Command) -> io::Result<Answer> {
    let mut words = [0; Reply::WORDS];
    for word in &mut words {
        let mut bytes = [0; 8];
        output.read_exact(&mut bytes)?;
        *word = u64::from_le_bytes(bytes);
    }
    let reply = Reply::from_words(&words);
    if reply.samples > MAX_SAMPLES.min(command.samples) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut list = || {
        let mut bytes = vec![0; reply.samples as usize * 4];
        output.read_exact(&mut bytes)?;
        let (samples, _) = bytes.as_chunks::<4>();
        io::Result::Ok(samples.iter().map(|sample| u32::from_le_bytes(*sample)).collect())
    };
    Ok(Answer { reply, with: list()?, without: list()?, wall: Duration::ZERO })
}

/// The probe's pipe, read up to a point in time: a probe that hangs must not
/// hang who asks it, also not in the middle of an answer.
struct Patient<'a> {
    file: &'a File,
    deadline: Instant,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(self.file, PollFlags::IN)], Some(&left))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.file.read(buffer),
        }
    }
}

/// What an end means to who waits for an answer. A VM that fails on its way is
/// one measurement's end, not the bench's.
fn in_sandbox(result: Result<Outcome, Error>) -> ProbeError {
    ProbeError::Ended(match result.map(|outcome| outcome.end) {
        Ok(End::Exited(status)) => format!("exited with status {status}"),
        Ok(End::Killed(crash)) => return ProbeError::Killed(crash.signal.into()),
        Ok(End::TimedOut) => "took too long".to_owned(),
        Ok(_) => "was stopped".to_owned(),
        Err(error) => {
            let text = error.to_string();
            format!("failed: {}", text.lines().next().unwrap_or_default())
        }
    })
}

/// The same of a process.
fn as_process(status: ExitStatus) -> ProbeError {
    match status.signal() {
        Some(signal) => ProbeError::Killed(signal),
        None => ProbeError::Ended(format!("ended: {status}")),
    }
}

/// Whether an error means that nobody is there any more.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe)
}

/// What a probe writes to when writing is what is measured.
fn sink() -> Result<File, ProbeError> {
    File::options().write(true).open("/dev/null").map_err(host("/dev/null"))
}

/// A file in memory, which a process can be made of.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    // Not closed by exec, which looks it up.
    let mut file = File::from(memfd_create("bench-probe", MemfdFlags::empty())?);
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an answer of these bytes, from a probe that then hangs.
    fn of_one_that_hangs_after(bytes: &[u8]) -> io::Result<Answer> {
        let (output, mut probe) = io::pipe().unwrap();
        probe.write_all(bytes).unwrap();
        let file = File::from(OwnedFd::from(output));
        let deadline = Instant::now() + Duration::from_millis(50);
        let command = Command { samples: 2, ..Command::default() };
        answer(&mut Patient { file: &file, deadline }, &command)
    }

    fn reply(samples: u64) -> Vec<u8> {
        let words = Reply { done: 1, samples, ..Reply::default() }.to_words();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_probe_that_hangs_in_the_middle_of_an_answer_hangs_nobody() {
        let whole = [reply(2), vec![7; 16]].concat();
        assert_eq!(of_one_that_hangs_after(&whole).unwrap().with, [0x0707_0707; 2]);
        for length in [0, 1, 8, whole.len() - 17, whole.len() - 1] {
            let error = of_one_that_hangs_after(&whole[..length]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{length}");
        }
    }

    #[test]
    fn a_vm_that_fails_on_its_way_ends_one_measurement() {
        let error = in_sandbox(Err(Error::Defect));
        assert!(matches!(&error, ProbeError::Ended(why) if why.starts_with("failed: ")), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }

    #[test]
    fn more_samples_than_were_asked_for_are_no_answer() {
        for samples in [3, MAX_SAMPLES, u64::MAX] {
            let error = of_one_that_hangs_after(&reply(samples)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{samples}");
        }
    }
}
