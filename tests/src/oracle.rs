//! The native run as an oracle, and what to do where it contradicts itself.
//!
//! A sandboxed run that differs from the native one is a failure only if the
//! native one is always the same. In an emulator it need not be: Bochs breaks
//! native 32-bit programs now and then (docs/testing.md). Anywhere else a program
//! that contradicts itself is no oracle, and its test is wrong.

use crate::place::{Place, place};
use crate::skip::unstable;
use std::fmt::Debug;

/// How many further native runs are asked.
const FURTHER: usize = 5;

/// Whether further native runs contradict the `first`. If one does, the case is
/// named as one whose oracle is unstable, with its outcomes and the sandbox's; it
/// has then neither passed nor failed.
///
/// # Panics
/// If one does outside of the Intel rig: a case whose output varies would never
/// fail, whatever the sandbox does.
#[track_caller]
pub(crate) fn is_unstable<T: PartialEq + Debug>(
    case: &str,
    first: &T,
    sandboxed: &T,
    natively: impl FnMut() -> T,
) -> bool {
    let Some(other) = contradiction(first, natively) else { return false };
    let outcomes = format!("natively {first:x?}, then {other:x?}; sandboxed {sandboxed:x?}");
    assert!(
        place() == Place::Intel,
        "{case}: the native run contradicts itself, and this CPU is no reason: {outcomes}"
    );
    unstable(case, &outcomes);
    true
}

/// Another answer than the first, if there is one.
fn contradiction<T: PartialEq>(first: &T, mut again: impl FnMut() -> T) -> Option<T> {
    (0..FURTHER).map(|_| again()).find(|other| other != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oracle_that_says_the_same_each_time_is_stable() {
        let mut asked = 0;
        let same = || {
            asked += 1;
            139
        };
        assert_eq!(contradiction(&139, same), None);
        assert_eq!(asked, FURTHER);
    }

    #[test]
    fn one_other_answer_makes_it_unstable() {
        let mut answers = [139, 139, 0].into_iter();
        let again = || answers.next().expect("it is asked no more");
        assert_eq!(contradiction(&139, again), Some(0));
    }
}
