//! What only a job can measure (`crate::jobs`): the doors of legacy mode, bare
//! round trips, and ways out of the VM. There is no host's figure beside them.
//! And SYSENTER from 64-bit code, of which nothing can be measured. Called by
//! `run`.

use crate::bench::measure::blocks::{Block, Work};
use crate::bench::measure::delivery;
use crate::bench::measure::explain;
use crate::bench::measure::interrupts::Interrupts;
use crate::bench::record::clock::Clock;
use crate::bench::record::environment::Environment;
use crate::bench::record::stats::{Samples, timed};
use crate::bench::record::{Group, Measurement, Place};
use crate::bench::{Error, Options, Progress};
use crate::doors::Delivery;
use crate::jobs::{self, Batch, Measured, bare, exits, legacy};
use trapgate::doors::{Door, Instruction, Mode};
use trapgate::machine::affinity;
use trapgate_abi::job::{MAX_CALLS, MAX_SAMPLES};

/// Batches of a block; the quickest counts.
const BATCHES: u64 = 2;
/// Figures of a software KVM cost so much that fewer must do.
const FEW: u64 = 500;

/// A run's measurements of one group that are made by jobs.
pub(crate) struct Jobs<'a> {
    samples: u64,
    calls: u64,
    cpu: usize,
    environment: &'a Environment,
    clock: Clock,
    group: Group,
    jobs: Vec<Job>,
}

/// One of them on its way.
struct Job {
    kind: Kind,
    /// How it arrives, once that is known.
    delivery: Option<Delivery>,
    samples: Samples,
}

#[derive(Clone, Copy)]
enum Kind {
    Legacy(Instruction),
    Bare(bare::RoundTrip),
    Exit(exits::ExitKind),
}

impl Kind {
    fn name(self) -> String {
        match self {
            Kind::Legacy(instruction) => instruction.to_string(),
            Kind::Bare(trip) => trip.to_string(),
            Kind::Exit(exit) => exit.to_string(),
        }
    }

    fn mode(self) -> Option<&'static str> {
        match self {
            Kind::Legacy(_) => Some("legacy"),
            Kind::Bare(_) => Some("bare"),
            Kind::Exit(_) => None,
        }
    }

    fn measure(self, options: &jobs::Options) -> Result<Measured, trapgate::Error> {
        match self {
            Kind::Legacy(instruction) => Ok(legacy::measure(instruction, options)?.measured),
            Kind::Bare(trip) => bare::measure(trip, options),
            Kind::Exit(exit) => exits::measure(exit, options),
        }
    }
}

impl<'a> Jobs<'a> {
    /// The rest of the group `doors`, or the group `exits`: as many samples as
    /// `options` says, or fewer where ring 0 is interpreted.
    ///
    /// # Errors
    /// Those of sched_getaffinity(2).
    pub(crate) fn of_group(
        group: Group,
        options: &Options,
        environment: &'a Environment,
        clock: Clock,
    ) -> Result<Jobs<'a>, Error> {
        let most = if environment.kvm.software { FEW } else { MAX_SAMPLES };
        let legacy_doors = [Instruction::Syscall, Instruction::Sysenter, Instruction::Int80];
        let kinds: Vec<_> = match group {
            Group::Exits => exits::ExitKind::ALL.map(Kind::Exit).into(),
            _ => {
                let bare = bare::RoundTrip::ALL.into_iter().map(Kind::Bare);
                legacy_doors.into_iter().map(Kind::Legacy).chain(bare).collect()
            }
        };
        let job = |kind| {
            // A door that is known to fail would fail again.
            let known = match kind {
                Kind::Legacy(instruction) => {
                    environment.door(Door { instruction, mode: Mode::Legacy }).cloned()
                }
                _ => None,
            };
            let delivery = known.filter(is_nothing);
            Job { kind, delivery, samples: Samples::default() }
        };
        Ok(Jobs {
            samples: options.samples.min(most),
            calls: options.batch.min(most).min(MAX_CALLS),
            cpu: affinity::last()?,
            environment,
            clock,
            group,
            jobs: kinds.into_iter().map(job).collect(),
        })
    }

    /// How it arrives is all that can be said.
    fn sysenter_64(&self) -> Measurement {
        let door = Door { instruction: Instruction::Sysenter, mode: Mode::Long };
        let mut measurement =
            Measurement::new(Group::Doors, "SYSENTER", Some("64-bit"), Place::Guest);
        measurement.delivery = self.environment.door(door).cloned();
        if matches!(measurement.delivery, Some(Delivery::Native | Delivery::Trapped { .. })) {
            measurement.notes.push(
                "not timed: a call by it returns to 32-bit code, which a 64-bit program does not \
                 survive, as on Linux"
                    .to_owned(),
            );
        }
        measurement
    }
}

/// Whether there is nothing to measure.
fn is_nothing(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Absent { .. } | Delivery::Failed { .. })
}

impl Work for Jobs<'_> {
    fn steps(&self) -> u64 {
        self.jobs.len() as u64
    }

    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
        let options = jobs::Options {
            samples: block.part(self.samples),
            batches: BATCHES,
            calls_per_batch: block.part(self.calls).max(1),
            cpu: Some(self.cpu),
            ..jobs::Options::default()
        };
        for job in &mut self.jobs {
            if progress.stopped() {
                break;
            }
            progress.begin(&format!("{}: {}", self.group, job.kind.name()));
            if options.samples > 0 && !job.delivery.as_ref().is_some_and(is_nothing) {
                job.block(&options, self.cpu)?;
            }
            progress.advance();
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let first = (self.group == Group::Doors).then(|| self.sysenter_64());
        let (group, clock) = (self.group, self.clock);
        // What the run did not come to is not in the record.
        let measured = self.jobs.into_iter().filter(|job| job.delivery.is_some());
        let measurements = measured.map(|job| {
            let name = job.kind.name();
            let mut measurement = Measurement::new(group, &name, job.kind.mode(), Place::Guest);
            measurement.timed = timed(&job.samples, clock);
            measurement.delivery = job.delivery;
            measurement
        });
        Ok(first.into_iter().chain(measurements).collect())
    }
}

impl Job {
    /// A block of it, and the interrupts of its CPU meanwhile.
    fn block(&mut self, options: &jobs::Options, cpu: usize) -> Result<(), Error> {
        let before = Interrupts::of(cpu);
        let measured = self.kind.measure(options)?;
        let interrupts = Interrupts::of(cpu).since(before);
        let calls = measured.calls_per_batch as f64;
        // Ticks are the guest's claim: any number may come.
        let least = |ticks: fn(&Batch) -> u64| measured.batches.iter().map(ticks).min();
        let batched_ticks = least(|batch| batch.ticks)
            .zip(least(|batch| batch.empty_ticks))
            .map(|(ticks, empty)| (ticks as f64 - empty as f64) / calls);
        self.samples.append(explain::brackets(&measured.samples, interrupts, batched_ticks));
        self.delivery = delivery::of_blocks(self.delivery.take(), Some(measured.delivery));
        Ok(())
    }
}
