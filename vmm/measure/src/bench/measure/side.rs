//! One of the places where an item is measured: a probe in a sandbox, or as a
//! process, with all that it has answered. Called by `probed`.
//!
//! Each block has a probe of its own, so that what differs from one to the next
//! (where its memory lies) shows in one run.

use crate::bench::measure::blocks::Block;
use crate::bench::measure::count;
use crate::bench::measure::delivery;
use crate::bench::measure::explain::{self, Turn};
use crate::bench::measure::interrupts::Interrupts;
use crate::bench::measure::items::Item;
use crate::bench::measure::probe::{Answer, Probe, ProbeError, Width};
use crate::bench::record::clock::{self, Clock};
use crate::bench::record::environment::Environment;
use crate::bench::record::stats::{Part, Samples, median, timed};
use crate::bench::record::{Counted, Delivery, Measurement, Place};
use crate::bench::{Error, Options};
use std::ops::RangeInclusive;
use std::time::Duration;
use trapgate::Sandbox;
use trapgate::doors::{self, Door};
use trapgate::mitigation::Mitigations;
use trapgate::stats::Stats;
use trapgate_abi::bench::{Command, Operation, Reply, USE_RDTSCP};

/// Samples of one turn: between two of them, the other probe has its own.
const TURN: RangeInclusive<u64> = 20..=500;
/// How long a turn takes where calls are slow.
const TURN_TIME: Duration = Duration::from_millis(20);
/// The same in a quick run, which has fewer samples in a turn, too.
const QUICK_TURN_TIME: Duration = Duration::from_millis(3);
/// See [`QUICK_TURN_TIME`].
const QUICK_TURN: u64 = 9;
/// Calls before the first sample of a turn, and no more than a fifth of it: the
/// other probe was here.
const REWARM: u64 = 20;
/// Which part of a block's time a warm-up may take beside it.
const WARM_UP_PART: u32 = 4;
/// Calls that say how long one takes, the first of a block.
const FIRST_CALLS: u64 = 5;
/// So many samples there are in any case, where a call takes long.
const LEAST_SAMPLES: u64 = 200;
/// The same in a quick run.
const QUICK_LEAST_SAMPLES: u64 = 25;
/// The loop that cross-checks takes at least this long, so that the wall clock
/// sees it; and not much longer, so that few are interrupted.
const LOOP: Duration = Duration::from_millis(1);
/// And has at least so many calls, where one takes long.
const LEAST_CALLS: u64 = 5;
/// And at most so many, where one takes no time.
const MOST_CALLS: u64 = 1 << 22;
/// How often that loop runs in a block; the least disturbed counts.
const LOOPS: usize = 4;
/// The same in a quick run.
const QUICK_LOOPS: usize = 2;
/// How often a block counts exits; see [`count::exits_in`].
const EXIT_ROUNDS: usize = 5;
/// The same on a software KVM, whose exits are no result.
const FEW_EXIT_ROUNDS: usize = 2;
/// The most reads of a warm-up or a loop.
const READS: u64 = 16 << 10;

/// What a side is about, and with what it is measured.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) item: &'a Item,
    pub(crate) options: &'a Options,
    pub(crate) environment: &'a Environment,
    pub(crate) clock: Clock,
    /// The CPU of the host's that both sides stay on.
    pub(crate) cpu: usize,
    /// On the kernel's way in and out.
    pub(crate) steps: Mitigations,
    /// Time that all samples may take in one place.
    pub(crate) budget: Duration,
}

/// A side.
pub(crate) struct Side<'a> {
    setting: Setting<'a>,
    place: Place,
    /// There during a block.
    probe: Option<Probe>,
    samples: Samples,
    /// The turns that [`Samples::ticks`] came in.
    turns: Vec<Turn>,
    /// Samples of a turn, all but the last.
    turn: u64,
    /// Samples at the beginning of this block.
    first: usize,
    /// Time that this block's turns have taken.
    used: Duration,
    delivery: Option<Delivery>,
    /// Exits of a call, by block.
    pub(crate) counted: Vec<Counted>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(place: Place, setting: Setting<'a>) -> Side<'a> {
        Side {
            setting,
            place,
            probe: None,
            samples: Samples::default(),
            turns: Vec::new(),
            turn: *TURN.start(),
            first: 0,
            used: Duration::ZERO,
            delivery: None,
            counted: Vec::new(),
        }
    }

    /// Whether there is something to count.
    pub(crate) fn has_samples(&self) -> bool {
        !self.samples.ticks.is_empty()
    }

    /// Starts a probe for a block and makes calls that nobody looks at, but for
    /// how long they take: that says how many more there are, and how long is a
    /// turn. A side that has failed stays so.
    ///
    /// # Errors
    /// If no sandbox can be made.
    pub(crate) fn begin(&mut self, block: Block) -> Result<(), Error> {
        let Setting { item, options, cpu, steps, budget, .. } = self.setting;
        (self.first, self.used) = (self.samples.ticks.len(), Duration::ZERO);
        let failed =
            matches!(self.delivery, Some(Delivery::Absent { .. } | Delivery::Failed { .. }));
        if failed || block.part(options.samples) == 0 {
            return Ok(());
        }
        let probe = match self.place {
            Place::Guest => {
                let sandbox = Sandbox::builder().cpu(cpu).detailed_stats(true);
                Probe::in_sandbox(item.width, sandbox.mitigations(steps))
            }
            Place::Host => Probe::as_process(item.width, cpu),
        };
        match probe {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => return self.failed(error),
        }
        // The first answer contains the boot.
        self.ask(&self.command(0, 0, 0))?;
        let warm_up = block.part(options.warm_up).max(1);
        let few = warm_up.min(FIRST_CALLS);
        let Some(answer) = self.ask(&self.command(0, few, 0))? else { return Ok(()) };
        let (time, turn) = match options.quick {
            true => (QUICK_TURN_TIME, QUICK_TURN..=*TURN.end()),
            false => (TURN_TIME, TURN),
        };
        let call = answer.wall.as_secs_f64() / few as f64;
        let calls_in = |time: Duration| (time.as_secs_f64() / call) as u64;
        self.turn = calls_in(time).clamp(*turn.start(), *turn.end());
        let more = calls_in(budget / block.of as u32 / WARM_UP_PART).min(warm_up - few);
        if more > 0 {
            self.ask(&self.command(0, more, 0))?;
        }
        Ok(())
    }

    /// Whether the block has as many samples as were asked for, or as there was
    /// time for.
    pub(crate) fn is_done(&self, block: Block) -> bool {
        let Setting { options, budget, .. } = self.setting;
        if self.probe.is_none() {
            return true;
        }
        let taken = self.taken();
        let least = if options.quick { QUICK_LEAST_SAMPLES } else { LEAST_SAMPLES };
        let is_late = self.used >= budget / block.of as u32;
        taken >= block.part(options.samples) || is_late && taken >= least.div_ceil(block.of)
    }

    /// Calls before what is looked at.
    fn rewarm(&self) -> u64 {
        REWARM.min(self.turn / 5)
    }

    /// Samples of this block.
    fn taken(&self) -> u64 {
        (self.samples.ticks.len() - self.first) as u64
    }

    /// Some more samples.
    ///
    /// # Errors
    /// If no sandbox can be made.
    pub(crate) fn turn(&mut self, block: Block) -> Result<(), Error> {
        let cpu = self.setting.cpu;
        let wanted = self.turn.min(block.part(self.setting.options.samples) - self.taken());
        let exits = |side: &Side| side.probe.as_ref().and_then(Probe::exits_at_rest);
        let (before, exits_before) = (Interrupts::of(cpu), exits(self));
        let command = self.command(wanted, self.rewarm(), 0);
        let Some(answer) = self.ask(&command)? else { return Ok(()) };
        if answer.with.len() as u64 != wanted {
            return self.failed(ProbeError::Malformed);
        }
        self.used += answer.wall;
        self.turns.push(Turn {
            samples: answer.with.len(),
            interrupts: Interrupts::of(cpu).since(before),
            migrations: answer.reply.migrations,
            exits: exits(self).zip(exits_before).and_then(|(now, then)| now.checked_sub(then)),
        });
        self.samples.ticks.extend(answer.with.iter().map(|&ticks| u64::from(ticks)));
        self.samples.empty.extend(answer.without.iter().map(|&ticks| u64::from(ticks)));
        Ok(())
    }

    /// Loops of calls in one bracket, held against the wall clock: ticks and
    /// nanoseconds of a call, of each time the least.
    fn cross_check(&mut self) -> Result<Option<(f64, Option<f64>)>, Error> {
        let clock = self.setting.clock;
        let Some(ticks) =
            median(self.samples.ticks[self.first..].iter().map(|&ticks| ticks as f64))
        else {
            return Ok(None);
        };
        let enough = (LOOP.as_nanos() as f64 / clock.ns(ticks).max(1.0)) as u64;
        let command = self.command(0, self.rewarm(), enough.clamp(LEAST_CALLS, MOST_CALLS));
        let mut least = (u64::MAX, u64::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..if self.setting.options.quick { QUICK_LOOPS } else { LOOPS } {
            let Some(nothing) = self.ask(&self.command(0, self.rewarm(), 0))? else {
                return Ok(None);
            };
            let Some(answer) = self.ask(&command)? else { return Ok(None) };
            let Reply { batch_ticks, empty_batch_ticks, .. } = answer.reply;
            least = (
                least.0.min(batch_ticks),
                least.1.min(empty_batch_ticks),
                least.2.min(answer.wall),
                least.3.min(nothing.wall),
            );
        }
        // 0: what cannot be in a loop.
        let (with @ 1.., empty, all, nothing) = least else { return Ok(None) };
        let (with, empty, calls) = (with as f64, empty as f64, command.batch as f64);
        let wall = all.as_nanos() as f64 - nothing.as_nanos() as f64;
        // The answer has the empty loop's time in it, and each loop has it once.
        let wall = wall - 2.0 * clock.ns(empty);
        // What is read must be written first, in the same time.
        let is_alone = self.setting.item.operation != Operation::Read1;
        Ok(Some(((with - empty) / calls, is_alone.then_some(wall / calls))))
    }

    /// Ends a block: by a loop, and by counting exits if that is asked for. Then
    /// its probe goes.
    ///
    /// # Errors
    /// If no sandbox can be made.
    pub(crate) fn end(&mut self, cross_check: bool, exits: bool) -> Result<(), Error> {
        if self.probe.is_none() && self.taken() == 0 {
            return Ok(());
        }
        let loops = if cross_check { self.cross_check()? } else { None };
        let (batched_ticks, wall_ns) = loops.unzip();
        let samples = self.samples.ticks.len() - self.first;
        self.samples.blocks.push(Part { samples, batched_ticks, wall_ns: wall_ns.flatten() });
        if exits && let Some(probe) = &mut self.probe {
            let Setting { item, environment, .. } = self.setting;
            let rounds = if environment.kvm.software { FEW_EXIT_ROUNDS } else { EXIT_ROUNDS };
            match count::exits_in(probe, item.operation, rounds) {
                Ok(exits) => self.counted.extend(
                    exits.map(|exits| Counted { exits: Some(exits), ..Counted::default() }),
                ),
                Err(error) => self.failed(error)?,
            }
        }
        self.finish();
        Ok(())
    }

    /// Ends the probe, and says how the door arrived: in a sandbox by what the
    /// kernel counted.
    fn finish(&mut self) {
        let Setting { item, environment, .. } = self.setting;
        let Some(probe) = self.probe.take() else { return };
        let of_door = |door: Door, stats: &Stats| {
            delivery::of_calls(stats.calls(door), environment.door(door))
        };
        let delivery = match (probe.finish(), item.door) {
            (Ok(Some(stats)), Some(door)) => Some(of_door(door, &stats)),
            (Ok(Some(stats)), None) if item.operation == Operation::Vsyscall => {
                let used = doors::ALL.iter().find(|&&door| stats.calls(door) != (0, 0));
                used.map(|&door| of_door(door, &stats))
            }
            (Ok(None), Some(_)) => Some(Delivery::Native),
            (Ok(_), _) => None,
            (Err(error), _) => Some(Delivery::Failed { why: error.to_string() }),
        };
        self.delivery = delivery::of_blocks(self.delivery.take(), delivery);
    }

    /// A probe is gone, and how its door arrived is known from that.
    fn failed(&mut self, error: ProbeError) -> Result<(), Error> {
        self.probe = None;
        match error {
            ProbeError::Sandbox(error) => return Err(error.into()),
            // A Ctrl-C, in the moment before a process has a group of its own.
            ProbeError::Killed(libc::SIGINT) if self.place == Place::Host => return Ok(()),
            _ => {}
        }
        let Setting { item, environment, .. } = self.setting;
        let doctors = item.door.and_then(|door| environment.door(door));
        self.delivery = Some(delivery::of_failure(&error, self.place, item.door, doctors));
        Ok(())
    }

    fn command(&self, samples: u64, warm_up: u64, batch: u64) -> Command {
        let Setting { item, environment, .. } = self.setting;
        // RDTSCP is interpreted nowhere.
        let interpreted = environment.kvm.software && item.width == Width::W32;
        let flags = if clock::has_rdtscp() && !interpreted { USE_RDTSCP } else { 0 };
        // What Read1 reads must fit into a pipe, with the command.
        let most = if item.operation == Operation::Read1 { READS } else { u64::MAX };
        let (warm_up, batch) = (warm_up.min(most), batch.min(most));
        Command { operation: item.operation as u64, samples, warm_up, batch, flags }
    }

    /// Gives a command, unless the probe is gone, or goes over it.
    fn ask(&mut self, command: &Command) -> Result<Option<Answer>, Error> {
        let Some(probe) = &mut self.probe else { return Ok(None) };
        match probe.measure(command) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => self.failed(error).map(|()| None),
        }
    }

    /// All of its blocks.
    pub(crate) fn measurement(mut self) -> Measurement {
        let Setting { item, clock, .. } = self.setting;
        self.samples.disturbed = explain::causes(&self.samples.ticks, &self.turns);
        let mut measurement = Measurement::new(item.group, item.name, item.mode(), self.place);
        measurement.timed = timed(&self.samples, clock);
        measurement.delivery = self.delivery;
        measurement
    }
}
