//! The native run as an oracle, and what to do where it contradicts itself.
//!
//! A sandboxed run that differs from the native one is a failure only if the
//! native one is always the same. In an emulator it need not be: Bochs breaks
//! native 32-bit programs now and then (docs/testing.md).

use crate::skip::unstable;
use std::fmt::Debug;

/// How many further native runs are asked.
const FURTHER: usize = 5;

/// Whether further native runs contradict the `first`. If one does, the case is
/// named as one whose oracle is unstable, with its outcomes and the sandbox's; it
/// has then neither passed nor failed.
pub(crate) fn is_unstable<T: PartialEq + Debug>(
    case: &str,
    first: &T,
    sandboxed: &T,
    mut natively: impl FnMut() -> T,
) -> bool {
    let Some(other) = (0..FURTHER).map(|_| natively()).find(|other| other != first) else {
        return false;
    };
    unstable(case, &format!("natively {first:x?}, then {other:x?}; sandboxed {sandboxed:x?}"));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oracle_that_says_the_same_each_time_is_stable() {
        assert!(!is_unstable("a case", &139, &0, || 139));
    }

    #[test]
    fn one_other_answer_makes_it_unstable() {
        let mut answers = [139, 139, 0].into_iter();
        assert!(is_unstable("a case", &139, &0, || answers.next().expect("asked no more")));
    }
}
