//! What one sees of a run that goes on, and how one ends it.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trapgate::bench::Progress;

/// A bar on standard error, if that is a terminal; and Ctrl-C.
pub(super) struct Terminal {
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

impl Terminal {
    /// From here on Ctrl-C ends the run in good order; a second one ends it at
    /// once.
    ///
    /// # Errors
    /// If the signal cannot be caught.
    pub(super) fn new() -> anyhow::Result<Terminal> {
        let stopped = Arc::<AtomicBool>::default();
        // In this order: the first signal finds the flag not set yet.
        let at_once = flag::register_conditional_default(SIGINT, stopped.clone());
        at_once.and_then(|_| flag::register(SIGINT, stopped.clone())).context("SIGINT")?;
        Ok(Terminal { bar: ProgressBar::hidden(), stopped })
    }
}

impl Progress for Terminal {
    fn plan(&mut self, steps: u64) {
        let template = "{msg:<28} {bar:30} {pos}/{len}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_length(steps);
        // Not before there is something to draw.
        if stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn begin(&mut self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    fn advance(&mut self) {
        self.bar.inc(1);
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
