//! A record as text: what `trapgate bench` prints. Called by `cli::bench`.
//!
//! Colours are in it as escapes; who prints it takes `anstream`, which leaves
//! them out where they are of no use.

use super::added::{self, Added};
use super::environment::Environment;
use super::record::{Delivery, Group, Measurement, Report, Step, Timed};
use super::units;
use anstyle::{AnsiColor, Style};
use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Padding, Style as Frame};

const HEAD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const MIDDLING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The record as a text of several lines.
pub fn text(report: &Report) -> String {
    let mut out = header(&report.environment);
    if report.partial {
        out += &format!("{BAD}Partial: the run was interrupted.{BAD:#}\n");
    }
    for group in Group::ALL {
        let of_group = |one: &&Measurement| one.group == group;
        let measurements: Vec<_> = report.measurements.iter().filter(of_group).collect();
        if !measurements.is_empty() {
            let (hardened, plain): (Vec<_>, Vec<_>) =
                measurements.into_iter().partition(|one| !one.with.is_empty());
            out += &format!("\n{HEAD}{}{HEAD:#}\n", group.title());
            out += &figures(&plain);
            out += &remarks(&plain);
            if !hardened.is_empty() {
                out += &format!("\n{HEAD}{}{HEAD:#}\n", added::TITLE);
                let table = Added::of(&hardened, &plain);
                out += &added(&table);
                out.extend(table.failed.iter().map(|why| format!("  {why}\n")));
            }
        }
    }
    if !report.notes.is_empty() {
        out.push('\n');
    }
    for note in &report.notes {
        out += &format!("Note: {note}.\n");
    }
    out
}

/// The host in one line, and what its times are not in another.
fn header(environment: &Environment) -> String {
    let Environment { trapgate, kernel, cpu, kvm, .. } = environment;
    let mut line = format!("trapgate {trapgate} on Linux {kernel}, {}", cpu.model_name);
    line += &format!(", KVM: {}, TSC {:.0} MHz\n", kvm.kind, cpu.tsc_khz as f64 / 1e3);
    if let Some(caveat) = environment.caveat() {
        line += &format!("{MIDDLING}This is {caveat}.{MIDDLING:#}\n");
    }
    line
}

/// The figures of one group. Times are medians and so on without the empty
/// bracket.
fn figures(measurements: &[&Measurement]) -> String {
    let header = [
        "", "where", "arrives", "min", "median", "p90", "p99", "max", "batched", "instr.", "exits",
    ];
    let rows = measurements.iter().map(|one| {
        let arrives = one.delivery.as_ref().map_or_else(String::new, |delivery| {
            let style = match delivery {
                Delivery::Native => GOOD,
                Delivery::Trapped { .. } => MIDDLING,
                Delivery::Absent { .. } => FAINT,
                Delivery::Failed { .. } => BAD,
            };
            format!("{style}{}{style:#}", delivery.word())
        });
        let mut row = vec![one.label(), one.place.to_string(), arrives];
        match &one.timed {
            None => row.extend(["-"; 6].map(str::to_owned)),
            Some(timed) => {
                let ns = &timed.ns.subtracted;
                row.push(units::time(ns.min));
                row.push(format!("{HEAD}{}{HEAD:#}", units::time(ns.median)));
                row.extend([ns.p90, ns.p99, ns.max].map(units::time));
                row.push(timed.batched_ns().map_or_else(|| "-".to_owned(), units::time));
            }
        }
        row.push(units::optional_count(one.instructions()));
        row.push(units::optional_count(one.exits()));
        row
    });
    // Columns that say nothing here, in no row, are left out.
    let rows: Vec<_> = rows.collect();
    let says: Vec<_> = (0..header.len())
        .map(|column| rows.iter().any(|row| !["", "-"].contains(&row[column].as_str())))
        .collect();
    let kept = |row: Vec<String>| -> Vec<String> {
        row.into_iter().zip(&says).filter(|(_, says)| **says).map(|(cell, _)| cell).collect()
    };
    let header: Vec<_> =
        header.iter().zip(&says).filter(|(_, says)| **says).map(|(name, _)| *name).collect();
    let texts = 2 + usize::from(says[2]);
    align(&header, rows.into_iter().map(kept).collect(), texts - 1)
}

/// Doors in columns, sets of steps in rows.
fn added(added: &Added) -> String {
    let rows = added.sets.iter().map(|set| {
        let cells = set.cells.iter().map(|cell| cell.text.clone());
        std::iter::once(set.name.clone()).chain(cells).collect()
    });
    let doors = added.doors.iter().map(String::as_str);
    let header: Vec<&str> = std::iter::once("").chain(doors).collect();
    align(&header, rows.collect(), 0)
}

/// What is said below the figures: reasons and notes, each once with whom it is
/// about; pieces of times; and outliers.
fn remarks(measurements: &[&Measurement]) -> String {
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    let mut say = |what: String, about: &Measurement| {
        let name = format!("{} ({})", about.label(), about.place);
        match said.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(name),
            None => said.push((what, vec![name])),
        }
    };
    for one in measurements {
        if let Some(delivery) = &one.delivery
            && let Some(why) = delivery.why()
        {
            say(format!("{}: {why}", delivery.word()), one);
        }
        if !one.steps.is_empty() {
            let whole: f64 = one.steps.iter().map(|step| step.ns).sum();
            let steps = one.steps.iter().map(|step| piece(step, whole));
            say(format!("pieces: {}", steps.collect::<Vec<_>>().join(", ")), one);
        }
        for note in &one.notes {
            say(note.clone(), one);
        }
    }
    let mut out = String::new();
    for (what, names) in said {
        out += &format!("  {}\n    {what}\n", names.join("; "));
    }
    if let Some(line) = outliers(measurements.iter().filter_map(|one| one.timed.as_ref())) {
        out += &format!("  {FAINT}{line}{FAINT:#}\n");
    }
    out
}

/// A piece of a time, and its share of the whole.
pub(super) fn piece(step: &Step, whole_ns: f64) -> String {
    let share = if whole_ns > 0.0 { step.ns / whole_ns * 100.0 } else { 0.0 };
    let instructions = step.instructions.map(|count| format!(", {count} instr."));
    let instructions = instructions.unwrap_or_default();
    format!("{} {} ({share:.0} %{instructions})", step.name, units::time(step.ns))
}

/// The outliers of several measurements in one line, if there are any.
pub(super) fn outliers<'a>(all: impl Iterator<Item = &'a Timed>) -> Option<String> {
    let mut kinds = [
        ("interrupted", 0, 0.0),
        ("migrated", 0, 0.0),
        ("by exits", 0, 0.0),
        ("unexplained", 0, 0.0),
    ];
    let mut samples = 0;
    for timed in all {
        samples += timed.samples;
        let found = &timed.outliers;
        let counts = [found.interrupt, found.migration, found.exit, found.unexplained];
        for ((_, count, largest), found) in kinds.iter_mut().zip(counts) {
            *count += found.count;
            *largest = f64::max(*largest, found.largest_ticks as f64 * timed.ns_of_tick());
        }
    }
    let all: u64 = kinds.iter().map(|(_, count, _)| count).sum();
    if all == 0 {
        return None;
    }
    let parts = kinds
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(name, count, largest)| format!("{count} {name} (up to {})", units::time(*largest)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    Some(format!("{all} outliers of {samples} samples, in all figures: {parts}"))
}

/// Rows under a header, in columns: the first `texts` + 1 to the left, the
/// others, numbers, to the right. No line ends in spaces.
pub(super) fn align(header: &[&str], rows: Vec<Vec<String>>, texts: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut builder = Builder::default();
    builder.push_record(header.iter().map(|name| format!("{FAINT}{name}{FAINT:#}")));
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table
        .with(Frame::empty())
        .with(Padding::new(2, 0, 0, 0))
        .modify(Columns::new(texts + 1..), Alignment::right())
        .modify(Rows::first(), Padding::new(2, 0, 0, 0));
    let lines = table.to_string();
    lines.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn plain(report: &Report) -> String {
        anstream::adapter::strip_str(&text(report)).to_string()
    }

    #[test]
    fn the_table_names_host_delivery_and_figures() {
        let text = plain(&sample::report());
        for part in [
            "trapgate 0.1.0 on Linux 6.12.0, AMD EPYC 0000 <sample>, KVM: SVM (AMD), TSC 3000 MHz",
            "ibpb  1.25 us, +1925 instr.",
            "trapped",
            "absent",
            "#UD on CPUs of this maker",
            "user to entry 11.0 ns (28 %, 11 instr.)",
            "4 outliers of 10000 samples, in all figures: 1 interrupted",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains("This is"), "{text}");
    }

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_in_spaces() {
        let text = plain(&sample::report());
        let column_end = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        let lines: Vec<_> = text.lines().collect();
        let header = lines.iter().find(|line| line.contains("median")).expect("a header");
        let row = lines.iter().find(|line| line.contains("INT 0x80, 64-bit")).expect("a row");
        let end = column_end(header, "median").expect("there");
        assert!(row[..end].ends_with("ns"), "{header}\n{row}");
        assert!(lines.iter().all(|line| line.trim_end() == *line), "{text}");
    }

    #[test]
    fn a_column_without_a_figure_is_left_out() {
        let mut report = sample::report();
        report.measurements.retain(|one| one.group == Group::Start);
        let text = plain(&report);
        assert!(!text.contains("instr.") && !text.contains("arrives"), "{text}");
    }

    #[test]
    fn unreal_times_and_partial_runs_are_marked() {
        let mut report = sample::report();
        report.environment.kvm.software = true;
        report.partial = true;
        let text = plain(&report);
        assert!(text.contains("This is a software KVM") && text.contains("Partial"), "{text}");
    }
}
