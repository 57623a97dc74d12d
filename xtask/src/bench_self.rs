//! `cargo xtask bench-self`: the figures that trapgate wants to reach, measured.
//!
//! A plan says what to measure on which machine; `programs` builds what it needs,
//! `machine` carries it out here or in a rig, `figures` compares the records with
//! the targets, `table` prints. The measuring itself is by
//! vmm/measure/examples/bench_self.rs. Nothing here passes or fails by a time: tests
//! are elsewhere.

mod figures;
mod machine;
mod programs;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use self::machine::{Machine, Measured};
use self::programs::Programs;
use crate::needs::Use;
use crate::{rig, setup, sh, test};

/// Measure trapgate: on this machine and in the rigs, beside its targets.
///
/// Prints null calls in instructions, VM exits of whole runs, the cost of a
/// start, computing in ring 3 and the VMM's own memory. Starts with `cargo xtask
/// setup`. What cannot be measured here is left out and reported. The status is 0
/// if everything else was measured, whatever the figures are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fewer repeats: a look, not a result
    #[arg(long)]
    quick: bool,
    /// Only on this machine
    #[arg(long)]
    no_rig: bool,
    /// Write figures, targets, machines and all records into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One thing that a machine is to do.
pub(super) enum Step {
    /// Arguments of the measuring program.
    Measure(Vec<String>),
    /// A shell command that changes the machine (a rig), and the word for what
    /// comes after it.
    Change(&'static str, &'static str),
}

fn measure(words: &[&str]) -> Step {
    Step::Measure(words.iter().map(|&word| word.to_owned()).collect())
}

/// Without it every executable page of a guest is a page fault of its own, on
/// Intel CPUs that have the erratum (Linux: iTLB multihit).
const NX_OFF: Step =
    Step::Change("nx_huge_pages off", "echo never >/sys/module/kvm/parameters/nx_huge_pages");

/// What to measure on a machine. Programs are named as `programs` names them.
fn plan(machine: Machine, quick: bool) -> Vec<Step> {
    let count = |full: &'static str, few| if quick { few } else { full };
    let null_calls =
        || ["getpid-syscall", "getpid-int80"].map(|name| measure(&["null-call", name]));
    let exits =
        || ["hello-musl", "hello-glibc"].map(|name| measure(&["exits", name, count("5", "2")]));
    let start = |rounds| measure(&["start", "hello-musl", rounds]);
    let mut plan = vec![measure(&["machine"])];
    match machine {
        Machine::Here => {
            plan.push(start(count("50", "10")));
            let mebibytes = count("256", "64");
            plan.push(measure(&["compute", "sha256", mebibytes, count("5", "3")]));
            for trapgate in ["trapgate", "trapgate-static"] {
                plan.push(measure(&["memory", trapgate, "hello-musl"]));
            }
        }
        Machine::Amd => {
            plan.extend(exits());
            plan.push(start(count("30", "10")));
            plan.push(measure(&["compute", "sha256", count("8", "2"), "5"]));
            plan.push(measure(&["memory", "trapgate-static", "hello-musl"]));
        }
        Machine::AmdCounting => {
            plan.extend(null_calls());
            plan.push(start(count("10", "3")));
        }
        Machine::Intel => {
            plan.extend(null_calls());
            plan.extend(exits());
            plan.push(start(count("30", "5")));
            plan.push(NX_OFF);
            plan.extend(exits());
            plan.push(start(count("30", "5")));
        }
    }
    plan
}

/// The machines that can be used, and why the others cannot.
fn machines(args: &Args) -> (Vec<Machine>, Vec<String>) {
    let (mut usable, mut skipped) = (Vec::new(), Vec::new());
    match test::kvm_problem() {
        None => usable.push(Machine::Here),
        Some(problem) => skipped.push(format!("this machine: {problem}")),
    }
    if args.no_rig {
        skipped.push("all rigs: --no-rig was given".into());
        return (usable, skipped);
    }
    for machine in [Machine::Amd, Machine::AmdCounting, Machine::Intel] {
        match machine.cpu().map_or(Ok(()), rig::require) {
            Ok(()) => usable.push(machine),
            Err(error) => skipped.push(format!("{}: {error:#}", machine.name())),
        }
    }
    (usable, skipped)
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure(if args.no_rig { &[Use::C] } else { Use::ALL })?;
    let (machines, mut skipped) = machines(args);
    if machines.is_empty() {
        bail!("no machine to measure on: {}", skipped.join("; "));
    }
    let programs = Programs::build(&mut skipped)?;
    let mut measured = Vec::new();
    for machine in machines {
        if sh::interrupted() {
            bail!("interrupted");
        }
        let mut steps = plan(machine, args.quick);
        steps.retain(|step| match step {
            Step::Measure(words) => programs.has_all(words),
            Step::Change(..) => true,
        });
        sh::step(&format!("measuring: {}", machine.name()));
        match machine.carry_out(&steps, &programs) {
            Ok(records) => measured.push(records),
            Err(error) if sh::interrupted() => return Err(error),
            Err(error) => skipped.push(format!("{}: {error:#}", machine.name())),
        }
    }
    let failed: Vec<_> = measured.iter().flat_map(|machine| &machine.failed).cloned().collect();
    let figures: Vec<_> = measured.iter().flat_map(figures::figures).collect();
    table::print(&measured, &figures);
    for what in &skipped {
        sh::bad(&format!("  SKIPPED  {what}"));
    }
    for what in &failed {
        sh::bad(&format!("  FAILED   {what}"));
    }
    if let Some(path) = &args.json {
        let all = table::json(&measured, &figures, &skipped);
        fs::write(path, all).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let is_whole = failed.is_empty() && measured.iter().all(Measured::has_records);
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_names_its_machine_first() {
        for machine in [Machine::Here, Machine::Amd, Machine::AmdCounting, Machine::Intel] {
            let plan = plan(machine, true);
            assert!(matches!(&plan[0], Step::Measure(words) if words[..] == ["machine"]));
        }
    }
}
