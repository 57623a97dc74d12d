//! A record as Markdown, for a README or an issue: the same rows as
//! `table`, in GitHub's tables. Called by `cli::bench`.

use crate::bench::record::Report;
use crate::bench::record::units;
use crate::bench::show::added;
use crate::bench::show::view::fold::Fold;
use crate::bench::show::view::row::Column;
use crate::bench::show::view::{Section, View};

/// The record as a text of several lines.
pub fn text(report: &Report) -> String {
    let view = View::of(report);
    let mut out = format!("**{}**\n\n{}\n", plain(&view.answer), plain(&view.host));
    let partial = report.partial.then(|| "Partial: the run was interrupted.".to_owned());
    for warning in view.warnings.iter().chain(&partial) {
        out += &format!("\n> {}\n", plain(warning));
    }
    for section in &view.sections {
        out += &format!("\n### {}\n\n", plain(section.group.title()));
        out += &self::section(section);
    }
    if !view.notes.is_empty() {
        out.push('\n');
    }
    out.extend(view.notes.iter().map(|note| format!("- {}\n", plain(note))));
    out
}

fn section(section: &Section) -> String {
    let columns = section.columns();
    let header = columns.iter().map(|column| match column {
        Column::Name => "operation".to_owned(),
        column => column.title().to_owned(),
    });
    let rows = section.rows.iter();
    let rows = rows.map(|row| columns.iter().map(|column| row.cell(*column)).collect());
    let mut parts = vec![table(header.collect(), rows.collect())];
    for pieces in &section.pieces {
        let rows = pieces.list.iter().map(|piece| {
            vec![piece.name.clone(), units::time(piece.ns), format!("{:.0} %", piece.percent)]
        });
        let header = [&pieces.label, "median", "share"].map(str::to_owned).to_vec();
        parts.push(table(header, rows.collect()));
    }
    let folds = section.folds.iter().map(Fold::line);
    let remarks = section.remarks.iter().map(|one| format!("{}: {}", one.about, one.text));
    let of_loop = section.of_loop.map(str::to_owned).into_iter();
    parts.push(list(of_loop.chain(folds).chain(remarks).chain(section.outliers.clone())));
    if let Some(added) = &section.added {
        parts.push(format!("{}:\n", added::TITLE));
        let header = std::iter::once("steps".to_owned()).chain(added.doors.iter().cloned());
        let rows = added.sets.iter().map(|set| {
            let cells = set.cells.iter().map(added::Cell::text);
            std::iter::once(set.name.clone()).chain(cells).collect()
        });
        parts.push(table(header.collect(), rows.collect()));
        parts.push(list(added.failed.iter().map(Fold::line)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// The first column to the left, the others, numbers, to the right.
fn table(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<String>| {
        let cells = cells.iter().map(|cell| plain(cell));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let below = format!("|:--{}|\n", "|--:".repeat(header.len() - 1));
    let rows: String = rows.into_iter().map(line).collect();
    line(header) + &below + &rows
}

fn list(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("- {}\n", plain(&line))).collect()
}

/// Text of others in one line, of which nothing is markup.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' => {
                out.extend(['\\', c]);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Group, Measurement, Place};
    use crate::bench::sample;
    use crate::bench::show::table;

    #[test]
    fn it_has_the_answer_and_the_rows_of_the_table() {
        let report = sample::report();
        let markdown = text(&report);
        let terminal = anstream::adapter::strip_str(&table::text(&report)).to_string();
        let answer = terminal.lines().next().expect("a line");
        assert_eq!(markdown.lines().next(), Some(format!("**{answer}**").as_str()));
        let row = |text: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.contains("INT 0x80, 64-bit"));
            let words = line.expect("a row").split(['|', ' ']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        assert_eq!(row(&markdown), row(&terminal));
        for part in ["- not here: SYSENTER 64-bit", "### Calls", "\n|:--|--:", "1.25 µs, +1925"] {
            assert!(markdown.contains(part), "no {part:?} in\n{markdown}");
        }
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_header() {
        let mut report = sample::report();
        let mut one = Measurement::new(Group::Calls, "a|b *c*\n__d__", None, Place::Guest);
        one.timed = Some(sample::times(100));
        report.measurements.push(one);
        let markdown = text(&report);
        assert!(markdown.contains("| a\\|b \\*c\\* \\_\\_d\\_\\_ |"), "{markdown}");
        let mut cells = None;
        for line in markdown.lines() {
            let here = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
            assert!(cells.is_none() || here.is_none() || cells == here, "{line}");
            cells = here;
        }
    }
}
