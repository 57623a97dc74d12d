//! The group `steps`: the stamped call of `steps` beside the same call
//! through the plain door. Called by `run`.

use crate::bench::measure::blocks::{Block, Work};
use crate::bench::measure::count::{self, Call, if_it_can};
use crate::bench::measure::delivery;
use crate::bench::measure::explain;
use crate::bench::measure::interrupts::Interrupts;
use crate::bench::measure::probe::{ProbeError, Width};
use crate::bench::measure::steps::{self, NAMES, Steps};
use crate::bench::record::clock::{self, Clock};
use crate::bench::record::stats::{Samples, median, timed};
use crate::bench::record::{Counted, Delivery, Group, Measurement, Place, Step};
use crate::bench::{Error, Options, Progress};
use trapgate::Mitigations;
use trapgate::machine::affinity;
use trapgate_abi::bench::Operation;

/// The group, on its way.
pub(crate) struct Stamped {
    samples: u64,
    warm_up: u64,
    counted: bool,
    cpu: usize,
    clock: Clock,
    /// How the call arrives, once that is known.
    delivery: Option<Delivery>,
    plain: Samples,
    stamped: Samples,
    /// The steps of each call.
    calls: Vec<[u32; 7]>,
}

impl Stamped {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// Those of sched_getaffinity(2).
    pub(crate) fn new(options: &Options, clock: Clock) -> Result<Stamped, Error> {
        Ok(Stamped {
            samples: options.samples,
            warm_up: options.warm_up,
            counted: options.counted,
            cpu: affinity::last()?,
            clock,
            delivery: None,
            plain: Samples::default(),
            stamped: Samples::default(),
            calls: Vec::new(),
        })
    }

    /// Adds what was taken in a block; so many interrupts came meanwhile, to
    /// whichever of the two calls.
    fn add(&mut self, taken: Steps, interrupts: u64) {
        self.plain.append(explain::brackets(&taken.plain, interrupts, None));
        self.stamped.append(explain::brackets(&taken.stamped, interrupts, None));
        self.calls.extend(taken.calls);
        self.delivery = delivery::of_blocks(self.delivery.take(), Some(taken.delivery));
    }
}

impl Work for Stamped {
    fn steps(&self) -> u64 {
        1
    }

    fn last_steps(&self) -> u64 {
        self.counted.into()
    }

    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
        progress.begin("steps: getpid by SYSCALL");
        let options = steps::Options {
            samples: block.part(self.samples),
            warm_up: block.part(self.warm_up),
            cpu: self.cpu,
            rdtscp: clock::has_rdtscp(),
        };
        if options.samples > 0 && self.delivery.as_ref().is_none_or(|how| *how == Delivery::Native)
        {
            let before = Interrupts::of(self.cpu);
            let taken = match steps::measure(&options) {
                Ok(taken) => taken,
                Err(ProbeError::Sandbox(error)) => return Err(error.into()),
                Err(error) => Steps::nothing(Delivery::Failed { why: error.to_string() }),
            };
            self.add(taken, Interrupts::of(self.cpu).since(before));
        }
        progress.advance();
        Ok(())
    }

    fn finish(self: Box<Self>, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let is_native = self.delivery == Some(Delivery::Native);
        let counted = self.counted && is_native && !progress.stopped();
        let Some(mut measurements) = measurements(*self) else { return Ok(Vec::new()) };
        if counted {
            progress.begin("steps: getpid by SYSCALL, instructions");
            count(&mut measurements)?;
            progress.advance();
        }
        Ok(measurements.into())
    }
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

/// The plain call, and the stamped one with its steps; none if the run did not
/// come to them.
fn measurements(taken: Stamped) -> Option<[Measurement; 2]> {
    let Stamped { delivery, clock, .. } = taken;
    let delivery = delivery?;
    let new = |name| {
        let mut measurement = Measurement::new(Group::Steps, name, Some("64-bit"), Place::Guest);
        measurement.delivery = Some(delivery.clone());
        measurement
    };
    let (mut plain, mut stamped) = (new("SYSCALL"), new("SYSCALL, stamped"));
    plain.timed = timed(&taken.plain, clock);
    stamped.timed = timed(&taken.stamped, clock);
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
    Some([plain, stamped])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Sample;
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
        let mut both = Stamped::new(&Options::default(), clock).unwrap();
        assert!(measurements(Stamped::new(&Options::default(), clock).unwrap()).is_none());
        both.add(taken.clone(), 0);
        both.add(taken, 0);
        let [plain, stamped] = measurements(both).unwrap();
        assert_eq!(stamped.timed.as_ref().unwrap().blocks.len(), 2);
        let steps: Vec<_> = stamped.steps.iter().map(|step| step.ns).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(plain.timed.as_ref().unwrap().ns.subtracted.median, 20.0);
        assert!(stamped.notes[0].contains("take 8.0 ns"), "{:?}", stamped.notes);
        assert_ne!(plain.id, stamped.id);
    }
}
