//! The group `steps`: the stamped call of [`super::steps`] beside the same call
//! through the plain door. Called by [`super::run`].

use super::probe::ProbeError;
use super::record::{Delivery, Group, Measurement, Place, Step, Timed};
use super::stats::{Samples, timed};
use super::steps::{self, NAMES, Steps};
use super::{Error, Options, Progress, clock};
use crate::affinity;
use crate::job::Sample;
use std::num::NonZeroU64;

/// Measures.
///
/// # Errors
/// If no sandbox can be made.
pub(super) fn measure(
    options: &Options,
    tsc_khz: NonZeroU64,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    progress.begin("steps: getpid by SYSCALL", 1);
    if progress.stopped() {
        return Ok(Vec::new());
    }
    let options = steps::Options {
        samples: options.samples,
        warm_up: options.warm_up,
        cpu: affinity::allowed()?.last().copied().unwrap_or(0),
        rdtscp: clock::has_rdtscp(),
    };
    let taken = match steps::measure(&options) {
        Ok(taken) => taken,
        Err(ProbeError::Sandbox(error)) => return Err(error.into()),
        Err(error) => Steps::nothing(Delivery::Failed { why: error.to_string() }),
    };
    progress.advance();
    Ok(measurements(taken, tsc_khz))
}

/// The stamped call with its steps, and the plain one.
fn measurements(taken: Steps, tsc_khz: NonZeroU64) -> Vec<Measurement> {
    let new = |name| {
        let mut measurement = Measurement::new(Group::Steps, name, Some("64-bit"), Place::Guest);
        measurement.delivery = Some(taken.delivery.clone());
        measurement
    };
    let (mut plain, mut stamped) = (new("SYSCALL"), new("SYSCALL, stamped"));
    plain.timed = figures(&taken.plain, tsc_khz);
    stamped.timed = figures(&taken.stamped, tsc_khz);
    let ns = |ticks: f64| ticks * 1e6 / tsc_khz.get() as f64;
    stamped.steps = NAMES
        .iter()
        .enumerate()
        .filter_map(|(index, name)| {
            let ticks = median(taken.calls.iter().map(|call| call[index]).collect())?;
            Some(Step { name: (*name).to_owned(), ns: ns(ticks), instructions: None })
        })
        .collect();
    let medians = |timed: &Option<Timed>| timed.as_ref().map(|timed| timed.ns.subtracted.median);
    if let (Some(with), Some(without)) = (medians(&stamped.timed), medians(&plain.timed)) {
        stamped.notes.push(format!(
            "the stamps themselves take {:.1} ns of these: {with:.1} ns beside {without:.1} ns",
            with - without
        ));
    }
    vec![plain, stamped]
}

fn figures(list: &[Sample], tsc_khz: NonZeroU64) -> Option<Timed> {
    let samples = Samples {
        ticks: list.iter().map(|sample| sample.ticks.into()).collect(),
        empty: list.iter().map(|sample| sample.empty_ticks.into()).collect(),
        ..Samples::default()
    };
    timed(&samples, tsc_khz)
}

fn median(mut ticks: Vec<u32>) -> Option<f64> {
    ticks.sort_unstable();
    ticks.get(ticks.len() / 2).map(|&ticks| ticks.into())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let khz = NonZeroU64::new(1_000_000).unwrap();
        let [plain, stamped] = &measurements(taken, khz)[..] else { panic!("two measurements") };
        let steps: Vec<_> = stamped.steps.iter().map(|step| step.ns).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(plain.timed.as_ref().unwrap().ns.subtracted.median, 20.0);
        assert!(stamped.notes[0].contains("take 8.0 ns"), "{:?}", stamped.notes);
        assert_ne!(plain.id, stamped.id);
    }
}
