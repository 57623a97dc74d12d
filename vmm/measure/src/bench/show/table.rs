//! A record as text: what `trapgate bench` prints, the answer first. Called by
//! `trapgate bench`.
//!
//! What there is to say is worked out by `show::view`. Colours are in the
//! text as escapes; who prints it takes `anstream`, which leaves them out where
//! they are of no use.

use crate::bench::record::units;
use crate::bench::record::{Delivery, Report};
use crate::bench::show::added::{self, Added};
use crate::bench::show::view::fold::Fold;
use crate::bench::show::view::pieces::Pieces;
use crate::bench::show::view::row::{Column, LOOP, NOTHING, Row};
use crate::bench::show::view::{Section, View};
use anstyle::{AnsiColor, Style};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding, Style as Frame};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// No line is longer than this, whatever is in the record.
pub const COLUMNS: usize = 100;

const HEAD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const MIDDLING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The record as a text of several lines.
pub fn text(report: &Report) -> String {
    let view = View::of(report);
    let mut out = lines("", HEAD, &view.answer);
    out += &lines("", Style::new(), &view.host);
    for warning in &view.warnings {
        out += &lines("", MIDDLING, warning);
    }
    if report.partial {
        out += &lines("", BAD, "Partial: the run was interrupted.");
    }
    for section in &view.sections {
        out += &heading(section.group.title());
        out += &self::section(section);
        if let Some(table) = &section.added {
            out += &heading(added::TITLE);
            out += &added(table);
        }
    }
    if !view.notes.is_empty() {
        out.push('\n');
    }
    for note in &view.notes {
        out += &lines("", Style::new(), &format!("Note: {note}"));
    }
    out
}

fn heading(text: &str) -> String {
    "\n".to_owned() + &lines("", HEAD, text)
}

fn section(section: &Section) -> String {
    let columns = section.columns();
    let header: Vec<_> = columns.iter().map(|column| column.title()).collect();
    let marked = |column: &Column| section.rows.iter().any(|row| row.cell(*column).ends_with(LOOP));
    let marked: Vec<_> = columns.iter().map(marked).collect();
    let rows = section.rows.iter().map(|row| {
        let cells = columns.iter().zip(&marked);
        cells.map(|(column, marked)| cell(row, *column, *marked)).collect()
    });
    let mut out = align(&header, rows.collect(), 0);
    for pieces in &section.pieces {
        out.push('\n');
        out += &self::pieces(pieces);
    }
    let folds = section.folds.iter().map(Fold::line);
    let remarks = section.remarks.iter().map(|one| format!("{}: {}", one.about, one.text));
    let of_loop = section.of_loop.map(str::to_owned);
    for line in of_loop.into_iter().chain(folds).chain(remarks).chain(section.outliers.clone()) {
        out += &lines("  ", FAINT, &line);
    }
    out
}

/// In a column where some times are marked, the others leave room for that.
fn cell(row: &Row, column: Column, marked: bool) -> String {
    let text = row.cell(column);
    let room = if marked && !text.ends_with(LOOP) { " " } else { "" };
    let style = match (column, row.guest.and_then(|one| one.delivery.as_ref())) {
        _ if text == NOTHING => Style::new(),
        (Column::Guest, _) => HEAD,
        (Column::Arrives, Some(Delivery::Native)) => GOOD,
        (Column::Arrives, _) => MIDDLING,
        _ => Style::new(),
    };
    format!("{style}{text}{style:#}{room}")
}

fn pieces(pieces: &Pieces) -> String {
    let counted = pieces.list.iter().any(|piece| piece.instructions.is_some());
    let mut header = vec![pieces.label.as_str(), "median", "share"];
    header.extend(counted.then_some("instr."));
    let rows = pieces.list.iter().map(|piece| {
        let mut row = vec![piece.name.clone(), units::time(piece.ns)];
        row.push(format!("{:.0} %", piece.percent));
        row.extend(counted.then(|| units::optional_count(piece.instructions)));
        row
    });
    align(&header, rows.collect(), 0)
}

/// Doors in columns, sets of steps in rows; instructions, where they were
/// counted, in rows of their own.
fn added(added: &Added) -> String {
    // Headers are wider than what is below them.
    let doors = added.doors.iter().map(|door| door.replace(", ", ",\n").replace(" (", "\n("));
    let doors: Vec<_> = doors.collect();
    let doors = || doors.iter().map(String::as_str);
    let mut out = String::new();
    let header: Vec<&str> = std::iter::once("").chain(doors()).collect();
    let rows = added.sets.iter().map(|set| {
        let cells = set.cells.iter().map(|cell| cell.time.clone());
        std::iter::once(set.name.clone()).chain(cells).collect()
    });
    out += &align(&header, rows.collect(), 0);
    let mut cells = added.sets.iter().flat_map(|set| &set.cells);
    if cells.any(|cell| !cell.instructions.is_empty()) {
        let header: Vec<&str> = std::iter::once("instructions").chain(doors()).collect();
        let rows = added.sets.iter().map(|set| {
            let cells = set.cells.iter().map(|cell| cell.instructions.clone());
            std::iter::once(set.name.clone()).chain(cells).collect()
        });
        out += &align(&header, rows.collect(), 0);
    }
    out.extend(added.failed.iter().map(|failed| lines("  ", FAINT, &failed.line())));
    out
}

/// Rows under a header, in columns: the first `texts` + 1 to the left, the
/// others, numbers, to the right. Where they would be wider than [`COLUMNS`],
/// the first is broken between words. No line ends in spaces.
pub(crate) fn align(header: &[&str], rows: Vec<Vec<String>>, texts: usize) -> String {
    /// The first column has at least this in any case.
    const LEAST: usize = 16;
    /// Between two columns.
    const GAP: usize = 2;
    if rows.is_empty() {
        return String::new();
    }
    let faint = |line| format!("{FAINT}{line}{FAINT:#}");
    let header = header.iter().map(|name| {
        let lines = name.split('\n').map(faint);
        lines.collect::<Vec<_>>().join("\n")
    });
    let mut all = vec![header.collect::<Vec<_>>()];
    all.extend(rows);
    let width = |cell: &String| cell.lines().map(display_width).max().unwrap_or_default();
    let widest = |column: usize| all.iter().filter_map(|row| row.get(column)).map(width).max();
    let others = (1..all[0].len()).map(|column| GAP + widest(column).unwrap_or_default());
    let room = COLUMNS.saturating_sub(GAP + others.sum::<usize>()).max(LEAST);
    let mut builder = Builder::default();
    for mut row in all {
        if let Some(first) = row.first_mut() {
            *first = textwrap::fill(first, room);
        }
        builder.push_record(row);
    }
    let mut table = builder.build();
    table
        .with(Frame::empty())
        .with(Padding::new(GAP, 0, 0, 0))
        .modify(Columns::new(texts + 1..), Alignment::right());
    let lines = table.to_string();
    lines.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A text in lines of at most [`COLUMNS`], each in this style; from the second
/// on they are two further in.
fn lines(indent: &str, style: Style, text: &str) -> String {
    let further = format!("{indent}  ");
    let options = Options::new(COLUMNS).initial_indent(indent).subsequent_indent(&further);
    // A date keeps its hyphens.
    let options = options.word_splitter(WordSplitter::NoHyphenation);
    // A number keeps its unit.
    let units = [" ns", " µs", " ms", " %"];
    let fixed = units
        .iter()
        .fold(text.to_owned(), |text, unit| text.replace(unit, &unit.replace(' ', "\u{a0}")));
    let lines = textwrap::wrap(&fixed, options);
    let lines = lines.iter().map(|line| line.replace('\u{a0}', " "));
    lines.map(|line| format!("{style}{line}{style:#}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Counted, Group, Measurement, Place, Step};
    use crate::bench::sample;

    fn plain(report: &Report) -> String {
        anstream::adapter::strip_str(&text(report)).to_string()
    }

    /// Everything as wide as it gets in earnest.
    fn wide() -> Report {
        let mut report = sample::report();
        report.environment.cpu.model_name =
            "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz, with a longer name than any".into();
        report.environment.cpu.emulator = Some("an emulator".into());
        let pairs = [
            (Group::Doors, "CALL through a gate, RETF", Some("compat")),
            (Group::Doors, "vDSO clock_gettime", Some("64-bit")),
            (Group::Calls, "a name of forty letters, as none has now", None),
        ];
        for (group, name, mode) in pairs {
            for place in [Place::Guest, Place::Host] {
                let mut one = Measurement::new(group, name, mode, place);
                one.delivery = Some(Delivery::Trapped { why: "arrives as #UD ".repeat(9) });
                let mut timed = sample::times(3_333_333 + 70_000_000 * place as u64);
                timed.samples = 10_000_000;
                one.timed = Some(timed);
                one.counted = Some(Counted {
                    instructions: Some(123_456_789.0),
                    exits: Some(1234.25),
                    ..Counted::default()
                });
                one.notes.push("a note that goes on for very long ".repeat(6));
                report.measurements.push(one);
            }
        }
        let doors = ["SYSCALL", "INT 0x80", "SYSENTER"];
        for (door, mode) in doors.iter().flat_map(|door| [(door, "64-bit"), (door, "compat")]) {
            for steps in [&["untrain", "retpoline", "swapgs-fence", "kstack-offset"][..], &["pti"]]
            {
                let mut one = Measurement::new(Group::Doors, door, Some(mode), Place::Guest);
                one.delivery = Some(Delivery::Trapped { why: "#UD".into() });
                one.timed = Some(sample::times(4000));
                report.measurements.push(one.clone());
                report.measurements.push(one.with(steps));
            }
        }
        let step = Step { name: "a piece ".repeat(16), ns: 1.0, instructions: Some(1.0) };
        report.measurements[0].steps.push(step);
        report
    }

    #[test]
    fn the_first_line_is_the_answer_and_the_second_names_the_host() {
        let text = plain(&sample::report());
        let mut lines = text.lines();
        let answer = lines.next().expect("a line");
        assert!(answer.starts_with("SYSCALL 75 instructions, 48.7 ns"), "{answer}");
        assert!(answer.ends_with("; the host's own 101 ns (0.48 x); native"), "{answer}");
        let host = "AMD EPYC 0000 <sample>, Linux 6.12.0, KVM: SVM (AMD), ";
        let more = [lines.next(), lines.next()].map(Option::unwrap_or_default).concat();
        assert!(more.starts_with(host) && more.contains("steps of 0.33 ns"), "{more}");
        assert!(more.ends_with("trapgate  0.1.0, 2026-11-24T09:30:00Z"), "{more}");
    }

    #[test]
    fn the_table_has_delivery_pieces_and_what_is_not_here() {
        let text = plain(&sample::report());
        for part in [
            "  ibpb   1.25 µs",
            "trapped: SYSCALL compatibility (arrives as #UD)",
            "not here: SYSENTER 64-bit (#UD on CPUs of this maker)",
            "failed: SYSCALL legacy (it \"hangs\", <sometimes>)",
            "  user to entry            11.0 ns   28 %      11",
            "outliers of",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains("This is"), "{text}");
    }

    #[test]
    fn guest_host_and_ratio_are_one_row() {
        let report = sample::report();
        let text = plain(&report);
        let row = text.lines().find(|line| line.starts_with("  INT 0x80, 64-bit")).expect("a row");
        let words: Vec<_> = row.split_whitespace().skip(3).collect();
        let [guest, host] = [2, 3].map(|at| report.measurements[at].lead_ns().expect("timed"));
        let times = [guest, host].map(units::time);
        let expected = format!("{} {} {}", times[0], times[1], units::times(guest / host));
        assert!(words.join(" ").starts_with(&expected), "{row}");
        assert!(row.contains("native"), "{row}");
    }

    #[test]
    fn no_line_is_longer_than_a_hundred_columns_or_ends_in_spaces() {
        for report in [sample::report(), wide()] {
            for line in plain(&report).lines() {
                let width = display_width(line);
                assert!(width <= COLUMNS, "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = plain(&sample::report());
        let column_end = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        let lines: Vec<_> = text.lines().collect();
        let header = lines.iter().find(|line| line.contains("guest")).expect("a header");
        let row = lines.iter().find(|line| line.contains("INT 0x80, 64-bit")).expect("a row");
        let end = column_end(header, "guest").expect("there");
        assert!(row[..end].ends_with("ns"), "{header}\n{row}");
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
        assert!(text.lines().next().expect("a line").ends_with("on a software KVM"), "{text}");
    }

    #[test]
    fn a_run_without_any_figure_says_why() {
        let mut report = sample::report();
        report.measurements.retain(|one| matches!(one.delivery, Some(Delivery::Absent { .. })));
        let answer = "No figure: not here: SYSENTER 64-bit (#UD on CPUs of this maker)";
        assert_eq!(plain(&report).lines().next(), Some(answer));
        report.measurements.clear();
        assert_eq!(plain(&report).lines().next(), Some("No figure: nothing was measured"));
    }
}
