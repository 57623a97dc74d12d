//! Who does what when, and what each process must find then: worked out when this is
//! compiled, because a process that wrote it down would do so in memory that is under
//! test.

use super::PAGE;

/// Pages of the private memory that are mapped; behind them there is room.
pub(super) const PRIVATE: usize = 40;
/// Where that room ends.
pub(super) const RESERVED: usize = 44;
/// The first page of the shared memory, and how many it has.
pub(super) const SHARED: usize = 48;
pub(super) const SHARED_PAGES: usize = 2;
/// All numbers of pages.
const PAGES: usize = SHARED + SHARED_PAGES;

/// Where private pages begin that the first process has, before the first fork, only
/// read; not touched; written to and then given no access; written to and then made
/// read-only. Those before them it has written to.
const READ: usize = 16;
const UNTOUCHED: usize = 24;
const WITHOUT_ACCESS: usize = 32;
const READ_ONLY: usize = 36;

/// The words of a page.
pub(super) const WORDS: usize = PAGE / size_of::<usize>();
/// What read(2) brings, byte by byte.
pub(super) const INPUT: usize = usize::MAX / 255 * b'Z' as usize;

/// Which access mprotect(2) gives.
pub(super) const NONE: usize = 0;
pub(super) const R: usize = 1;
pub(super) const RW: usize = 3;

/// What is done to some pages.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// A process with this number is made.
    Fork(usize),
    /// The program fills them.
    Write,
    /// The kernel fills them: read(2).
    Read,
    /// The kernel writes two words, the last one of the first page and the first one
    /// of the next: clock_getres(2).
    CopyOut,
    /// The same is refused.
    Refused,
    Protect(usize),
    Unmap,
    /// madvise(2), `MADV_DONTNEED`.
    Discard,
    /// mremap(2) to the page with this number.
    Move(usize),
    /// The process ends.
    End,
    /// Nothing but looking at all pages.
    Look,
}

/// One step.
pub(super) struct Step {
    pub(super) by: usize,
    pub(super) act: Act,
    pub(super) first: usize,
    pub(super) count: usize,
    /// How many frames it takes, where that is known whatever the kernel maps ahead.
    pub(super) frames: Option<i64>,
}

const fn step(by: usize, act: Act, first: usize, count: usize, frames: i64) -> Step {
    Step { by, act, first, count, frames: Some(frames) }
}

/// A step that takes frames for tables, or for pages around.
const fn any(by: usize, act: Act, first: usize, count: usize) -> Step {
    Step { by, act, first, count, frames: None }
}

/// The steps, in order.
pub(super) const SCRIPT: &[Step] = &[
    any(0, Act::Fork(1), 0, 0),
    // Who writes first gets a copy, and the other is left alone with the frame.
    step(0, Act::Write, 0, 4, 4),
    step(1, Act::Write, 0, 4, 0),
    step(1, Act::Write, 4, 2, 2),
    step(0, Act::Write, 5, 1, 0),
    // So it is if the kernel writes.
    step(1, Act::CopyOut, 6, 2, 2),
    step(0, Act::Read, 7, 2, 1),
    step(1, Act::CopyOut, 8, 2, 1),
    step(0, Act::CopyOut, 8, 2, 0),
    // Another access in between gives no right that the page had not.
    any(0, Act::Protect(R), 10, 2),
    step(0, Act::Refused, 10, 2, 0),
    any(0, Act::Protect(RW), 10, 2),
    step(0, Act::Write, 10, 1, 1),
    any(1, Act::Protect(NONE), 11, 1),
    any(1, Act::Protect(RW), 11, 1),
    step(1, Act::Write, 11, 1, 1),
    step(0, Act::Write, 11, 1, 0),
    // What was only read, and what was not touched, is zero until it is written.
    any(1, Act::Write, READ, 2),
    any(0, Act::Write, READ + 1, 2),
    any(0, Act::CopyOut, READ + 4, 2),
    any(1, Act::Write, UNTOUCHED, 2),
    any(0, Act::Write, UNTOUCHED + 1, 2),
    // What could not be written at the fork can be now.
    any(0, Act::Protect(RW), WITHOUT_ACCESS, 2),
    step(0, Act::Write, WITHOUT_ACCESS, 1, 1),
    any(1, Act::Protect(RW), WITHOUT_ACCESS, 2),
    step(1, Act::Write, WITHOUT_ACCESS, 2, 1),
    // Shared memory stays so.
    any(0, Act::Write, SHARED, 1),
    step(1, Act::Write, SHARED, 1, 0),
    any(1, Act::Write, SHARED + 1, 1),
    // Three owners: two copies.
    any(1, Act::Fork(2), 0, 0),
    step(2, Act::Write, 12, 1, 1),
    step(1, Act::Write, 12, 1, 1),
    step(0, Act::Write, 12, 1, 0),
    // Two of them have a page that the third one has not.
    step(2, Act::Write, 0, 1, 1),
    step(1, Act::Write, 0, 1, 0),
    step(0, Act::Write, 0, 1, 0),
    // Owners go: by munmap, madvise, mremap.
    any(1, Act::Unmap, 13, 1),
    step(0, Act::Write, 13, 1, 1),
    step(2, Act::Write, 13, 1, 0),
    step(2, Act::Discard, 14, 1, 0),
    step(0, Act::Write, 14, 1, 1),
    step(1, Act::Write, 14, 1, 0),
    any(2, Act::Write, 14, 1),
    any(1, Act::Move(PRIVATE), 15, 1),
    step(1, Act::Write, PRIVATE, 1, 1),
    step(0, Act::Write, 15, 1, 1),
    step(2, Act::Write, 15, 1, 0),
    step(2, Act::Write, SHARED + 1, 1, 0),
    // And by their end: the others go on.
    step(0, Act::Look, 0, 0, 0),
    step(1, Act::Look, 0, 0, 0),
    any(2, Act::End, 0, 0),
    any(1, Act::Protect(RW), READ_ONLY, 4),
    step(1, Act::Write, READ_ONLY, 1, 1),
    any(0, Act::Protect(RW), READ_ONLY, 4),
    step(0, Act::Write, READ_ONLY, 1, 0),
    step(0, Act::Look, 0, 0, 0),
    any(1, Act::End, 0, 0),
    step(0, Act::Write, 0, 13, 0),
    step(0, Act::Write, READ_ONLY, 4, 0),
    step(0, Act::Look, 0, 0, 0),
];

/// What a process must find in a page.
#[derive(Clone, Copy)]
pub(super) struct Page {
    /// It is there, and may be read.
    pub(super) is_there: bool,
    pub(super) words: Words,
    /// Whether the kernel has written the first word and the last one since.
    pub(super) copied_out: [bool; 2],
}

/// A page's words.
#[derive(Clone, Copy)]
pub(super) enum Words {
    Zero,
    Input,
    /// Written by the program: in which step, to which page.
    Of(u8, u8),
}

impl Words {
    pub(super) const fn word(self, index: usize) -> usize {
        match self {
            Words::Zero => 0,
            Words::Input => INPUT,
            Words::Of(step, page) => {
                ((step as usize) << 24 | (page as usize) << 16 | 0x5a00).rotate_left(3) ^ index
            }
        }
    }
}

/// In the place of a step: what the first process writes before the first one.
pub(super) const AT_FIRST: usize = SCRIPT.len();

/// How many processes there are.
const PROCESSES: usize = 3;
/// The pages of each.
type State = [[Page; PAGES]; PROCESSES];

/// What must be before each step, and at the end.
pub(super) static EXPECTED: [State; SCRIPT.len() + 1] = {
    let mut page = 0;
    let nothing = Page { is_there: false, words: Words::Zero, copied_out: [false; 2] };
    let mut states = [[[nothing; PAGES]; PROCESSES]; SCRIPT.len() + 1];
    while page < PAGES {
        let Before { written, access, .. } = before(page);
        let words = if written { Words::Of(AT_FIRST as u8, page as u8) } else { Words::Zero };
        let is_there = (page < PRIVATE || page >= SHARED) && access != NONE;
        states[0][0][page] = Page { is_there, words, ..nothing };
        page += 1;
    }
    let mut number = 0;
    while number < SCRIPT.len() {
        states[number + 1] = after(states[number], number);
        number += 1;
    }
    states
};

/// What a step makes of it.
const fn after(mut state: State, number: usize) -> State {
    let Step { by, act, first, count, .. } = SCRIPT[number];
    if let Act::Fork(made) = act {
        state[made] = state[by];
    }
    let mut page = first;
    while page < first + count {
        let mut new = state[by][page];
        match act {
            Act::Write => new.words = Words::Of(number as u8, page as u8),
            Act::Read => new.words = Words::Input,
            Act::Discard => new.words = Words::Zero,
            Act::CopyOut if page == first => new.copied_out[1] = true,
            Act::CopyOut => new.copied_out[0] = true,
            Act::Protect(access) => new.is_there = access != NONE,
            Act::Move(to) => {
                state[by][to + (page - first)] = new;
                new.is_there = false;
            }
            Act::Unmap => new.is_there = false,
            Act::Fork(_) | Act::Refused | Act::End | Act::Look => {}
        }
        if matches!(act, Act::Write | Act::Read | Act::Discard) {
            new.copied_out = [false; 2];
        }
        let mut process = 0;
        while process < PROCESSES {
            if process == by || page >= SHARED {
                state[process][page] = new;
            }
            process += 1;
        }
        page += 1;
    }
    state
}

/// What the first process does to a page before.
pub(super) struct Before {
    pub(super) written: bool,
    pub(super) read: bool,
    pub(super) access: usize,
}

pub(super) const fn before(page: usize) -> Before {
    let access = match page {
        WITHOUT_ACCESS..READ_ONLY => NONE,
        READ_ONLY..PRIVATE => R,
        _ => RW,
    };
    let written = page < READ || (WITHOUT_ACCESS <= page && page < PRIVATE);
    Before { written, read: READ <= page && page < UNTOUCHED, access }
}
