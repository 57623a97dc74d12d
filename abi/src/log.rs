//! The kernel's log: structured records in a ring that the VMM drains.
//!
//! The kernel writes records without leaving the VM; the VMM takes them at
//! the next exit and formats them through the `log` crate. When the ring is
//! full the kernel counts what it dropped, and goes on.
//!
//! ```text
//! word 0   records written since the start (the kernel's)
//! word 1   records dropped since the start (the kernel's)
//! word 2   records taken since the start (the VMM's)
//! word 3   reserved
//! word 4…  CAPACITY records of RECORD_WORDS words
//! ```

use crate::layout::LOG_RING_SIZE;

/// Words before the first record.
pub const HEADER_WORDS: usize = 4;
/// Header word: records written.
pub const WRITTEN: usize = 0;
/// Header word: records dropped.
pub const DROPPED: usize = 1;
/// Header word: records taken.
pub const TAKEN: usize = 2;
/// Words of a record: level and event in the first, then four numbers.
pub const RECORD_WORDS: usize = 5;
/// Records the ring holds.
pub const CAPACITY: usize = (LOG_RING_SIZE as usize / 8 - HEADER_WORDS) / RECORD_WORDS;

/// How much a record matters; the numbers are those of the `log` crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn = 2,
    /// A step of the run.
    Info = 3,
    /// For whoever works on the kernel.
    Debug = 4,
    /// Every little thing.
    Trace = 5,
}

impl Level {
    /// The level of that number.
    pub const fn from_number(number: u32) -> Option<Level> {
        Some(match number {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            5 => Level::Trace,
            _ => return None,
        })
    }
}

/// Declares [`Event`] with its texts.
macro_rules! events {
    ($( $(#[$meta:meta])* $name:ident = $number:literal, $text:literal; )*) => {
        /// What a record is about, and so what its numbers mean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Event {
            $( $(#[$meta])* $name = $number, )*
        }

        impl Event {
            /// The event of that number.
            pub const fn from_number(number: u32) -> Option<Event> {
                Some(match number {
                    $( $number => Event::$name, )*
                    _ => return None,
                })
            }

            /// The record's sentence; `{0}` to `{3}` stand for its numbers.
            pub const fn text(self) -> &'static str {
                match self {
                    $( Event::$name => $text, )*
                }
            }
        }
    };
}

events! {
    /// The kernel is up.
    Booted = 1, "kernel up: {0} bytes of RAM, program entry {1}, stack {2}";
    /// A call that the table does not have, or has no handler for.
    UnknownCall = 2, "call {0} of ABI {1} at {2} is not supported: ENOSYS";
    /// A page was mapped on demand.
    PageIn = 3, "page fault at {0}: mapped {1} pages for RIP {2}";
    /// Memory ran out.
    OutOfMemory = 4, "out of memory: {0} frames free, {1} wanted";
    /// A signal ends the program.
    Killed = 5, "signal {0} ends the program at {1}";
    /// A handler cannot be called: its frame cannot be written.
    HandlerNotCalled = 6, "signal {0} has a handler at {1}, for whose frame there is no room below {2}";
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub event: Event,
    /// The event's numbers.
    pub numbers: [u64; 4],
}

impl Record {
    /// The record as it lies in the ring.
    pub const fn to_words(&self) -> [u64; RECORD_WORDS] {
        let [a, b, c, d] = self.numbers;
        [(self.level as u64) << 32 | self.event as u64, a, b, c, d]
    }

    /// The inverse of [`Self::to_words`]; `None` for what is no record.
    pub const fn from_words(words: &[u64; RECORD_WORDS]) -> Option<Record> {
        let [head, a, b, c, d] = *words;
        match (Level::from_number((head >> 32) as u32), Event::from_number(head as u32)) {
            (Some(level), Some(event)) => Some(Record { level, event, numbers: [a, b, c, d] }),
            _ => None,
        }
    }
}
