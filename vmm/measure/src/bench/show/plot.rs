//! Where things are in the pictures of `html`: fractions of a width and
//! a height, and SVG's paths. The page's style sheet gives them colours.
//!
//! All distributions of a group share one [`Axis`], so that what is further
//! right costs more, whoever's it is.

use crate::bench::record::Timed;
use crate::bench::record::units;
use std::fmt::Write;

/// Bins of an axis.
const BINS: usize = 200;
/// Width and half the height of a distribution's drawing: one place's samples
/// are above its middle, the other's below.
pub(crate) const WIDTH: f64 = 1000.0;
pub(crate) const HALF: f64 = 24.0;
/// The least height of a bin with a sample in it: a single outlier shows.
const LEAST: f64 = 0.08;
/// Nothing that was measured is shorter, in nanoseconds: what is, clocks cannot
/// tell from nothing, and it is drawn at the left end.
const SHORTEST: f64 = 1.0;
/// Nor longer, in nanoseconds, some thirty years: a damaged record's axis ends
/// here.
const LONGEST: f64 = 1e18;

/// A logarithmic scale of times, in nanoseconds.
pub(crate) struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// One with room for all samples; none if there are none.
    pub(crate) fn of<'a>(all: impl Iterator<Item = &'a Timed>) -> Option<Axis> {
        let mut axis: Option<Axis> = None;
        for (ns, _) in all.flat_map(samples) {
            let ns = ns.clamp(SHORTEST, LONGEST);
            let Axis { low, high } = axis.unwrap_or(Axis { low: ns, high: ns });
            axis = Some(Axis { low: low.min(ns), high: high.max(ns) });
        }
        axis.map(|Axis { low, high }| Axis { low: low / 1.25, high: high * 1.25 })
    }

    /// Where a time is: 0 is the left end, 1 the right one.
    pub(crate) fn at(&self, ns: f64) -> f64 {
        let share = (ns.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        share.clamp(0.0, 1.0)
    }

    /// Labels and where they are: at each 1, 2 and 5, or where that would be too
    /// many, at each power of ten.
    pub(crate) fn labels(&self) -> Vec<(f64, String)> {
        let is_long = self.high / self.low > 300.0;
        let steps: &[f64] = if is_long { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = decades.flat_map(|decade| steps.iter().map(move |n| n * 10f64.powi(decade)));
        let inside = all.filter(|ns| (self.low..=self.high).contains(ns));
        inside.map(|ns| (self.at(ns), units::round(ns))).collect()
    }

    /// The share of samples in each of [`BINS`] bins.
    fn bins(&self, timed: &Timed) -> Vec<f64> {
        let mut bins = vec![0.0; BINS];
        for (ns, count) in samples(timed) {
            let bin = (self.at(ns) * BINS as f64) as usize;
            bins[bin.min(BINS - 1)] += count as f64 / timed.samples.max(1) as f64;
        }
        bins
    }

    /// A path around all bins, of the highest's height, from the middle upwards
    /// or downwards.
    pub(crate) fn path(&self, timed: &Timed, upwards: bool) -> String {
        let bins = self.bins(timed);
        let highest = bins.iter().copied().fold(0.0, f64::max);
        let width = WIDTH / BINS as f64;
        let mut path = String::new();
        for (index, share) in bins.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let height = (share / highest).max(LEAST) * (HALF - 2.0);
            let height = if upwards { -height } else { height };
            let left = index as f64 * width;
            // Writing to a String does not fail.
            let _ = write!(path, "M{left:.1} {HALF}v{height:.1}h{width:.1}v{:.1}z", -height);
        }
        path
    }
}

/// Samples without the empty bracket's median, in nanoseconds, and how many of
/// each there were: as in the table.
fn samples(timed: &Timed) -> impl Iterator<Item = (f64, u64)> {
    let empty = timed.ticks.empty.map_or(0.0, |empty| empty.median);
    let ns_of_tick = timed.ns_of_tick();
    timed.histogram.iter().map(move |&(ticks, n)| ((ticks as f64 - empty) * ns_of_tick, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn bins_hold_every_sample_once_and_the_most_are_at_the_median() {
        let timed = sample::times(1500);
        let axis = Axis::of([&timed, &sample::times(90_000)].into_iter()).expect("samples");
        let bins = axis.bins(&timed);
        assert!((bins.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let largest = (0..BINS).max_by(|&a, &b| bins[a].total_cmp(&bins[b])).expect("bins");
        let median = axis.at(timed.ns.subtracted.median) * BINS as f64;
        assert!((largest as f64 - median).abs() < 3.0, "{largest}, {median}");
    }

    #[test]
    fn a_path_has_a_part_for_each_bin_with_a_sample_within_its_half() {
        let timed = sample::times(150);
        let axis = Axis::of(std::iter::once(&timed)).expect("samples");
        let filled = axis.bins(&timed).iter().filter(|share| **share > 0.0).count();
        for upwards in [true, false] {
            let path = axis.path(&timed, upwards);
            assert_eq!(path.matches('M').count(), filled);
            assert!(path.contains("v-22.0") && path.contains("v22.0"), "{path}");
        }
    }

    #[test]
    fn labels_are_round_and_neither_too_many_nor_none() {
        let labels = |low, high| {
            let labels = Axis { low, high }.labels();
            labels.into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels(45.0, 1100.0), ["50 ns", "100 ns", "200 ns", "500 ns", "1 µs"]);
        assert_eq!(labels(9.0, 2e4), ["10 ns", "100 ns", "1 µs", "10 µs"]);
    }

    #[test]
    fn an_axis_ends_somewhere_whatever_is_in_a_record() {
        for (ns, ticks) in [(1e308, 1e-9), (1e308, 1.0), (f64::NAN, 1.0), (1e-300, 1e300)] {
            let mut timed = sample::times(150);
            (timed.ns.raw.max, timed.ticks.raw.max) = (ns, ticks);
            let axis = Axis::of(std::iter::once(&timed)).expect("samples");
            assert!(axis.labels().len() < 25, "{ns}, {ticks}");
            assert!(!axis.path(&timed, true).contains("inf"));
        }
    }

    #[test]
    fn nothing_has_no_axis_and_what_is_below_nothing_is_at_the_left_end() {
        assert!(Axis::of(std::iter::empty()).is_none());
        let mut timed = sample::times(0);
        timed.histogram = vec![(1, 10_000)];
        let axis = Axis::of(std::iter::once(&timed)).expect("samples");
        assert_eq!(axis.at(-5.0), 0.0);
        assert_eq!(axis.bins(&timed)[0], 1.0);
    }
}
