//! A run in blocks. Each measurement is made in several parts, and between two
//! parts of one all others have theirs: what changes slowly on a machine (a
//! clock, a neighbour, where memory lies) then shows as a distance between the
//! parts, instead of looking like a property of what was measured at that time.
//!
//! Called by `run`; what there is to measure implements [`Work`].

use crate::bench::record::Measurement;
use crate::bench::{Error, Progress};

/// One of several blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Which one, counted from 0.
    pub(crate) index: u64,
    /// Of how many.
    pub(crate) of: u64,
}

impl Block {
    /// This block's part of a number. The parts of all blocks add up to it.
    pub(crate) fn part(self, whole: u64) -> u64 {
        let until = |index: u64| (u128::from(whole) * u128::from(index)) / u128::from(self.of);
        (until(self.index + 1) - until(self.index)) as u64
    }
}

/// Something that is measured in blocks.
pub(crate) trait Work {
    /// How many steps a block has, each of which calls [`Progress::begin`] and
    /// [`Progress::advance`].
    fn steps(&self) -> u64;

    /// How many steps there are at the end.
    fn last_steps(&self) -> u64 {
        0
    }

    /// Measures a block of each item, unless `progress` stops it.
    ///
    /// # Errors
    /// If nothing can be measured at all.
    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error>;

    /// What came of it, after the last block. What does not depend on time is
    /// counted here.
    ///
    /// # Errors
    /// As above.
    fn finish(self: Box<Self>, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error>;
}

/// Does all work in so many blocks. The measurements are in the works' order.
///
/// # Errors
/// The first that a work has.
pub(crate) fn run(
    mut works: Vec<Box<dyn Work + '_>>,
    blocks: u64,
    progress: &mut dyn Progress,
) -> Result<Vec<Measurement>, Error> {
    let sum = |steps: fn(&dyn Work) -> u64| works.iter().map(|work| steps(&**work)).sum::<u64>();
    progress.plan(blocks * sum(|work| work.steps()) + sum(|work| work.last_steps()));
    for index in 0..blocks {
        for work in &mut works {
            if !progress.stopped() {
                work.block(Block { index, of: blocks }, progress)?;
            }
        }
    }
    let mut measurements = Vec::new();
    for work in works {
        measurements.extend(work.finish(progress)?);
    }
    Ok(measurements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Group, Place};
    use std::cell::RefCell;

    #[test]
    fn the_parts_of_all_blocks_are_the_whole_and_alike() {
        for whole in [0, 1, 4, 5, 20, 499, 10_000, u64::MAX] {
            let parts: Vec<_> = (0..5).map(|index| Block { index, of: 5 }.part(whole)).collect();
            assert_eq!(parts.iter().sum::<u64>(), whole);
            let (least, most) = (parts.iter().min(), parts.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{parts:?}");
        }
    }

    /// Notes what it was asked for.
    struct Noted<'a>(&'static str, &'a RefCell<Vec<String>>);

    impl Work for Noted<'_> {
        fn steps(&self) -> u64 {
            2
        }

        fn last_steps(&self) -> u64 {
            1
        }

        fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
            self.1.borrow_mut().push(format!("{}{}", self.0, block.index));
            progress.advance();
            Ok(())
        }

        fn finish(self: Box<Self>, _: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
            Ok(vec![Measurement::new(Group::Doors, self.0, None, Place::Guest)])
        }
    }

    /// Stops after so many steps.
    struct Until(u64, u64);

    impl Progress for Until {
        fn plan(&mut self, steps: u64) {
            self.1 = steps;
        }

        fn begin(&mut self, _: &str) {}

        fn advance(&mut self) {
            self.0 -= 1;
        }

        fn stopped(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn between_two_blocks_of_one_all_others_have_theirs() {
        for (steps, expected) in [(9, "a0 b0 a1 b1 a2 b2"), (3, "a0 b0 a1")] {
            let notes = RefCell::new(Vec::new());
            let works: Vec<Box<dyn Work>> =
                vec![Box::new(Noted("a", &notes)), Box::new(Noted("b", &notes))];
            let mut progress = Until(steps, 0);
            let measured = run(works, 3, &mut progress).expect("they do not fail");
            assert_eq!(notes.borrow().join(" "), expected);
            assert_eq!(progress.1, 3 * 4 + 2);
            let names: Vec<_> = measured.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
        }
    }
}
