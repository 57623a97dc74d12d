//! Which samples of a command something has disturbed.
//!
//! How many interrupts and migrations there were is known, not at which sample:
//! they are taken to have hit the slowest ones.

use super::stats::Cause;
use std::cmp::Reverse;

/// The disturbed samples, by index.
pub(super) fn causes(
    ticks: &[u32],
    interrupts: u64,
    migrations: u64,
) -> impl Iterator<Item = (usize, Cause)> + use<> {
    let mut slowest: Vec<usize> = (0..ticks.len()).collect();
    slowest.sort_by_key(|&index| Reverse(ticks[index]));
    let causes = std::iter::repeat_n(Cause::Migration, migrations as usize)
        .chain(std::iter::repeat_n(Cause::Interrupt, interrupts as usize));
    slowest.into_iter().zip(causes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_samples_are_the_disturbed_ones() {
        let found: Vec<_> = causes(&[5, 90, 7, 50, 6], 2, 1).collect();
        let expected = [(1, Cause::Migration), (3, Cause::Interrupt), (2, Cause::Interrupt)];
        assert_eq!(found, expected);
        assert_eq!(causes(&[5], 9, 0).count(), 1);
        assert_eq!(causes(&[5, 6], 0, 0).count(), 0);
    }
}
