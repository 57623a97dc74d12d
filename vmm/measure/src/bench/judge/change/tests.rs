//! Tests of what is called a difference: on made-up blocks, and on four runs of
//! one binary, one behind the other, on a machine with 2 CPUs, a software KVM and
//! a load of 15 (`runs.csv`, in ticks; the clock's step was 26).

use super::*;
use crate::bench::record::Block;
use crate::bench::record::stats::{Part, Samples, median, timed};
use crate::bench::sample::{self, CLOCK};
use serde::Deserialize;

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

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    run: usize,
    id: String,
    of: LeadOf,
    low: f64,
    median: f64,
    high: f64,
    blocks: String,
    loops: String,
}

impl Line {
    /// As it would be in a record, were everything slower by this factor; in a
    /// copy of any other.
    fn timed(&self, factor: f64, other: &Timed) -> Timed {
        let numbers = |text: &str| -> Vec<f64> {
            let words = text.split_whitespace();
            words.map(|word| word.parse::<f64>().expect("a number") * factor).collect()
        };
        let loops = numbers(&self.loops);
        let mut timed = other.clone();
        let tick = timed.ns_of_tick();
        timed.lead.of = self.of;
        timed.batched_ticks = median(loops.iter().copied());
        let ns = &mut timed.ns.subtracted;
        ns.median = self.median * tick * factor;
        ns.median_low = self.low * tick * factor;
        ns.median_high = self.high * tick * factor;
        let blocks = numbers(&self.blocks).into_iter().enumerate();
        timed.blocks = blocks
            .map(|(index, median_ticks)| Block {
                samples: 1,
                median_ticks,
                batched_ticks: loops.get(index).copied(),
                wall_ns: None,
            })
            .collect();
        timed
    }
}

/// The verdicts of all pairs of runs, the second slower by this factor.
fn verdicts(factor: f64) -> Vec<(String, Change, Verdict)> {
    let mut reader = csv::Reader::from_reader(&include_bytes!("runs.csv")[..]);
    let lines: Vec<Line> = reader.deserialize().map(|line| line.expect("a line")).collect();
    let later = |one: &Line| {
        let (run, id) = (one.run, one.id.clone());
        lines.iter().filter(move |other| other.run > run && other.id == id)
    };
    let any = Timed { histogram: Vec::new(), ..sample::times(1000) };
    let pairs = lines.iter().flat_map(|one| later(one).map(move |other| (one, other)));
    let judged = pairs.map(|(one, other)| {
        let change = Change::of(&one.timed(1.0, &any), &other.timed(factor, &any), CLOCK.ns(26.0));
        (one.id.clone(), change, change.verdict(1.0))
    });
    judged.collect()
}

#[test]
fn of_runs_of_one_binary_at_most_one_row_in_a_hundred_is_called_different() {
    let verdicts = verdicts(1.0);
    assert!(verdicts.len() >= 400, "{}", verdicts.len());
    let different: Vec<_> = verdicts.iter().filter(|(.., what)| *what != Verdict::Same).collect();
    assert!(different.len() * 100 <= verdicts.len(), "{}: {different:#?}", verdicts.len());
}

#[test]
fn five_percent_more_are_found_where_noise_is_less() {
    let verdicts = verdicts(1.05);
    let slower = verdicts.iter().filter(|(.., what)| *what == Verdict::Slower).count();
    assert!(slower * 4 >= verdicts.len() * 3, "{slower} of {}", verdicts.len());
    let faster: Vec<_> = verdicts.iter().filter(|(.., what)| *what == Verdict::Faster).collect();
    assert!(faster.is_empty(), "{faster:#?}");
    // What is quiet is found in every pair.
    for quiet in ["doors/syscall/64-bit/guest", "doors/empty-function/64-bit/guest"] {
        let mut of_row = verdicts.iter().filter(|(id, ..)| id == quiet);
        assert!(of_row.all(|(.., what)| *what == Verdict::Slower), "{quiet}");
    }
}
