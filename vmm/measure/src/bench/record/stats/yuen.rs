//! How well a figure is known whose blocks lie so far apart, and whether two such
//! figures differ: the test of Yuen, "The two-sample trimmed t for unequal
//! population variances" (Biometrika 61, 1974). It is Welch's t-test after a
//! fifth of the values on each side was set aside: of five blocks, the slowest
//! and the quickest, so that one bad moment of the machine decides nothing.
//!
//! Called by [`super::lead`] and by `judge::change`.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// Which part is set aside on each side.
const TRIMMED: usize = 5;

/// What the blocks say about a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The variance of the mean of the middle blocks, in squares of the blocks'
    /// unit.
    variance: f64,
    /// How many blocks it is known from, less one.
    freedom: f64,
}

impl Spread {
    /// Of blocks' figures; none of fewer than two.
    pub(crate) fn of(blocks: &[f64]) -> Option<Spread> {
        let count = blocks.len();
        if count < 2 {
            return None;
        }
        let mut values = blocks.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let trimmed = count / TRIMMED;
        let (low, high) = (values[trimmed], values[count - 1 - trimmed]);
        // Winsorized: what is set aside counts as its neighbour.
        let variance = values.iter().map(|value| value.clamp(low, high)).variance();
        let middle = (count - 2 * trimmed) as f64;
        let freedom = middle - 1.0;
        Some(Spread { variance: (count - 1) as f64 * variance / (middle * freedom), freedom })
    }

    /// Of the difference of two figures: Welch and Satterthwaite's.
    pub(crate) fn and(self, other: Spread) -> Spread {
        let variance = self.variance + other.variance;
        let part = |one: Spread| one.variance * one.variance / one.freedom;
        let parts = part(self) + part(other);
        let freedom = if parts > 0.0 { variance * variance / parts } else { self.freedom };
        Spread { variance, freedom }
    }

    /// Half the width of the interval that has the true value in it with this
    /// probability, below 1.
    pub(crate) fn half_width(self, probability: f64) -> f64 {
        let students = StudentsT::new(0.0, 1.0, self.freedom);
        let quantile = students.map_or(0.0, |one| one.inverse_cdf((1.0 + probability) / 2.0));
        quantile * self.variance.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As tables of Student's distribution have it.
    fn close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-3, "{value}, not {expected}");
    }

    #[test]
    fn two_or_three_blocks_are_students_own() {
        // 10 and 12: a standard error of 1, and t(0.975; 1) = 12.706.
        close(Spread::of(&[10.0, 12.0]).expect("two").half_width(0.95), 12.706);
        // Mean 2, variance 1: t(0.975; 2) = 4.3027.
        close(Spread::of(&[1.0, 2.0, 3.0]).expect("three").half_width(0.95), 4.3027 / 3f64.sqrt());
        assert_eq!(Spread::of(&[7.0]), None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn of_five_blocks_the_outermost_two_decide_nothing() {
        // Winsorized: 2, 2, 3, 4, 4, of variance 1; three are left.
        let expected = 4.3027 * (4.0 / 6.0f64).sqrt();
        for blocks in [[1.0, 2.0, 3.0, 4.0, 5.0], [-1e9, 2.0, 4.0, 1e9, 3.0]] {
            close(Spread::of(&blocks).expect("five").half_width(0.95), expected);
        }
        assert!(Spread::of(&[3.0; 5]).expect("five").half_width(0.999) == 0.0);
    }

    #[test]
    fn the_difference_of_two_has_both_variances_and_between_one_and_all_degrees_of_freedom() {
        let wide = Spread::of(&[1.0, 2.0, 3.0]).expect("three");
        let none = Spread::of(&[5.0; 3]).expect("three");
        // Alike: twice the variance, twice the freedom. t(0.975; 4) = 2.7764.
        close(wide.and(wide).half_width(0.95), 2.7764 * (2.0 / 3.0f64).sqrt());
        // One that is exact leaves the other as it is.
        close(wide.and(none).half_width(0.95), wide.half_width(0.95));
        assert_eq!(none.and(none).half_width(0.95), 0.0);
    }
}
