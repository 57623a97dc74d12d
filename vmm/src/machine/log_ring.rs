//! Takes the kernel's log records out of their ring and gives them to the
//! `log` crate. Bounded: a guest that logs without end is cut off.

use super::log_lines;
use crate::machine::memory::GuestRam;
use trapgate_abi::layout::Cpu;
use trapgate_abi::log::{
    CAPACITY, DROPPED, HEADER_WORDS, Level, RECORD_WORDS, Record, TAKEN, WRITTEN,
};
use trapgate_uapi::syscall::Abi;

/// The most records that one sandbox may have printed.
const LIMIT: u64 = 10_000;

/// How often one sandbox is said to have dropped records.
const NOTICES: u64 = 10;

/// Where reading one CPU's ring stands.
pub(crate) struct LogRing {
    /// Physical address of the ring.
    start: u64,
    taken: u64,
    dropped: u64,
    /// How often records were found to have been dropped.
    notices: u64,
}

impl LogRing {
    /// The ring of a CPU that has not run yet.
    pub(crate) fn of(cpu: Cpu) -> LogRing {
        LogRing { start: cpu.log_ring_phys(), taken: 0, dropped: 0, notices: 0 }
    }

    /// Takes all new records. What the ring's header says is the guest's
    /// claim: at most a ring's worth of records is read.
    pub(crate) fn drain(&mut self, ram: &GuestRam) {
        let start = self.start;
        let word = |index: usize| start + index as u64 * 8;
        let Ok(header) = ram.read_words::<HEADER_WORDS>(start) else {
            return;
        };
        let written = header[WRITTEN];
        let new = written.wrapping_sub(self.taken).min(CAPACITY as u64);
        if new == 0 && header[DROPPED] == self.dropped {
            return;
        }
        for _ in 0..new {
            let slot = HEADER_WORDS + (self.taken as usize % CAPACITY) * RECORD_WORDS;
            let record = ram.read_words::<RECORD_WORDS>(word(slot)).ok();
            if let Some(record) = record.and_then(|words| Record::from_words(&words)) {
                self.print(&record);
            }
            self.taken = self.taken.wrapping_add(1);
        }
        if header[DROPPED] != self.dropped {
            self.notices += 1;
        }
        if header[DROPPED] != self.dropped && self.notices <= NOTICES {
            let dropped = header[DROPPED].wrapping_sub(self.dropped);
            log_lines::log(log::Level::Warn, "kernel", || format!("{dropped} records dropped"));
        }
        self.dropped = header[DROPPED];
        // RAM does not end before the ring: `read_words` above would have said.
        let _ = ram.write_words(word(TAKEN), &[self.taken]);
    }

    fn print(&self, record: &Record) {
        let level = match record.level {
            Level::Error => log::Level::Error,
            Level::Warn => log::Level::Warn,
            Level::Info => log::Level::Info,
            Level::Debug => log::Level::Debug,
            Level::Trace => log::Level::Trace,
        };
        match self.taken {
            ..LIMIT => log_lines::log(level, "kernel", || text(record)),
            LIMIT => log_lines::log(log::Level::Warn, "kernel", || {
                format!("{LIMIT} records: no more are printed")
            }),
            _ => {}
        }
    }
}

/// The record's sentence.
fn text(record: &Record) -> String {
    use trapgate_abi::log::Event;
    if record.event == Event::UnknownCall {
        let [number, abi, rip, _] = record.numbers;
        let abi = if abi == 0 { Abi::X86_64 } else { Abi::I386 };
        let name = abi.name(number as u32).unwrap_or("unknown");
        return format!("{name} ({abi:?} call {}) at {rip:#x}: ENOSYS", number as i64);
    }
    let mut text = record.event.text().to_owned();
    for (index, number) in record.numbers.iter().enumerate() {
        let number = if *number < 100_000 { number.to_string() } else { format!("{number:#x}") };
        text = text.replace(&format!("{{{index}}}"), &number);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::log::Event;

    #[test]
    fn records_become_sentences() {
        let record = |event, numbers| Record { level: Level::Info, event, numbers };
        let killed = text(&record(Event::Killed, [11, 0x40_1000, 0, 0]));
        assert_eq!(killed, "signal 11 ends the program at 0x401000");
        let unknown = text(&record(Event::UnknownCall, [41, 0, 0x40_1000, 0]));
        assert_eq!(unknown, "socket (X86_64 call 41) at 0x401000: ENOSYS");
    }

    #[test]
    fn a_lying_header_is_read_for_one_ring_and_no_more() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let mut ring = LogRing::of(Cpu::FIRST);
        ram.write_words(ring.start, &[u64::MAX, 0]).unwrap();
        ring.drain(&ram);
        assert_eq!(ring.taken, CAPACITY as u64);
    }
}
