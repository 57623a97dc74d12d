//! What a time is made of: each piece with its share.

use crate::bench::record::{Measurement, Step};

/// A time, taken apart.
pub(crate) struct Pieces {
    /// Whose time it is.
    pub(crate) label: String,
    /// All pieces together, in nanoseconds. Each has its own median, so that
    /// this is not quite the whole's median.
    pub(crate) whole_ns: f64,
    pub(crate) list: Vec<Piece>,
}

/// A piece of it.
pub(crate) struct Piece {
    pub(crate) name: String,
    pub(crate) ns: f64,
    /// Of all pieces together, in percent.
    pub(crate) percent: f64,
    /// Guest instructions, if they were counted.
    pub(crate) instructions: Option<f64>,
}

impl Pieces {
    /// Of this measurement, if it was taken apart.
    pub(super) fn of(one: &Measurement) -> Option<Pieces> {
        if one.steps.is_empty() {
            return None;
        }
        let whole_ns: f64 = one.steps.iter().map(|step| step.ns.max(0.0)).sum();
        let piece = |step: &Step| Piece {
            name: step.name.clone(),
            ns: step.ns,
            percent: if whole_ns > 0.0 { step.ns.max(0.0) / whole_ns * 100.0 } else { 0.0 },
            instructions: step.instructions,
        };
        let list = one.steps.iter().map(piece).collect();
        Some(Pieces { label: format!("{} ({})", one.label(), one.place), whole_ns, list })
    }
}
