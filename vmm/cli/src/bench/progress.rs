//! What one sees of a run that goes on, and how one ends it.

use anyhow::Context;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trapgate_measure::bench::Progress;
use trapgate_measure::bench::record::Group;

/// One line, whatever is measured; what there is no room for is cut off.
const LINE: &str = "{bar:20} {percent:>3} %, {left:<10} {wide_msg}";

/// One bar for the whole run on standard error, if that is a terminal, and else
/// a line when a group begins; and Ctrl-C.
pub(super) struct Terminal {
    bar: ProgressBar,
    /// The groups that have begun, where there is no terminal.
    begun: Vec<Group>,
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
        Ok(Terminal { bar: ProgressBar::hidden(), begun: Vec::new(), stopped })
    }
}

impl Progress for Terminal {
    fn plan(&mut self, steps: u64) {
        if !stderr().is_terminal() {
            return;
        }
        // Another target later would not know of the line that this one drew.
        self.bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(LINE) {
            self.bar.set_style(style.with_key("left", left));
        }
    }

    fn begin(&mut self, what: &str) {
        if stderr().is_terminal() {
            self.bar.set_message(what.to_owned());
            return;
        }
        // "doors: SYSCALL" is about doors. They come again in every block.
        let name = what.split(": ").next().unwrap_or(what);
        let group = Group::ALL.into_iter().find(|group| group.name() == name);
        if let Some(group) = group.filter(|group| !self.begun.contains(group)) {
            crate::cli::say(&format!("trapgate: measuring {group}"));
            self.begun.push(group);
        }
    }

    fn advance(&mut self) {
        self.bar.inc(1);
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The time left, if every step takes as long as those until now.
fn left(state: &ProgressState, out: &mut dyn Write) {
    let (done, all) = (state.pos(), state.len().unwrap_or_default());
    if done > 0 {
        let left = state.elapsed().mul_f64(all.saturating_sub(done) as f64 / done as f64);
        // The line is in memory.
        let _ = write!(out, "{:#} left", HumanDuration(left));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
