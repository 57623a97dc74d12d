//! The times of a measurement, as they are in a record.

use crate::bench::record::stats::median;
use crate::bench::record::stats::yuen::Spread;
use crate::bench::record::units;
use serde::{Deserialize, Serialize};

/// Times of one measurement. What is in ticks is exact; nanoseconds are ticks
/// at the environment's `tsc_khz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// The figure that stands for all of them: tables begin with it, comparisons
    /// are about it.
    pub lead: Lead,
    /// How many samples there are.
    pub samples: u64,
    /// In ticks of the time-stamp counter.
    pub ticks: Distribution,
    /// In nanoseconds.
    pub ns: Distribution,
    /// The same in parts, in the order in which they were measured.
    pub blocks: Vec<Block>,
    /// Ticks of a call in a loop without a bracket around each: the median of the
    /// blocks'.
    pub batched_ticks: Option<f64>,
    /// Nanoseconds of a call in that loop by the wall clock: the same.
    pub wall_ns: Option<f64>,
    /// The raw samples: ticks, to three digits, and how many there were.
    pub histogram: Vec<(u64, u64)>,
    /// The samples far away from the others. They are in every figure.
    pub outliers: Outliers,
}

impl Timed {
    /// Nanoseconds of a tick.
    pub fn ns_of_tick(&self) -> f64 {
        if self.ticks.raw.max > 0.0 { self.ns.raw.max / self.ticks.raw.max } else { 0.0 }
    }

    /// Nanoseconds of a call in a loop without brackets.
    pub fn batched_ns(&self) -> Option<f64> {
        Some(self.batched_ticks? * self.ns_of_tick())
    }

    /// What is wrong with the cross-check: the loop's time by the time-stamp
    /// counter and by the wall clock are more than 5 % apart, and by more than
    /// the blocks explain.
    pub(super) fn cross_check(&self) -> Option<String> {
        let tick = self.ns_of_tick();
        let both = |block: &Block| Some((block.batched_ticks? * tick, block.wall_ns?));
        let (counter, apart): (Vec<_>, Vec<_>) = self
            .blocks
            .iter()
            .filter_map(both)
            .map(|(counter, wall)| (counter, wall - counter))
            .unzip();
        let noise = Spread::of(&apart)?.half_width(PROBABILITY);
        let (counter, apart) = (median(counter)?, median(apart)?);
        (apart.abs() > noise.max(APART * counter.abs())).then(|| {
            let (counter, wall) = (units::time(counter), units::time(counter + apart));
            format!(
                "cross-check: the loop took {counter} a call by the time-stamp counter and {wall} \
                 by the wall clock"
            )
        })
    }
}

/// How sure one is that two clocks are apart.
const PROBABILITY: f64 = 0.995;
/// By which part two clocks may differ.
const APART: f64 = 0.05;

/// The figure that stands for a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lead {
    /// What it is a figure of.
    pub of: LeadOf,
    /// Nanoseconds of a call, without the bracket.
    pub ns: f64,
    /// Lower end of its 95 % confidence interval, which knows how far the blocks
    /// lie apart and is never narrower than a step of the clock.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

/// What a [`Lead`] is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LeadOf {
    /// The median of the samples.
    Samples,
    /// The loop without brackets: a call is over within a few of the clock's
    /// steps, so that samples tell little.
    Loop,
}

/// A part of the samples, from a sandbox or a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// How many samples.
    pub samples: u64,
    /// Their median in ticks, without that of the block's own empty brackets.
    pub median_ticks: f64,
    /// Ticks of a call in a loop without brackets, the least disturbed of the
    /// block's.
    pub batched_ticks: Option<f64>,
    /// Nanoseconds of a call in that loop by the wall clock: the cross-check.
    pub wall_ns: Option<f64>,
}

impl Block {
    /// What it says about a lead of that kind, in ticks.
    pub fn value(&self, of: LeadOf) -> Option<f64> {
        match of {
            LeadOf::Samples => Some(self.median_ticks),
            LeadOf::Loop => self.batched_ticks,
        }
    }
}

/// The same samples three ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// As they were taken, bracket included.
    pub raw: Summary,
    /// Without the empty bracket's median. May be below zero: noise is shown.
    pub subtracted: Summary,
    /// A bracket around nothing, if there was one.
    pub empty: Option<Summary>,
}

/// Samples in a few numbers. A percentile is a sample: the smallest that has
/// so many percent of all at or below it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// Lower end of the median's 95 % confidence interval, at least half a step
    /// of the clock away from it.
    pub median_low: f64,
    /// Upper end of it.
    pub median_high: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// The mean of all.
    pub mean: f64,
}

/// Samples beyond a threshold, by what explains them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Outliers {
    /// Raw ticks above which a sample counts as one.
    pub threshold_ticks: f64,
    /// The host interrupted, or ran something else meanwhile.
    pub interrupt: OutlierCount,
    /// The thread went to another CPU.
    pub migration: OutlierCount,
    /// The guest left for KVM where it need not.
    pub exit: OutlierCount,
    /// Nothing that was looked at explains them.
    pub unexplained: OutlierCount,
}

/// How many outliers, and how bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutlierCount {
    /// How many.
    pub count: u64,
    /// The largest, in raw ticks; 0 if there are none.
    pub largest_ticks: u64,
}
