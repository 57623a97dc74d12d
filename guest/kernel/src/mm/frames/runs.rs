//! A list of free frames, in runs, that lives in the frames' words.
//!
//! The first run stands beside the list, so that a program that gives little up
//! touches no word: the words of all frames that it has are 0. In the others, the
//! first word of a run has the number of the next run's first frame, and whether
//! the run is longer than one frame; then its second word has the length. All
//! other words of free frames are 0, and so are all words of a run that is taken
//! off.

use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys::FrameTable;

/// In a run's first word: its length is in the second.
const LONGER: u32 = 1 << 31;

/// How many runs [`Runs::pop_run`] looks at, besides the first.
const LOOKED_AT: u32 = 64;

/// The list. Frame 0 is never on it.
pub(super) struct Runs {
    /// The first run: the number of its first frame, and how many there are; none, if
    /// the list is empty.
    first: u32,
    count: u32,
    /// Number of the second run's first frame; 0 without one.
    rest: u32,
    frames: u64,
}

impl Runs {
    /// The empty list.
    pub(super) const NONE: Runs = Runs { first: 0, count: 0, rest: 0, frames: 0 };

    /// How many frames are on it.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Puts a run first.
    #[inline]
    pub(super) fn push(&mut self, table: &mut FrameTable, run: Range) {
        let (number, count) = ((run.start / PAGE_SIZE) as u32, (run.len() / PAGE_SIZE) as u32);
        self.frames += u64::from(count);
        if self.first + self.count == number && self.count > 0 {
            self.count += count;
            return;
        }
        if self.count > 0 {
            write(table, self.first, self.count, self.rest);
            self.rest = self.first;
        }
        (self.first, self.count) = (number, count);
    }

    /// Takes up to `most` frames off the first run.
    #[inline]
    pub(super) fn pop(&mut self, table: &mut FrameTable, most: u64) -> Option<Range> {
        if self.count == 0 || most == 0 {
            return None;
        }
        let taken = u64::from(self.count).min(most) as u32;
        Some(self.take_first(table, taken))
    }

    /// Takes frames off the first run, which has as many.
    #[inline]
    fn take_first(&mut self, table: &mut FrameTable, taken: u32) -> Range {
        let number = self.first;
        self.first += taken;
        self.count -= taken;
        if self.count == 0 && self.rest != 0 {
            let (count, next) = read(table, self.rest);
            clear(table, self.rest, count);
            (self.first, self.count, self.rest) = (self.rest, count, next);
        }
        self.taken(number, taken)
    }

    /// Takes `count` frames in a row, if one of the first runs has as many.
    pub(super) fn pop_run(&mut self, table: &mut FrameTable, count: u64) -> Option<Range> {
        let count = u32::try_from(count).ok()?;
        if self.count >= count && count > 0 {
            return Some(self.take_first(table, count));
        }
        let (mut before, mut number) = (0, self.rest);
        for _ in 0..LOOKED_AT {
            if number == 0 {
                return None;
            }
            let (length, next) = read(table, number);
            if length >= count {
                let rest = shorten(table, number, length, count, next);
                if before == 0 {
                    self.rest = rest;
                } else {
                    let longer = table.get(before.into()) & LONGER;
                    table.set(before.into(), rest | longer);
                }
                return Some(self.taken(number, count));
            }
            (before, number) = (number, next);
        }
        None
    }

    fn taken(&mut self, number: u32, count: u32) -> Range {
        self.frames -= u64::from(count);
        let start = u64::from(number) * PAGE_SIZE;
        Range { start, end: start + u64::from(count) * PAGE_SIZE }
    }
}

/// The run's length, and the next run.
#[inline]
fn read(table: &FrameTable, number: u32) -> (u32, u32) {
    let word = table.get(number.into());
    let count = if word & LONGER != 0 { table.get(u64::from(number) + 1) } else { 1 };
    (count, word & !LONGER)
}

#[inline]
fn write(table: &mut FrameTable, number: u32, count: u32, next: u32) {
    if count > 1 {
        table.set(number.into(), next | LONGER);
        table.set(u64::from(number) + 1, count);
    } else {
        table.set(number.into(), next);
    }
}

/// All words of a run are 0 again.
#[inline]
fn clear(table: &mut FrameTable, number: u32, count: u32) {
    table.set(number.into(), 0);
    if count > 1 {
        table.set(u64::from(number) + 1, 0);
    }
}

/// Takes the first `taken` frames of a run off, and answers who is in its place: the
/// rest, or the next one.
#[inline]
fn shorten(table: &mut FrameTable, number: u32, count: u32, taken: u32, next: u32) -> u32 {
    clear(table, number, count);
    if taken == count {
        return next;
    }
    write(table, number + taken, count - taken, next);
    number + taken
}
