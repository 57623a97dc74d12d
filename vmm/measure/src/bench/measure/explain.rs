//! Which samples something has disturbed.
//!
//! How many interrupts, migrations and exits there were in a turn is known, not
//! at which sample: they are taken to have hit the slowest ones.

use crate::bench::record::stats::{Cause, Part, Samples};
use crate::jobs::Sample;
use std::cmp::Reverse;

/// Samples that were taken in one go, and what happened meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// How many samples.
    pub(crate) samples: usize,
    /// Interrupts of the host's CPU.
    pub(crate) interrupts: u64,
    /// How often the thread was on another CPU than before.
    pub(crate) migrations: u64,
    /// Exits meanwhile, without those of interrupts; unknown on the host, and
    /// before Linux 5.14.
    pub(crate) exits: Option<u64>,
}

/// The disturbed samples, by index. `turns` follow each other in `ticks`.
pub(crate) fn causes(ticks: &[u64], turns: &[Turn]) -> Vec<(usize, Cause)> {
    // What a turn of so many samples needs: the calls' own exits, and those of
    // the command and the answer around them.
    let needed = |samples: usize| {
        let alike = turns.iter().filter(|turn| turn.samples == samples);
        alike.filter_map(|turn| turn.exits).min()
    };
    let mut causes = Vec::new();
    let mut first = 0;
    for turn in turns {
        let needless = turn.exits.zip(needed(turn.samples)).map_or(0, |(had, needed)| had - needed);
        let end = ticks.len().min(first + turn.samples);
        let mut slowest: Vec<usize> = (first..end).collect();
        slowest.sort_by_key(|&index| Reverse(ticks[index]));
        let times = |cause, times: u64| std::iter::repeat_n(cause, times as usize);
        let known = times(Cause::Migration, turn.migrations)
            .chain(times(Cause::Interrupt, turn.interrupts))
            .chain(times(Cause::Exit, needless));
        causes.extend(slowest.into_iter().zip(known));
        first = end;
    }
    causes
}

/// A block of single brackets that were taken in one go, with so many interrupts
/// meanwhile, and what a call took in a loop.
pub(crate) fn brackets(
    brackets: &[Sample],
    interrupts: u64,
    batched_ticks: Option<f64>,
) -> Samples {
    let samples = Samples::of_brackets(brackets);
    let turn = Turn { samples: brackets.len(), interrupts, ..Turn::default() };
    let disturbed = causes(&samples.ticks, &[turn]);
    let block = Part { samples: brackets.len(), batched_ticks, wall_ns: None };
    Samples { disturbed, blocks: vec![block], ..samples }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_samples_are_the_disturbed_ones() {
        let turn = Turn { samples: 5, interrupts: 2, migrations: 1, exits: None };
        let found = causes(&[5, 90, 7, 50, 6], &[turn]);
        let expected = [(1, Cause::Migration), (3, Cause::Interrupt), (2, Cause::Interrupt)];
        assert_eq!(found, expected);
        let many = Turn { samples: 1, interrupts: 9, ..Turn::default() };
        assert_eq!(causes(&[5], &[many]).len(), 1);
        let calm = Turn { samples: 2, ..Turn::default() };
        assert_eq!(causes(&[5, 6], &[calm]), []);
    }

    #[test]
    fn each_turn_has_its_own_samples() {
        let turn = |interrupts| Turn { samples: 2, interrupts, ..Turn::default() };
        let found = causes(&[9, 8, 1, 2], &[turn(0), turn(1)]);
        assert_eq!(found, [(3, Cause::Interrupt)]);
    }

    #[test]
    fn exits_that_other_turns_did_without_are_needless() {
        let turn = |exits| Turn { samples: 2, exits: Some(exits), ..Turn::default() };
        // The second turn has two needless ones.
        let turns = [turn(4), turn(6), turn(4)];
        let ticks = [1, 2, 30, 40, 5, 6];
        let found = causes(&ticks, &turns);
        assert_eq!(found, [(3, Cause::Exit), (2, Cause::Exit)]);
        // One alone has none to be held against; nor has an unknown number.
        assert_eq!(causes(&ticks, &turns[..1]), []);
        let unknown = [Turn { samples: 2, ..Turn::default() }; 3];
        assert_eq!(causes(&ticks, &unknown), []);
    }
}
