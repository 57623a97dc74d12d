//! A row of what is shown: one thing that was measured, in the guest and on the
//! host, and what each column says of it.

use crate::bench::record::units;
use crate::bench::record::{Delivery, Group, Lead, LeadOf, Measurement, Place};

/// What a cell without a figure says.
pub(crate) const NOTHING: &str = "-";

/// What stands behind a time that is not of single calls.
pub(crate) const LOOP: char = '*';
/// What that means.
pub(crate) const OF_LOOP: &str =
    "* of a loop: a call alone is over within too few of the clock's steps to be told well";

/// One thing, in both places as far as it was measured there.
#[derive(Clone)]
pub(crate) struct Row<'a> {
    pub(crate) guest: Option<&'a Measurement>,
    pub(crate) host: Option<&'a Measurement>,
}

/// What there is to say of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    Guest,
    Host,
    Ratio,
    Instructions,
    Exits,
    Arrives,
    Samples,
    Interval,
}

impl Column {
    /// From left to right.
    pub(crate) const ALL: [Column; 9] = {
        use Column::*;
        [Name, Guest, Host, Ratio, Instructions, Exits, Arrives, Samples, Interval]
    };

    /// What stands above it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Column::Name => "",
            Column::Guest => "guest",
            Column::Host => "host",
            Column::Ratio => "x host",
            Column::Instructions => "instr.",
            Column::Exits => "exits",
            Column::Arrives => "arrives",
            Column::Samples => "n",
            Column::Interval => "95 %",
        }
    }
}

impl<'a> Row<'a> {
    /// Measurements of one group in rows, in their order. What it costs to start
    /// has another name in each place, and is one row all the same.
    pub(crate) fn pair(measurements: &[&'a Measurement]) -> Vec<Row<'a>> {
        let mut rows: Vec<Row> = Vec::new();
        for one in measurements {
            let is_of = |row: &Row| {
                let known = row.measurements().next();
                known.is_some_and(|known| {
                    let same = known.plain_label() == one.plain_label();
                    known.group == one.group && (same || one.group == Group::Start)
                })
            };
            let slot = |row: &Row| match one.place {
                Place::Guest => row.guest.is_none(),
                Place::Host => row.host.is_none(),
            };
            let at = rows.iter().position(|row| is_of(row) && slot(row)).unwrap_or_else(|| {
                rows.push(Row { guest: None, host: None });
                rows.len() - 1
            });
            match one.place {
                Place::Guest => rows[at].guest = Some(one),
                Place::Host => rows[at].host = Some(one),
            }
        }
        rows
    }

    /// Its one or two measurements.
    pub(crate) fn measurements(&self) -> impl Iterator<Item = &'a Measurement> {
        self.guest.into_iter().chain(self.host)
    }

    /// Whether there is nothing to show but a reason: the guest has no figure
    /// and never will, or only the host was asked and has none.
    pub(crate) fn is_folded(&self) -> bool {
        let first = self.guest.or(self.host);
        first.is_none_or(|one| {
            matches!(one.delivery, Some(Delivery::Absent { .. } | Delivery::Failed { .. }))
        })
    }

    /// Its name and its mode; both names where they differ.
    pub(crate) fn label(&self) -> String {
        let mut labels: Vec<_> = self.measurements().map(Measurement::plain_label).collect();
        labels.dedup();
        labels.join(" / ")
    }

    /// The guest's figure and the host's, in nanoseconds.
    pub(crate) fn times(&self) -> [Option<f64>; 2] {
        [self.guest, self.host].map(|one| one?.lead_ns())
    }

    /// The guest's as a multiple of the host's. Where the bracket is all that
    /// was seen, there is none.
    pub(crate) fn ratio(&self) -> Option<f64> {
        match self.times() {
            [Some(guest), Some(host)] if guest > 0.0 && host > 0.0 => Some(guest / host),
            _ => None,
        }
    }

    /// Whether one of its figures is of a loop.
    pub(crate) fn has_loop(&self) -> bool {
        let mut timed = self.measurements().filter_map(|one| one.timed.as_ref());
        timed.any(|timed| timed.lead.of == LeadOf::Loop)
    }

    /// Whether it enters the kernel. A function that does nothing and a call in the vDSO are
    /// beside the doors as a scale.
    pub(crate) fn enters_the_kernel(&self) -> bool {
        self.guest.is_none_or(|one| one.group != Group::Doors || one.delivery.is_some())
    }

    /// What this column says.
    pub(crate) fn cell(&self, column: Column) -> String {
        let time = |one: Option<&Measurement>| {
            let lead = one?.timed.as_ref()?.lead;
            let mut time = units::time(lead.ns);
            time.extend((lead.of == LeadOf::Loop).then_some(LOOP));
            Some(time)
        };
        let timed = self.guest.or(self.host).and_then(|one| one.timed.as_ref());
        let cell = match column {
            Column::Name => Some(self.label()),
            Column::Guest => time(self.guest),
            Column::Host => time(self.host),
            Column::Ratio => self.ratio().map(units::times),
            Column::Instructions => {
                self.guest.and_then(Measurement::instructions).map(units::count)
            }
            Column::Exits => self.guest.and_then(Measurement::exits).map(units::count),
            Column::Arrives => self
                .guest
                .and_then(|one| one.delivery.as_ref())
                .map(|delivery| delivery.word().to_owned()),
            Column::Samples => timed.map(|timed| timed.samples.to_string()),
            Column::Interval => timed.map(|timed| {
                let Lead { ns, low, high, .. } = timed.lead;
                // Blocks far apart reach below zero, where no time is. A figure that
                // is there itself keeps its interval: noise is shown.
                let low = if ns < 0.0 { low } else { low.max(0.0) };
                units::interval(ns, low, high)
            }),
        };
        cell.unwrap_or_else(|| NOTHING.to_owned())
    }

    /// The row in a sentence, if the guest has a figure: "SYSCALL 73
    /// instructions, 80.0 ns; the host's own 391 ns (0.20 x); native".
    pub(crate) fn sentence(&self) -> Option<String> {
        let guest = self.guest?;
        let time = units::time(guest.lead_ns()?);
        let name = match guest.mode.as_deref() {
            // What everybody thinks of.
            None | Some("64-bit") => guest.name.clone(),
            Some(_) => guest.plain_label(),
        };
        let instructions = guest.instructions().map_or_else(String::new, |count| {
            format!("{} instruction{}, ", units::count(count), if count == 1.0 { "" } else { "s" })
        });
        let mut sentence = format!("{name} {instructions}{time}");
        if let Some(host) = self.host
            && let Some(ns) = host.lead_ns()
        {
            let own = if host.name == guest.name { "own" } else { &host.name };
            sentence += &format!("; the host's {own} {}", units::time(ns));
            if let Some(ratio) = self.ratio() {
                sentence += &format!(" ({} x)", units::times(ratio));
            }
        }
        if let Some(delivery) = &guest.delivery {
            sentence += &format!("; {}", delivery.word());
        }
        Some(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn a_row_is_a_sentence_with_counts_if_there_are_any() {
        let report = sample::report();
        let [guest, host] = [&report.measurements[0], &report.measurements[1]];
        let row = Row { guest: Some(guest), host: Some(host) };
        let [time, own] = [guest, host].map(|one| units::time(one.lead_ns().unwrap()));
        let ratio = units::times(guest.lead_ns().unwrap() / host.lead_ns().unwrap());
        let sentence =
            format!("SYSCALL 75 instructions, {time}; the host's own {own} ({ratio} x); native");
        assert_eq!(row.sentence().as_deref(), Some(sentence.as_str()));
        let not_counted = Measurement { counted: None, ..guest.clone() };
        let alone = Row { guest: Some(&not_counted), host: None };
        assert_eq!(alone.sentence(), Some(format!("SYSCALL {time}; native")));
        let start = Row::pair(&report.measurements.iter().collect::<Vec<_>>()).pop().unwrap();
        let sentence = start.sentence().unwrap();
        assert!(sentence.starts_with("sandbox 978 µs") && sentence.contains("the host's process "));
        assert_eq!(start.label(), "sandbox / process");
        assert_eq!(Row { guest: None, host: Some(host) }.sentence(), None);
    }

    #[test]
    fn both_places_of_a_thing_are_one_row_and_nothing_gets_lost() {
        let report = sample::report();
        let all: Vec<_> = report.measurements.iter().filter(|one| one.with.is_empty()).collect();
        let rows = Row::pair(&all);
        assert_eq!(rows.iter().flat_map(Row::measurements).count(), all.len());
        assert!(rows[0].guest.is_some() && rows[0].host.is_some());
        for row in &rows {
            assert!(row.measurements().all(|one| one.group == row.guest.unwrap().group));
        }
    }

    #[test]
    fn a_loops_figure_is_marked() {
        let report = sample::report();
        let mut guest = report.measurements[0].clone();
        let alone = Row { guest: Some(&report.measurements[0]), host: None };
        assert!(!alone.has_loop() && !alone.cell(Column::Guest).contains(LOOP));
        guest.timed.as_mut().unwrap().lead.of = LeadOf::Loop;
        let row = Row { guest: Some(&guest), host: None };
        assert_eq!(row.cell(Column::Guest), alone.cell(Column::Guest) + "*");
        assert!(row.has_loop());
    }

    #[test]
    fn an_interval_ends_at_zero_unless_the_figure_is_below_it() {
        let mut one = sample::report().measurements.remove(0);
        let mut shown = |ns, low, high| {
            let lead = &mut one.timed.as_mut().unwrap().lead;
            (lead.ns, lead.low, lead.high) = (ns, low, high);
            Row { guest: Some(&one), host: None }.cell(Column::Interval)
        };
        assert_eq!(shown(1.63e6, -1.69e6, 4.95e6), "0.00–4.95");
        assert_eq!(shown(1.63e6, 1.5e6, 1.7e6), "1.50–1.70");
        assert_eq!(shown(-1.5, -3.0, 1.0), "-3.00–1.00");
    }

    #[test]
    fn a_figure_of_nothing_has_no_ratio() {
        let report = sample::report();
        let mut nothing = report.measurements[1].clone();
        nothing.timed.as_mut().unwrap().lead.ns = 0.0;
        let row = Row { guest: Some(&report.measurements[0]), host: Some(&nothing) };
        assert_eq!(row.ratio(), None);
        assert_eq!(row.cell(Column::Ratio), NOTHING);
    }
}
