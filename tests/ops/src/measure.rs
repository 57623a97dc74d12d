//! The bracket around what is counted. Called by each operation.

use std::ffi::c_long;
use std::hint::black_box;

use crate::sys::{self, Failure};

/// How often everything is repeated; the least disturbed repeat counts.
#[derive(Clone, Copy)]
pub(crate) struct Repeats(pub(crate) u32);

impl Repeats {
    pub(crate) const DEFAULT: Self = Self(20);
}

/// What came of it.
pub(crate) struct Counted {
    /// Of one element: a call, a pair of calls, a round trip, a page.
    pub(crate) instructions: f64,
    /// In a repeat.
    pub(crate) elements: u32,
}

/// The fewest ticks of a body, and of the same without what is counted.
struct Least {
    with: u64,
    without: u64,
}

impl Least {
    const NONE: Self = Self { with: u64::MAX, without: u64::MAX };

    fn counted(&self, elements: u32) -> Counted {
        let ticks = self.with as f64 - self.without as f64;
        Counted { instructions: ticks / f64::from(elements), elements }
    }
}

/// Counts a call, or what belongs together, in a loop of so many; the empty loop is
/// taken off. Its answer is negative if it failed.
pub(crate) fn calls(
    repeats: Repeats,
    elements: u32,
    mut call: impl FnMut() -> c_long,
) -> Result<Counted, Failure> {
    // Whether it works, and everything warm.
    sys::check("the first call", call())?;
    let mut least = Least::NONE;
    let mut answers = 0;
    for _ in 0..repeats.0 {
        least.with = least.with.min(ticks_of(elements, &mut answers, &mut call));
        least.without = least.without.min(ticks_of(elements, &mut answers, || black_box(0)));
    }
    sys::check("a later call", answers)?;
    Ok(least.counted(elements))
}

/// The loop. Never inlined, so that both are the same but for the call.
#[inline(never)]
fn ticks_of(elements: u32, answers: &mut c_long, mut call: impl FnMut() -> c_long) -> u64 {
    let mut all = 0;
    let start = sys::ticks();
    for _ in 0..black_box(elements) {
        all |= call();
    }
    let ticks = sys::ticks() - start;
    *answers |= all;
    ticks
}

/// Counts what happens once for each page that `make` answers: `with` goes through
/// the pages and is counted; then `without` goes through them as they are now, and
/// is taken off.
pub(crate) fn pages<T>(
    repeats: Repeats,
    pages: u32,
    mut make: impl FnMut() -> Result<T, Failure>,
    with: impl Fn(&T),
    without: impl Fn(&T),
) -> Result<Counted, Failure> {
    let mut least = Least::NONE;
    for _ in 0..repeats.0 {
        let area = make()?;
        least.with = least.with.min(once(|| with(&area)));
        least.without = least.without.min(once(|| without(&area)));
    }
    Ok(least.counted(pages))
}

/// Ticks of a body.
#[inline(always)]
pub(crate) fn once(body: impl FnOnce()) -> u64 {
    let start = sys::ticks();
    body();
    sys::ticks() - start
}
