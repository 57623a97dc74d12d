//! The figure that stands for a measurement, with an interval that knows how far
//! its blocks lie apart. Called by [`super::timed`].

use super::yuen::Spread;
use crate::bench::record::clock::Clock;
use crate::bench::record::{Block, Lead, LeadOf, Summary};

/// A median of fewer steps of the clock than this is known to no better than a
/// twentieth: the loop stands for it.
const FEW_STEPS: f64 = 20.0;

/// Of a [`Lead`]'s interval.
const PROBABILITY: f64 = 0.95;

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
    let half = Spread::of(&values).map_or(0.0, |spread| spread.half_width(PROBABILITY));
    let (mut low, mut high) = (ticks - half, ticks + half);
    // A loop that ran once says nothing about itself.
    if of == LeadOf::Samples || values.len() < 2 {
        low = low.min(subtracted.median_low);
        high = high.max(subtracted.median_high);
    }
    Lead { of, ns: clock.ns(ticks), low: clock.ns(low), high: clock.ns(high) }
}
