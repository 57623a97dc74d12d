//! The groups `doors` and `calls`: what the probe measures, in a sandbox and as
//! a process, in turn. Called by [`super::run`].
//!
//! Both probes run the same file on the same CPU of the host's; while one
//! measures, the other waits for a command. So a slow moment of the machine
//! hits both.

use super::count::counted_call;
use super::environment::Environment;
use super::interrupts::Interrupts;
use super::probe::{Answer, Probe, ProbeError, Width};
use super::record::{Counted, Delivery, Group, Measurement, Place};
use super::stats::{Samples, timed};
use super::{Error, Options, Progress, clock, explain};
use crate::doors::{self, Door, Instruction, Mode};
use crate::mitigation::{GuestCpu, Mitigations, Step};
use crate::stats::Stats;
use crate::{Sandbox, affinity};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use trapgate_abi::bench::{Command, Operation, USE_RDTSCP};

/// Samples of one command: between two of them, the other probe has its turn.
const CHUNK: u64 = 500;
/// The same of a quick run, so that slow calls end in time.
const QUICK_CHUNK: u64 = 25;
/// Calls before the first sample of a later command: the other probe was here.
const REWARM: u64 = 20;
/// Time that the samples of one measurement may take in one place. A door that
/// is trapped costs so much that 10,000 samples would take minutes.
const BUDGET: Duration = Duration::from_millis(250);
/// The same of a quick run.
const QUICK: Duration = Duration::from_millis(15);
/// The loop that cross-checks takes at least this long, so that the wall clock
/// sees it.
const LOOP: Duration = Duration::from_millis(2);
/// The most reads of a warm-up or a loop.
const READS: u64 = 16 << 10;
/// And has at least so many calls, where one takes long.
const LEAST_CALLS: u64 = 20;
/// How often that loop runs; the least disturbed counts.
const LOOPS: usize = 3;
/// Calls whose exits are counted.
const COUNTED_CALLS: u64 = 20;
/// Runs whose exits are counted; the least disturbed counts.
const COUNTED_RUNS: usize = 2;

/// Something that the probe measures.
struct Item {
    group: Group,
    name: &'static str,
    operation: Operation,
    width: Width,
    /// The door that it is about.
    door: Option<Door>,
}

const fn door(name: &'static str, operation: Operation, width: Width, of: Instruction) -> Item {
    let mode = match width {
        Width::W32 => Mode::Compat,
        Width::W64 => Mode::Long,
    };
    let door = Some(Door { instruction: of, mode });
    Item { group: Group::Doors, name, operation, width, door }
}

const fn other(group: Group, name: &'static str, operation: Operation) -> Item {
    Item { group, name, operation, width: Width::W64, door: None }
}

const ITEMS: [Item; 16] = {
    use Instruction::{Int80, Syscall, Sysenter};
    use Width::{W32, W64};
    [
        door("SYSCALL", Operation::Syscall, W64, Syscall),
        door("INT 0x80", Operation::Int80, W64, Int80),
        door("SYSCALL", Operation::Syscall, W32, Syscall),
        door("SYSENTER", Operation::Sysenter, W32, Sysenter),
        door("INT 0x80", Operation::Int80, W32, Int80),
        Item {
            group: Group::Doors,
            name: "__kernel_vsyscall",
            operation: Operation::Vsyscall,
            width: W32,
            door: None,
        },
        other(Group::Doors, "vDSO clock_gettime", Operation::Vdso),
        other(Group::Doors, "empty function", Operation::Function),
        other(Group::Calls, "clock_gettime", Operation::ClockGettime),
        other(Group::Calls, "brk", Operation::Brk),
        other(Group::Calls, "write 1 byte", Operation::Write1),
        other(Group::Calls, "write 64 KiB", Operation::Write64K),
        other(Group::Calls, "read 1 byte", Operation::Read1),
        other(Group::Calls, "mmap + munmap", Operation::MmapMunmap),
        other(Group::Calls, "page fault", Operation::PageFault),
        other(Group::Calls, "CPUID", Operation::Cpuid),
    ]
};

/// Measures what there is of `group`.
///
/// # Errors
/// If no sandbox can be made. A door that is not there is a measurement that
/// says so.
pub fn measure(
    group: Group,
    options: &Options,
    environment: &Environment,
    tsc_khz: NonZeroU64,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let mut measurements = Vec::new();
    for item in ITEMS.iter().filter(|item| item.group == group) {
        if !progress.stopped() {
            measurements.extend(Run::new(item, options, environment, tsc_khz)?.measure(progress)?);
        }
    }
    Ok(measurements)
}

/// Measures the doors once more, with mitigation steps on; what they add to the
/// `plain` ones is told.
///
/// # Errors
/// If no sandbox can be made, or a step was asked for that cannot be on.
pub fn measure_hardened(
    plain: &[Measurement],
    options: &Options,
    environment: &Environment,
    tsc_khz: NonZeroU64,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let mut measurements = Vec::new();
    for item in ITEMS.iter().filter(|item| item.door.is_some()) {
        for (steps, budget) in variants(options)? {
            if !progress.stopped() {
                let run = Run { steps, budget, ..Run::new(item, options, environment, tsc_khz)? };
                measurements.extend(run.measure_hardened(plain, progress)?);
            }
        }
    }
    Ok(measurements)
}

/// The sets of mitigation steps that doors are measured with: those that were
/// chosen, and each alone, with the time that their samples may take.
fn variants(options: &Options) -> Result<Vec<(Mitigations, Duration)>, Error> {
    let cpu = GuestCpu::of_this_host()?;
    let chosen = options.mitigations.chosen(&cpu)?;
    let each = Step::ALL.into_iter().filter(|&step| cpu.check(step).is_ok());
    let alone = each.map(|step| (Mitigations::NONE.with(step), BUDGET / 5));
    let budget = if options.quick { QUICK } else { BUDGET };
    let chosen = (!chosen.is_empty()).then_some((chosen, budget));
    // A quick look is at the doors.
    let alone = alone.filter(|_| !options.quick);
    Ok(chosen.into_iter().chain(alone).collect())
}

/// One item on its way.
struct Run<'a> {
    item: &'a Item,
    options: &'a Options,
    environment: &'a Environment,
    cpu: usize,
    tsc_khz: NonZeroU64,
    /// On the kernel's way in and out.
    steps: Mitigations,
    /// Time that the samples may take in one place.
    budget: Duration,
}

/// One of the two probes, with what it has answered.
struct Side {
    place: Place,
    probe: Option<Probe>,
    samples: Samples,
    /// Time that it has had.
    used: Duration,
    delivery: Option<Delivery>,
    counted: Option<Counted>,
}

impl<'a> Run<'a> {
    /// One through the plain doors.
    fn new(
        item: &'a Item,
        options: &'a Options,
        environment: &'a Environment,
        tsc_khz: NonZeroU64,
    ) -> Result<Run<'a>, Error> {
        // Not the first CPU: that one gets most of the host's interrupts.
        let cpu = affinity::allowed()?.last().copied().unwrap_or(0);
        let budget = if options.quick { QUICK } else { BUDGET };
        let steps = Mitigations::NONE;
        Ok(Run { item, options, environment, cpu, tsc_khz, steps, budget })
    }

    fn measure(&self, progress: &mut dyn Progress) -> Result<[Measurement; 2], Error> {
        let label = format!("{}: {}", self.item.group, self.item.name);
        let rounds = self.options.samples.div_ceil(self.chunk_size());
        progress.begin(&label, rounds);
        let mut sides = [self.side(Place::Guest)?, self.side(Place::Host)?];
        let mut first = true;
        for _ in 0..rounds {
            for side in &mut sides {
                if !progress.stopped() {
                    self.chunk(side, first)?;
                }
            }
            first = false;
            progress.advance();
        }
        for side in &mut sides {
            if !progress.stopped() {
                self.cross_check(side)?;
            }
            self.finish(side);
        }
        let [guest, host] = &mut sides;
        let figures = !guest.samples.ticks.is_empty() && !progress.stopped();
        if figures && !self.options.quick {
            guest.counted = self.exits()?;
        }
        if figures
            && self.options.counted
            && let Some(instructions) = self.instructions()?
        {
            guest.counted.get_or_insert_default().instructions = Some(instructions);
        }
        Ok([self.measurement(guest), self.measurement(host)])
    }

    /// A door with the steps on, beside nothing: what they add to the plain one
    /// among `others` is told.
    fn measure_hardened(
        &self,
        others: &[Measurement],
        progress: &mut dyn Progress,
    ) -> Result<Option<Measurement>, Error> {
        let door = self.item.door.map(|door| door.to_string()).unwrap_or_default();
        if matches!(self.environment.doors.get(&door), Some(Delivery::Absent { .. })) {
            return Ok(None);
        }
        let rounds = self.options.samples.div_ceil(self.chunk_size());
        progress.begin(&format!("{door} with {}", self.steps), rounds);
        let mut side = self.side(Place::Guest)?;
        for round in 0..rounds {
            if !progress.stopped() {
                self.chunk(&mut side, round == 0)?;
            }
            progress.advance();
        }
        self.finish(&mut side);
        if self.options.counted && !side.samples.ticks.is_empty() && !progress.stopped() {
            let instructions = self.instructions()?;
            side.counted = Some(Counted { instructions, ..Counted::default() });
        }
        let names: Vec<_> = self.steps.iter().map(Step::name).collect();
        let mut measurement = self.measurement(&mut side);
        let plain = others.iter().find(|other| other.id == measurement.id);
        let median = |one: &Measurement| one.timed.as_ref().map(|timed| timed.ns.subtracted.median);
        if let (Some(with), Some(without)) = (median(&measurement), plain.and_then(median)) {
            measurement.notes.push(format!("adds {:.1} ns to {without:.1} ns", with - without));
        }
        Ok(Some(measurement.with(&names)))
    }

    fn side(&self, place: Place) -> Result<Side, Error> {
        let probe = match place {
            Place::Guest => {
                let sandbox = Sandbox::builder().cpu(self.cpu).detailed_stats(true);
                Probe::in_sandbox(self.item.width, sandbox.mitigations(self.steps))
            }
            Place::Host => Probe::as_process(self.item.width, self.cpu),
        };
        let mut side = Side {
            place,
            probe: None,
            samples: Samples::default(),
            used: Duration::ZERO,
            delivery: None,
            counted: None,
        };
        match probe {
            Ok(probe) => side.probe = Some(probe),
            Err(ProbeError::Sandbox(error)) => return Err(error.into()),
            // A host without IA32 emulation executes no 32-bit file.
            Err(error) => side.delivery = Some(Delivery::Absent { why: error.to_string() }),
        }
        Ok(side)
    }

    fn command(&self, samples: u64, warm_up: u64, batch: u64) -> Command {
        // RDTSCP is interpreted nowhere.
        let interpreted = self.environment.kvm.software && self.item.width == Width::W32;
        let flags = if clock::has_rdtscp() && !interpreted { USE_RDTSCP } else { 0 };
        // What Read1 reads must fit into a pipe, with the command.
        let most = if self.item.operation == Operation::Read1 { READS } else { u64::MAX };
        let (warm_up, batch) = (warm_up.min(most), batch.min(most));
        Command { operation: self.item.operation as u64, samples, warm_up, batch, flags }
    }

    fn chunk_size(&self) -> u64 {
        if self.options.quick { QUICK_CHUNK } else { CHUNK }
    }

    /// Gives a command; a probe that ends over it is one that has no such door.
    fn ask(&self, side: &mut Side, command: &Command) -> Result<Option<Answer>, Error> {
        let Some(probe) = &mut side.probe else { return Ok(None) };
        match probe.measure(command) {
            Ok(answer) => Ok(Some(answer)),
            Err(ProbeError::Sandbox(error)) => Err(error.into()),
            Err(error) => {
                side.probe = None;
                side.delivery = Some(Delivery::Absent { why: error.to_string() });
                Ok(None)
            }
        }
    }

    /// Some more samples, if there is time for them.
    fn chunk(&self, side: &mut Side, first: bool) -> Result<(), Error> {
        let taken = side.samples.ticks.len() as u64;
        if side.used > self.budget || taken >= self.options.samples {
            return Ok(());
        }
        let warm_up = if first { self.options.warm_up } else { REWARM };
        let wanted = self.chunk_size().min(self.options.samples - taken);
        let before = Interrupts::of(self.cpu);
        let start = Instant::now();
        let Some(answer) = self.ask(side, &self.command(wanted, warm_up, 0))? else {
            return Ok(());
        };
        side.used += start.elapsed();
        let interrupts = Interrupts::of(self.cpu).since(before);
        let causes = explain::causes(&answer.with, interrupts, answer.reply.migrations);
        let offset = side.samples.ticks.len();
        side.samples.disturbed.extend(causes.map(|(index, cause)| (offset + index, cause)));
        side.samples.ticks.extend(answer.with.iter().map(|&ticks| u64::from(ticks)));
        side.samples.empty.extend(answer.without.iter().map(|&ticks| u64::from(ticks)));
        Ok(())
    }

    /// A loop of calls in one bracket, held against the wall clock.
    fn cross_check(&self, side: &mut Side) -> Result<(), Error> {
        let Some(nothing) = self.ask(side, &self.command(0, 0, 0))? else { return Ok(()) };
        let mut calls = self.command(0, 0, self.options.batch).batch;
        if self.item.operation != Operation::Read1 {
            // Read1's input must fit into a pipe.
            let Some(median) = median_ns(&side.samples.ticks, self.tsc_khz) else {
                return Ok(());
            };
            let enough = LOOP.as_nanos() as f64 / median.max(1.0);
            // A call that takes long needs fewer.
            let slow = enough < calls as f64;
            calls =
                if slow { LEAST_CALLS.max(enough as u64) } else { (enough as u64).min(1 << 20) };
        }
        let mut least: Option<(u64, u64, Duration)> = None;
        for _ in 0..if self.options.quick { 1 } else { LOOPS } {
            let Some(answer) = self.ask(side, &self.command(0, REWARM, calls))? else {
                return Ok(());
            };
            let (with, empty) = (answer.reply.batch_ticks, answer.reply.empty_batch_ticks);
            let wall = answer.wall.saturating_sub(nothing.wall);
            least = Some(least.map_or((with, empty, wall), |so_far| {
                (so_far.0.min(with), so_far.1.min(empty), so_far.2.min(wall))
            }));
        }
        let Some((with @ 1.., empty, wall)) = least else { return Ok(()) };
        let per_call = |ticks: u64| ticks as f64 / calls as f64;
        side.samples.batched_ticks = Some(per_call(with) - per_call(empty));
        // The answer has the empty loop's time in it, and each loop has it once.
        let empty_ns = per_call(empty) * 1e6 / self.tsc_khz.get() as f64;
        side.samples.wall_ns = Some(wall.as_nanos() as f64 / calls as f64 - 2.0 * empty_ns);
        Ok(())
    }

    /// Ends the probe, and says how the door arrived: in a sandbox by what the
    /// kernel counted.
    fn finish(&self, side: &mut Side) {
        if let Some(probe) = side.probe.take() {
            let result = probe.finish();
            side.delivery = match (result, self.item.door) {
                (Ok(Some(stats)), Some(door)) => Some(self.delivery(door, &stats)),
                (Ok(Some(stats)), None) if self.item.operation == Operation::Vsyscall => {
                    let used = doors::ALL.iter().find(|&&door| stats.calls(door) != (0, 0));
                    used.map(|&door| self.delivery(door, &stats))
                }
                (Ok(None), Some(_)) => Some(Delivery::Native),
                (Ok(_), _) => None,
                (Err(error), _) => Some(Delivery::Failed { why: error.to_string() }),
            };
        }
        // Of a door that is not there, doctor has the reason.
        if let (Some(Delivery::Absent { .. }), Place::Guest, Some(door)) =
            (&side.delivery, side.place, self.item.door)
        {
            side.delivery = self.environment.doors.get(&door.to_string()).cloned();
        }
    }

    /// The kernel saw the calls; how an exception that brought them is called,
    /// doctor has found out.
    fn delivery(&self, door: Door, stats: &Stats) -> Delivery {
        match (stats.calls(door), self.environment.doors.get(&door.to_string())) {
            ((1.., 0), _) => Delivery::Native,
            ((0, 1..), Some(delivery @ Delivery::Trapped { .. })) => delivery.clone(),
            calls => Delivery::Failed { why: format!("native and trapped calls: {:?}", calls.0) },
        }
    }

    /// Exits of a call: those of a run with many, less those of a run without.
    fn exits(&self) -> Result<Option<Counted>, Error> {
        let least = |calls: u64| -> Result<Option<u64>, Error> {
            let mut least = None;
            for _ in 0..if self.options.quick { 1 } else { COUNTED_RUNS } {
                let mut side = self.side(Place::Guest)?;
                if self.ask(&mut side, &self.command(0, REWARM + calls, 0))?.is_none() {
                    return Ok(None);
                }
                let Some(Ok(Some(stats))) = side.probe.take().map(Probe::finish) else {
                    return Ok(None);
                };
                let Some(exits) = stats.kvm_exits else { return Ok(None) };
                let exits = exits.saturating_sub(stats.irq_exits.unwrap_or(0));
                least = Some(least.map_or(exits, |least: u64| least.min(exits)));
            }
            Ok(least)
        };
        let (Some(without), Some(with)) = (least(0)?, least(COUNTED_CALLS)?) else {
            return Ok(None);
        };
        let exits = with.saturating_sub(without) as f64 / COUNTED_CALLS as f64;
        Ok(Some(Counted { exits: Some(exits), ..Counted::default() }))
    }

    /// Guest instructions of a call, where a tick is one.
    fn instructions(&self) -> Result<Option<f64>, Error> {
        match counted_call(self.item.operation, self.item.width, self.steps) {
            Ok(instructions) => Ok(instructions),
            Err(ProbeError::Sandbox(error)) => Err(error.into()),
            // A door that is not there.
            Err(_) => Ok(None),
        }
    }

    fn measurement(&self, side: &mut Side) -> Measurement {
        let mode = match (self.item.group, self.item.width) {
            (Group::Calls, _) => None,
            (_, Width::W32) => Some("compat"),
            (_, Width::W64) => Some("64-bit"),
        };
        let mut measurement = Measurement::new(self.item.group, self.item.name, mode, side.place);
        measurement.timed = timed(&side.samples, self.tsc_khz);
        measurement.delivery = side.delivery.take();
        measurement.counted = side.counted.take();
        measurement
    }
}

/// The median of these ticks, in nanoseconds.
fn median_ns(ticks: &[u64], tsc_khz: NonZeroU64) -> Option<f64> {
    let mut sorted = ticks.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2)?;
    Some(*median as f64 * 1e6 / tsc_khz.get() as f64)
}
