//! What a person sees while tests run: a line for each file that is done and, on
//! a terminal, below it what runs now and how long it should take; and what failed
//! tests wrote.
//!
//! Used by `host` and `rigs`, whose threads share it. Results go to standard
//! output, what goes on to standard error.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::places::Place;
use super::results::{Outcome, Ran, Tally};
use crate::sh;

const PLAIN: Style = Style::new();
const GOOD: Style = AnsiColor::Green.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// A file takes much longer than it should if it takes so many times as long.
const MUCH: f64 = 2.0;

/// Whether that is worth a word. Below ten seconds more it is not.
pub(super) fn is_over(ran: &Ran) -> bool {
    let time = ran.time.as_secs_f64();
    ran.expected.is_some_and(|expected| time > MUCH * expected && time > expected + 10.0)
}

/// The terminal, or the log.
pub(super) struct Screen {
    bars: MultiProgress,
    verbose: bool,
}

impl Screen {
    pub(super) fn new(verbose: bool) -> Self {
        Self { bars: MultiProgress::new(), verbose }
    }

    /// Shows what runs until it is dropped.
    pub(super) fn running(&self, what: &str, expected: Option<f64>) -> Running {
        let bar = self.bars.add(ProgressBar::new_spinner());
        let of = expected.map_or_else(String::new, |seconds| {
            format!(" of about {}", sh::seconds(Duration::from_secs_f64(seconds)))
        });
        let template = format!("  {{spinner}} {{msg}}, {{elapsed}}{}", of.replace(['{', '}'], ""));
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Running(bar)
    }

    /// A file is done. What its failed tests wrote is shown at once.
    pub(super) fn done(&self, ran: &Ran) {
        let tally = Tally::of(ran.tests.iter());
        let style = match tally {
            Tally { failed: 1.., .. } => BAD,
            Tally { skipped: 1.., .. } | Tally { unstable: 1.., .. } => ODD,
            Tally { passed: 0, .. } => PLAIN,
            _ => GOOD,
        };
        let over = match ran.expected {
            Some(expected) if is_over(ran) => format!("  (should take {expected:.0} s)"),
            _ => String::new(),
        };
        let (place, file) = (ran.place.name(), &ran.file);
        let (words, time) = (tally.words(), sh::seconds(ran.time));
        self.suspend(|| {
            anstream::println!(
                "  {place:<16}  {file:<14}  {style}{words:<40}{style:#} {time:>8}{over}"
            );
            for test in &ran.tests {
                if let Outcome::Failed { why, output } = &test.outcome {
                    let (name, output) = (&test.name, output.trim());
                    anstream::println!("{BAD}---- {name} ({place}): {why}{BAD:#}\n{output}\n");
                }
            }
        });
    }

    /// A line that an executable printed, if one wants to see all of them.
    pub(super) fn said(&self, place: Place, line: &str) {
        if self.verbose {
            self.suspend(|| anstream::println!("[{}] {line}", place.name()));
        }
    }

    /// What happens next, in a log too.
    pub(super) fn step(&self, text: &str) {
        self.suspend(|| sh::step(text));
    }

    /// Prints while nothing is drawn.
    fn suspend(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }
}

/// Something that runs, as long as this value lives.
pub(super) struct Running(ProgressBar);

impl Running {
    /// What of it runs now.
    pub(super) fn now(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_long_is_over_unless_it_is_a_matter_of_seconds() {
        let over = |expected, seconds| {
            is_over(&Ran {
                place: Place::Host,
                file: String::new(),
                tests: Vec::new(),
                time: Duration::from_secs(seconds),
                expected,
            })
        };
        assert!(over(Some(20.0), 41));
        assert!(!over(Some(20.0), 39));
        assert!(!over(Some(1.0), 9));
        assert!(!over(None, 1000));
    }
}
