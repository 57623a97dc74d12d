//! The figure that stands for a measurement, with an interval that knows how far
//! its blocks lie apart. Called by [`super::timed`].

use super::super::clock::Clock;
use super::super::record::{Block, Lead, LeadOf, Summary};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// A median of fewer steps of the clock than this is known to no better than a
/// twentieth: the loop stands for it.
const FEW_STEPS: f64 = 20.0;

/// Of samples whose median, in ticks and without the bracket, is `subtracted`.
pub(super) fn of(
    subtracted: &Summary,
    batched_ticks: Option<f64>,
    blocks: &[Block],
    clock: Clock,
) -> Lead {
    let few = subtracted.median < FEW_STEPS * clock.step.get() as f64;
    let batched = batched_ticks.filter(|&ticks| few && ticks > 0.0);
    let (of, ticks) = match batched {
        Some(ticks) => (LeadOf::Loop, ticks),
        None => (LeadOf::Samples, subtracted.median),
    };
    let values: Vec<_> = blocks.iter().filter_map(|block| block.value(of)).collect();
    let (mut low, mut high) = match confidence(&values) {
        Some(half) => (ticks - half, ticks + half),
        None => (ticks, ticks),
    };
    // A loop that ran once says nothing about itself.
    if of == LeadOf::Samples || values.len() < 2 {
        low = low.min(subtracted.median_low);
        high = high.max(subtracted.median_high);
    }
    Lead { of, ns: clock.ns(ticks), low: clock.ns(low), high: clock.ns(high) }
}

/// Half the width of the 95 % confidence interval of what these are medians of,
/// by Student's distribution; none of fewer than two.
fn confidence(values: &[f64]) -> Option<f64> {
    let freedom = values.len().checked_sub(1).filter(|&freedom| freedom > 0)? as f64;
    let students = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(students.inverse_cdf(1.0 - super::TAIL) * values.std_dev() / (values.len() as f64).sqrt())
}
