//! From samples to figures: pure functions, and the only place where times are
//! made. A measuring function hands over [`Samples`] and gets a [`Timed`].
//!
//! No sample is dropped. What a bracket costs is measured by an empty one and
//! its median taken away; both are kept. Quantiles are samples (nearest rank),
//! so that none shows a value which never occurred.
//!
//! The median's confidence interval needs no assumption about the distribution:
//! how many of n independent samples lie below the true median is binomial with
//! p = 1/2, which gives two ranks. Samples that follow each other in a loop are
//! not quite independent, and two runs differ by more than one loop shows: so a
//! measurement comes in blocks, and how far they lie apart goes into the interval
//! of its [`Lead`](crate::bench::record::Lead) and decides whether two records differ
//! (`yuen`).

mod lead;
pub(crate) mod yuen;

use crate::bench::record::clock::Clock;
use crate::bench::record::{Block, Distribution, OutlierCount, Outliers, Summary, Timed};
use crate::jobs::Sample;
use hdrhistogram::Histogram;
use statrs::distribution::{Binomial, DiscreteCDF};

/// What stands outside the 95 % interval, on each side.
const TAIL: f64 = 0.025;
/// Digits that a histogram keeps.
const DIGITS: u8 = 3;

/// What explains a sample that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host interrupted, or ran something else meanwhile.
    Interrupt,
    /// The thread went to another CPU.
    Migration,
    /// The guest left for KVM where it need not.
    Exit,
}

/// What was measured of one thing.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Ticks of the time-stamp counter, bracket included.
    pub ticks: Vec<u64>,
    /// Ticks of the same bracket around nothing; may be empty.
    pub empty: Vec<u64>,
    /// Which samples (by index) something is known to have disturbed.
    pub disturbed: Vec<(usize, Cause)>,
    /// The blocks that the samples came in, in order. What is behind the last
    /// one belongs to none.
    pub blocks: Vec<Part>,
}

/// A block of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// How many there are in it, and as many of the empty bracket.
    pub samples: usize,
    /// Ticks of a call in a loop without brackets.
    pub batched_ticks: Option<f64>,
    /// Nanoseconds of a call in that loop, by the wall clock.
    pub wall_ns: Option<f64>,
}

impl Samples {
    /// What single brackets are, each beside an empty one.
    pub fn of_brackets(brackets: &[Sample]) -> Samples {
        Samples {
            ticks: brackets.iter().map(|sample| sample.ticks.into()).collect(),
            empty: brackets.iter().map(|sample| sample.empty_ticks.into()).collect(),
            ..Samples::default()
        }
    }

    /// Adds what was measured later of the same thing.
    pub fn append(&mut self, later: Samples) {
        let first = self.ticks.len();
        let disturbed = later.disturbed.into_iter().map(|(index, cause)| (first + index, cause));
        self.disturbed.extend(disturbed);
        self.ticks.extend(later.ticks);
        self.empty.extend(later.empty);
        self.blocks.extend(later.blocks);
    }
}

/// The middle one of these numbers, by the nearest rank as in
/// [`Summary::median`]; none of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// The figures of these samples; none if there is no sample.
pub fn timed(samples: &Samples, clock: Clock) -> Option<Timed> {
    let sorted = sorted(&samples.ticks);
    let step = clock.step.get() as f64;
    let raw = summary(&sorted, step)?;
    let empty = summary(&self::sorted(&samples.empty), step);
    let subtracted = map(raw, |ticks| ticks - empty.map_or(0.0, |empty| empty.median));
    let ns = |summary| map(summary, |ticks| clock.ns(ticks));
    let blocks = blocks(samples);
    let middle = |of: fn(&Block) -> Option<f64>| median(blocks.iter().filter_map(of));
    let batched_ticks = middle(|block| block.batched_ticks);
    let wall_ns = middle(|block| block.wall_ns);
    Some(Timed {
        lead: lead::of(&subtracted, batched_ticks, &blocks, clock),
        samples: sorted.len() as u64,
        ticks: Distribution { raw, subtracted, empty },
        ns: Distribution { raw: ns(raw), subtracted: ns(subtracted), empty: empty.map(ns) },
        blocks,
        batched_ticks,
        wall_ns,
        histogram: histogram(&sorted),
        outliers: outliers(samples, &sorted),
    })
}

fn sorted(values: &[u64]) -> Vec<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

/// The same summary in other numbers. `change` must keep their order.
fn map(summary: Summary, change: impl Fn(f64) -> f64) -> Summary {
    Summary {
        min: change(summary.min),
        median: change(summary.median),
        median_low: change(summary.median_low),
        median_high: change(summary.median_high),
        p90: change(summary.p90),
        p99: change(summary.p99),
        max: change(summary.max),
        mean: change(summary.mean),
    }
}

/// The sample that `fraction` of all are not larger than. `sorted` is not
/// empty.
fn quantile(sorted: &[u64], fraction: f64) -> f64 {
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1] as f64
}

/// Sorted samples in a few numbers; none of none. They were read in steps of
/// `step`.
fn summary(sorted: &[u64], step: f64) -> Option<Summary> {
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = median_ranks(sorted.len());
    let median = quantile(sorted, 0.5);
    Some(Summary {
        min: min as f64,
        median,
        median_low: (sorted[low] as f64).min(median - step / 2.0),
        median_high: (sorted[high] as f64).max(median + step / 2.0),
        p90: quantile(sorted, 0.9),
        p99: quantile(sorted, 0.99),
        max: max as f64,
        mean: sorted.iter().map(|&ticks| ticks as f64).sum::<f64>() / sorted.len() as f64,
    })
}

/// Each block in a few numbers. A block without samples is none.
fn blocks(samples: &Samples) -> Vec<Block> {
    let middle = |ticks: &[u64]| median(ticks.iter().map(|&ticks| ticks as f64));
    let mut first = 0;
    let blocks = samples.blocks.iter().filter_map(|part| {
        let of_part = first..first + part.samples;
        first = of_part.end;
        let empty = samples.empty.get(of_part.clone()).and_then(middle).unwrap_or(0.0);
        Some(Block {
            samples: part.samples as u64,
            median_ticks: middle(samples.ticks.get(of_part)?)? - empty,
            batched_ticks: part.batched_ticks,
            wall_ns: part.wall_ns,
        })
    });
    blocks.collect()
}

/// Indices of the two samples between which the true median lies with a
/// probability of at least 95 %. Fewer than six samples cannot say so much:
/// the first and the last, then. `count` is not 0.
fn median_ranks(count: usize) -> (usize, usize) {
    let below = Binomial::new(0.5, count as u64).map_or(0, |below| below.inverse_cdf(TAIL));
    // Rank `below`, counted from 1, and as many from the other end.
    let low = (below as usize).saturating_sub(1).min((count - 1) / 2);
    (low, count - 1 - low)
}

/// Ticks, to three digits, with how often they came.
fn histogram(sorted: &[u64]) -> Vec<(u64, u64)> {
    let Ok(mut histogram) = Histogram::<u64>::new(DIGITS) else {
        unreachable!("three digits are what it may have")
    };
    for &ticks in sorted {
        // It grows with what comes, up to this.
        let recorded = histogram.record(ticks.min(i64::MAX as u64));
        debug_assert!(recorded.is_ok(), "{ticks}");
    }
    histogram.iter_recorded().map(|bin| (bin.value_iterated_to(), bin.count_at_value())).collect()
}

/// What is far beyond the tail: three times as far from the 99th percentile as
/// that is from the median. Quartiles would call the tail itself an outlier:
/// latencies have long ones. A counter that ticks coarsely has percentiles that
/// coincide, so that distance is at least a hundredth of the median and two
/// ticks.
fn threshold(sorted: &[u64]) -> f64 {
    let (median, tail) = (quantile(sorted, 0.5), quantile(sorted, 0.99));
    tail + 3.0 * (tail - median).max(median / 100.0).max(2.0)
}

fn outliers(samples: &Samples, sorted: &[u64]) -> Outliers {
    let threshold_ticks = threshold(sorted);
    let mut outliers = Outliers { threshold_ticks, ..Outliers::default() };
    let mut causes = samples.disturbed.clone();
    causes.sort_by_key(|(index, _)| *index);
    for (index, &ticks) in samples.ticks.iter().enumerate() {
        if ticks as f64 <= threshold_ticks {
            continue;
        }
        let known = causes.binary_search_by_key(&index, |(index, _)| *index);
        let count = match known.ok().map(|at| causes[at].1) {
            Some(Cause::Interrupt) => &mut outliers.interrupt,
            Some(Cause::Migration) => &mut outliers.migration,
            Some(Cause::Exit) => &mut outliers.exit,
            None => &mut outliers.unexplained,
        };
        *count =
            OutlierCount { count: count.count + 1, largest_ticks: count.largest_ticks.max(ticks) };
    }
    outliers
}

#[cfg(test)]
mod tests;
