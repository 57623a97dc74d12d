//! A record as one HTML file that needs nothing else: no script, no font, no
//! picture from elsewhere. The page is `vmm/templates/bench.html`; this fills
//! it in. Called by `cli::bench`.

use super::added::{self, Added};
use super::environment::fields;
use super::record::{Delivery, Group, Measurement, Report, Timed};
use super::{plot, table, units};
use askama::Template;
use thiserror::Error;

/// Why there is no page: a defect, for everything happens in memory.
#[derive(Debug, Error)]
pub enum HtmlError {
    /// The page's template.
    #[error("the HTML report cannot be made: {0}")]
    Template(#[from] askama::Error),
    /// A plot.
    #[error("a plot of the HTML report cannot be made: {0}")]
    Plot(String),
}

#[derive(Template)]
#[template(path = "bench.html")]
struct Page<'a> {
    report: &'a Report,
    caveat: Option<String>,
    groups: Vec<GroupView>,
    fields: Vec<(String, String)>,
}

/// A group's part of the page.
struct GroupView {
    name: &'static str,
    title: &'static str,
    /// Whether any of its rows has one.
    has_delivery: bool,
    has_counts: bool,
    rows: Vec<RowView>,
    /// Of all rows.
    outliers: String,
    added: Option<Added>,
    plots: Vec<PlotView>,
    bars: Vec<BarView>,
}

struct RowView {
    label: String,
    place: String,
    delivery: &'static str,
    reason: String,
    /// Minimum, median, p90, p99, maximum; empty if it was not timed.
    times: Vec<String>,
    /// What stands behind the median when one points at it, and behind the
    /// maximum.
    interval: String,
    outliers: String,
    batched: String,
    /// What stands behind it.
    wall: String,
    instructions: String,
    exits: String,
    notes: Vec<String>,
}

/// A distribution, of one or two places.
struct PlotView {
    title: String,
    /// Colour and name.
    series: Vec<(usize, String)>,
    svg: String,
}

/// A time and its pieces.
struct BarView {
    title: String,
    svg: String,
    /// Colour, and what it is.
    pieces: Vec<(usize, String)>,
}

/// The page.
///
/// # Errors
/// [`HtmlError`]: a defect.
pub fn text(report: &Report) -> Result<String, HtmlError> {
    let groups = Group::ALL.into_iter().filter_map(|group| {
        let of_group = |one: &&Measurement| one.group == group;
        let measurements: Vec<_> = report.measurements.iter().filter(of_group).collect();
        (!measurements.is_empty()).then(|| view(group, &measurements))
    });
    let page = Page {
        report,
        caveat: report.environment.caveat(),
        groups: groups.collect::<Result<_, _>>()?,
        fields: fields(&report.environment).into_iter().collect(),
    };
    Ok(page.render()?)
}

fn view(group: Group, measurements: &[&Measurement]) -> Result<GroupView, HtmlError> {
    let (hardened, plain): (Vec<_>, Vec<_>) =
        measurements.iter().copied().partition(|one| !one.with.is_empty());
    Ok(GroupView {
        name: group.name(),
        title: group.title(),
        has_delivery: plain.iter().any(|one| one.delivery.is_some()),
        has_counts: plain.iter().any(|one| one.counted.is_some()),
        rows: plain.iter().map(|one| row(one)).collect(),
        outliers: table::outliers(plain.iter().filter_map(|one| one.timed.as_ref()))
            .unwrap_or_default(),
        added: (!hardened.is_empty()).then(|| Added::of(&hardened, &plain)),
        plots: plots(&plain)?,
        bars: bars(&plain)?,
    })
}

fn row(one: &Measurement) -> RowView {
    let timed = one.timed.as_ref();
    let times = timed.map(|timed| {
        let ns = &timed.ns.subtracted;
        [ns.min, ns.median, ns.p90, ns.p99, ns.max].map(units::time).to_vec()
    });
    let interval = timed.map_or_else(String::new, |timed| {
        let ns = &timed.ns;
        let empty = ns.empty.map_or_else(
            || "no empty bracket".to_owned(),
            |empty| format!("empty bracket {}", units::time(empty.median)),
        );
        format!(
            "95 %: {} to {}; raw {}, {empty}; {} samples",
            units::time(ns.subtracted.median_low),
            units::time(ns.subtracted.median_high),
            units::time(ns.raw.median),
            timed.samples
        )
    });
    let batched = timed.and_then(Timed::batched_ns);
    let wall = timed.and_then(|timed| timed.wall_ns);
    RowView {
        label: one.label(),
        place: one.place.to_string(),
        delivery: one.delivery.as_ref().map_or("", Delivery::word),
        reason: one.delivery.as_ref().and_then(Delivery::why).unwrap_or_default().to_owned(),
        times: times.unwrap_or_default(),
        interval,
        outliers: table::outliers(timed.into_iter()).unwrap_or_default(),
        batched: batched.map_or_else(|| "-".to_owned(), units::time),
        wall: wall.map_or_else(String::new, |ns| format!("by the wall clock {}", units::time(ns))),
        instructions: units::optional_count(one.instructions()),
        exits: units::optional_count(one.exits()),
        notes: one.notes.clone(),
    }
}

/// One plot for each thing that was timed, with its places in it.
fn plots(measurements: &[&Measurement]) -> Result<Vec<PlotView>, HtmlError> {
    let mut plots: Vec<(String, Vec<&Measurement>)> = Vec::new();
    for one in measurements.iter().filter(|one| one.timed.is_some()) {
        let title = one.label();
        match plots.iter_mut().find(|(other, _)| *other == title) {
            Some((_, places)) => places.push(one),
            None => plots.push((title, vec![one])),
        }
    }
    let drawn = plots.into_iter().map(|(title, places)| {
        // The guest is always of the first colour, the host of the second.
        let colour = |one: &Measurement| one.place as usize;
        let name = |one: &Measurement| match &one.delivery {
            Some(delivery) => format!("{}, {}", one.place, delivery.word()),
            None => one.place.to_string(),
        };
        let series: Vec<_> =
            places.iter().filter_map(|one| Some((colour(one), one.timed.as_ref()?))).collect();
        Ok(PlotView {
            svg: plot::distribution(&series).map_err(HtmlError::Plot)?,
            series: places.iter().map(|one| (colour(one), name(one))).collect(),
            title,
        })
    });
    drawn.collect()
}

fn bars(measurements: &[&Measurement]) -> Result<Vec<BarView>, HtmlError> {
    let whole = |one: &Measurement| one.steps.iter().map(|step| step.ns.max(0.0)).sum::<f64>();
    let longest = measurements.iter().map(|one| whole(one)).fold(0.0, f64::max);
    let taken_apart = measurements.iter().filter(|one| !one.steps.is_empty());
    let drawn = taken_apart.map(|one| {
        let sum = whole(one);
        let pieces = one.steps.iter().enumerate();
        let pieces = pieces.map(|(index, step)| (index % plot::COLOURS, table::piece(step, sum)));
        Ok(BarView {
            title: format!("{} ({}): {}", one.label(), one.place, units::time(sum)),
            svg: plot::steps(&one.steps, longest).map_err(HtmlError::Plot)?,
            pieces: pieces.collect(),
        })
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

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
        // Doors timed: 4 labels, all plain; calls 1; steps 1; start 2.
        assert_eq!(page.matches("<figure class=\"plot\">").count(), 7);
        assert_eq!(page.matches("<figure class=\"bar\">").count(), 3);
        assert_eq!(page.matches("<svg").count(), 10);
    }

    #[test]
    fn the_page_and_the_table_have_the_same_figures() {
        let mut report = sample::report();
        // A job's loop is not timed by the wall clock.
        report.measurements[0].timed.as_mut().expect("timed").wall_ns = None;
        let page = text(&report).expect("memory");
        let plain = anstream::adapter::strip_str(&table::text(&report)).to_string();
        let batched = report.measurements[0].timed.as_ref().and_then(Timed::batched_ns);
        let batched = units::time(batched.expect("a loop"));
        for figure in [batched.as_str(), "1.25 us, +1925 instr."] {
            assert!(page.contains(figure) && plain.contains(figure), "{figure}");
        }
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
