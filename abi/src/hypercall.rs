//! The hypercall interface: requests from the kernel to the VMM.
//!
//! This is the security boundary. The kernel writes a request into its host
//! call page ([`crate::layout::percpu::HOST_CALL`]) and executes one OUT to
//! [`PORT`]; the VMM copies the page's words once, decodes them with
//! [`Request::decode`], asks its policy, acts, and writes the reply over the
//! request. Bytes that a request names (what to write, where to read to) are
//! described by [`Segment`]s of guest-physical memory.
//!
//! ```text
//! request   word 0        operation
//!           word 1…3      arguments
//!           word 4        number of attachments
//!           word 5…       attachments: segments (address, length), files to
//!                         watch, or a crash record
//! reply     word 0        result, or an error as system calls return it
//!           word 1…       data
//! ```
//!
//! [`Request::Wait`] is the only one that the VMM answers late. Each other is
//! answered at once, with EAGAIN where the host would make its caller wait.
//!
//! A request is small on purpose: where ring 0 is interpreted, each word that
//! is moved costs a microsecond.

use crate::crash::{BACKTRACE_DEPTH, FAULT_WORDS, Fault};
use crate::event::{EVENT_WORDS, Event, MAX_EVENTS, MAX_WATCH, WatchEntry};
use crate::file::TRANSFER_FLAGS;
use crate::pt_regs::PtRegs;

/// The I/O port whose OUT means: there is a request.
pub const PORT: u16 = 0x7a7e;
/// Words in a request or a reply.
pub const MESSAGE_WORDS: usize = 64;
/// Segments in one request at most.
pub const MAX_SEGMENTS: usize = 24;
/// Bytes that one request moves at most. The kernel keeps to it, so that the
/// VMM may cut what is longer; and no request takes long.
pub const MAX_TRANSFER: u64 = 1 << 20;
/// Random bytes that one request gives at most, for the same reason.
pub const MAX_RANDOM: u64 = 64 << 10;
/// [`Request::Wait`] and [`Request::Tick`]: for ever, or never.
pub const NEVER: u64 = u64::MAX;

const COUNT: usize = 4;
const ATTACHMENTS: usize = 5;
const BACKTRACE: usize = ATTACHMENTS + FAULT_WORDS;
const _: () = assert!(BACKTRACE + BACKTRACE_DEPTH <= MESSAGE_WORDS);
const _: () = assert!(ATTACHMENTS + 2 * MAX_SEGMENTS <= MESSAGE_WORDS);
const _: () = assert!(ATTACHMENTS + EVENT_WORDS * MAX_WATCH <= MESSAGE_WORDS);
const _: () = assert!(EVENT_WORDS * MAX_EVENTS < MESSAGE_WORDS);

/// A request or a reply as it lies in memory.
pub type Message = [u64; MESSAGE_WORDS];

/// A piece of guest-physical memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address of the first byte.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// Why a message is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No operation has this number.
    Operation(u64),
    /// More attachments than a request holds.
    Count(u64),
    /// An argument is outside its type.
    Argument {
        /// The operation.
        operation: u64,
        /// Which argument, counted from 0.
        index: usize,
        /// Its value.
        value: u64,
    },
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Malformed::Operation(number) => write!(f, "no operation has number {number}"),
            Malformed::Count(count) => write!(f, "{count} attachments are more than fit"),
            Malformed::Argument { operation, index, value } => {
                write!(f, "argument {index} of operation {operation} is {value:#x}")
            }
        }
    }
}

impl core::error::Error for Malformed {}

/// Why the kernel gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A fault in ring 0 outside the exception table.
    Fault,
    /// A panic.
    Panic,
}

/// What the kernel asks of the VMM.
///
/// `file` is the number of a standard file: 0, 1 or 2. Results are those of
/// the system call named, errors included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The program ended with this status, exit_group(2). No reply.
    Exit {
        /// What wait(2) gets to see.
        status: u8,
    },
    /// A signal ended the program. Attached: a crash record, in which the
    /// vector is [`crate::crash::NO_VECTOR`] for a signal that no exception
    /// caused. No reply.
    Killed {
        /// The signal's number, signal(7).
        signal: u8,
    },
    /// The kernel itself failed. Attached: a crash record and a backtrace. No
    /// reply.
    Failed {
        /// In which way.
        kind: FailureKind,
        /// The panic's words.
        words: Segment,
    },
    /// write(2) of the attached segments in order. Reply: bytes written; EAGAIN, if
    /// that would wait, whatever the flags say.
    Write {
        /// The file.
        file: u32,
        /// The program's, of [`TRANSFER_FLAGS`].
        flags: u32,
    },
    /// read(2) into the attached segments in order. Reply: bytes read; EAGAIN, as for
    /// writing.
    Read {
        /// The file.
        file: u32,
        /// The program's, of [`TRANSFER_FLAGS`].
        flags: u32,
    },
    /// pread(2) into the attached segments. Reply: bytes read.
    ReadAt {
        /// The file.
        file: u32,
        /// Where from, in bytes from the file's start.
        offset: u64,
    },
    /// lseek(2). Reply: the new offset.
    Seek {
        /// The file.
        file: u32,
        /// Bytes, signed.
        offset: i64,
        /// `SEEK_SET`, `SEEK_CUR` or `SEEK_END`.
        whence: u32,
    },
    /// fstat(2). Reply data: [`crate::file::FileStatus`].
    Status {
        /// The file.
        file: u32,
    },
    /// ioctl(2) `TCGETS`. Reply data: the kernel's `struct termios`, 36 bytes
    /// in 5 words.
    TerminalAttributes {
        /// The file.
        file: u32,
    },
    /// ioctl(2) `TIOCGWINSZ`. Reply data: `struct winsize` in one word.
    WindowSize {
        /// The file.
        file: u32,
    },
    /// What of the attached [`WatchEntry`]s is ready now. Reply: files ready; data:
    /// a word of `POLL*` bits for each entry, 0 if it is not. To those that are
    /// not, if they are to be watched, comes one [`Event::Ready`] as soon as they
    /// are, and then none before they are watched again.
    Watch {
        /// Whether to watch them: else this only looks.
        arm: bool,
    },
    /// Wait until something happens. Reply: how many events there are, at most
    /// [`MAX_EVENTS`]; data: two words of each ([`Event`]). None, if the time is
    /// over.
    Wait {
        /// Nanoseconds to wait at most: 0 to look only, [`NEVER`] for ever.
        /// Relative, because the guest's counter and the host's clock drift
        /// apart.
        timeout_ns: u64,
    },
    /// Interrupt the program: [`crate::x86::vector::EVENT`] comes when it is in
    /// ring 3, unless a [`Request::Wait`] ends by it before; that one, or the next,
    /// tells of it ([`Event::Tick`]). Takes the place of what was asked for before.
    Tick {
        /// Nanoseconds from now, or [`NEVER`].
        after_ns: u64,
        /// Nanoseconds between further ones; 0 for no further one.
        period_ns: u64,
    },
    /// getrandom(2) into the attached segments. Reply: bytes, at most
    /// [`MAX_RANDOM`].
    Random,
    /// Give the attached frames back: they read as zeroes afterwards.
    Discard,
    /// Exchange x87 and vector registers, where ring 0 is interpreted and cannot: save
    /// those of ring 3 in one area of guest memory, and load them from another. Areas
    /// are as XSAVE writes them, [`crate::boot_info::BootInfo::fpu_size`] bytes. Both are
    /// checked before anything is done; EINVAL for a state that the CPU would refuse.
    SwapFpu {
        /// Physical address of the area to save into; 0 to save nothing.
        from: u64,
        /// Physical address of the area to load.
        to: u64,
    },
    /// How long it is since the clocks were read: what the kernel asks where
    /// the time-stamp counter is no clock ([`crate::boot_info::ClockInfo`]).
    /// Reply: nanoseconds.
    Elapsed,
    /// Take what is in the CPU's rings ([`crate::log`], [`crate::trace`]), as at
    /// each exit: nothing else is wanted.
    Drain,
}

/// The operations' numbers.
mod operation {
    pub(super) const EXIT: u64 = 1;
    pub(super) const KILLED: u64 = 2;
    pub(super) const FAILED: u64 = 3;
    pub(super) const WRITE: u64 = 4;
    pub(super) const READ: u64 = 5;
    pub(super) const READ_AT: u64 = 6;
    pub(super) const SEEK: u64 = 7;
    pub(super) const STATUS: u64 = 8;
    pub(super) const TERMINAL_ATTRIBUTES: u64 = 9;
    pub(super) const WINDOW_SIZE: u64 = 10;
    pub(super) const WATCH: u64 = 11;
    pub(super) const WAIT: u64 = 12;
    pub(super) const RANDOM: u64 = 13;
    pub(super) const DISCARD: u64 = 14;
    pub(super) const ELAPSED: u64 = 15;
    pub(super) const DRAIN: u64 = 16;
    pub(super) const TICK: u64 = 17;
    pub(super) const SWAP_FPU: u64 = 18;
}

impl Request {
    /// The operation's name, for statistics and refusals.
    pub const fn name(&self) -> &'static str {
        match self {
            Request::Exit { .. } => "exit",
            Request::Killed { .. } => "killed",
            Request::Failed { .. } => "failed",
            Request::Write { .. } => "write",
            Request::Read { .. } => "read",
            Request::ReadAt { .. } => "read_at",
            Request::Seek { .. } => "seek",
            Request::Status { .. } => "status",
            Request::TerminalAttributes { .. } => "terminal_attributes",
            Request::WindowSize { .. } => "window_size",
            Request::Watch { .. } => "watch",
            Request::Wait { .. } => "wait",
            Request::Tick { .. } => "tick",
            Request::Random => "random",
            Request::Discard => "discard",
            Request::Elapsed => "elapsed",
            Request::Drain => "drain",
            Request::SwapFpu { .. } => "swap_fpu",
        }
    }

    /// Writes the request's head into a message, with no attachments yet.
    #[inline]
    pub fn encode(&self, message: &mut Message) {
        use operation::*;
        let (number, [a, b, c]) = match *self {
            Request::Exit { status } => (EXIT, [status.into(), 0, 0]),
            Request::Killed { signal } => (KILLED, [signal.into(), 0, 0]),
            Request::Failed { kind, words } => {
                let kind = match kind {
                    FailureKind::Fault => 0,
                    FailureKind::Panic => 1,
                };
                (FAILED, [kind, words.address, words.length])
            }
            Request::Write { file, flags } => (WRITE, [file.into(), flags.into(), 0]),
            Request::Read { file, flags } => (READ, [file.into(), flags.into(), 0]),
            Request::ReadAt { file, offset } => (READ_AT, [file.into(), offset, 0]),
            Request::Seek { file, offset, whence } => {
                (SEEK, [file.into(), offset as u64, whence.into()])
            }
            Request::Status { file } => (STATUS, [file.into(), 0, 0]),
            Request::TerminalAttributes { file } => (TERMINAL_ATTRIBUTES, [file.into(), 0, 0]),
            Request::WindowSize { file } => (WINDOW_SIZE, [file.into(), 0, 0]),
            Request::Watch { arm } => (WATCH, [arm.into(), 0, 0]),
            Request::Wait { timeout_ns } => (WAIT, [timeout_ns, 0, 0]),
            Request::Tick { after_ns, period_ns } => (TICK, [after_ns, period_ns, 0]),
            Request::Random => (RANDOM, [0; 3]),
            Request::Discard => (DISCARD, [0; 3]),
            Request::Elapsed => (ELAPSED, [0; 3]),
            Request::Drain => (DRAIN, [0; 3]),
            Request::SwapFpu { from, to } => (SWAP_FPU, [from, to, 0]),
        };
        message[0] = number;
        message[1] = a;
        message[2] = b;
        message[3] = c;
        message[COUNT] = 0;
    }

    /// Reads a request out of a message, which may hold anything.
    ///
    /// # Errors
    /// [`Malformed`], if it is no request. Addresses and lengths are still
    /// claims afterwards: whoever uses them checks them against RAM.
    pub fn decode(message: &Message) -> Result<Request, Malformed> {
        let operation = message[0];
        let out_of_range =
            |index: usize| Malformed::Argument { operation, index, value: message[1 + index] };
        let narrow =
            |index: usize| u32::try_from(message[1 + index]).map_err(|_| out_of_range(index));
        let file = || narrow(0);
        let flags = || match narrow(1)? {
            flags if flags & !TRANSFER_FLAGS == 0 => Ok(flags),
            _ => Err(out_of_range(1)),
        };
        Ok(match operation {
            operation::EXIT => {
                Request::Exit { status: u8::try_from(message[1]).map_err(|_| out_of_range(0))? }
            }
            operation::KILLED => match message[1] {
                number @ 1..=64 => Request::Killed { signal: number as u8 },
                _ => return Err(out_of_range(0)),
            },
            operation::FAILED => {
                let kind = match message[1] {
                    0 => FailureKind::Fault,
                    1 => FailureKind::Panic,
                    _ => return Err(out_of_range(0)),
                };
                Request::Failed { kind, words: Segment { address: message[2], length: message[3] } }
            }
            operation::WRITE => Request::Write { file: file()?, flags: flags()? },
            operation::READ => Request::Read { file: file()?, flags: flags()? },
            operation::READ_AT => Request::ReadAt { file: file()?, offset: message[2] },
            operation::SEEK => {
                Request::Seek { file: file()?, offset: message[2] as i64, whence: narrow(2)? }
            }
            operation::STATUS => Request::Status { file: file()? },
            operation::TERMINAL_ATTRIBUTES => Request::TerminalAttributes { file: file()? },
            operation::WINDOW_SIZE => Request::WindowSize { file: file()? },
            operation::WATCH => match message[1] {
                arm @ 0..=1 => Request::Watch { arm: arm == 1 },
                _ => return Err(out_of_range(0)),
            },
            operation::WAIT => Request::Wait { timeout_ns: message[1] },
            operation::TICK => Request::Tick { after_ns: message[1], period_ns: message[2] },
            operation::RANDOM => Request::Random,
            operation::DISCARD => Request::Discard,
            operation::ELAPSED => Request::Elapsed,
            operation::DRAIN => Request::Drain,
            operation::SWAP_FPU => Request::SwapFpu { from: message[1], to: message[2] },
            _ => return Err(Malformed::Operation(operation)),
        })
    }
}

/// Attaches a segment; one that continues the last one makes that longer.
/// False if there is no room.
#[inline]
pub fn push_segment(message: &mut Message, segment: Segment) -> bool {
    let count = message[COUNT] as usize;
    let next = ATTACHMENTS + 2 * count;
    if count > 0 && message[next - 2] + message[next - 1] == segment.address {
        message[next - 1] += segment.length;
        return true;
    }
    if count >= MAX_SEGMENTS {
        return false;
    }
    message[next] = segment.address;
    message[next + 1] = segment.length;
    message[COUNT] += 1;
    true
}

/// The attached segments.
///
/// # Errors
/// [`Malformed::Count`], if there are more than fit.
pub fn segments(message: &Message) -> Result<impl Iterator<Item = Segment> + Clone, Malformed> {
    let count = attachments(message, MAX_SEGMENTS)?;
    let words = message[ATTACHMENTS..].chunks_exact(2).take(count);
    Ok(words.map(|pair| Segment { address: pair[0], length: pair[1] }))
}

/// Attaches a file to watch. False if there is no room.
pub fn push_watch(message: &mut Message, entry: WatchEntry) -> bool {
    let count = message[COUNT] as usize;
    if count >= MAX_WATCH {
        return false;
    }
    let at = ATTACHMENTS + EVENT_WORDS * count;
    message[at..at + EVENT_WORDS].copy_from_slice(&entry.to_words());
    message[COUNT] += 1;
    true
}

/// The attached files to watch.
///
/// # Errors
/// [`Malformed::Count`], if there are more than fit.
pub fn watch_entries(
    message: &Message,
) -> Result<impl ExactSizeIterator<Item = WatchEntry>, Malformed> {
    let count = attachments(message, MAX_WATCH)?;
    let (words, _) = message[ATTACHMENTS..].as_chunks::<EVENT_WORDS>();
    Ok(words[..count].iter().map(|&words| WatchEntry::from_words(words)))
}

/// Writes an event into a reply, which has `index` already. False if there is no
/// room.
pub fn put_event(reply: &mut Message, index: usize, event: Event) -> bool {
    let at = 1 + EVENT_WORDS * index;
    if index < MAX_EVENTS {
        reply[at..at + EVENT_WORDS].copy_from_slice(&event.to_words());
    }
    index < MAX_EVENTS
}

fn attachments(message: &Message, most: usize) -> Result<usize, Malformed> {
    match message[COUNT] {
        count if count <= most as u64 => Ok(count as usize),
        count => Err(Malformed::Count(count)),
    }
}

/// Attaches a crash record.
pub fn put_crash(message: &mut Message, fault: &Fault, regs: &PtRegs) {
    let (head, tail) = message[ATTACHMENTS..BACKTRACE].split_at_mut(Fault::WORDS);
    head.copy_from_slice(&fault.to_words());
    tail.copy_from_slice(&regs.to_words());
}

/// The attached crash record: the fault, and the registers at it.
pub fn crash(message: &Message) -> (Fault, PtRegs) {
    let mut fault = [0; Fault::WORDS];
    let mut regs = [0; PtRegs::WORDS];
    let (head, tail) = message[ATTACHMENTS..BACKTRACE].split_at(Fault::WORDS);
    fault.copy_from_slice(head);
    regs.copy_from_slice(tail);
    (Fault::from_words(&fault), PtRegs::from_words(&regs))
}

/// Attaches return addresses, innermost first, 0 after the last.
pub fn put_backtrace(message: &mut Message, backtrace: &[u64; BACKTRACE_DEPTH]) {
    message[BACKTRACE..BACKTRACE + BACKTRACE_DEPTH].copy_from_slice(backtrace);
}

/// The attached return addresses.
pub fn backtrace(message: &Message) -> [u64; BACKTRACE_DEPTH] {
    core::array::from_fn(|index| message[BACKTRACE + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};

    const REQUESTS: [Request; 18] = [
        Request::Exit { status: 7 },
        Request::Killed { signal: 11 },
        Request::Failed { kind: FailureKind::Panic, words: Segment { address: 1, length: 2 } },
        Request::Write { file: 1, flags: O_APPEND },
        Request::Read { file: 0, flags: O_NONBLOCK },
        Request::ReadAt { file: 0, offset: u64::MAX },
        Request::Seek { file: 0, offset: -1, whence: 2 },
        Request::Status { file: 2 },
        Request::TerminalAttributes { file: 1 },
        Request::WindowSize { file: 1 },
        Request::Watch { arm: true },
        Request::Wait { timeout_ns: NEVER },
        Request::Tick { after_ns: 5, period_ns: NEVER },
        Request::Random,
        Request::Discard,
        Request::Elapsed,
        Request::Drain,
        Request::SwapFpu { from: 0x1000, to: u64::MAX },
    ];

    #[test]
    fn every_request_survives_the_crossing() {
        for request in REQUESTS {
            let mut message = [0xdead_beef; MESSAGE_WORDS];
            request.encode(&mut message);
            assert_eq!(Request::decode(&message), Ok(request));
            assert_eq!(segments(&message).unwrap().count(), 0);
        }
    }

    #[test]
    fn unknown_operations_are_malformed() {
        for number in [0, 19, u64::MAX] {
            let mut message = [0; MESSAGE_WORDS];
            message[0] = number;
            assert_eq!(Request::decode(&message), Err(Malformed::Operation(number)));
        }
    }

    #[test]
    fn counts_beyond_the_message_are_malformed() {
        let mut message = [0; MESSAGE_WORDS];
        message[COUNT] = MAX_SEGMENTS as u64 + 1;
        assert!(matches!(segments(&message), Err(Malformed::Count(_))));
        message[COUNT] = MAX_WATCH as u64 + 1;
        assert!(matches!(watch_entries(&message), Err(Malformed::Count(_))));
        message[COUNT] = u64::MAX;
        assert!(segments(&message).is_err() && watch_entries(&message).is_err());
    }

    #[test]
    fn arguments_wider_than_their_type_are_malformed_and_not_cut() {
        for request in REQUESTS {
            let mut message = [0; MESSAGE_WORDS];
            request.encode(&mut message);
            let narrow = message[0] <= operation::WATCH;
            message[1] = u64::MAX;
            assert_eq!(Request::decode(&message).is_err(), narrow, "{}", request.name());
        }
    }

    #[test]
    fn flags_that_no_transfer_has_are_malformed() {
        for number in [operation::WRITE, operation::READ] {
            for flags in [1, u64::from(TRANSFER_FLAGS) + 1, 1 << 32] {
                let mut message = [0; MESSAGE_WORDS];
                (message[0], message[2]) = (number, flags);
                let malformed = Malformed::Argument { operation: number, index: 1, value: flags };
                assert_eq!(Request::decode(&message), Err(malformed));
            }
        }
    }

    #[test]
    fn neighbouring_segments_become_one_and_the_list_is_bounded() {
        let mut message = [0; MESSAGE_WORDS];
        Request::Discard.encode(&mut message);
        for address in [0x1000, 0x2000] {
            assert!(push_segment(&mut message, Segment { address, length: 0x1000 }));
        }
        let list: std::vec::Vec<_> = segments(&message).unwrap().collect();
        assert_eq!(list, [Segment { address: 0x1000, length: 0x2000 }]);
        for index in 1..MAX_SEGMENTS as u64 {
            let segment = Segment { address: 0x10_0000 * index, length: 1 };
            assert!(push_segment(&mut message, segment));
        }
        assert!(!push_segment(&mut message, Segment { address: 1, length: 1 }));
        assert_eq!(segments(&message).unwrap().count(), MAX_SEGMENTS);
    }

    #[test]
    fn files_to_watch_survive_the_crossing_and_the_list_is_bounded() {
        let mut message = [0xdead_beef; MESSAGE_WORDS];
        Request::Watch { arm: false }.encode(&mut message);
        let entry = |index: usize| WatchEntry {
            file: index as u32,
            mask: u16::MAX - index as u16,
            generation: u32::MAX,
        };
        for index in 0..MAX_WATCH {
            assert!(push_watch(&mut message, entry(index)));
        }
        assert!(!push_watch(&mut message, entry(0)));
        assert!(watch_entries(&message).unwrap().eq((0..MAX_WATCH).map(entry)));
    }

    #[test]
    fn a_reply_holds_so_many_events_and_no_more() {
        let mut reply = [0; MESSAGE_WORDS];
        let event = Event::Signal { number: 2 };
        assert!((0..MAX_EVENTS).all(|index| put_event(&mut reply, index, event)));
        let full = reply;
        assert!(!put_event(&mut reply, MAX_EVENTS, event));
        assert_eq!(reply, full);
        let (words, _) = reply[1..].as_chunks::<EVENT_WORDS>();
        assert_eq!(words[MAX_EVENTS - 1], event.to_words());
    }

    #[test]
    fn crash_records_and_backtraces_survive_the_crossing() {
        let mut message = [0; MESSAGE_WORDS];
        let fault = Fault { vector: 14, error_code: 6, address: 0x10, ..Fault::default() };
        let regs = PtRegs { r15: 1, ss: 0x2b, ..PtRegs::default() };
        let addresses = core::array::from_fn(|index| index as u64);
        put_crash(&mut message, &fault, &regs);
        put_backtrace(&mut message, &addresses);
        assert_eq!(crash(&message), (fault, regs));
        assert_eq!(backtrace(&message), addresses);
    }
}
