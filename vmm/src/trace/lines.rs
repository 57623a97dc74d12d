//! Records become lines. A call's line is begun when it begins, so that one which
//! waits is seen, and ended when it ends; what comes in between cuts it, as
//! strace(1) does it:
//!
//! ```text
//! [pid     1] read(0x0, 0x7ffe0000, 0x1 <unfinished ...>
//! [pid     2] getpid() = 1
//! [pid     1] <... read resumed>) = 1
//! ```
//!
//! Nothing is kept of a call but which line is open, so a guest cannot make this
//! grow.

use super::text::{Answer, Begun, Name};
use crate::machine::GuestEnd;
use crate::report::signal_name;
use std::fmt::{Display, Write};
use trapgate_abi::hypercall::Request;
use trapgate_abi::trace::{Entry, Event, Exit, Head, Record, RecordId};
use trapgate_uapi::syscall::Abi;

pub(super) struct Lines {
    /// The call whose line is open: its entry.
    open: Option<RecordId>,
    /// The ABI of the last call.
    abi: Abi,
    /// The first thread that was seen, until there is another: from then on each
    /// line says whose it is.
    only: Option<u32>,
    many: bool,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines { open: None, abi: Abi::X86_64, only: None, many: false }
    }
}

impl Lines {
    /// Adds what a record says.
    pub(super) fn record(&mut self, record: &Record, out: &mut String) {
        match &record.event {
            Event::Entry(entry) => self.entry(&record.head, entry, out),
            Event::Exit(exit) => self.exit(&record.head, exit, out),
            Event::Payload(_) => {}
        }
    }

    fn entry(&mut self, head: &Head, entry: &Entry, out: &mut String) {
        if entry.abi != self.abi {
            self.abi = entry.abi;
            let width = match entry.abi {
                Abi::X86_64 => "64 bit",
                Abi::X32 => "x32",
                Abi::I386 => "32 bit",
            };
            let mode = format_args!("[ Process PID={} runs in {width} mode. ]", head.thread);
            self.line(out, None, mode);
        }
        self.begin(out, Some(head.thread));
        push(out, Begun(entry));
        // These do not come back.
        match Name(entry.abi, entry.number).known() {
            Some("exit" | "exit_group") => out.push_str(") = ?\n"),
            _ => self.open = Some(head.id),
        }
    }

    fn exit(&mut self, head: &Head, exit: &Exit, out: &mut String) {
        if self.open == Some(exit.entry) {
            self.open = None;
        } else {
            let name = Name(exit.abi, exit.number);
            self.begin(out, Some(head.thread));
            push(out, format_args!("<... {name} resumed>"));
        }
        push(out, format_args!(") = {}\n", Answer(exit)));
    }

    /// Says that records are missing here.
    pub(super) fn lost(&mut self, count: u64, out: &mut String) {
        self.line(out, None, format_args!("<... {count} records lost ...>"));
    }

    /// Says how the program ended, and how many records are missing of it all.
    pub(super) fn end(&mut self, end: Option<&GuestEnd>, lost: u64, out: &mut String) {
        self.cut(out);
        match end {
            Some(GuestEnd::Request(Request::Exit { status }, _)) => {
                self.line(out, self.only, format_args!("+++ exited with {status} +++"));
            }
            Some(GuestEnd::Request(Request::Killed { signal }, _)) => {
                let (name, _) = signal_name(*signal);
                self.line(out, self.only, format_args!("+++ killed by {name} +++"));
            }
            _ => {}
        }
        if lost > 0 {
            self.line(out, None, format_args!("+++ {lost} records lost +++"));
        }
    }

    /// A line of its own.
    fn line(&mut self, out: &mut String, thread: Option<u32>, text: impl Display) {
        self.begin(out, thread);
        push(out, format_args!("{text}\n"));
    }

    /// Begins a line of a thread's, or of nobody's.
    fn begin(&mut self, out: &mut String, thread: Option<u32>) {
        self.cut(out);
        let Some(thread) = thread else { return };
        let only = *self.only.get_or_insert(thread);
        self.many |= only != thread;
        if self.many {
            push(out, format_args!("[pid {thread:5}] "));
        }
    }

    /// Ends the line that is open before its time.
    fn cut(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            out.push_str(" <unfinished ...>\n");
        }
    }
}

/// Adds to the text, which takes everything.
fn push(out: &mut String, text: impl Display) {
    let _ = write!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::trace::{Door, Way};

    /// A program's threads, and what is said of them.
    #[derive(Default)]
    struct Program {
        lines: Lines,
        next: u64,
        text: String,
    }

    impl Program {
        fn record(&mut self, thread: u32, event: Event) -> RecordId {
            let id = RecordId(self.next);
            self.next += 1;
            let head = Head { thread, process: 1, id, tsc: 0 };
            self.lines.record(&Record { head, event }, &mut self.text);
            id
        }

        fn enter(&mut self, thread: u32, abi: Abi, name: &str) -> (RecordId, u32, Abi, u64) {
            let number = abi.number(name).unwrap().into();
            let way = Way::native(Door::Syscall64);
            let entry = Entry { way, abi, number, arguments: [7; 6], ip: 0, sp: 0 };
            (self.record(thread, Event::Entry(entry)), thread, abi, number)
        }

        fn leave(&mut self, (entry, thread, abi, number): (RecordId, u32, Abi, u64)) {
            self.record(thread, Event::Exit(Exit { entry, abi, number, result: 3 }));
        }

        fn end(mut self, end: Option<GuestEnd>, lost: u64) -> String {
            self.lines.end(end.as_ref(), lost, &mut self.text);
            self.text
        }
    }

    fn request(request: Request) -> Option<GuestEnd> {
        Some(GuestEnd::Request(request, Box::new([0; trapgate_abi::hypercall::MESSAGE_WORDS])))
    }

    #[test]
    fn a_call_is_a_line_and_the_end_another() {
        let mut program = Program::default();
        let close = program.enter(1, Abi::X86_64, "close");
        assert_eq!(program.text, "close(0x7", "it is seen before it ends");
        program.leave(close);
        program.enter(1, Abi::X86_64, "exit_group");
        let text = program.end(request(Request::Exit { status: 3 }), 0);
        assert_eq!(text, "close(0x7) = 3\nexit_group(0x7) = ?\n+++ exited with 3 +++\n");
    }

    #[test]
    fn a_call_that_waits_is_unfinished_when_the_program_ends() {
        let mut program = Program::default();
        program.enter(1, Abi::X86_64, "dup");
        let text = program.end(Some(GuestEnd::Stopped), 0);
        assert_eq!(text, "dup(0x7 <unfinished ...>\n");
        let mut program = Program::default();
        program.enter(1, Abi::X86_64, "dup");
        let text = program.end(request(Request::Killed { signal: 11 }), 0);
        assert_eq!(text, "dup(0x7 <unfinished ...>\n+++ killed by SIGSEGV +++\n");
        assert_eq!(Program::default().end(None, 0), "");
    }

    #[test]
    fn threads_cut_each_others_lines_and_each_says_whose_it_is() {
        let mut program = Program::default();
        let first = program.enter(1, Abi::X86_64, "dup");
        let second = program.enter(20, Abi::X86_64, "close");
        program.leave(first);
        let third = program.enter(1, Abi::X86_64, "close");
        program.leave(third);
        program.leave(second);
        let text = program.end(request(Request::Exit { status: 0 }), 0);
        assert_eq!(
            text,
            "dup(0x7 <unfinished ...>\n\
             [pid    20] close(0x7 <unfinished ...>\n\
             [pid     1] <... dup resumed>) = 3\n\
             [pid     1] close(0x7) = 3\n\
             [pid    20] <... close resumed>) = 3\n\
             [pid     1] +++ exited with 0 +++\n"
        );
    }

    #[test]
    fn another_abi_is_said_when_it_comes() {
        let mut program = Program::default();
        for abi in [Abi::I386, Abi::I386, Abi::X86_64] {
            let call = program.enter(1, abi, "close");
            program.leave(call);
        }
        assert_eq!(
            program.end(None, 0),
            "[ Process PID=1 runs in 32 bit mode. ]\nclose(0x7) = 3\nclose(0x7) = 3\n\
             [ Process PID=1 runs in 64 bit mode. ]\nclose(0x7) = 3\n"
        );
    }

    #[test]
    fn what_is_lost_is_said_where_it_is_missing_and_at_the_end() {
        let mut program = Program::default();
        let close = program.enter(1, Abi::X86_64, "close");
        program.lines.lost(12, &mut program.text);
        program.leave(close);
        let lost = (RecordId::LOST, 1, Abi::X86_64, 32);
        program.leave(lost);
        assert_eq!(
            program.end(None, 12),
            "close(0x7 <unfinished ...>\n<... 12 records lost ...>\n\
             <... close resumed>) = 3\n<... dup resumed>) = 3\n+++ 12 records lost +++\n"
        );
    }
}
