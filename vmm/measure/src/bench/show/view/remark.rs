//! What a reader has to know about a group's rows besides their figures.

use crate::bench::record::units;
use crate::bench::record::{Measurement, Timed};

/// Something that is so for one or more measurements.
pub(crate) struct Remark {
    /// "getpid (host); brk (host)".
    pub(crate) about: String,
    pub(crate) text: String,
}

/// Notes, each once with whom it is about.
pub(crate) fn remarks(measurements: &[&Measurement]) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    for one in measurements {
        let name = format!("{} ({})", one.label(), one.place);
        for note in &one.notes {
            match remarks.iter_mut().find(|known| known.text == *note) {
                Some(known) => known.about += &format!("; {name}"),
                None => remarks.push(Remark { about: name.clone(), text: note.clone() }),
            }
        }
    }
    remarks
}

/// The outliers of several measurements in one line, if there are any.
pub(crate) fn outliers<'a>(all: impl Iterator<Item = &'a Timed>) -> Option<String> {
    let mut kinds = [
        ("interrupted", 0, 0.0),
        ("migrated", 0, 0.0),
        ("by exits", 0, 0.0),
        ("unexplained", 0, 0.0),
    ];
    let mut samples = 0;
    for timed in all {
        samples = u64::saturating_add(samples, timed.samples);
        let found = &timed.outliers;
        let counts = [found.interrupt, found.migration, found.exit, found.unexplained];
        for ((_, count, largest), found) in kinds.iter_mut().zip(counts) {
            *count = u64::saturating_add(*count, found.count);
            *largest = f64::max(*largest, found.largest_ticks as f64 * timed.ns_of_tick());
        }
    }
    let all: u64 = kinds.iter().fold(0, |all, (_, count, _)| all.saturating_add(*count));
    if all == 0 {
        return None;
    }
    let parts = kinds
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(name, count, largest)| format!("{count} {name} (up to {})", units::time(*largest)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    let plural = if all == 1 { "" } else { "s" };
    Some(format!("{all} outlier{plural} of {samples} samples, in all figures: {parts}"))
}
