//! `trapgate doctor`: can this host run workloads, and how do the doors arrive?

use anstream::stdout;
use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;
use std::io::{self, ErrorKind, Write};
use trapgate::doctor::{self, Report, TriedDoor};
use trapgate::doors::{Delivery, Door, Instruction, Mode};
use trapgate::error::status;

/// Options of `trapgate doctor`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 if workloads can run, 125 if not")]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const MODES: [Mode; 3] = [Mode::Long, Mode::Compat, Mode::Legacy];

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
    let mut out = Vec::new();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&mut out, &report)?;
    }
    // A reader that has gone has read enough.
    match stdout().write_all(&out) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if report.usable { 0 } else { status::SETUP })
}

fn row(out: &mut Vec<u8>, name: &str, style: Style, text: &str) -> io::Result<()> {
    writeln!(out, "  {name:<20} {style}{text}{style:#}")
}

fn head(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    writeln!(out, "{HEAD}{text}{HEAD:#}")
}

fn print(out: &mut Vec<u8>, report: &Report) -> io::Result<()> {
    let plain = Style::new();
    head(out, "KVM")?;
    match report.api_version {
        Some(version) => row(out, "/dev/kvm", GOOD, &format!("usable, API version {version}"))?,
        None => row(out, "/dev/kvm", BAD, "not usable")?,
    }
    row(out, "kind", plain, &report.kind.to_string())?;
    let modules = report.modules.join(", ");
    row(out, "modules", plain, if modules.is_empty() { "none found" } else { &modules })?;
    for capability in &report.capabilities {
        let (style, text) = match (capability.present, capability.required) {
            (true, _) => (GOOD, "yes"),
            (false, true) => (BAD, "no, and it is needed"),
            (false, false) => (MIDDLING, "no, done without"),
        };
        row(out, capability.name.trim_start_matches("KVM_CAP_"), style, text)?;
    }

    head(out, "Host")?;
    row(out, "Linux", plain, &report.kernel)?;
    let cpu = &report.cpu;
    row(out, "CPU", plain, &format!("{} ({})", cpu.model_name, cpu.vendor))?;
    let signature = format!("{} / {} / {}", cpu.family, cpu.model, cpu.stepping);
    row(out, "family/model/step", plain, &signature)?;
    let (safe, other): (Vec<_>, Vec<_>) =
        cpu.mitigations.iter().partition(|(_, state)| *state == "Not affected");
    for (name, state) in other {
        row(out, name, if state.starts_with("Vulnerable") { MIDDLING } else { plain }, state)?;
    }
    if !safe.is_empty() {
        let names: Vec<_> = safe.iter().map(|(name, _)| name.as_str()).collect();
        row(out, "not affected by", plain, &names.join(", "))?;
    }

    if !report.doors.is_empty() {
        head(out, "Doors, tried")?;
        print_doors(out, report)?;
    }

    if report.usable {
        writeln!(out, "{GOOD}Workloads can run.{GOOD:#}")?;
    } else {
        writeln!(out, "{BAD}Workloads cannot run.{BAD:#}")?;
    }
    for problem in &report.problems {
        let style = if problem.fatal { BAD } else { MIDDLING };
        writeln!(out, "  {style}{}{style:#}\n    {}", problem.what, problem.advice)?;
    }
    Ok(())
}

/// The matrix of instruction and mode, then what needs words.
fn print_doors(out: &mut Vec<u8>, report: &Report) -> io::Result<()> {
    write!(out, "  {:<20}", "")?;
    for mode in MODES {
        write!(out, " {mode:<9}")?;
    }
    writeln!(out)?;
    for instruction in [Instruction::Syscall, Instruction::Sysenter, Instruction::Int80] {
        write!(out, "  {instruction:<20}")?;
        for mode in MODES {
            let wanted = Door { instruction, mode };
            let Some(tried) = report.doors.iter().find(|tried| tried.door == wanted) else {
                continue;
            };
            let style = match &tried.delivery {
                Delivery::Native => GOOD,
                Delivery::Trapped { .. } => MIDDLING,
                Delivery::Absent { .. } => Style::new(),
                Delivery::Failed { .. } => BAD,
            };
            // Padded before it is styled: escapes have no width.
            let word = format!("{:<9}", tried.delivery.word());
            write!(out, " {style}{word}{style:#}")?;
        }
        writeln!(out)?;
    }
    if let Some(picked) = report.kernel_vsyscall {
        row(out, "__kernel_vsyscall", Style::new(), &format!("{picked}"))?;
    }
    // One line for all doors with the same reason.
    let mut reasons: Vec<(String, Vec<&TriedDoor>)> = Vec::new();
    for tried in &report.doors {
        let Some(why) = tried.delivery.why() else { continue };
        let note = match (&tried.delivery, tried.unexpected) {
            (Delivery::Trapped { .. } | Delivery::Absent { .. }, true) => {
                "; the architecture has it, this KVM does not deliver it"
            }
            _ => "",
        };
        let reason = format!("{}: {why}{note}", tried.delivery.word());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, doors)) => doors.push(tried),
            None => reasons.push((reason, vec![tried])),
        }
    }
    for (reason, doors) in reasons {
        let names: Vec<_> = doors.iter().map(|tried| tried.door.to_string()).collect();
        writeln!(out, "  {}\n    {reason}", names.join("; "))?;
    }
    Ok(())
}
