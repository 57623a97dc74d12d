//! Whether a time changed from one record to another, or only looks as if it
//! had. Pure; [`super::compare`] shows it, [`super::gate`] judges by it.
//!
//! A figure differs if the distance is larger than what the blocks of both runs
//! explain ([`super::stats::yuen`], 99.5 %), than a step of the clock, and than a
//! threshold below which nobody cares.

use super::record::{LeadOf, Summary, Timed};
use super::stats::yuen::Spread;
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
    pub(super) fn of(before: &Timed, after: &Timed, step_ns: f64) -> Change {
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
    pub(super) fn is_above(&self, percent: f64) -> bool {
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
mod tests {
    use super::super::sample::CLOCK;
    use super::super::stats::{Part, Samples, timed};
    use super::*;

    /// A measurement of five blocks, each of one length in ticks, a third of a
    /// nanosecond; and of loops of so many ticks.
    fn blocks(medians: [u64; 5], loops: [f64; 5]) -> Timed {
        let samples = Samples {
            ticks: medians.iter().flat_map(|&ticks| [ticks; 20]).collect(),
            blocks: loops
                .map(|ticks| Part { samples: 20, batched_ticks: Some(ticks), ..Part::default() })
                .into(),
            ..Samples::default()
        };
        timed(&samples, CLOCK).expect("samples")
    }

    fn steady(ticks: u64) -> Timed {
        blocks([0, 3, 1, 2, 0].map(|more| ticks + more), [ticks as f64; 5])
    }

    fn verdict(before: &Timed, after: &Timed) -> Verdict {
        Change::of(before, after, 1.0 / 3.0).verdict(1.0)
    }

    #[test]
    fn what_is_beyond_noise_and_threshold_is_a_difference() {
        let before = steady(3000);
        assert_eq!(verdict(&before, &before), Verdict::Same);
        assert_eq!(verdict(&before, &steady(3029)), Verdict::Same);
        assert_eq!(verdict(&before, &steady(3150)), Verdict::Slower);
        assert_eq!(verdict(&steady(3150), &before), Verdict::Faster);
        // The threshold is of the first.
        let change = Change::of(&before, &steady(3150), 1.0);
        assert_eq!(change.verdict(4.0), Verdict::Slower);
        assert_eq!(change.verdict(6.0), Verdict::Same);
        let Ratio { ratio, low, high } = change.ratio.expect("above zero");
        assert!((ratio - 1.05).abs() < 1e-3 && low > 1.04 && high < 1.06, "{low} to {high}");
    }

    #[test]
    fn as_much_as_the_blocks_lie_apart_is_no_difference() {
        let noisy = |ticks: u64| blocks([0, 90, 40, 130, 60].map(|more| ticks + more), [1.0; 5]);
        assert_eq!(verdict(&noisy(3000), &noisy(3150)), Verdict::Same);
        assert_eq!(verdict(&noisy(3000), &noisy(4500)), Verdict::Slower);
        // One bad block in each is nobody's spread.
        let bad = |ticks: u64| blocks([0, 3, 1, 9000, 2].map(|more| ticks + more), [1.0; 5]);
        assert_eq!(verdict(&bad(3000), &bad(3150)), Verdict::Slower);
    }

    #[test]
    fn a_step_of_the_clock_is_no_difference() {
        let [before, after] = [100, 126].map(|ticks| blocks([ticks; 5], [-1.0; 5]));
        let step_ns = CLOCK.ns(26.0);
        assert_eq!(Change::of(&before, &after, step_ns).verdict(1.0), Verdict::Same);
        assert_eq!(Change::of(&before, &after, step_ns / 2.0).verdict(1.0), Verdict::Slower);
    }

    #[test]
    fn what_takes_few_steps_is_compared_by_its_loops() {
        // The medians are alike; the loops say 2 and 3 ticks.
        let [before, after] = [2.0, 3.0].map(|ticks| blocks([5; 5], [ticks; 5]));
        let change = Change::of(&before, &after, 10.0);
        assert_eq!((change.of, change.verdict(1.0)), (LeadOf::Loop, Verdict::Slower));
        // One that leads with its samples has a loop, too.
        let longer = blocks([600; 5], [590.0; 5]);
        assert_eq!(Change::of(&before, &longer, 10.0).of, LeadOf::Loop);
    }

    #[test]
    fn nothing_and_less_than_nothing_are_compared_without_a_ratio() {
        let empty = |ticks: u64| {
            let samples = Samples {
                ticks: vec![ticks; 100],
                empty: vec![40; 100],
                blocks: vec![Part { samples: 20, ..Part::default() }; 5],
                ..Samples::default()
            };
            timed(&samples, CLOCK).expect("samples")
        };
        for (before, after, expected) in [
            (40, 40, Verdict::Same),
            (40, 400, Verdict::Slower),
            (30, 30, Verdict::Same),
            (30, 400, Verdict::Slower),
        ] {
            let change = Change::of(&empty(before), &empty(after), 1.0);
            assert_eq!((change.ratio, change.verdict(5.0)), (None, expected), "{before} {after}");
            assert_eq!(change.is_above(5.0), expected == Verdict::Slower, "{before} {after}");
        }
        assert!(!Change::of(&empty(400), &empty(30), 1.0).is_above(5.0));
    }

    #[test]
    fn one_block_says_nothing_about_noise() {
        let mut one = steady(3000);
        one.blocks.truncate(1);
        assert_eq!(verdict(&one, &steady(9000)), Verdict::Unknown);
        assert!(!Change::of(&one, &steady(9000), 1.0).is_above(5.0));
    }
}
