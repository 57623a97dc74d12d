//! The group `start`: what it costs to run a program that does nothing, in a
//! sandbox and as a process, from nothing to nothing.
//!
//! Both run the same file, `images/src/bin/start-probe.rs`, which says when its
//! first instructions ran. Rounds are interleaved, so that a slow moment of the
//! machine hits both. Called by `run`; uses the library as any program
//! would.

use crate::bench::measure::blocks::{Block, Work};
use crate::bench::record::clock::{self, Clock, ticks};
use crate::bench::record::stats::{Cause, Part, Samples, median, timed};
use crate::bench::record::{Counted, Group, Measurement, Place, Step};
use crate::bench::{Error, Progress};
use std::fs::Permissions;
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio as NativeStdio};
use std::time::{Duration, Instant};
use tempfile::TempPath;
use trapgate::machine::kvm::clock::monotonic_ns;
use trapgate::stats::Stats;
use trapgate::{ByteSize, End, Sandbox, Stdio};

/// Says when it began, and ends.
static PROBE: &[u8] = include_bytes!(env!("TRAPGATE_START_PROBE"));

/// Memory of the sandbox.
const MEMORY: ByteSize = ByteSize(16 << 20);
/// Longer than any start takes, in the slowest rig.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Rounds of a block that nobody looks at: code and files are in caches
/// afterwards.
const WARM_UP: u64 = 2;

/// Pieces of a sandbox's start, in order.
const SANDBOX_STEPS: [&str; 7] = [
    "make the VM",
    "load kernel and program",
    "begin the vCPU's thread",
    "boot to ring 3",
    "program to its end",
    "to its outcome",
    "take down",
];
/// Pieces of a process's start.
const PROCESS_STEPS: [&str; 3] =
    ["fork and exec", "to its first instruction", "program to its end"];

/// Many rounds of one kind.
#[derive(Default)]
struct Rounds<const STEPS: usize> {
    samples: Samples,
    /// Nanoseconds of each piece, by round.
    steps: Vec<[f64; STEPS]>,
}

impl<const STEPS: usize> Rounds<STEPS> {
    /// Makes a round and keeps what it took.
    fn add(&mut self, round: impl FnOnce() -> Result<[f64; STEPS], Error>) -> Result<(), Error> {
        let (cpu, preemptions, start) = (clock::cpu(), clock::preemptions(), ticks());
        let steps = round()?;
        let taken = ticks().wrapping_sub(start);
        let cause = match (clock::preemptions() == preemptions, clock::cpu() == cpu) {
            (false, _) => Some(Cause::Interrupt),
            (true, false) => Some(Cause::Migration),
            (true, true) => None,
        };
        self.samples.disturbed.extend(cause.map(|cause| (self.samples.ticks.len(), cause)));
        self.samples.ticks.push(taken);
        self.steps.push(steps);
        Ok(())
    }

    /// What was added since the last block is one.
    fn end_block(&mut self) {
        let before: usize = self.samples.blocks.iter().map(|block| block.samples).sum();
        let samples = self.steps.len() - before;
        self.samples.blocks.push(Part { samples, ..Part::default() });
    }

    fn measurement(
        self,
        (name, place): (&str, Place),
        steps: [&str; STEPS],
        clock: Clock,
    ) -> Measurement {
        let mut measurement = Measurement::new(Group::Start, name, None, place);
        measurement.timed = timed(&self.samples, clock);
        let medians = steps.iter().enumerate().filter_map(|(index, name)| {
            let ns = median(self.steps.iter().map(|round| round[index]))?;
            Some(Step { name: (*name).to_owned(), ns, instructions: None })
        });
        measurement.steps = medians.collect();
        measurement
    }
}

/// The group, on its way.
pub(crate) struct Starts {
    count: u64,
    clock: Clock,
    file: TempPath,
    sandboxes: Rounds<{ SANDBOX_STEPS.len() }>,
    processes: Rounds<{ PROCESS_STEPS.len() }>,
    /// Runs whose exits were counted.
    counted: Vec<Counted>,
}

impl Starts {
    /// So many of each kind, none made yet.
    ///
    /// # Errors
    /// If there is no place for the program.
    pub(crate) fn new(count: u64, clock: Clock) -> Result<Starts, Error> {
        let file = probe_file()?;
        let (sandboxes, processes) = Default::default();
        Ok(Starts { count, clock, file, sandboxes, processes, counted: Vec::new() })
    }
}

impl Starts {
    /// So many starts of each kind, in turn, and some that nobody looks at.
    fn rounds(&mut self, count: u64, progress: &dyn Progress) -> Result<(), Error> {
        for _ in 0..WARM_UP {
            sandbox(false)?;
            process(&self.file)?;
        }
        for _ in 0..count {
            if progress.stopped() {
                break;
            }
            self.sandboxes.add(|| Ok(sandbox(false)?.0))?;
            self.processes.add(|| process(&self.file))?;
        }
        Ok(())
    }
}

impl Work for Starts {
    fn steps(&self) -> u64 {
        1
    }

    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
        progress.begin("start");
        match self.rounds(block.part(self.count), progress) {
            // A Ctrl-C may come to a process in the moment before it has a group
            // of its own.
            Err(Error::Program(_)) if progress.stopped() => {}
            rounds => rounds?,
        }
        self.sandboxes.end_block();
        self.processes.end_block();
        // Apart from the times.
        if !progress.stopped() {
            self.counted.push(counted(&sandbox(true)?.1));
        }
        progress.advance();
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let Starts { clock, sandboxes, processes, counted, .. } = *self;
        let mut sandboxes = sandboxes.measurement(("sandbox", Place::Guest), SANDBOX_STEPS, clock);
        sandboxes.counted = Counted::least(counted);
        let processes = processes.measurement(("process", Place::Host), PROCESS_STEPS, clock);
        // What the run did not come to is not in the record.
        Ok([sandboxes, processes].into_iter().filter(|one| one.timed.is_some()).collect())
    }
}

/// Exits of one run.
fn counted(stats: &Stats) -> Counted {
    Counted {
        exits: stats.own_exits().map(|exits| exits as f64),
        exits_by_kind: [("to the VMM".to_owned(), stats.vmm_exits as f64)].into(),
        ..Counted::default()
    }
}

/// Nanoseconds between two moments; 0 if they are the wrong way round, as
/// clocks of two sides may be by a little.
fn between(earlier: Instant, later: Instant) -> f64 {
    later.saturating_duration_since(earlier).as_nanos() as f64
}

/// A sandbox from nothing to nothing.
fn sandbox(detailed: bool) -> Result<([f64; SANDBOX_STEPS.len()], Stats), Error> {
    let (mut reader, writer) = pipe().map_err(Error::host("a pipe"))?;
    // The same moment on both clocks.
    let (start, start_ns) = (Instant::now(), monotonic_ns());
    let sandbox = Sandbox::builder()
        .program_bytes("start-probe", PROBE)
        .memory(MEMORY)
        .timeout(TIMEOUT)
        .stdin(Stdio::Closed)
        .stdout(Stdio::Fd(OwnedFd::from(writer)))
        .stderr(Stdio::Closed)
        .detailed_stats(detailed)
        .build()?;
    let built = Instant::now();
    let outcome = sandbox.run()?;
    let told = Instant::now();
    outcome.teardown.wait();
    let end = Instant::now();
    if outcome.end != End::Exited(0) {
        return Err(Error::Program(format!("did not exit in its sandbox: {:?}", outcome.end)));
    }
    let first = start + Duration::from_nanos(said(&mut reader)?.saturating_sub(start_ns));
    let time = outcome.stats.time;
    let entered = time.run_began.unwrap_or(built);
    let left = entered + Duration::from_micros(time.run_us);
    let load = time.load_us as f64 * 1e3;
    let steps = [
        between(start, built) - load,
        load,
        between(built, entered),
        between(entered, first),
        between(first, left),
        between(left, told),
        between(told, end),
    ];
    Ok((steps, outcome.stats))
}

/// The same program as a process of the host's. The standard library spawns
/// with posix_spawn(3), which is quicker than fork(2) and exec(2).
fn process(file: &TempPath) -> Result<[f64; 3], Error> {
    let (mut reader, writer) = pipe().map_err(Error::host("a pipe"))?;
    let (start, start_ns) = (Instant::now(), monotonic_ns());
    let spawned = Command::new(file)
        // A Ctrl-C is for the bench, which then ends in good order.
        .process_group(0)
        .env_clear()
        .stdin(NativeStdio::null())
        .stdout(writer)
        .stderr(NativeStdio::null())
        .spawn();
    let mut child = spawned.map_err(Error::host("running the measured program natively"))?;
    let forked = Instant::now();
    let status = child.wait().map_err(Error::host("waiting for the measured program"))?;
    let end = Instant::now();
    if !status.success() {
        return Err(Error::Program(format!("did not exit as a process: {status}")));
    }
    let first = start + Duration::from_nanos(said(&mut reader)?.saturating_sub(start_ns));
    // posix_spawn(3) answers when the new image is there, which may be after
    // the program began.
    let forked = forked.min(first);
    Ok([between(start, forked), between(forked, first), between(first, end)])
}

/// What the probe said: CLOCK_MONOTONIC in nanoseconds.
fn said(reader: &mut PipeReader) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    reader
        .read_exact(&mut bytes)
        .map_err(|error| Error::Program(format!("said nothing: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}

/// The probe as an executable file, which goes with the value.
fn probe_file() -> Result<TempPath, Error> {
    let make = || {
        let mut builder = tempfile::Builder::new();
        let permissions = Permissions::from_mode(0o700);
        let mut file = builder.prefix("trapgate-bench.").permissions(permissions).tempfile()?;
        file.write_all(PROBE)?;
        // Closed: nobody executes a file that is open for writing.
        Ok(file.into_temp_path())
    };
    make().map_err(Error::host("a file for the measured program"))
}
