//! The tests in the rigs: one static executable, and a queue of boots that as many
//! rigs work through as there are cores; each emulator keeps one busy.
//!
//! Called by `test::run`; calls cargo, `queue` and `boot`.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Context;
use super::boot::{self, EXECUTABLE};
use super::counts;
use super::executable::Executable;
use super::places::Place;
use super::queue::{Boot, Work, boots};
use super::results::Results;
use crate::rig::{self, RigFile, kernel::Kernel};
use crate::sh;

/// How programs for the rigs are built. A profile of their own: tests as in dev,
/// but quick and small enough for a software CPU.
const STATIC: &[&str] = &[
    "--target=x86_64-unknown-linux-musl",
    "--profile=rig",
    "--config=profile.rig.inherits='dev'",
    "--config=profile.rig.opt-level=1",
    "--config=profile.rig.debug=0",
    "--config=profile.rig.strip='debuginfo'",
];

/// Where the command line program is in a rig.
const TRAPGATE: &str = "/bin/trapgate";

/// Runs what the filters ask for in these places.
pub(super) fn run(context: &Context, places: &[Place], results: &mut Results) -> Result<()> {
    if !places.iter().any(|place| reaches(context, *place)) {
        return Ok(());
    }
    let mut there = Vec::new();
    // A rig's places stand beside each other, and are there or not together.
    for places in places.chunk_by(|a, b| a.rig() == b.rig()) {
        let cpu = places[0].rig().expect("a place of a rig");
        match rig::require(cpu).and_then(|()| Kernel::get()) {
            Ok(_) => there.extend(places),
            Err(error) => {
                results.absent.push((places[0], format!("{error:#}")));
                let counting = places.iter().find(|place| counts::work(context, **place).is_some());
                let what = "the counts of counts.toml, which are held there";
                results.absent.extend(counting.map(|place| (*place, what.to_owned())));
            }
        }
    }
    if there.is_empty() {
        return Ok(());
    }
    let (all, trapgate) = build()?;
    // A static program runs here as well as there.
    let tests = all.tests()?;
    let work: Vec<_> = there.iter().map(|place| (*place, work(context, *place, &tests))).collect();
    let counts = work.iter().flat_map(|(_, work)| work).any(|work| work.file == counts::FILE);
    let lanes = thread::available_parallelism().map_or(1, NonZero::get);
    let boots = boots(work, lanes);
    if boots.is_empty() {
        return Ok(());
    }
    // Everything that tests find there besides /bin/busybox.
    let mut files = vec![RigFile::new(&all.path, EXECUTABLE), RigFile::new(trapgate, TRAPGATE)];
    if counts {
        files.extend(crate::counts::rig_files()?);
    }
    let total: f64 = boots.iter().map(Boot::seconds).sum();
    let lanes = lanes.min(boots.len());
    let longest = boots[0].seconds();
    let about = sh::seconds(Duration::from_secs_f64((total / lanes as f64).max(longest)));
    context
        .screen
        .step(&format!("{} boots of rigs, {lanes} at a time: about {about}", boots.len()));
    work_off(context, boots, lanes, &files, results);
    Ok(())
}

/// Whether a test that is asked for can be in this place.
fn reaches(context: &Context, place: Place) -> bool {
    counts::work(context, place).is_some()
        || context.table.files(place).any(|(file, _)| {
            let path = sh::root().join("tests/tests").join(file).with_extension("rs");
            context.filters.reach_path(file, &path)
        })
}

/// What runs in a place, out of all tests that there are.
fn work(context: &Context, place: Place, tests: &[String]) -> Vec<Work> {
    let of_file = |(file, stay): (&str, &super::places::Stay)| {
        let is_here = |test: &&String| {
            test.split_once("::").is_some_and(|(of, name)| of == file && stay.takes(name))
        };
        let here: Vec<_> = tests.iter().filter(is_here).collect();
        let asked_for = here.iter().filter(|test| context.filters.take(test));
        let tests: Vec<_> = asked_for.map(|test| (*test).clone()).collect();
        let is_whole = tests.len() == here.len();
        let seconds = stay.expected(context.long) * tests.len() as f64 / here.len().max(1) as f64;
        Work { file: file.to_owned(), tests, seconds, is_whole }
    };
    let files = context.table.files(place).map(of_file).filter(|work| !work.tests.is_empty());
    files.chain(counts::work(context, place)).collect()
}

/// Works the queue off, so many rigs at a time.
fn work_off(
    context: &Context,
    boots: Vec<Boot>,
    lanes: usize,
    files: &[RigFile],
    results: &mut Results,
) {
    let queue = Mutex::new(VecDeque::from(boots));
    let done = Mutex::new(results);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let lane = || {
        while let Some(boot) = next().filter(|_| !sh::interrupted()) {
            let (place, work) = (boot.place, boot.work.clone());
            let booted = boot::run(context, boot, files);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match booted {
                Ok(booted) => {
                    let (broken, ran) = (booted.broken, booted.ran.len());
                    done.ran.extend(booted.ran);
                    match broken {
                        // What broke by itself would break again.
                        Some(why) => give_up(&mut done, place, &booted.rest, &why),
                        None if booted.rest.is_empty() => {}
                        None if ran == 0 => {
                            give_up(&mut done, place, &booted.rest, "no test began in it");
                        }
                        None => {
                            let rest = Boot { place, work: booted.rest };
                            context
                                .screen
                                .step(&format!("{}: another boot for the rest", place.name()));
                            queue.lock().unwrap_or_else(PoisonError::into_inner).push_front(rest);
                        }
                    }
                }
                Err(error) => give_up(&mut done, place, &work, &format!("{error:#}")),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(lane);
        }
    });
}

/// A rig that broke, and with it what it was to run.
fn give_up(results: &mut Results, place: Place, rest: &[Work], why: &str) {
    let files: Vec<_> = rest.iter().map(|work| work.file.as_str()).collect();
    let what = format!("{}, which was to run {}", place.name(), files.join(", "));
    results.broken.push((what, why.to_owned()));
}

/// The tests and the command line program, for the rigs: by one cargo, so that they share
/// what they are made of, the kernel's images among it.
fn build() -> Result<(Executable, PathBuf)> {
    let tests = ["-p", "trapgate-tests", "--features=trapgate-tests/rig", "--test=all"];
    let program = ["-p", "trapgate-cli", "--bin=trapgate"];
    let built = sh::cargo_executables(&[&["build"], &tests[..], &program, STATIC].concat())?;
    let find = |name: &str| {
        let found = built.iter().find(|(built, _)| built == name);
        let (_, path) = found.with_context(|| format!("cargo built no {name} for the rigs"))?;
        anyhow::Ok(path.clone())
    };
    let directory = sh::root().join("tests");
    let (name, path) = ("all".to_owned(), find("all")?);
    Ok((Executable { name, is_file: true, path, directory }, find("trapgate")?))
}

/// The command line program, built for the rigs.
pub(crate) fn trapgate() -> Result<RigFile> {
    let trapgate = ["build", "-p", "trapgate-cli", "--bin", "trapgate"];
    let built = sh::cargo_executables(&[&trapgate, STATIC].concat())?;
    let (_, trapgate) = built.first().context("cargo built no trapgate")?;
    Ok(RigFile::new(trapgate, TRAPGATE))
}
