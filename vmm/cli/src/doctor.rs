//! `trapgate doctor`: can this host run workloads, and how do the doors arrive?
//!
//! The answer comes first, then what it stands on. A line is as wide as the
//! terminal at most; what has no place in it is in `--verbose` and `--json`.

mod doors;
mod page;

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;
use page::Page;
use std::io;
use trapgate::error::status;
use trapgate_measure::doctor::{self, Report};

const AFTER_HELP: &str = "\
Examples:
  trapgate doctor
  trapgate doctor --verbose                 with every reason in full
  trapgate doctor --json | jq .usable
  trapgate doctor > /dev/null && trapgate run ./hello

Exit status: 0 if workloads can run, 125 if not";

/// Say whether this host can run sandboxes, and how each door arrives
#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Print one JSON object ('trapgate schema doctor' prints its schema)
    #[arg(long)]
    json: bool,
    /// Print each capability, mitigation and reason in full
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
}

const PLAIN: Style = Style::new();
const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const MIDDLING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Examines the host; answers the exit status.
///
/// # Errors
/// If the report cannot be written.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    let report = doctor::examine();
    let text = if args.json {
        (serde_json::to_string_pretty(&report)? + "\n").into_bytes()
    } else {
        let mut page = Page::new(crate::terminal::columns());
        write(&mut page, &report, args.verbose)?;
        page.into_bytes()
    };
    crate::cli::print(&text)?;
    Ok(if report.usable { 0 } else { status::SETUP })
}

/// The answer, then what it stands on.
fn write(page: &mut Page, report: &Report, verbose: bool) -> io::Result<()> {
    match report.usable {
        true => page.line(GOOD.bold(), 0, "Workloads can run.")?,
        false => page.line(BAD.bold(), 0, "Workloads cannot run.")?,
    }
    for problem in &report.problems {
        page.line(if problem.fatal { BAD } else { MIDDLING }, 2, &problem.what)?;
        page.line(PLAIN, 4, &problem.advice)?;
    }
    kvm(page, report, verbose)?;
    if !report.doors.is_empty() {
        doors::write(page, report, verbose)?;
    }
    host(page, report, verbose)
}

fn kvm(page: &mut Page, report: &Report, verbose: bool) -> io::Result<()> {
    page.head("KVM")?;
    match report.api_version {
        Some(version) => page.row("/dev/kvm", GOOD, &format!("usable, API version {version}"))?,
        None => page.row("/dev/kvm", BAD, "not usable")?,
    }
    page.row("kind", PLAIN, &report.kind.to_string())?;
    let modules = report.modules.join(", ");
    page.row("modules", PLAIN, if modules.is_empty() { "none found" } else { &modules })?;
    for capability in &report.capabilities {
        let (style, text) = match (capability.present, capability.required) {
            (true, _) if verbose => (GOOD, "yes"),
            (true, _) => continue,
            (false, true) => (BAD, "no, and it is needed"),
            (false, false) => (MIDDLING, "no, done without"),
        };
        page.row(capability.name.trim_start_matches("KVM_CAP_"), style, text)?;
    }
    let count = report.capabilities.len();
    if count > 0 && report.capabilities.iter().all(|capability| capability.present) {
        page.row("capabilities", GOOD, &format!("all {count} that trapgate uses"))?;
    }
    Ok(())
}

fn host(page: &mut Page, report: &Report, verbose: bool) -> io::Result<()> {
    page.head("Host")?;
    page.row("Linux", PLAIN, &report.kernel)?;
    let cpu = &report.cpu;
    page.row("CPU", PLAIN, &format!("{} ({})", cpu.model_name, cpu.vendor))?;
    let signature = format!("{} / {} / {}", cpu.family, cpu.model, cpu.stepping);
    page.row("family/model/step", PLAIN, &signature)?;
    if verbose {
        for (name, state) in &cpu.mitigations {
            let style = if state.starts_with("Vulnerable") { MIDDLING } else { PLAIN };
            page.row(name, style, state)?;
        }
        return Ok(());
    }
    let names = |wanted: fn(&str) -> bool| {
        let named = cpu.mitigations.iter().filter(|(_, state)| wanted(state));
        named.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let vulnerable = |state: &str| state.starts_with("Vulnerable");
    let mitigated = |state: &str| !state.starts_with("Vulnerable") && state != "Not affected";
    for (title, style, names) in [
        ("vulnerable", MIDDLING, names(vulnerable)),
        ("mitigated", PLAIN, names(mitigated)),
        ("not affected by", PLAIN, names(|state| state == "Not affected")),
    ] {
        if !names.is_empty() {
            page.row(title, style, &names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use trapgate::doors::ALL;
    use trapgate::machine::kvm::Kind;
    use trapgate_measure::doctor::{Capability, Cpu, Problem, TriedDoor};
    use trapgate_measure::doors::Delivery;

    /// Of a host where legacy mode does not run, with long reasons.
    fn sample() -> Report {
        let delivery = |index: usize| match index {
            0..3 => Delivery::Native,
            3 => Delivery::Trapped { why: "arrives as #UD".to_owned() },
            4 | 5 => Delivery::Absent { why: "AMD has no such door: SIGILL".to_owned() },
            _ => Delivery::Failed {
                why: "this KVM ended it with KVM_EXIT_INTERNAL_ERROR, suberror 1: an instruction \
                      could not be emulated (data [1, a1c0000080b9cf0f, 84f4158b000084f0])"
                    .to_owned(),
            },
        };
        let doors = ALL.into_iter().enumerate().map(|(index, door)| TriedDoor {
            door,
            delivery: delivery(index),
            unexpected: index == 3,
        });
        let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
        Report {
            schema: doctor::SCHEMA,
            version: doctor::VERSION,
            trapgate: "0.1.0",
            commit: None,
            abi_version: 6,
            usable: true,
            kernel: "6.12.0".to_owned(),
            api_version: Some(12),
            kind: Kind::Svm,
            modules: vec!["kvm".to_owned(), "kvm_amd".to_owned()],
            capabilities: vec![Capability { name: "KVM_CAP_XCRS", required: false, present: true }],
            cpu: Cpu {
                vendor: "AuthenticAMD".to_owned(),
                model_name: "AMD EPYC".to_owned(),
                family: 25,
                model: 17,
                stepping: 1,
                mitigations: BTreeMap::from([
                    state(
                        "indirect_target_selection",
                        "Mitigation: Aligned branch thunks, and so on",
                    ),
                    state("mds", "Not affected"),
                    state("spec_store_bypass", "Vulnerable"),
                    state("spectre_v2", "Mitigation: Retpolines; STIBP: disabled; RSB filling"),
                ]),
            },
            doors: doors.collect(),
            kernel_vsyscall: None,
            tsc_is_a_clock: Some(true),
            problems: vec![Problem {
                fatal: false,
                what: "the counter does not run with time here, which is a long sentence"
                    .to_owned(),
                advice: "workloads run, and each look at a clock costs a VM exit".to_owned(),
            }],
        }
    }

    fn text(report: &Report, columns: usize, verbose: bool) -> String {
        let mut page = Page::new(columns);
        write(&mut page, report, verbose).expect("a Vec takes all");
        let bytes = anstream::adapter::strip_bytes(&page.into_bytes()).into_vec();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [56, 60, 80, 100] {
            for verbose in [false, true] {
                let text = text(&sample(), columns, verbose);
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(columns), "{columns}:\n{text}");
            }
        }
    }

    #[test]
    fn the_answer_is_the_first_line() {
        let mut report = sample();
        let said = text(&report, 80, false);
        assert!(said.starts_with("Workloads can run.\n  the counter"), "{said}");
        report.usable = false;
        assert!(text(&report, 80, false).starts_with("Workloads cannot run.\n"));
    }

    #[test]
    fn a_doors_failure_is_one_short_line() {
        let said = text(&sample(), 80, false);
        let failed: Vec<_> = said.lines().filter(|line| line.contains("emulated")).collect();
        let expected =
            "  failed               all in legacy mode: an instruction could not be emulated";
        assert_eq!(failed, [expected], "{said}");
        assert!(!said.contains("a1c0000080b9cf0f"), "{said}");
        assert!(text(&sample(), 80, true).contains("a1c0000080b9cf0f"));
    }
}
