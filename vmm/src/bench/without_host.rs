//! Doors that cannot be measured beside the host's: those of legacy mode, which
//! only a VM can enter, and SYSENTER from 64-bit code, whose calls do not come
//! back. Called by [`super::run`] for the group `doors`.

use super::environment::Environment;
use super::record::{Group, Measurement, Place};
use super::stats::{Samples, timed};
use super::{Error, Options, Progress};
use crate::doors::{Delivery, Door, Instruction, Mode};
use crate::legacy;
use std::num::NonZeroU64;
use trapgate_abi::legacy::{MAX_CALLS, MAX_SAMPLES};

/// Batches of a door of legacy mode; the quickest counts.
const BATCHES: u64 = 20;

/// Measures them.
///
/// # Errors
/// If no VM can be made.
pub(super) fn measure(
    options: &Options,
    environment: &Environment,
    tsc_khz: NonZeroU64,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let sysenter = Door { instruction: Instruction::Sysenter, mode: Mode::Long };
    let mut measurements = vec![sysenter_64(environment.doors.get(&sysenter.to_string()).cloned())];
    let doors = [legacy::Door::Syscall, legacy::Door::Sysenter, legacy::Door::Int80];
    progress.begin("doors: legacy mode", doors.len() as u64);
    for door in doors {
        if progress.stopped() {
            break;
        }
        measurements.push(legacy_door(door, options, environment, tsc_khz)?);
        progress.advance();
    }
    Ok(measurements)
}

/// How it arrives is all that can be said.
fn sysenter_64(delivery: Option<Delivery>) -> Measurement {
    let mut measurement = Measurement::new(Group::Doors, "SYSENTER", Some("64-bit"), Place::Guest);
    if delivery == Some(Delivery::Native) {
        measurement.notes.push(
            "not timed: a call by it returns to 32-bit code, which a 64-bit program does not \
             survive, as on Linux"
                .to_owned(),
        );
    }
    measurement.delivery = delivery;
    measurement
}

fn legacy_door(
    door: legacy::Door,
    options: &Options,
    environment: &Environment,
    tsc_khz: NonZeroU64,
) -> Result<Measurement, Error> {
    let name = door.name().split(',').next().unwrap_or_default();
    let mut measurement = Measurement::new(Group::Doors, name, Some("legacy"), Place::Guest);
    measurement.delivery = environment.doors.get(door.name()).cloned();
    if measurement.delivery != Some(Delivery::Native) {
        return Ok(measurement);
    }
    let report = legacy::measure(&legacy::Options {
        samples: options.samples.min(MAX_SAMPLES),
        batches: BATCHES,
        calls_per_batch: options.batch.min(MAX_CALLS),
        ..legacy::Options::new(door)
    })?;
    let calls = report.calls_per_batch as f64;
    let batches = report.batches.iter().map(|batch| batch.ticks as f64 - batch.empty_ticks as f64);
    let samples = Samples {
        ticks: report.samples.iter().map(|sample| sample.ticks.into()).collect(),
        empty: report.samples.iter().map(|sample| sample.empty_ticks.into()).collect(),
        batched_ticks: batches.min_by(f64::total_cmp).map(|ticks| ticks / calls),
        ..Samples::default()
    };
    measurement.timed = timed(&samples, tsc_khz);
    measurement.notes.push(
        "the CPU's way in and out alone: one instruction in ring 0, paging off, no system call"
            .to_owned(),
    );
    Ok(measurement)
}
