//! `trapgate bench`: measuring, and everything that is done with figures.
//!
//! [`run`] measures and answers a [`record::Report`]. The rest works on such
//! records:
//!
//! | room | what it does |
//! |---|---|
//! | [`record`] | the record's types, what figures are made by, and reading a file of them |
//! | [`measure`] | the groups of a run, and what they are measured with |
//! | [`show`] | a record for people and programs: table, page, Markdown, CSV, JUnit |
//! | [`judge`] | two records beside each other; passed or not |
//!
//! Arrows: `measure -> record`, `judge -> show -> record`. The program `trapgate` is
//! the command line in front of it.

pub mod judge;
pub mod measure;
pub mod record;
#[cfg(test)]
mod sample;
pub mod show;

use crate::doctor;
use measure::blocks::{self, Work};
use measure::jobs::Jobs;
use measure::probed::Probed;
use measure::start::Starts;
use measure::where_time_goes::Stamped;
use measure::{notes, steps};
use record::clock::{self, Clock};
use record::environment::{self, Environment};
use record::{Group, Measurement, Method, Report};
use thiserror::Error;
use trapgate::machine::kvm::Kind;
use trapgate::mitigation::linux::Host;
use trapgate::mitigation::{GuestCpu, Mitigations, Unavailable};

/// The JSON schema of the records that this version writes.
pub const SCHEMA_JSON: &str = include_str!("../../docs/bench-schema.json");

/// Samples that a result should have at least.
pub const ENOUGH_SAMPLES: u64 = 10_000;
/// Blocks of a measurement: [`record::Method::blocks`].
const BLOCKS: u64 = 5;
/// The same of a quick run.
const QUICK_BLOCKS: u64 = 3;
/// Samples that nobody needs: memory would end first.
pub const MOST_SAMPLES: u64 = 10_000_000;

/// What to measure, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Options {
    /// The groups, each at most once.
    pub groups: Vec<Group>,
    /// Samples of each measurement, 1 to [`MOST_SAMPLES`].
    pub samples: u64,
    /// Calls before the first sample.
    pub warm_up: u64,
    /// Calls in a batch of what VMs without a program measure. A probe's loop
    /// has as many as take 2 ms.
    pub batch: u64,
    /// Samples of each start.
    pub starts: u64,
    /// The mitigation steps that doors are measured with, beside plain ones.
    pub mitigations: Choice,
    /// A look and no result: fewer samples are no reason for a note.
    pub quick: bool,
    /// Whether to count instructions.
    pub counted: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            groups: Group::ALL.to_vec(),
            samples: ENOUGH_SAMPLES,
            warm_up: 500,
            batch: 1000,
            starts: 300,
            mitigations: Choice::default(),
            quick: false,
            counted: false,
        }
    }
}

/// Mitigation steps, as a difference from what Linux chooses on this CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Steps that are on in any case.
    pub with: Mitigations,
    /// Steps that are off in any case.
    pub without: Mitigations,
}

impl Choice {
    /// The steps. What Linux chooses and `cpu` has not is left out.
    fn chosen(self, cpu: &GuestCpu) -> Result<Mitigations, Error> {
        self.with.iter().try_for_each(|step| cpu.check(step))?;
        let linux = Mitigations::linux_default(&Host::read()).available(cpu);
        Ok(linux.iter().chain(self.with.iter()).filter(|&step| !self.without.has(step)).collect())
    }
}

/// Who watches a run, and may end it.
pub trait Progress {
    /// The run begins. It has so many steps, about as long as each other.
    fn plan(&mut self, steps: u64);
    /// A step begins, which is about this.
    fn begin(&mut self, what: &str);
    /// The step is done.
    fn advance(&mut self);
    /// Whether the run shall end now. What was measured is then the result.
    fn stopped(&self) -> bool;
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum Error {
    /// A number that makes no sense.
    #[error("{name} is {given}: it must be 1 to {most}")]
    Count {
        /// The option.
        name: &'static str,
        /// What was asked for.
        given: u64,
        /// The most that may be.
        most: u64,
    },
    /// A mitigation step that was asked for.
    #[error(transparent)]
    Step(#[from] Unavailable),
    /// No sandbox can be run.
    #[error(transparent)]
    Sandbox(#[from] trapgate::Error),
    /// Only steps were asked for, and there are none.
    #[error("steps cannot be measured here: {0}")]
    Steps(&'static str),
    /// Something else of the host's.
    #[error("{what}: {why}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: std::io::Error,
    },
    /// The program that is measured did something else than it should.
    #[error("the measured program {0}")]
    Program(String),
}

impl Error {
    fn host(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |why| Error::Host { what, why }
    }
}

fn check(options: &Options) -> Result<(), Error> {
    let counts = [
        ("the number of samples", options.samples),
        ("the number of starts", options.starts),
        ("the number of calls of a batch", options.batch),
        ("the number of calls to warm up", options.warm_up),
    ];
    for (name, given) in counts {
        if given == 0 || given > MOST_SAMPLES {
            return Err(Error::Count { name, given, most: MOST_SAMPLES });
        }
    }
    Ok(())
}

/// Measures. A run that `progress` stopped is a partial record.
///
/// # Errors
/// [`enum@Error`], for whatever keeps it from measuring.
pub fn run(options: &Options, progress: &mut dyn Progress) -> Result<Report, Error> {
    check(options)?;
    // Before the doors are tried: a KVM that is missing is one clear line.
    drop(trapgate::machine::kvm::vm::open()?);
    check_steps(&options.groups, Kind::of_this_host())?;
    options.mitigations.chosen(&GuestCpu::of_this_host()?)?;
    let clock = Clock::of_this_host();
    let host = doctor::examine();
    let tsc_is_a_clock = host.tsc_is_a_clock;
    let environment = Environment::of(host, clock);
    let groups: Vec<_> =
        Group::ALL.into_iter().filter(|group| options.groups.contains(group)).collect();
    let blocks = if options.quick { QUICK_BLOCKS } else { BLOCKS };
    let method = Method {
        groups: groups.clone(),
        samples: options.samples,
        warm_up: options.warm_up,
        blocks,
        batch: options.batch,
        starts: options.starts,
        quick: options.quick,
        counted: options.counted,
    };
    let mut report = Report::new(environment, method);
    let mut works = Vec::new();
    for group in groups.iter().copied() {
        works.extend(works_of(group, options, &report.environment, clock)?);
    }
    let mut measurements = blocks::run(works, blocks, progress)?;
    measurements.iter_mut().for_each(Measurement::judge_cross_check);
    report.measurements = measurements;
    report.partial = progress.stopped();
    let (tsc_khz, frequency_khz) = (clock::tsc_khz().get(), environment::frequency_khz());
    report.notes = notes::of(&report, tsc_khz, frequency_khz, tsc_is_a_clock);
    Ok(report)
}

/// A run of nothing but steps is no run where stamps cannot work.
fn check_steps(groups: &[Group], kind: Kind) -> Result<(), Error> {
    match steps::why_not(kind) {
        Some(why) if groups == [Group::Steps] => Err(Error::Steps(why)),
        _ => Ok(()),
    }
}

/// What there is to measure of a group, in the order in which it is shown.
fn works_of<'a>(
    group: Group,
    options: &'a Options,
    environment: &'a Environment,
    clock: Clock,
) -> Result<Vec<Box<dyn Work + 'a>>, Error> {
    Ok(match group {
        Group::Doors => vec![
            Box::new(Probed::of_group(group, options, environment, clock)?),
            Box::new(Jobs::of_group(group, options, environment, clock)?),
            Box::new(Probed::hardened(options, environment, clock)?),
        ],
        Group::Calls => vec![Box::new(Probed::of_group(group, options, environment, clock)?)],
        Group::Exits => vec![Box::new(Jobs::of_group(group, options, environment, clock)?)],
        Group::Steps => vec![Box::new(Stamped::new(options, clock)?)],
        Group::Start => vec![Box::new(Starts::new(options.starts, clock)?)],
    })
}

#[cfg(test)]
mod tests;
