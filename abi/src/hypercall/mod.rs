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
//!                         watch, handles, or a crash record
//!           word 15…      names: how many bytes, and the bytes
//!           word 80…      handles that are given back: how many, and they, with
//!                         whatever request comes next
//! reply     word 0        result, or an error as system calls return it
//!           word 1…       data
//! ```
//!
//! [`Request::Wait`] is the only one that the VMM answers late. Each other is
//! answered at once, with EAGAIN where the host would make its caller wait.
//!
//! A request is small on purpose: where ring 0 is interpreted, each word that
//! is moved costs a microsecond.

mod attachments;
mod codec;
pub mod files;
mod names;

pub use attachments::{
    CodeFile, backtrace, code_file, crash, push_segment, push_watch, put_backtrace, put_code_file,
    put_crash, put_event, segments, watch_entries,
};
pub use files::FileRequest;
pub use names::{Names, names, put_names};

use crate::crash::{BACKTRACE_DEPTH, FAULT_WORDS};
use crate::event::{EVENT_WORDS, MAX_EVENTS, MAX_WATCH};
#[cfg(doc)]
use crate::{
    event::{Event, WatchEntry},
    file::TRANSFER_FLAGS,
};
use trapgate_uapi::Errno;

/// The I/O port whose OUT means: there is a request.
pub const PORT: u16 = 0x7a7e;
/// Words in a request or a reply.
pub const MESSAGE_WORDS: usize = 80;
/// Segments in one request at most.
pub const MAX_SEGMENTS: usize = 24;
/// Segments in one request that has names, too.
pub const MAX_SEGMENTS_BESIDE_NAMES: usize = (NAMES - ATTACHMENTS) / 2;
/// Bytes of a name at most: `NAME_MAX`.
pub const NAME_MAX: usize = 255;
/// Bytes of all names of a request at most, each with a NUL behind it: two of the longest.
pub const MAX_NAME_BYTES: usize = 2 * (NAME_MAX + 1);
/// Bytes that one request moves at most. The kernel keeps to it, so that the
/// VMM may cut what is longer; and no request takes long.
pub const MAX_TRANSFER: u64 = 1 << 20;
/// Random bytes that one request gives at most, for the same reason.
pub const MAX_RANDOM: u64 = 64 << 10;
/// [`Request::Wait`] and [`Request::Tick`]: for ever, or never.
pub const NEVER: u64 = u64::MAX;

const COUNT: usize = 4;
const ATTACHMENTS: usize = 5;
const NAMES: usize = MESSAGE_WORDS - 1 - MAX_NAME_BYTES / 8;
const BACKTRACE: usize = ATTACHMENTS + FAULT_WORDS;
/// Behind a crash record of the program's, where that of the kernel has the backtrace.
const CODE_FILE: usize = ATTACHMENTS + FAULT_WORDS;
const CODE_PATH: usize = CODE_FILE + 2;
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
    /// Its names are none.
    Names,
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
            Malformed::Names => f.write_str("its names are none"),
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
    /// The first program, which the kernel was to load, cannot be executed. No reply.
    NotStarted {
        /// What execve(2) answers.
        errno: Errno,
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
    /// those of ring 3 in one area of guest memory, and load them from another; if that is
    /// the same one, they stay. Areas
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
    /// Something of the host's directories.
    File(FileRequest),
}
