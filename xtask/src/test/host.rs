//! The tests on this machine: unit tests, documentation's tests, and all files of
//! `tests/tests`, one executable after the other, each with a thread a core.
//!
//! Called by `test::run`. Nothing runs beside them: some measure time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Context;
use super::executable::{self, Executable};
use super::places::{Place, limit};
use super::results::{Ran, Results, Test};
use super::settle::{self, End};
use crate::sh;

/// What is not among the workspace's default members, but has unit tests that run
/// on the host.
const BARE: [&str; 5] = ["guest", "guest/arch", "guest/job", "guest/kernel", "guest-rt"];
/// The default members that have unit tests, and in which targets.
const PACKAGES: [(&str, &[&str]); 9] = [
    ("abi", &["--lib"]),
    ("erofs", &["--lib"]),
    ("loader", &["--lib"]),
    ("uapi", &["--lib"]),
    ("vmm", &["--lib"]),
    ("vmm/cli", &["--bin=trapgate"]),
    ("vmm/measure", &["--lib"]),
    ("tests", &["--lib"]),
    ("xtask", &["--bin=xtask"]),
];

/// Expected of what has no row in the table, for its limit's sake: all unit tests of
/// a package.
const UNLISTED: f64 = 30.0;
/// The same in a long run, in which a model may be tried for ten minutes.
const UNLISTED_LONG: f64 = 900.0;

/// For cargo to build and run all of those, also on a busy machine.
const DOCUMENTATION: Duration = Duration::from_secs(1800);

/// How often an executable that came to no good end is started again for the tests
/// that it did not get to.
const AGAIN: usize = 3;

/// Builds and runs what the filters ask for.
pub(super) fn run(context: &Context, results: &mut Results) -> Result<()> {
    let mut executables = Vec::new();
    for args in builds(context)? {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        executables.extend(executable::build(&args)?);
    }
    let mut planned = Vec::new();
    for executable in executables {
        let tests = executable.tests()?;
        let is_asked_for =
            |test: &String| context.filters.take(&format!("{}::{test}", executable.name));
        let tests: Vec<_> = tests.into_iter().filter(is_asked_for).collect();
        if !tests.is_empty() {
            planned.push((executable, tests));
        }
    }
    planned.sort_by(|(a, _), (b, _)| (a.is_file, &a.name).cmp(&(b.is_file, &b.name)));
    let program = match planned.iter().any(|(executable, _)| executable.is_file) {
        true => Some(build_trapgate()?),
        false => None,
    };
    for (executable, tests) in planned {
        let ran = run_one(context, &executable, tests, program.as_deref())?;
        context.screen.done(&ran);
        results.ran.push(ran);
    }
    doc_tests(context, results)
}

/// The arguments of each `cargo test --no-run` that is needed. Targets are chosen and
/// not packages, so that features are always those of the whole workspace.
fn builds(context: &Context) -> Result<Vec<Vec<String>>> {
    let filters = &context.filters;
    let in_package = |name: &str| filters.reach_path(name, &sh::root().join(name).join("src"));
    let mut builds = Vec::new();
    if filters.is_none() {
        builds.push(Vec::new());
    } else {
        let packages = PACKAGES.iter().filter(|(name, _)| in_package(name));
        let targets: BTreeSet<_> = packages.flat_map(|(_, targets)| *targets).collect();
        let mut args: Vec<_> = targets.into_iter().map(|&target| target.to_owned()).collect();
        let files = fs::read_dir(sh::root().join("tests/tests"))?;
        for path in files.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()? {
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            // `all` is the rigs', and has the others.
            if file != "all" && filters.reach_path(&file, &path) {
                args.push(format!("--test={file}"));
            }
        }
        args.sort();
        if !args.is_empty() {
            builds.push(args);
        }
    }
    let bare = BARE.iter().filter(|name| in_package(name));
    let bare: Vec<_> = bare.flat_map(|name| ["-p".into(), package(name)]).collect();
    if !bare.is_empty() {
        builds.push([bare, vec!["--lib".to_owned()]].concat());
    }
    Ok(builds)
}

/// The name of the package in a directory.
fn package(directory: &str) -> String {
    match directory {
        "guest-rt" => "trapgate-rt".to_owned(),
        other => format!("trapgate-{}", other.strip_prefix("guest/").unwrap_or(other)),
    }
}

/// The program that the files of `tests/tests` run. They would build it themselves,
/// each once.
fn build_trapgate() -> Result<std::path::PathBuf> {
    let built = sh::cargo_executables(&["build", "-p", "trapgate-cli", "--bin", "trapgate"])?;
    let (_, program) = built.into_iter().next().context("cargo built no trapgate")?;
    Ok(program)
}

/// Runs an executable's tests, and those again that a crash or a hang kept from
/// running.
fn run_one(
    context: &Context,
    executable: &Executable,
    mut planned: Vec<String>,
    program: Option<&Path>,
) -> Result<Ran> {
    let start = Instant::now();
    let stay = context.table.stay(&executable.name, Place::Host).filter(|_| executable.is_file);
    let expected = stay.map(|stay| stay.expected(context.long));
    let unlisted = if context.long { UNLISTED_LONG } else { UNLISTED };
    let what = format!("{}  {}", Place::Host.name(), executable.name);
    let _running = context.screen.running(&what, expected);
    let prefix = format!("{}::", executable.name);
    let mut tests = Vec::new();
    let mut end = End::Exited(0);
    for attempt in 0..=AGAIN {
        if planned.is_empty() {
            break;
        }
        let mut command = executable.command();
        command.envs(context.environment());
        command.envs(program.map(|program| ("TRAPGATE_BIN", program)));
        command.arg("--exact").args(&planned);
        if attempt > 0 {
            // Then it can be seen which test is running.
            command.arg("--test-threads=1");
        }
        let limit = limit(expected.unwrap_or(unlisted));
        let said = |line: &str| context.screen.said(Place::Host, line);
        let (output, how) = executable::run(command, limit, said)?;
        tests.extend(settle::settle(&output, &how, &prefix, &mut planned));
        end = how;
    }
    tests.extend(settle::give_up(&planned, &end, &prefix));
    Ok(Ran {
        place: Place::Host,
        file: executable.name.clone(),
        tests,
        time: start.elapsed(),
        // A filtered run should be quicker.
        expected: expected.filter(|_| context.filters.is_none()),
    })
}

/// The documentation's tests, which are rustdoc's to build and to run.
fn doc_tests(context: &Context, results: &mut Results) -> Result<()> {
    // Libraries only have them. Their names are paths.
    let reached = |(name, targets): &(&str, &[&str])| {
        let path = sh::root().join(name).join("src");
        targets.contains(&"--lib") && context.filters.reach_path(&format!("{name}/src/"), &path)
    };
    if !PACKAGES.iter().any(reached) {
        return Ok(());
    }
    let start = Instant::now();
    let mut command = sh::cargo(&["test", "--doc", "--no-fail-fast"]);
    context.screen.step(&sh::display(&command));
    // More than one of them is libtest's own "any of these".
    command.arg("--").args(context.filters.0);
    let running = context.screen.running("documentation's tests", None);
    let said = |line: &str| context.screen.said(Place::Host, line);
    let (output, end) = executable::run(command, DOCUMENTATION, said)?;
    drop(running);
    let tests: Vec<Test> = settle::settle(&output, &end, "", &mut Vec::new());
    if !output.ended {
        results.broken.push(("documentation's tests".to_owned(), output.tail(usize::MAX)));
    }
    if !tests.is_empty() {
        let (place, file) = (Place::Host, "documentation".to_owned());
        let ran = Ran { place, file, tests, time: start.elapsed(), expected: None };
        context.screen.done(&ran);
        results.ran.push(ran);
    }
    Ok(())
}

/// Why this machine's KVM cannot be used, if so.
pub(crate) fn kvm_problem() -> Option<String> {
    let result = fs::File::options().read(true).write(true).open("/dev/kvm");
    result.err().map(|error| format!("/dev/kvm cannot be opened ({error})"))
}
