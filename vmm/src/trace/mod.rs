//! The trace of a program's calls, as strace(1) shows it: out of the rings in guest
//! memory (`trapgate_abi::trace`), as lines, to whoever asked for it.
//!
//! `sandbox` makes a [`Tracer`], the machine's loop has it look at each exit, and at
//! the end it says how the program ended. All that is in the rings is the guest's
//! claim: a drain reads one ring's worth at most, a line has six arguments at most,
//! and nothing is kept but which call's line is open.
//!
//! ```text
//! ring    records out of guest memory, copied once
//! lines   records -> lines: calls that wait, other threads in between, the end
//! text    one call in words: its name, its arguments, its result
//! sink    lines out, until somebody stops the sandbox
//! ```
//!
//! Who decodes flags, strings and structures does so in `text`, which has the whole
//! entry and exit at hand; what pointers point to comes in payload records, which
//! `lines` leaves out so far.

mod lines;
mod ring;
mod sink;
mod text;

use crate::machine::memory::GuestRam;
use crate::machine::{Control, GuestEnd};
use lines::Lines;
use ring::{Found, Ring};
use sink::Sink;
use std::io::Write;
use std::sync::Arc;
use trapgate_abi::layout::Cpu;

/// What came of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traced {
    /// Records that were taken: two a call, one of a call that did not come back.
    pub records: u64,
    /// Records that found no room in the guest: the guest's claim.
    pub lost: u64,
    /// Lines that were not written, or not whole: [`Traced::error`] says why.
    pub unwritten: u64,
    /// Why the trace ends before the program, if it could not be written.
    pub error: Option<String>,
}

/// Takes records out of the rings of a guest and writes them as lines.
pub(crate) struct Tracer {
    rings: Vec<Ring>,
    lines: Lines,
    sink: Sink,
    /// Room for the lines of one look.
    text: String,
    traced: Traced,
}

impl Tracer {
    /// Of a guest whose rings are at this physical address, one a CPU. Writing ends
    /// when `control` says to stop and the writer does not go on.
    pub(crate) fn new(
        rings: u64,
        cpus: impl Iterator<Item = Cpu>,
        to: Box<dyn Write + Send>,
        control: Arc<Control>,
    ) -> Tracer {
        Tracer {
            rings: cpus.map(|cpu| Ring::of(cpu, rings)).collect(),
            lines: Lines::default(),
            sink: Sink::new(to, control),
            text: String::new(),
            traced: Traced::default(),
        }
    }

    /// Takes what is new, and writes it.
    pub(crate) fn look(&mut self, ram: &GuestRam) {
        let Tracer { rings, lines, text, traced, .. } = self;
        for ring in rings {
            ring.drain(ram, &mut |found| match found {
                Found::Record(record) => {
                    traced.records += 1;
                    lines.record(&record, text);
                }
                Found::Lost(count) => {
                    traced.lost = traced.lost.saturating_add(count);
                    lines.lost(count, text);
                }
            });
        }
        self.flush();
    }

    /// Says how the program ended, if it did.
    pub(crate) fn end(mut self, end: Option<&GuestEnd>) -> Traced {
        self.lines.end(end, self.traced.lost, &mut self.text);
        self.flush();
        Traced { unwritten: self.sink.lost(), error: self.sink.error(), ..self.traced }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.sink.write(self.text.as_bytes());
            self.text.clear();
        }
    }
}
