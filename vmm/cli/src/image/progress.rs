//! What one sees of an image that is being made: nothing in the first second, then a
//! line.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::{Duration, Instant};
use trapgate::error::shown;
use trapgate::root::{Progress, Step};

/// After so long there is a line.
const SOON: Duration = Duration::from_secs(1);

/// A line on standard error, if that is a terminal. It goes when this is dropped.
pub(crate) struct Line {
    bar: Option<ProgressBar>,
    began: Instant,
    name: String,
}

impl Line {
    /// None yet.
    pub(crate) fn new(source: &Path) -> Line {
        Line { bar: None, began: Instant::now(), name: shown(source) }
    }

    /// Shows how far it is.
    pub(crate) fn show(&mut self, progress: Progress) {
        // Who waits says so at once: nothing more comes until it is over.
        let is_due = self.began.elapsed() >= SOON || progress.step == Step::Waiting;
        if !is_due || !stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        });
        let (what, form) = match progress.step {
            Step::Reading => ("reading", WITH_BAR),
            Step::Unpacking => ("unpacking", WITH_BAR),
            Step::Writing => ("making the image of", WITH_BAR),
            Step::Waiting => ("waiting for another trapgate that makes the image of", "{wide_msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_message(format!("{what} {}", self.name));
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

/// One line; what there is no room for is cut off.
const WITH_BAR: &str = "{bar:20} {percent:>3} %  {wide_msg}";

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
