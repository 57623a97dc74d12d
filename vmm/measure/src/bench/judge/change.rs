//! Whether a time changed from one record to another, or only looks as if it
//! had. Pure; `compare` shows it, `gate` judges by it.
//!
//! A figure differs if the distance is larger than what the blocks of both runs
//! explain (`stats::yuen`, 99.5 %), than a step of the clock, and than a
//! threshold below which nobody cares.

use crate::bench::record::stats::yuen::Spread;
use crate::bench::record::{LeadOf, Summary, Timed};
use serde::Serialize;

/// How sure one is that a difference is none of chance: one row in two hundred
/// is called different though it is not.
const PROBABILITY: f64 = 0.995;

/// By how much an interval of this probability is wider than one of 95 %, of a
/// normal distribution.
const WIDER: f64 = 2.807 / 1.960;

/// A time in both records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What is compared: the loops if one of the two leads with its loop and both
    /// have one.
    pub of: LeadOf,
    /// In the first, in nanoseconds without the bracket.
    pub before_ns: f64,
    /// In the second.
    pub after_ns: f64,
    /// How far apart the two may be by chance, in nanoseconds; unknown if one of
    /// them has fewer than two blocks.
    pub noise_ns: Option<f64>,
    /// The second as a multiple of the first; none if that is not above zero.
    pub ratio: Option<Ratio>,
}

/// How many times as large one time is as another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The ratio.
    pub ratio: f64,
    /// The least that chance allows for.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// What became of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No difference that noise and threshold do not explain.
    Same,
    /// It takes longer.
    Slower,
    /// It takes less long.
    Faster,
    /// Nobody can say: there is but one block.
    Unknown,
}

impl Change {
    /// Of two measurements that were read in steps of so many nanoseconds.
    pub(crate) fn of(before: &Timed, after: &Timed, step_ns: f64) -> Change {
        let of = figure(before, after);
        let (before_ns, after_ns) = (value(before, of), value(after, of));
        let between = |timed: &Timed| {
            let ticks = timed.blocks.iter().filter_map(|block| block.value(of));
            Spread::of(&ticks.map(|ticks| ticks * timed.ns_of_tick()).collect::<Vec<_>>())
        };
        let noise_ns = between(before).zip(between(after)).map(|(one, other)| {
            let blocks = one.and(other).half_width(PROBABILITY);
            match of {
                // Each median is known from so many samples only.
                LeadOf::Samples => blocks.hypot(within(before).hypot(within(after))).max(step_ns),
                // A loop is many calls long, and knows no steps.
                LeadOf::Loop => blocks,
            }
        });
        let ratio = noise_ns.filter(|_| before_ns > 0.0).map(|noise| Ratio {
            ratio: after_ns / before_ns,
            low: (after_ns - noise) / before_ns,
            high: (after_ns + noise) / before_ns,
        });
        Change { of, before_ns, after_ns, noise_ns, ratio }
    }

    /// What became of it, if a change of up to so many percent is none.
    pub fn verdict(&self, threshold_percent: f64) -> Verdict {
        let Some(noise) = self.noise_ns else { return Verdict::Unknown };
        let threshold = self.before_ns.abs() * threshold_percent / 100.0;
        // A difference of just a step is none, whatever its last binary digit.
        let limit = noise.max(threshold) * (1.0 + 1e-9);
        match self.after_ns - self.before_ns {
            slower if slower > limit => Verdict::Slower,
            faster if faster < -limit => Verdict::Faster,
            _ => Verdict::Same,
        }
    }

    /// Whether more than noise explains is more than so many percent above the
    /// first.
    pub(crate) fn is_above(&self, percent: f64) -> bool {
        let limit = self.before_ns + self.before_ns.abs() * percent / 100.0;
        self.noise_ns.is_some_and(|noise| self.after_ns - noise * (1.0 + 1e-9) > limit)
    }
}

/// How far a median of so many samples may be from the true one, by the interval
/// that its ranks give.
fn within(timed: &Timed) -> f64 {
    let Summary { median, median_low, median_high, .. } = timed.ns.subtracted;
    (median_high - median).max(median - median_low) * WIDER
}

/// What both have a figure of.
fn figure(before: &Timed, after: &Timed) -> LeadOf {
    let loops = before.batched_ticks.and(after.batched_ticks).is_some();
    match (before.lead.of, after.lead.of) {
        (LeadOf::Samples, LeadOf::Samples) => LeadOf::Samples,
        _ if loops => LeadOf::Loop,
        _ => LeadOf::Samples,
    }
}

fn value(timed: &Timed, of: LeadOf) -> f64 {
    match of {
        LeadOf::Loop => timed.batched_ns().unwrap_or_default(),
        LeadOf::Samples => timed.ns.subtracted.median,
    }
}

#[cfg(test)]
mod tests;
