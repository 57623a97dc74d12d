//! The group `steps`: the stamped call of [`super::steps`] beside the same call
//! through the plain door. Called by [`super::run`].

use super::clock::{self, Clock};
use super::count::{self, Call, if_it_can};
use super::explain;
use super::interrupts::Interrupts;
use super::probe::{ProbeError, Width};
use super::record::{Counted, Delivery, Group, Measurement, Place, Step};
use super::stats::{median, timed};
use super::steps::{self, NAMES, Steps};
use super::{Error, Options, Progress};
use crate::job::Sample;
use crate::{Mitigations, affinity};
use trapgate_abi::bench::Operation;

/// Measures.
///
/// # Errors
/// If no sandbox can be made.
pub(super) fn measure(
    options: &Options,
    clock: Clock,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    progress.begin("steps: getpid by SYSCALL", 1);
    if progress.stopped() {
        return Ok(Vec::new());
    }
    let cpu = affinity::last()?;
    let counted = options.counted;
    let options = steps::Options {
        samples: options.samples,
        warm_up: options.warm_up,
        cpu,
        rdtscp: clock::has_rdtscp(),
    };
    let before = Interrupts::of(cpu);
    let taken = match steps::measure(&options) {
        Ok(taken) => taken,
        Err(ProbeError::Sandbox(error)) => return Err(error.into()),
        Err(error) => Steps::nothing(Delivery::Failed { why: error.to_string() }),
    };
    let interrupts = Interrupts::of(cpu).since(before);
    let counted = counted && taken.delivery == Delivery::Native && !progress.stopped();
    let mut measurements = measurements(taken, interrupts, clock);
    if counted {
        count(&mut measurements)?;
    }
    progress.advance();
    Ok(measurements.into())
}

/// Adds guest instructions: of the plain call, of the stamped one and of its
/// steps, in which the stamps' own are.
fn count([plain, stamped]: &mut [Measurement; 2]) -> Result<(), Error> {
    // The same code of the probe's as the stamped one.
    let operation = Operation::SyscallStamped;
    let call = Call { operation, width: Width::W64, steps: Mitigations::NONE };
    let instructions = |instructions| Some(Counted { instructions, ..Counted::default() });
    plain.counted = instructions(if_it_can(count::instructions_of_call(call))?);
    if let Some((steps, bracket)) = if_it_can(steps::count())? {
        stamped.counted =
            instructions(Some(f64::from(bracket.ticks) - f64::from(bracket.empty_ticks)));
        for (step, instructions) in stamped.steps.iter_mut().zip(steps) {
            step.instructions = Some(instructions.into());
        }
    }
    Ok(())
}

/// The stamped call with its steps, and the plain one; so many interrupts came
/// meanwhile, to whichever of them.
fn measurements(taken: Steps, interrupts: u64, clock: Clock) -> [Measurement; 2] {
    let new = |name| {
        let mut measurement = Measurement::new(Group::Steps, name, Some("64-bit"), Place::Guest);
        measurement.delivery = Some(taken.delivery.clone());
        measurement
    };
    let (mut plain, mut stamped) = (new("SYSCALL"), new("SYSCALL, stamped"));
    let figures = |list: &[Sample]| timed(&explain::brackets(list, interrupts), clock);
    plain.timed = figures(&taken.plain);
    stamped.timed = figures(&taken.stamped);
    stamped.steps = NAMES
        .iter()
        .enumerate()
        .filter_map(|(index, name)| {
            let ticks = median(taken.calls.iter().map(|call| call[index].into()))?;
            Some(Step { name: (*name).to_owned(), ns: clock.ns(ticks), instructions: None })
        })
        .collect();
    if let (Some(with), Some(without)) = (stamped.median_ns(), plain.median_ns()) {
        stamped.notes.push(format!(
            "the stamps themselves take {:.1} ns of these: {with:.1} ns beside {without:.1} ns",
            with - without
        ));
    }
    [plain, stamped]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    #[test]
    fn steps_are_medians_and_the_perturbation_is_told() {
        let sample = |ticks| Sample { ticks, empty_ticks: 10 };
        let taken = Steps {
            delivery: Delivery::Native,
            calls: vec![[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 90], [1, 2, 3, 4, 5, 6, 7]],
            stamped: vec![sample(38), sample(120), sample(38)],
            plain: vec![sample(30); 3],
        };
        // A tick is a nanosecond.
        let clock = Clock { khz: NonZeroU64::new(1_000_000).unwrap(), step: NonZeroU64::MIN };
        let [plain, stamped] = measurements(taken, 0, clock);
        let steps: Vec<_> = stamped.steps.iter().map(|step| step.ns).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(plain.timed.as_ref().unwrap().ns.subtracted.median, 20.0);
        assert!(stamped.notes[0].contains("take 8.0 ns"), "{:?}", stamped.notes);
        assert_ne!(plain.id, stamped.id);
    }
}
