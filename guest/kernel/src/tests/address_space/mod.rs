//! Two address spaces against a model of pages: steps in random order, and in the
//! end, and along the way, every byte, every entry and every frame compared.
//!
//! `model` says what should be, `steps` what may be done, `world` does it to both,
//! `walk` reads the tables. The fake CPU keeps what it has walked, as a TLB does, so that a page that
//! was not forgotten is seen.

mod files;
mod model;
mod steps;
mod walk;
mod world;

use crate::mm::frames::FRAMES;
use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::{Duration, Instant};
use steps::{Step, step};
use world::World;

/// How long the long form tries.
const LONG: Duration = Duration::from_secs(600);

/// Worlds in every run.
const EVERY: u32 = 80;

/// Runs steps in one world; it ends with nothing left.
fn live([interpreted, isolated]: [bool; 2], steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(interpreted, isolated);
    let mut model = Model::new(World::files());
    let start = FRAMES.lock().available();
    for (number, step) in steps.iter().enumerate() {
        // What the CPU knows of a page, it must have forgotten when something changes.
        let touches = number % 2 == 0;
        if touches {
            world.touch(&mut model)?;
        }
        world.carry_out(step, &mut model)?;
        if touches {
            world.touch(&mut model)?;
        }
        if number % 8 == 7 {
            world.compare(&model)?;
        }
    }
    world.compare(&model)?;
    world.read_all(&model)?;
    world.compare(&model)?;
    world.end();
    // Their first top tables are free now, too.
    let all = start + if isolated { 4 } else { 2 };
    prop_assert_eq!(FRAMES.lock().available(), all, "frames are lost, or come twice");
    walk::all_free_frames_are_zero_and_come_once(all)
}

fn run(worlds: u32) {
    let strategy = (any::<[bool; 2]>(), prop::collection::vec(step(), 1..80));
    let config = Config { cases: worlds, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |(machine, steps)| live(machine, &steps));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn two_address_spaces_are_as_a_model_of_pages_says_and_lose_no_frame() {
    if std::env::var_os("TRAPGATE_LONG").is_none() {
        return run(EVERY);
    }
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        run(10 * EVERY);
    }
}
