//! `trapgate doctor`: can this host run workloads, and how do the doors arrive?

use anstream::println;
use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;
use trapgate::doctor::{self, Delivery, Report};
use trapgate::error::status;

/// Options of `trapgate doctor`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 if workloads can run, 125 if not")]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

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
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.usable { 0 } else { status::SETUP })
}

fn row(name: &str, style: Style, text: &str) {
    println!("  {name:<20} {style}{text}{style:#}");
}

fn head(text: &str) {
    println!("{HEAD}{text}{HEAD:#}");
}

fn print(report: &Report) {
    let plain = Style::new();
    head("KVM");
    match report.api_version {
        Some(version) => row("/dev/kvm", GOOD, &format!("usable, API version {version}")),
        None => row("/dev/kvm", BAD, "not usable"),
    }
    row("kind", plain, &report.kind.to_string());
    let modules = report.modules.join(", ");
    row("modules", plain, if modules.is_empty() { "none found" } else { &modules });
    for capability in &report.capabilities {
        let (style, text) = match (capability.present, capability.required) {
            (true, _) => (GOOD, "yes"),
            (false, true) => (BAD, "no, and it is needed"),
            (false, false) => (MIDDLING, "no, done without"),
        };
        row(capability.name.trim_start_matches("KVM_CAP_"), style, text);
    }

    head("Host");
    row("Linux", plain, &report.kernel);
    let cpu = &report.cpu;
    row("CPU", plain, &format!("{} ({})", cpu.model_name, cpu.vendor));
    let signature = format!("{} / {} / {}", cpu.family, cpu.model, cpu.stepping);
    row("family/model/step", plain, &signature);
    let (safe, other): (Vec<_>, Vec<_>) =
        cpu.mitigations.iter().partition(|(_, state)| *state == "Not affected");
    for (name, state) in other {
        row(name, if state.starts_with("Vulnerable") { MIDDLING } else { plain }, state);
    }
    if !safe.is_empty() {
        let names: Vec<_> = safe.iter().map(|(name, _)| name.as_str()).collect();
        row("not affected by", plain, &names.join(", "));
    }

    if !report.doors.is_empty() {
        head("Doors, tried");
    }
    for door in &report.doors {
        let (style, text) = match &door.delivery {
            Delivery::Native => (GOOD, "native"),
            Delivery::Trapped => (MIDDLING, "trapped: arrives as an exception, and is carried out"),
            Delivery::Failed { reason } => (BAD, reason.as_str()),
        };
        row(door.name, style, text);
    }

    if report.usable {
        println!("{GOOD}Workloads can run.{GOOD:#}");
    } else {
        println!("{BAD}Workloads cannot run.{BAD:#}");
    }
    for problem in &report.problems {
        let style = if problem.fatal { BAD } else { MIDDLING };
        println!("  {style}{}{style:#}\n    {}", problem.what, problem.advice);
    }
}
