//! What only a job can measure (`crate::job`): the doors of legacy mode, bare
//! round trips, and ways out of the VM. There is no host's figure beside them.
//! And SYSENTER from 64-bit code, of which nothing can be measured. Called by
//! [`super::run`].

use super::clock::Clock;
use super::environment::Environment;
use super::explain;
use super::interrupts::Interrupts;
use super::record::{Group, Measurement, Place};
use super::stats::timed;
use super::{Error, Options, Progress};
use crate::affinity;
use crate::doors::{Delivery, Door, Instruction, Mode};
use crate::job::{self, Measured, bare, exits, legacy};
use trapgate_abi::job::{MAX_CALLS, MAX_SAMPLES};

/// Batches; the quickest counts.
const BATCHES: u64 = 10;
/// Figures of a software KVM cost so much that fewer must do.
const FEW: u64 = 500;

/// A run's measurements that are made by jobs.
pub(super) struct Jobs<'a> {
    options: job::Options,
    cpu: usize,
    environment: &'a Environment,
    clock: Clock,
}

impl Jobs<'_> {
    /// As many samples as `options` says, or fewer where ring 0 is interpreted.
    ///
    /// # Errors
    /// Those of sched_getaffinity(2).
    pub(super) fn new<'a>(
        options: &Options,
        environment: &'a Environment,
        clock: Clock,
    ) -> Result<Jobs<'a>, Error> {
        let most = if environment.kvm.software { FEW } else { MAX_SAMPLES };
        let cpu = affinity::last()?;
        let options = job::Options {
            samples: options.samples.min(most),
            batches: if environment.kvm.software { 1 } else { BATCHES },
            calls_per_batch: options.batch.min(most).min(MAX_CALLS),
            cpu: Some(cpu),
            ..job::Options::default()
        };
        Ok(Jobs { options, cpu, environment, clock })
    }

    /// The rest of the group `doors`.
    ///
    /// # Errors
    /// If no VM can be made.
    pub(super) fn doors(&self, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let legacy_doors = [Instruction::Syscall, Instruction::Sysenter, Instruction::Int80];
        let rounds = legacy_doors.len() + bare::RoundTrip::ALL.len();
        progress.begin("doors: legacy mode, bare round trips", rounds as u64);
        let mut measurements = vec![self.sysenter_64()];
        for instruction in legacy_doors {
            if !progress.stopped() {
                measurements.push(self.legacy(instruction)?);
                progress.advance();
            }
        }
        for trip in bare::RoundTrip::ALL {
            if !progress.stopped() {
                let measured = self.watched(|| bare::measure(trip, &self.options))?;
                let name = trip.to_string();
                measurements.push(self.measurement(Group::Doors, &name, Some("bare"), measured));
                progress.advance();
            }
        }
        Ok(measurements)
    }

    /// The group `exits`.
    ///
    /// # Errors
    /// If no VM can be made.
    pub(super) fn exits(&self, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        progress.begin("exits", exits::ExitKind::ALL.len() as u64);
        let mut measurements = Vec::new();
        for exit in exits::ExitKind::ALL {
            if !progress.stopped() {
                let measured = self.watched(|| exits::measure(exit, &self.options))?;
                let name = exit.to_string();
                measurements.push(self.measurement(Group::Exits, &name, None, measured));
                progress.advance();
            }
        }
        Ok(measurements)
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

    fn legacy(&self, instruction: Instruction) -> Result<Measurement, Error> {
        let door = Door { instruction, mode: Mode::Legacy };
        let measured = match self.environment.door(door) {
            // Known to fail: it would fail again.
            Some(delivery @ (Delivery::Absent { .. } | Delivery::Failed { .. })) => {
                (Measured::nothing(delivery.clone()), 0)
            }
            _ => self.watched(|| Ok(legacy::measure(instruction, &self.options)?.measured))?,
        };
        Ok(self.measurement(Group::Doors, &instruction.to_string(), Some("legacy"), measured))
    }

    /// Does a job, and counts the interrupts of its CPU meanwhile.
    fn watched(
        &self,
        job: impl FnOnce() -> Result<Measured, crate::Error>,
    ) -> Result<(Measured, u64), Error> {
        let before = Interrupts::of(self.cpu);
        let measured = job()?;
        Ok((measured, Interrupts::of(self.cpu).since(before)))
    }

    fn measurement(
        &self,
        group: Group,
        name: &str,
        mode: Option<&str>,
        (measured, interrupts): (Measured, u64),
    ) -> Measurement {
        let calls = measured.calls_per_batch as f64;
        // Ticks are the guest's claim: any number may come.
        let batches =
            measured.batches.iter().map(|batch| batch.ticks as f64 - batch.empty_ticks as f64);
        let mut samples = explain::brackets(&measured.samples, interrupts);
        for block in &mut samples.blocks {
            block.batched_ticks = batches.clone().min_by(f64::total_cmp).map(|ticks| ticks / calls);
        }
        let mut measurement = Measurement::new(group, name, mode, Place::Guest);
        measurement.timed = timed(&samples, self.clock);
        measurement.delivery = Some(measured.delivery);
        measurement
    }
}
