//! What came of a call, in words that do not depend on where it ran.

use crate::call::Width;
use crate::memory;
use std::fmt::{self, Display, Formatter, Write};
use trapgate_uapi::Errno;

/// The sizes of i386's `struct statfs64` and `struct stat`.
pub(crate) const STATFS64_I386: usize = 84;
pub(crate) const STAT_OLD_I386: usize = 64;

/// Memory that a call writes to.
pub(crate) struct Output {
    pub(crate) at: u64,
    pub(crate) length: usize,
    pub(crate) shape: Shape,
}

impl Output {
    fn is_unreachable(&self) -> bool {
        memory::read(self.at, self.length).starts_with(b"(unreachable)")
    }
}

/// What it writes there.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// As many bytes as the call answers.
    Bytes,
    /// A 64-bit number.
    Number,
    Stat,
    /// i386's first `struct stat`.
    StatOld,
    Statx,
    Statfs,
    /// `struct shmid64_ds`.
    Segment,
    Flock {
        large: bool,
    },
}

/// A call's answer.
pub(crate) struct Answer {
    result: Result<u64, Errno>,
    text: String,
}

impl Answer {
    pub(crate) fn new(
        name: &str,
        width: Width,
        result: Result<u64, Errno>,
        outputs: Vec<Output>,
    ) -> Answer {
        let mut text = match (name, result) {
            ("mmap" | "mremap" | "old:mmap" | "shmat", Ok(address)) => place(address),
            // Which number is Linux's own business.
            ("shmget", Ok(_)) => "a segment".to_owned(),
            (_, result) => number(result),
        };
        let mut rest = result.unwrap_or(0) as usize;
        // A path out of the root begins where the cases' directory is.
        if name == "getcwd" && outputs.iter().any(|output| output.is_unreachable()) {
            return Answer { result, text: "(unreachable)".to_owned() };
        }
        for Output { at, length, shape } in outputs {
            let got = memory::read(at, length);
            match (shape, result) {
                // Where a call has moved to is of interest even if it failed.
                (Shape::Number, _) => write!(text, " ({})", word(&got, 0, 8)),
                (_, Err(_)) => Ok(()),
                (Shape::Bytes, Ok(_)) => {
                    let count = rest.min(length);
                    rest -= count;
                    write!(text, " {}", bytes(&got[..count]))
                }
                (shape, Ok(_)) => write!(text, " {}", structure(shape, width, &got)),
            }
            .expect("a String takes all");
        }
        Answer { result, text }
    }

    /// The error's name, if it is one.
    pub(crate) fn error(&self) -> Option<&'static str> {
        self.result.err().map(Errno::name)
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A number or an error's name.
pub(crate) fn number(result: Result<u64, Errno>) -> String {
    match result {
        Ok(value) => (value as i64).to_string(),
        Err(error) => error.name().to_owned(),
    }
}

/// An address, if it is in the cases' own range.
fn place(address: u64) -> String {
    match address.checked_sub(memory::MAPS) {
        Some(offset) if offset < memory::MAPS_LENGTH => format!("M+{offset:#x}"),
        _ => "somewhere".to_owned(),
    }
}

/// Bytes, or what they sum up to if they are many.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    if bytes.len() <= 72 {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    format!("{} bytes, {:016x}", bytes.len(), hash(bytes))
}

/// FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A little-endian number of up to 8 bytes.
pub(crate) fn word(bytes: &[u8], offset: usize, length: usize) -> u64 {
    let mut word = [0; 8];
    word[..length].copy_from_slice(&bytes[offset..offset + length]);
    u64::from_le_bytes(word)
}

fn structure(shape: Shape, width: Width, bytes: &[u8]) -> String {
    let at = |(offset, length)| word(bytes, offset, length);
    match (shape, width) {
        (Shape::Stat, Width::X86_64) => {
            stat(at((24, 4)), [(16, 8), (28, 4), (32, 4), (48, 8), (64, 8)].map(at))
        }
        (Shape::Stat, Width::I386) => {
            stat(at((16, 4)), [(20, 4), (24, 4), (28, 4), (44, 8), (56, 8)].map(at))
        }
        (Shape::StatOld, _) => {
            stat(at((8, 2)), [(10, 2), (12, 2), (14, 2), (20, 4), (28, 4)].map(at))
        }
        (Shape::Statx, _) => {
            // STATX_BASIC_STATS and STATX_BTIME: others depend on Linux's version.
            let mask = at((0, 4)) & 0xfff;
            let fields = [(16, 4), (20, 4), (24, 4), (40, 8), (48, 8)].map(at);
            format!("mask {mask:#x} {}", stat(at((28, 2)), fields))
        }
        (Shape::Statfs, Width::X86_64) => statfs(
            [(0, 8), (8, 8), (64, 8), (72, 8)].map(at),
            [(16, 8), (24, 8), (32, 8), (40, 8), (48, 8)].map(at),
        ),
        (Shape::Statfs, Width::I386) => statfs(
            [(0, 4), (4, 4), (56, 4), (60, 4)].map(at),
            [(8, 8), (16, 8), (24, 8), (32, 8), (40, 8)].map(at),
        ),
        (Shape::Segment, Width::X86_64) => {
            segment([(20, 4), (48, 8), (88, 8), (4, 4), (8, 4)].map(at))
        }
        (Shape::Segment, Width::I386) => {
            segment([(20, 2), (36, 4), (72, 4), (4, 4), (8, 4)].map(at))
        }
        (Shape::Flock { large }, _) => {
            let [which, whence, start, length, owner] = flock_layout(width, large).map(at);
            let owner = if owner == 0 { "nobody's" } else { "somebody's" };
            format!("type {which} whence {whence} start {start} length {length} {owner}")
        }
        (Shape::Bytes | Shape::Number, _) => unreachable!("no structure"),
    }
}

/// The size of a directory is its file system's own business, and so are blocks of
/// what is no file.
fn stat(mode: u64, [links, uid, gid, size, blocks]: [u64; 5]) -> String {
    let owner = format!("{uid}:{gid}");
    match mode & u64::from(libc::S_IFMT) {
        kind if kind == u64::from(libc::S_IFREG) => {
            format!("mode {mode:o} links {links} {owner} size {size} blocks {blocks}")
        }
        kind if kind == u64::from(libc::S_IFLNK) => {
            format!("mode {mode:o} links {links} {owner} size {size}")
        }
        _ => format!("mode {mode:o} links {links} {owner}"),
    }
}

fn segment([mode, size, attaches, uid, gid]: [u64; 5]) -> String {
    format!("mode {mode:o} size {size} attaches {attaches} {uid}:{gid}")
}

fn statfs([kind, size, name, fragment]: [u64; 4], counts: [u64; 5]) -> String {
    let [blocks, free, available, files, unused] = counts;
    let sane = available <= free && free <= blocks && unused <= files && 0 < blocks;
    format!("type {kind:#x} block {size} name {name} fragment {fragment} sane {sane}")
}

/// The size of `struct flock`, or of i386's `struct flock64`.
pub(crate) const fn flock_size(width: Width, large: bool) -> usize {
    match (width, large) {
        (Width::X86_64, _) => 32,
        (Width::I386, false) => 16,
        (Width::I386, true) => 24,
    }
}

/// Offsets and lengths of its type, whence, start, length and owner.
pub(crate) const fn flock_layout(width: Width, large: bool) -> [(usize, usize); 5] {
    match (width, large) {
        (Width::X86_64, _) => [(0, 2), (2, 2), (8, 8), (16, 8), (24, 4)],
        (Width::I386, false) => [(0, 2), (2, 2), (4, 4), (8, 4), (12, 4)],
        (Width::I386, true) => [(0, 2), (2, 2), (4, 8), (12, 8), (20, 4)],
    }
}
