//! Tests of the statistics: against known distributions, and on any samples.

use super::*;
use crate::bench::record::{Lead, LeadOf};
use proptest::prelude::*;
use std::num::NonZeroU64;

/// A tick is a nanosecond.
const GHZ: Clock = Clock { khz: NonZeroU64::new(1_000_000).unwrap(), step: NonZeroU64::MIN };

fn of(ticks: impl IntoIterator<Item = u64>, empty: impl IntoIterator<Item = u64>) -> Timed {
    let (ticks, empty) = (ticks.into_iter().collect(), empty.into_iter().collect());
    timed(&Samples { ticks, empty, ..Samples::default() }, GHZ).expect("there are samples")
}

/// Evenly spread numbers in 0..1: the golden ratio's multiples, so that no
/// generator's luck decides a test.
fn spread(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(|index| (index as f64 * 0.618_033_988_749_895).fract())
}

#[test]
fn the_median_is_a_number_that_occurred() {
    assert_eq!(median([]), None);
    assert_eq!(median([7.0]), Some(7.0));
    assert_eq!(median([9.0, -1.0, 5.0]), Some(5.0));
    // The nearest rank: as in a summary of the same numbers.
    assert_eq!(median([1.0, 2.0, 3.0, 4.0]), Some(2.0));
    assert_eq!(of([4, 3, 2, 1], []).ticks.raw.median, 2.0);
}

#[test]
fn no_samples_have_no_figures() {
    assert_eq!(timed(&Samples::default(), GHZ), None);
}

#[test]
fn the_numbers_from_1_to_1000_have_the_quantiles_that_they_have() {
    let Summary { min, median, p90, p99, max, mean, .. } = of((1..=1000).rev(), []).ticks.raw;
    let got = [min, median, p90, p99, max, mean];
    assert_eq!(got, [1.0, 500.0, 900.0, 990.0, 1000.0, 500.5]);
}

#[test]
fn a_known_delay_in_a_bracket_comes_out_within_one_percent() {
    for delay in [100, 1000] {
        // A bracket of 36 to 44 ticks with an interrupt now and then.
        let bracket = |spread: f64| {
            let interrupt = if spread > 0.999 { 30_000 } else { 0 };
            36 + (spread * 9.0) as u64 + interrupt
        };
        let timed = of(spread(10_000).map(|x| delay + bracket(x)), spread(9_973).map(bracket));
        let error = timed.ticks.subtracted.median / delay as f64 - 1.0;
        assert!(error.abs() < 0.01, "{delay}: {:?}", timed.ticks);
        assert_eq!(timed.ticks.raw.median, delay as f64 + 40.0);
        assert_eq!(timed.ticks.empty.map(|empty| empty.median), Some(40.0));
        assert!((timed.outliers.unexplained.count as i64 - 10).abs() <= 1, "{:?}", timed.outliers);
    }
}

#[test]
fn quantiles_of_an_exponential_distribution_are_its_own() {
    let mean = 50_000.0;
    let timed = of(spread(100_000).map(|x| (-(1.0 - x).ln() * mean) as u64), []);
    let raw = timed.ticks.raw;
    for (got, expected) in [
        (raw.median, mean * 2f64.ln()),
        (raw.p90, mean * 10f64.ln()),
        (raw.p99, mean * 100f64.ln()),
        (raw.mean, mean),
    ] {
        assert!((got / expected - 1.0).abs() < 0.01, "{got}, not {expected}");
    }
    assert!(raw.median_low < mean * 2f64.ln() && mean * 2f64.ln() < raw.median_high);
}

#[test]
fn nanoseconds_follow_the_frequency() {
    let samples = Samples { ticks: vec![300; 10], empty: vec![60; 10], ..Samples::default() };
    let timed = timed(&samples, Clock { khz: NonZeroU64::new(2_400_000).unwrap(), ..GHZ })
        .expect("samples");
    assert_eq!(timed.ns.raw.median, 125.0);
    assert_eq!(timed.ns.subtracted.median, 100.0);
    assert_eq!(timed.ns.empty.map(|empty| empty.median), Some(25.0));
}

#[test]
fn the_medians_interval_has_the_ranks_of_the_textbooks_tables() {
    // Ranks counted from 1, for 95 %: as in tables of the sign test.
    for (count, low, high) in [(6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15), (50, 18, 33)] {
        assert_eq!(median_ranks(count), (low - 1, high - 1), "{count}");
    }
    for count in 1..6 {
        assert_eq!(median_ranks(count), (0, count - 1), "{count}");
    }
    // sqrt(n) * 0.98 on both sides of the middle, for many.
    let (low, high) = median_ranks(10_000);
    assert_eq!((low, high), (4901, 5098));
}

#[test]
fn the_histogram_keeps_three_digits_of_every_sample() {
    let timed = of([100, 100, 101, 5_000_001, 40_000_000_000], []);
    let near = |(value, count): (u64, u64), sample: u64, expected| {
        count == expected && (value as f64 / sample as f64 - 1.0).abs() < 0.001
    };
    let expected = [(100, 2), (101, 1), (5_000_001, 1), (40_000_000_000, 1)];
    assert_eq!(timed.histogram.len(), expected.len());
    for (bin, (sample, count)) in timed.histogram.iter().zip(expected) {
        assert!(near(*bin, sample, count), "{bin:?} for {sample}");
    }
}

#[test]
fn outliers_are_explained_by_what_was_seen_and_stay_in_the_figures() {
    let mut ticks = vec![100; 10_000];
    for (index, value) in [(10, 5_000), (20, 7_000), (30, 9_000), (40, 11_000), (50, 6_000)] {
        ticks[index] = value;
    }
    let disturbed =
        vec![(20, Cause::Migration), (10, Cause::Interrupt), (30, Cause::Exit), (99, Cause::Exit)];
    let samples = Samples { ticks, disturbed, ..Samples::default() };
    let timed = timed(&samples, GHZ).expect("samples");
    let count = |count, largest_ticks| OutlierCount { count, largest_ticks };
    let outliers = Outliers {
        threshold_ticks: 106.0,
        interrupt: count(1, 5_000),
        migration: count(1, 7_000),
        exit: count(1, 9_000),
        unexplained: count(2, 11_000),
    };
    assert_eq!(timed.outliers, outliers);
    assert_eq!(timed.ticks.raw.max, 11_000.0);
    assert_eq!(timed.samples, 10_000);
}

/// Blocks of 100 samples each around so many ticks, in steps of 26, and a loop of
/// so many ticks in each.
fn in_blocks(medians: &[u64], batched: f64) -> Timed {
    let clock = Clock { step: NonZeroU64::new(26).unwrap(), ..GHZ };
    let samples = Samples {
        ticks: medians.iter().flat_map(|&median| [median; 100]).collect(),
        empty: vec![52; 100 * medians.len()],
        blocks: vec![
            Part { samples: 100, batched_ticks: Some(batched), wall_ns: None };
            medians.len()
        ],
        ..Samples::default()
    };
    timed(&samples, clock).expect("there are samples")
}

#[test]
fn a_block_has_its_own_median_without_its_own_empty_brackets() {
    let samples = Samples {
        ticks: vec![50, 60, 60, 90, 100, 100],
        empty: vec![10, 10, 20, 30, 30, 30],
        // The last one is empty, as in a run that was interrupted.
        blocks: [3, 3, 0].map(|samples| Part { samples, ..Part::default() }).into(),
        ..Samples::default()
    };
    let blocks = timed(&samples, GHZ).expect("samples").blocks;
    let medians: Vec<_> = blocks.iter().map(|block| (block.samples, block.median_ticks)).collect();
    assert_eq!(medians, [(3, 50.0), (3, 70.0)]);
}

#[test]
fn no_interval_is_narrower_than_a_step_of_the_clock() {
    let timed = in_blocks(&[52 + 2600; 5], 2590.0);
    let Lead { of, ns, low, high } = timed.lead;
    assert_eq!((of, ns, low, high), (LeadOf::Samples, 2600.0, 2587.0, 2613.0));
    let ns = timed.ns.subtracted;
    assert_eq!((ns.median_low, ns.median_high), (2587.0, 2613.0));
}

#[test]
fn a_median_of_few_steps_leaves_the_lead_to_the_loop() {
    let lead = |ticks: u64, batched| in_blocks(&[52 + ticks; 5], batched).lead;
    assert_eq!(lead(20 * 26, 515.0).of, LeadOf::Samples);
    assert_eq!(lead(19 * 26, 490.0).of, LeadOf::Loop);
    assert_eq!(lead(19 * 26, 490.0).ns, 490.0);
    assert_eq!(lead(0, 2.8).of, LeadOf::Loop);
    // A loop that says nothing is none.
    assert_eq!(lead(26, 0.0).of, LeadOf::Samples);
    assert_eq!(lead(26, -3.0).of, LeadOf::Samples);
}

#[test]
fn blocks_that_lie_apart_widen_the_interval_and_one_bad_block_does_not() {
    let width = |medians: &[u64]| {
        let Lead { low, high, .. } = in_blocks(medians, 1.0).lead;
        high - low
    };
    let close = width(&[10_000, 10_026, 10_026, 10_052, 10_026]);
    let apart = width(&[9_500, 10_026, 10_552, 10_026, 9_000]);
    let one_bad = width(&[10_000, 10_026, 10_026, 10_052, 99_000]);
    assert!(apart > 10.0 * close, "{apart} and {close}");
    assert!(one_bad < apart / 10.0, "{one_bad} and {apart}");
}

#[test]
fn later_samples_are_appended_with_what_disturbed_them() {
    let block = |ticks: Vec<u64>| Samples {
        empty: vec![1; ticks.len()],
        blocks: vec![Part { samples: ticks.len(), ..Part::default() }],
        disturbed: vec![(1, Cause::Exit)],
        ticks,
    };
    let mut all = block(vec![1, 2, 3]);
    all.append(block(vec![4, 5]));
    assert_eq!(all.ticks, [1, 2, 3, 4, 5]);
    assert_eq!(all.disturbed, [(1, Cause::Exit), (4, Cause::Exit)]);
    assert_eq!(all.blocks.len(), 2);
}

proptest! {
    #[test]
    fn any_samples_have_ordered_figures_and_a_whole_histogram(
        ticks in prop::collection::vec(any::<u64>().prop_map(|x| x >> (x % 64)), 1..300),
        empty in prop::collection::vec(0u64..1000, 0..50),
    ) {
        let timed = of(ticks.iter().copied(), empty);
        let raw = timed.ticks.raw;
        let (low, high) = (raw.median_low + 0.5, raw.median_high - 0.5);
        prop_assert!(low <= raw.median && raw.median <= high, "{raw:?}");
        prop_assert!([raw.min, raw.median, raw.max].is_sorted(), "{raw:?}");
        prop_assert!([raw.median, raw.p90, raw.p99, raw.max].is_sorted(), "{raw:?}");
        prop_assert_eq!(timed.histogram.iter().map(|bin| bin.1).sum::<u64>(), ticks.len() as u64);
        prop_assert!(timed.histogram.is_sorted());
        let last = timed.histogram.last().expect("samples").0 as f64;
        let largest = raw.max.min(i64::MAX as f64);
        prop_assert!((last / largest.max(1.0) - 1.0).abs() < 0.001 || last <= 1.0, "{last}");
        let outliers = &timed.outliers;
        let beyond = ticks.iter().filter(|&&x| x as f64 > outliers.threshold_ticks).count();
        prop_assert_eq!(outliers.unexplained.count, beyond as u64);
    }

    #[test]
    fn a_shift_of_all_samples_is_a_shift_of_all_figures(
        ticks in prop::collection::vec(0u64..1_000_000, 1..200),
        bracket in 0u64..1000,
    ) {
        let plain = of(ticks.iter().copied(), []).ticks.subtracted;
        let shifted = of(ticks.iter().map(|x| x + bracket), [bracket; 9]).ticks.subtracted;
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        prop_assert!(close(plain.min, shifted.min) && close(plain.median, shifted.median));
        prop_assert!(close(plain.p99, shifted.p99) && close(plain.mean, shifted.mean));
    }
}
