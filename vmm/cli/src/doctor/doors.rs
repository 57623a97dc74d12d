//! The doors of a report: a matrix of instruction and mode, then a reason for
//! whatever is not native, once.

use super::page::Page;
use super::{BAD, GOOD, MIDDLING, PLAIN};
use anstyle::Style;
use std::io;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate_measure::doctor::{Report, TriedDoor};
use trapgate_measure::doors::Delivery;

const MODES: [Mode; 3] = [Mode::Long, Mode::Compat, Mode::Legacy];
const INSTRUCTIONS: [Instruction; 3] =
    [Instruction::Syscall, Instruction::Sysenter, Instruction::Int80];

/// Writes the section.
pub(super) fn write(page: &mut Page, report: &Report, verbose: bool) -> io::Result<()> {
    page.head("Doors, tried")?;
    let titles = MODES.map(|mode| mode.to_string());
    page.cells("", &titles.each_ref().map(|title| (PLAIN, title.as_str())))?;
    for instruction in INSTRUCTIONS {
        let tried = |mode| {
            let wanted = Door { instruction, mode };
            report.doors.iter().find(|tried| tried.door == wanted)
        };
        let cells = MODES.map(|mode| tried(mode).map_or((PLAIN, ""), cell));
        page.cells(&instruction.to_string(), &cells)?;
    }
    if let Some(picked) = report.kernel_vsyscall {
        page.row("__kernel_vsyscall", PLAIN, &picked.to_string())?;
    }
    for (word, why, doors) in reasons(&report.doors) {
        let names = names(&doors);
        match word {
            "failed" if verbose => page.row(word, BAD, &format!("{names}: {why}"))?,
            "failed" => page.short_row(word, BAD, &format!("{names}: {}", short(why)))?,
            _ if verbose && doors.iter().any(|tried| tried.unexpected) => {
                let note = "the CPU has it, this KVM does not deliver it";
                page.row(word, PLAIN, &format!("{names}: {why}; {note}"))?;
            }
            _ => page.row(word, PLAIN, &format!("{names}: {why}"))?,
        }
    }
    Ok(())
}

fn cell(tried: &TriedDoor) -> (Style, &str) {
    let style = match &tried.delivery {
        Delivery::Native => GOOD,
        Delivery::Trapped { .. } => MIDDLING,
        Delivery::Absent { .. } => PLAIN,
        Delivery::Failed { .. } => BAD,
    };
    (style, tried.delivery.word())
}

/// What became of doors and why, with all doors of which that is true.
fn reasons(doors: &[TriedDoor]) -> Vec<(&'static str, &str, Vec<&TriedDoor>)> {
    let mut reasons: Vec<(&'static str, &str, Vec<&TriedDoor>)> = Vec::new();
    for tried in doors {
        let Some(why) = tried.delivery.why() else { continue };
        let word = tried.delivery.word();
        match reasons.iter_mut().find(|(known, of, _)| *known == word && *of == why) {
            Some((_, _, doors)) => doors.push(tried),
            None => reasons.push((word, why, vec![tried])),
        }
    }
    reasons
}

/// `SYSCALL 64-bit, INT 0x80 compat`, or `all in legacy mode`.
fn names(doors: &[&TriedDoor]) -> String {
    let mode = doors.first().map(|tried| tried.door.mode);
    if let Some(mode) = mode
        && doors.len() == INSTRUCTIONS.len()
        && doors.iter().all(|tried| tried.door.mode == mode)
    {
        return format!("all in {mode} mode");
    }
    let each = doors.iter().map(|tried| format!("{} {}", tried.door.instruction, tried.door.mode));
    each.collect::<Vec<_>>().join(", ")
}

/// A reason without what only helps who mends the KVM: numbers and data.
fn short(why: &str) -> &str {
    let words = why.split(" (data ").next().unwrap_or(why);
    match words.split_once("suberror ").and_then(|(_, rest)| rest.split_once(": ")) {
        Some((_, meaning)) => meaning,
        None => words,
    }
}
