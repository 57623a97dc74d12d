//! The groups `doors` and `calls`: what the probe measures, in a sandbox and as
//! a process, in turn. Called by [`super::run`].
//!
//! Both probes run the same file on the same CPU of the host's; while one
//! measures, the other waits for a command. So a slow moment of the machine
//! hits both.

use super::clock::{self, Clock};
use super::count::{self, Call, if_it_can};
use super::environment::Environment;
use super::explain::{self, Turn};
use super::interrupts::Interrupts;
use super::items::{ITEMS, Item};
use super::probe::{Answer, Probe, ProbeError, Width};
use super::record::{Counted, Delivery, Group, Measurement, Place};
use super::stats::{Part, Samples, median, timed};
use super::{Error, Options, Progress, delivery};
use crate::doors::{self, Door};
use crate::mitigation::{GuestCpu, Mitigations, Step};
use crate::stats::Stats;
use crate::{Sandbox, affinity};
use std::ops::RangeInclusive;
use std::time::Duration;
use trapgate_abi::bench::{Command, Operation, Reply, USE_RDTSCP};

/// Samples of one turn: between two of them, the other probe has its own.
const TURN: RangeInclusive<u64> = 25..=500;
/// How long a turn takes where calls are slow.
const TURN_TIME: Duration = Duration::from_millis(20);
/// Calls before the first sample of a turn, and no more than a fifth of it: the
/// other probe was here.
const REWARM: u64 = 20;
/// Time that the samples of one measurement may take in one place. A door that
/// is trapped costs so much that 10,000 samples would take minutes.
const BUDGET: Duration = Duration::from_millis(200);
/// So many there are in any case.
const LEAST_SAMPLES: u64 = 200;
/// The time of a quick run.
const QUICK: Duration = Duration::from_millis(15);
/// The loop that cross-checks takes at least this long, so that the wall clock
/// sees it.
const LOOP: Duration = Duration::from_millis(2);
/// And has at least so many calls, where one takes long.
const LEAST_CALLS: u64 = 20;
/// And at most so many, where one takes no time.
const MOST_CALLS: u64 = 1 << 20;
/// How often that loop runs; the least disturbed counts.
const LOOPS: usize = 3;
/// The most reads of a warm-up or a loop.
const READS: u64 = 16 << 10;

/// Measures what there is of `group`.
///
/// # Errors
/// If no sandbox can be made. A door that is not there is a measurement that
/// says so.
pub fn measure(
    group: Group,
    options: &Options,
    environment: &Environment,
    clock: Clock,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let mut measurements = Vec::new();
    for item in ITEMS.iter().filter(|item| item.group == group) {
        if !progress.stopped() {
            measurements.extend(Run::new(item, options, environment, clock)?.measure(progress)?);
        }
    }
    Ok(measurements)
}

/// Measures the doors once more, with mitigation steps on.
///
/// # Errors
/// If no sandbox can be made, or a step was asked for that cannot be on.
pub fn measure_hardened(
    options: &Options,
    environment: &Environment,
    clock: Clock,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let variants = variants(options)?;
    let mut measurements = Vec::new();
    for item in &ITEMS {
        let Some(door) = item.door else { continue };
        if matches!(environment.door(door), Some(Delivery::Absent { .. } | Delivery::Failed { .. }))
        {
            continue;
        }
        for &(steps, budget) in &variants {
            if !progress.stopped() {
                let run = Run { steps, budget, ..Run::new(item, options, environment, clock)? };
                measurements.push(run.measure_hardened(&door, progress)?);
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
    let alone = alone.filter(|(step, _)| *step != chosen);
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
    clock: Clock,
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
    /// The turns that [`Samples::ticks`] came in.
    turns: Vec<Turn>,
    /// Samples of a turn, all but the last.
    turn: u64,
    /// Time that its turns have taken.
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
        clock: Clock,
    ) -> Result<Run<'a>, Error> {
        let cpu = affinity::last()?;
        let budget = if options.quick { QUICK } else { BUDGET };
        let steps = Mitigations::NONE;
        Ok(Run { item, options, environment, cpu, clock, steps, budget })
    }

    fn measure(&self, progress: &mut dyn Progress) -> Result<[Measurement; 2], Error> {
        let label = format!("{}: {}", self.item.group, self.item.name);
        let mut sides = [self.side(Place::Guest)?, self.side(Place::Host)?];
        self.sample(&mut sides, &label, progress)?;
        for side in &mut sides {
            if !progress.stopped() {
                self.cross_check(side)?;
            }
            self.finish(side);
        }
        let [guest, host] = &mut sides;
        let figures = !guest.samples.ticks.is_empty() && !progress.stopped();
        if figures && !self.options.quick {
            let exits = if_it_can(count::exits_of_call(self.what(), self.cpu))?;
            guest.counted = exits.map(|exits| Counted { exits: Some(exits), ..Counted::default() });
        }
        if figures
            && self.options.counted
            && let Some(instructions) = self.instructions()?
        {
            guest.counted.get_or_insert_default().instructions = Some(instructions);
        }
        Ok([self.measurement(guest), self.measurement(host)])
    }

    /// A door with the steps on, beside nothing.
    fn measure_hardened(
        &self,
        door: &Door,
        progress: &mut dyn Progress,
    ) -> Result<Measurement, Error> {
        let mut side = [self.side(Place::Guest)?];
        self.sample(&mut side, &format!("{door} with {}", self.steps), progress)?;
        let [mut side] = side;
        self.finish(&mut side);
        if self.options.counted && !side.samples.ticks.is_empty() && !progress.stopped() {
            let instructions = self.instructions()?;
            side.counted = Some(Counted { instructions, ..Counted::default() });
        }
        let names: Vec<_> = self.steps.iter().map(Step::name).collect();
        Ok(self.measurement(&mut side).with(&names))
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
            turns: Vec::new(),
            turn: *TURN.start(),
            used: Duration::ZERO,
            delivery: None,
            counted: None,
        };
        match probe {
            Ok(probe) => side.probe = Some(probe),
            Err(error) => self.failed(&mut side, error)?,
        }
        Ok(side)
    }

    /// The door as doctor found it.
    fn doctors(&self) -> Option<&Delivery> {
        self.environment.door(self.item.door?)
    }

    /// A probe is gone, and how its door arrived is known from that.
    fn failed(&self, side: &mut Side, error: ProbeError) -> Result<(), Error> {
        side.probe = None;
        if let ProbeError::Sandbox(error) = error {
            return Err(error.into());
        }
        let delivery = delivery::of_failure(&error, side.place, self.item.door, self.doctors());
        side.delivery = Some(delivery);
        Ok(())
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

    /// Gives a command, unless the probe is gone, or goes over it.
    fn ask(&self, side: &mut Side, command: &Command) -> Result<Option<Answer>, Error> {
        let Some(probe) = &mut side.probe else { return Ok(None) };
        match probe.measure(command) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => self.failed(side, error).map(|()| None),
        }
    }

    /// All samples of these sides, who take turns.
    fn sample(
        &self,
        sides: &mut [Side],
        label: &str,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        progress.begin(label, 100);
        for side in &mut *sides {
            if !progress.stopped() {
                self.warm_up(side)?;
            }
        }
        let mut percent = 0;
        while percent < 100 && !progress.stopped() {
            for side in &mut *sides {
                if self.done(side) < 1.0 && !progress.stopped() {
                    self.turn(side)?;
                }
            }
            let done = sides.iter().map(|side| self.done(side)).fold(1.0, f64::min);
            let reached = (done * 100.0) as u64;
            (percent..reached).for_each(|_| progress.advance());
            percent = reached;
        }
        for side in sides {
            let exits = side.probe.as_ref().and_then(Probe::exits_at_rest);
            side.samples.disturbed = explain::causes(&side.samples.ticks, &side.turns, exits);
        }
        Ok(())
    }

    /// Calls that nobody looks at, but for how long they take: so long is a
    /// turn.
    fn warm_up(&self, side: &mut Side) -> Result<(), Error> {
        // The first answer contains the boot.
        self.ask(side, &self.command(0, 0, 0))?;
        let command = self.command(0, self.options.warm_up, 0);
        let Some(answer) = self.ask(side, &command)? else { return Ok(()) };
        let calls = answer.wall.as_secs_f64() / command.warm_up.max(1) as f64;
        if !self.options.quick {
            let fit = TURN_TIME.as_secs_f64() / calls;
            side.turn = (fit as u64).clamp(*TURN.start(), *TURN.end());
        }
        Ok(())
    }

    /// How much of what there is to measure is measured: as many samples as were
    /// asked for, or as there was time for. 1 is all.
    fn done(&self, side: &Side) -> f64 {
        if side.probe.is_none() {
            return 1.0;
        }
        let taken = side.samples.ticks.len() as f64;
        let least = if self.options.quick { side.turn } else { LEAST_SAMPLES };
        let in_time = side.used.as_secs_f64() / self.budget.as_secs_f64();
        let all = taken / self.options.samples as f64;
        all.max(in_time.min(taken / least as f64)).min(1.0)
    }

    /// Some more samples.
    fn turn(&self, side: &mut Side) -> Result<(), Error> {
        let taken = side.samples.ticks.len() as u64;
        let wanted = side.turn.min(self.options.samples - taken);
        let exits_before = side.probe.as_ref().and_then(Probe::exits_at_rest);
        let before = Interrupts::of(self.cpu);
        let Some(answer) = self.ask(side, &self.command(wanted, REWARM.min(side.turn / 5), 0))?
        else {
            return Ok(());
        };
        if answer.with.len() as u64 != wanted {
            return self.failed(side, ProbeError::Malformed);
        }
        side.used += answer.wall;
        side.turns.push(Turn {
            samples: answer.with.len(),
            interrupts: Interrupts::of(self.cpu).since(before),
            migrations: answer.reply.migrations,
            exits_before,
        });
        side.samples.ticks.extend(answer.with.iter().map(|&ticks| u64::from(ticks)));
        side.samples.empty.extend(answer.without.iter().map(|&ticks| u64::from(ticks)));
        Ok(())
    }

    /// A loop of calls in one bracket, held against the wall clock.
    fn cross_check(&self, side: &mut Side) -> Result<(), Error> {
        let Some(median) = median(side.samples.ticks.iter().map(|&ticks| ticks as f64)) else {
            return Ok(());
        };
        let median_ns = self.clock.ns(median);
        let enough = (LOOP.as_nanos() as f64 / median_ns.max(1.0)) as u64;
        let command = self.command(0, REWARM, enough.clamp(LEAST_CALLS, MOST_CALLS));
        let calls = command.batch;
        let mut least = (u64::MAX, u64::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..if self.options.quick { 1 } else { LOOPS } {
            let Some(nothing) = self.ask(side, &self.command(0, REWARM, 0))? else {
                return Ok(());
            };
            let Some(answer) = self.ask(side, &command)? else { return Ok(()) };
            let Reply { batch_ticks, empty_batch_ticks, .. } = answer.reply;
            least = (
                least.0.min(batch_ticks),
                least.1.min(empty_batch_ticks),
                least.2.min(answer.wall),
                least.3.min(nothing.wall),
            );
        }
        let (with @ 1.., empty, all, around) = least else { return Ok(()) };
        let wall = all.saturating_sub(around);
        let per_call = |ticks: u64| ticks as f64 / calls as f64;
        let batched_ticks = Some(per_call(with) - per_call(empty));
        side.samples.blocks = vec![Part { samples: side.samples.ticks.len(), batched_ticks }];
        // The answer has the empty loop's time in it, and each loop has it once.
        let empty_ns = self.clock.ns(per_call(empty));
        side.samples.wall_ns = Some(wall.as_nanos() as f64 / calls as f64 - 2.0 * empty_ns);
        Ok(())
    }

    /// Ends the probe, and says how the door arrived: in a sandbox by what the
    /// kernel counted.
    fn finish(&self, side: &mut Side) {
        let Some(probe) = side.probe.take() else { return };
        let of_door = |door: Door, stats: &Stats| {
            delivery::of_calls(stats.calls(door), self.environment.door(door))
        };
        side.delivery = match (probe.finish(), self.item.door) {
            (Ok(Some(stats)), Some(door)) => Some(of_door(door, &stats)),
            (Ok(Some(stats)), None) if self.item.operation == Operation::Vsyscall => {
                let used = doors::ALL.iter().find(|&&door| stats.calls(door) != (0, 0));
                used.map(|&door| of_door(door, &stats))
            }
            (Ok(None), Some(_)) => Some(Delivery::Native),
            (Ok(_), _) => None,
            (Err(error), _) => Some(Delivery::Failed { why: error.to_string() }),
        };
    }

    fn what(&self) -> Call {
        Call { operation: self.item.operation, width: self.item.width, steps: self.steps }
    }

    /// Guest instructions of a call, where a tick is one.
    fn instructions(&self) -> Result<Option<f64>, Error> {
        if_it_can(count::instructions_of_call(self.what()))
    }

    fn measurement(&self, side: &mut Side) -> Measurement {
        let Item { group, name, .. } = *self.item;
        let mut measurement = Measurement::new(group, name, self.item.mode(), side.place);
        measurement.timed = timed(&side.samples, self.clock);
        measurement.delivery = side.delivery.take();
        measurement.counted = side.counted.take();
        measurement
    }
}
