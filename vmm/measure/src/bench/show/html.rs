//! A record as one HTML file that needs nothing else: no script, no font, no
//! picture from elsewhere. The page is `templates/bench.html`; this fills it in,
//! with what `show::view` worked out. Called by `trapgate bench`.

use crate::bench::record::environment::fields;
use crate::bench::record::units;
use crate::bench::record::{Delivery, Measurement, Place, Report, Timed};
use crate::bench::show::added;
use crate::bench::show::plot::{self, Axis};
use crate::bench::show::view::pieces::Pieces;
use crate::bench::show::view::row::{Column, Row};
use crate::bench::show::view::{Section, View};
use askama::Template;
use thiserror::Error;

/// Why there is no page: a defect, for everything happens in memory.
#[derive(Debug, Error)]
#[error("the HTML report cannot be made: {0}")]
pub struct HtmlError(#[from] askama::Error);

/// Colours of pieces.
const COLOURS: usize = 8;

#[derive(Template)]
#[template(path = "bench.html")]
struct Page<'a> {
    report: &'a Report,
    view: &'a View<'a>,
    /// Guest beside host.
    pairs: Vec<Pair>,
    groups: Vec<Group<'a>>,
    fields: Vec<(String, String)>,
}

/// Two bars of the first picture.
struct Pair {
    label: String,
    /// How it arrives, if it is a door.
    delivery: String,
    ratio: String,
    /// Where; its length of the longest one's, in percent; the time.
    bars: [(Place, String, String); 2],
}

/// A group's part of the page.
struct Group<'a> {
    section: &'a Section<'a>,
    columns: Vec<Column>,
    /// All that is known of each time.
    every: Vec<[String; 12]>,
    distributions: Option<Distributions>,
    stacks: Vec<Stack>,
}

/// All distributions of a group, below each other.
struct Distributions {
    /// Where labels of their axis are, in percent.
    labels: Vec<(String, String)>,
    /// The same lines in each drawing.
    grid: String,
    rows: Vec<(String, Vec<Distribution>)>,
}

/// The samples of one place.
struct Distribution {
    place: Place,
    /// As in the table.
    figure: String,
    path: String,
    /// The median, as a line.
    mark: String,
}

/// A time and its pieces.
struct Stack {
    title: String,
    /// Colour, length of the longest stack's in percent, and what it is.
    pieces: Vec<(usize, String, String)>,
}

/// The page.
///
/// # Errors
/// [`HtmlError`]: a defect.
pub fn text(report: &Report) -> Result<String, HtmlError> {
    let view = View::of(report);
    let page = Page {
        report,
        pairs: pairs(&view.pairs()),
        groups: view.sections.iter().map(group).collect(),
        fields: fields(&report.environment).into_iter().collect(),
        view: &view,
    };
    Ok(page.render()?)
}

fn pairs(rows: &[&Row]) -> Vec<Pair> {
    let times = rows.iter().flat_map(|row| row.times()).flatten();
    let longest = times.fold(0.0, f64::max);
    let bar = |place, ns: Option<f64>| {
        let ns = ns.unwrap_or_default();
        (place, percent(ns / longest), units::time(ns))
    };
    let pair = |row: &&Row| {
        let [guest, host] = row.times();
        let delivery = row.guest.and_then(|one| one.delivery.as_ref());
        Pair {
            label: row.label(),
            delivery: delivery.map_or_else(String::new, |delivery| delivery.word().to_owned()),
            ratio: row.cell(Column::Ratio),
            bars: [bar(Place::Guest, guest), bar(Place::Host, host)],
        }
    };
    rows.iter().map(pair).collect()
}

fn group<'a>(section: &'a Section<'a>) -> Group<'a> {
    Group {
        section,
        columns: section.columns(),
        every: section.rows.iter().flat_map(Row::measurements).filter_map(every).collect(),
        distributions: distributions(&section.rows),
        stacks: stacks(&section.pieces),
    }
}

/// Label, place, minimum, median, p90, p99, maximum, loop, the same by the wall
/// clock, empty bracket, medians of the blocks, outliers.
fn every(one: &Measurement) -> Option<[String; 12]> {
    let timed = one.timed.as_ref()?;
    let ns = &timed.ns.subtracted;
    let optional = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), units::time);
    let blocks = || timed.blocks.iter().map(|block| block.median_ticks * timed.ns_of_tick());
    let (low, high) = (blocks().fold(f64::MAX, f64::min), blocks().fold(f64::MIN, f64::max));
    let outliers = &timed.outliers;
    let outliers = [outliers.interrupt, outliers.migration, outliers.exit, outliers.unexplained];
    Some([
        one.plain_label(),
        one.place.to_string(),
        units::time(ns.min),
        units::time(ns.median),
        units::time(ns.p90),
        units::time(ns.p99),
        units::time(ns.max),
        optional(timed.batched_ns()),
        optional(timed.wall_ns),
        optional(timed.ns.empty.map(|empty| empty.median)),
        if low > high { "-".to_owned() } else { units::interval(ns.median, low, high) },
        outliers.iter().map(|kind| kind.count).sum::<u64>().to_string(),
    ])
}

fn distributions(rows: &[Row]) -> Option<Distributions> {
    let timed = |one: &Measurement| one.timed.is_some();
    let all = rows.iter().flat_map(Row::measurements);
    let axis = Axis::of(all.filter_map(|one| one.timed.as_ref()))?;
    let x = |share: f64| format!("{:.1}", share * plot::WIDTH);
    let distribution = |one: &Measurement, timed: &Timed| {
        let (x, half) = (x(axis.at(timed.ns.subtracted.median)), plot::HALF);
        let from = if one.place == Place::Guest { 0.0 } else { half };
        Distribution {
            place: one.place,
            figure: units::time(timed.lead.ns),
            path: axis.path(timed, one.place == Place::Guest),
            mark: format!("M{x} {from}v{half}"),
        }
    };
    let row = |row: &Row| {
        let of = row.measurements();
        (row.label(), of.filter_map(|one| Some(distribution(one, one.timed.as_ref()?))).collect())
    };
    let labels = axis.labels();
    let line = |(at, _): &(f64, String)| format!("M{} 0v{}", x(*at), plot::HALF * 2.0);
    Some(Distributions {
        grid: labels.iter().map(line).collect(),
        labels: labels.into_iter().map(|(at, label)| (percent(at), label)).collect(),
        rows: rows.iter().filter(|row| row.measurements().any(timed)).map(row).collect(),
    })
}

fn stacks(all: &[Pieces]) -> Vec<Stack> {
    let longest = all.iter().map(|pieces| pieces.whole_ns).fold(0.0, f64::max);
    let stack = |pieces: &Pieces| {
        let pieces_of = pieces.list.iter().enumerate().map(|(index, piece)| {
            let share = if longest > 0.0 { piece.ns.max(0.0) / longest } else { 0.0 };
            let instructions = piece.instructions.map(units::count);
            let instructions = instructions.map(|count| format!(", {count} instr."));
            let text = format!(
                "{} {} ({:.0} %{})",
                piece.name,
                units::time(piece.ns),
                piece.percent,
                instructions.unwrap_or_default()
            );
            (index % COLOURS, percent(share), text)
        });
        Stack {
            title: format!("{}: {}", pieces.label, units::time(pieces.whole_ns)),
            pieces: pieces_of.collect(),
        }
    };
    all.iter().map(stack).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

impl Group<'_> {
    /// The cell's class: what it looks like, and whether there is room for it on
    /// a narrow screen.
    fn class(column: &Column) -> &'static str {
        match column {
            Column::Name | Column::Arrives => "text",
            Column::Guest => "guest",
            Column::Samples | Column::Interval => "wide",
            _ => "",
        }
    }

    /// The delivery's word, as the class that gives it its colour.
    fn colour(column: &Column, row: &Row) -> &'static str {
        let delivery = row.guest.and_then(|one| one.delivery.as_ref());
        if *column == Column::Arrives { delivery.map_or("", Delivery::word) } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;
    use crate::bench::show::table;

    /// `TRAPGATE_SAMPLE_HTML=FILE` keeps the page, to be looked at.
    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_has_every_measurement() {
        let report = sample::report();
        let page = text(&report).expect("memory");
        if let Some(path) = std::env::var_os("TRAPGATE_SAMPLE_HTML") {
            std::fs::write(path, &page).expect("writable");
        }
        for forbidden in ["<script", "src=", "@import", "url(", "<link"] {
            assert!(!page.contains(forbidden), "{forbidden} in the page");
        }
        for one in &report.measurements {
            assert!(page.contains(&one.plain_label()), "no {}", one.plain_label());
            assert!(one.with.iter().all(|step| page.contains(step)), "no {}", one.label());
        }
        // Two doors have both figures.
        assert_eq!(page.matches("<div class=\"pair\">").count(), 2);
        // Doors timed: 3, all plain; calls 1; steps 1; start 1.
        assert_eq!(page.matches("<svg").count(), 6);
        assert_eq!(page.matches("<figure class=\"stack\">").count(), 3);
    }

    #[test]
    fn the_page_and_the_table_have_the_same_figures() {
        let report = sample::report();
        let page = text(&report).expect("memory");
        let plain = anstream::adapter::strip_str(&table::text(&report)).to_string();
        let view = View::of(&report);
        let answer = plain.lines().next().expect("a line");
        assert!(page.contains(&answer.replace('\'', "&#39;")), "{answer}");
        let mut figures = vec!["1.25 µs".to_owned(), "+1925".to_owned()];
        for section in &view.sections {
            for (row, column) in section
                .rows
                .iter()
                .flat_map(|row| Column::ALL.into_iter().map(move |column| (row, column)))
            {
                figures.push(row.cell(column));
            }
        }
        assert!(figures.len() > 50);
        for figure in figures {
            assert!(page.contains(&figure) && plain.contains(&figure), "{figure}");
        }
    }

    #[test]
    fn what_is_folded_has_its_whole_reason_on_the_page() {
        let mut report = sample::report();
        let why = "this KVM ended it (data [1, a1c0000080b9cf0f])";
        let failed = report.measurements.iter_mut().find(|one| {
            one.delivery
                .as_ref()
                .is_some_and(|delivery| matches!(delivery, Delivery::Failed { .. }))
        });
        failed.expect("one").delivery = Some(Delivery::Failed { why: why.into() });
        let page = text(&report).expect("memory");
        assert!(page.contains("<summary>failed: SYSCALL legacy (this KVM ended it)</summary>"));
        assert!(page.contains(why), "{page}");
    }

    #[test]
    fn what_others_wrote_into_a_record_is_no_markup() {
        let page = text(&sample::report()).expect("memory");
        for text in ["<sample>", "<sometimes>", "<angles>", "\"quotes\""] {
            assert!(!page.contains(text), "{text} unescaped");
        }
        assert!(page.contains("&#60;sample&#62;") || page.contains("&lt;sample&gt;"));
    }

    #[test]
    fn unreal_times_and_partial_runs_are_marked() {
        let mut report = sample::report();
        assert!(!text(&report).expect("memory").contains("class=\"banner"));
        report.environment.kvm.software = true;
        report.partial = true;
        let page = text(&report).expect("memory");
        assert_eq!(page.matches("class=\"banner").count(), 2);
    }
}
