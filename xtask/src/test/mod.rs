//! `cargo xtask test`: every test, on this machine and in both rigs.
//!
//! Called by people, by `check` and by `.ci/run`. `tests/places.toml` (`places`)
//! says what runs where. `host` runs this machine's tests, `rigs` the others: both
//! run test executables (`executable`; in a rig `boot`), read what they say
//! (`libtest`), make outcomes of it (`settle`, `results`) and show each file as it
//! is done (`screen`). `counts` is the gate on counted instructions, a part of the AMD
//! rig's counting boot. `summary` prints the end. docs/testing.md has the rules.

mod boot;
mod counts;
mod debian;
mod executable;
mod host;
mod libtest;
mod places;
mod queue;
mod results;
mod rigs;
mod scan;
mod screen;
mod settle;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

pub(crate) use self::host::kvm_problem;
use self::places::{Place, Table};
use self::results::{Require, Results};
pub(crate) use self::rigs::trapgate as rig_trapgate;
use self::scan::Filters;
#[cfg(test)]
pub(crate) use self::scan::sources;
use self::screen::Screen;
use crate::needs::Use;
use crate::rig::Cpu;
use crate::{setup, sh};

/// Run all tests: on this machine, then in the AMD and the Intel rig.
///
/// Starts with `cargo xtask setup`. The last line is `N passed, N failed, N
/// skipped`; before it stands, by name, what failed and what was skipped, for lack
/// of a package, a KVM or a rig. The status is 0 if nothing failed and nothing
/// that is required was skipped. docs/testing.md has the rest.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only on this machine
    #[arg(long, conflicts_with = "rig")]
    no_rig: bool,
    /// Only in this rig, and not on this machine
    #[arg(long, value_name = "WHICH")]
    rig: Option<Which>,
    /// Only on this machine, without tests that take more than ten seconds
    #[arg(long, conflicts_with = "rig")]
    quick: bool,
    /// At length: what repeats itself to find rare mistakes does so for minutes
    /// instead of seconds. An hour or more: what a large change passes before it lands
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Fail if something is skipped there (repeatable). CI=true in the environment
    /// requires everything that this command line asks for
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["no_rig", "rig", "quick"])]
    require: Vec<Require>,
    /// Print every line that the tests print
    #[arg(short, long)]
    verbose: bool,
    /// Only tests whose name contains one of these. A name begins with the test's
    /// file or package: `exact::modes`, `vmm::size::tests`
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

/// The rigs that one can ask for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Amd,
    Intel,
    Both,
}

impl Args {
    /// Whether a place is asked for.
    fn asks_for(&self, place: Place) -> bool {
        match (place.rig(), self.rig) {
            (None, which) => which.is_none(),
            (Some(_), None) => !self.no_rig && !self.quick,
            (Some(Cpu::Amd), Some(which)) => which != Which::Intel,
            (Some(Cpu::Intel), Some(which)) => which != Which::Amd,
        }
    }

    /// What the machine must have for it: compilers, which every build of the tests
    /// asks for, and the rigs.
    pub(crate) fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::C];
        if !self.quick {
            uses.push(Use::Roots);
        }
        for place in Place::ALL.into_iter().filter(|place| self.asks_for(*place)) {
            uses.extend(place.rig().into_iter().flat_map(Cpu::uses));
        }
        uses
    }

    /// What is required; in CI all that is asked for.
    fn requires(&self, ci: Option<&str>) -> Vec<Require> {
        match ci {
            Some("true") => vec![Require::All],
            _ => self.require.clone(),
        }
    }
}

/// What the parts of a run share.
struct Context<'a> {
    filters: Filters<'a>,
    table: Table,
    counts: crate::counts::Table,
    screen: Screen,
    quick: bool,
    long: bool,
    no_kvm: bool,
}

impl Context<'_> {
    /// What the tests on this machine are told (`trapgate_tests`).
    fn environment(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let quick = self.quick.then_some(("TRAPGATE_QUICK", "1"));
        let no_kvm = self.no_kvm.then_some(("TRAPGATE_NO_KVM", "skip"));
        quick.into_iter().chain(no_kvm).chain(self.length())
    }

    /// What tests in every place are told of the run's length.
    fn length(&self) -> Option<(&'static str, &'static str)> {
        self.long.then_some(("TRAPGATE_LONG", "1"))
    }
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure(&args.uses())?;
    run(args)
}

/// Runs the tests on a machine that is set up.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let no_kvm = kvm_problem();
    let context = Context {
        filters: Filters(&args.filters),
        table: Table::read()?,
        counts: crate::counts::Table::read()?,
        screen: Screen::new(args.verbose),
        quick: args.quick,
        long: args.long,
        no_kvm: no_kvm.is_some(),
    };
    let (asked, not_asked) = Place::ALL.into_iter().partition(|place| args.asks_for(*place));
    let filtered = !context.filters.is_none();
    let mut results = Results { not_asked, filtered, ..Results::default() };
    let (host, rigs): (Vec<_>, Vec<_>) =
        Vec::into_iter(asked).partition(|place: &Place| place.rig().is_none());
    if !host.is_empty() {
        // The tests that need it say, one by one, that they are skipped.
        no_kvm.inspect(|problem| sh::warn(problem));
        if let Err(error) = host::run(&context, &mut results) {
            results.broken.push((Place::Host.name().to_owned(), format!("{error:#}")));
        }
    }
    // This machine has all tests but the counts: what is not here is nowhere.
    let counts = rigs.iter().any(|place| counts::work(&context, *place).is_some());
    let nothing = filtered && !host.is_empty() && results.is_empty() && !counts;
    if !rigs.is_empty()
        && !nothing
        && !sh::interrupted()
        && let Err(error) = rigs::run(&context, &rigs, &mut results)
    {
        results.broken.push(("the rigs".to_owned(), format!("{error:#}")));
    }
    if args.rig.is_some() {
        results.break_absent();
    }
    if sh::interrupted() {
        bail!("interrupted");
    }
    if results.is_empty() {
        bail!(
            "no test matches {}; a name is FILE::TEST or PACKAGE::MODULE::TEST",
            args.filters.join(", ")
        );
    }
    let ci = std::env::var("CI").ok();
    let unmet = results.unmet(&args.requires(ci.as_deref()));
    summary::print(&results, &unmet, start.elapsed(), args.verbose);
    let good = results.tally().failed == 0 && unmet.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from([&["test"], words].concat()).map(|cli| cli.args)
    }

    fn places(words: &[&str]) -> Vec<Place> {
        let args = args(words).unwrap();
        Place::ALL.into_iter().filter(|place| args.asks_for(*place)).collect()
    }

    #[test]
    fn places_are_asked_for_by_options() {
        assert_eq!(places(&[]), Place::ALL);
        assert_eq!(places(&["--no-rig"]), [Place::Host]);
        assert_eq!(places(&["--quick"]), [Place::Host]);
        assert_eq!(places(&["--rig", "intel", "name"]), [Place::Intel]);
        assert_eq!(places(&["--rig", "both"]), Place::ALL[1..]);
        assert_eq!(places(&["--rig", "amd"]).len(), 3);
    }

    #[test]
    fn of_rigs_only_what_is_asked_for_is_fetched() {
        let uses = |words: &[&str]| args(words).unwrap().uses();
        assert_eq!(uses(&["--no-rig"]), [Use::C, Use::Roots]);
        assert_eq!(uses(&["--quick"]), [Use::C]);
        let amd = uses(&["--rig", "amd"]);
        assert!(amd.contains(&Use::Amd) && !amd.contains(&Use::Intel));
        assert!(Use::ALL.iter().all(|one| uses(&[]).contains(one)));
    }

    #[test]
    fn ci_requires_everything_and_so_does_require_all() {
        assert_eq!(args(&["--require", "all"]).unwrap().requires(None), [Require::All]);
        assert_eq!(args(&[]).unwrap().requires(Some("true")), [Require::All]);
        assert!(args(&[]).unwrap().requires(Some("")).is_empty());
        let two = args(&["--require", "amd", "--require", "kvm"]).unwrap();
        assert_eq!(two.requires(None), [Require::Amd, Require::Kvm]);
    }

    #[test]
    fn a_run_is_quick_or_long_or_neither() {
        assert!(args(&["--long", "--rig", "intel"]).unwrap().long);
        assert!(args(&["--long", "--quick"]).is_err());
    }

    #[test]
    fn what_is_required_must_be_asked_for() {
        assert!(args(&["--require", "all", "--no-rig"]).is_err());
        assert!(args(&["--require", "intel", "--rig", "amd"]).is_err());
    }
}
