//! Physical frames: who has which, and where the next one comes from.
//!
//! RAM is one table with a word a frame. A frame that somebody has: how many
//! owners it has besides that one, so 0 says that it is exclusive, and all words
//! are 0 at the start. A free frame was never used (`fresh`), or is on one of two
//! lists of runs: known to be zero, or dirty. Giving frames up touches their words
//! and never their memory, and asks the VMM nothing.
//!
//! Whoever takes frames gets zeroes. Dirty ones are cleared when they are taken,
//! here; where ring 0 is interpreted, that takes half a millisecond a frame, so
//! [`stock`] has the VMM clear many in one request, before anybody takes a lock.

use crate::host;
use core::sync::atomic::{AtomicBool, Ordering};
use fresh::Fresh;
use runs::Runs;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::{MAX_SEGMENTS, Request, Segment};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys::{self, FrameTable, Words};

mod fresh;
mod runs;

/// Bounds of the kernel's reserve, in frames.
const RESERVE_LEAST: u64 = 16;
const RESERVE_MOST: u64 = 256;

/// Dirty frames that [`tidy`] leaves: to clear them here is cheaper than to have
/// the host find memory for them again.
const KEPT_DIRTY: u64 = 256;

/// A frame with so many owners keeps them for ever: nobody counts further.
const SATURATED: u32 = u32::MAX;

/// Whether the VMM clears frames, because ring 0 is interpreted.
static CLEARED_BY_HOST: AtomicBool = AtomicBool::new(false);

/// All frames of this VM.
pub static FRAMES: Mutex<Frames> = Mutex::new(Frames::NONE);

/// The table, and the free frames.
pub struct Frames {
    table: FrameTable,
    /// Never used.
    fresh: Fresh,
    /// Used before, and zeroes now.
    zero: Runs,
    /// Used before.
    dirty: Runs,
    /// Free frames of all three kinds.
    free: u64,
    total: u64,
    /// Frames that are left for the kernel itself when a program has taken all
    /// others.
    reserve: u64,
    zero_page: u64,
}

const fn number(address: u64) -> u64 {
    address / PAGE_SIZE
}

impl Frames {
    const NONE: Frames = Frames {
        table: FrameTable::EMPTY,
        fresh: Fresh::NONE,
        zero: Runs::NONE,
        dirty: Runs::NONE,
        free: 0,
        total: 0,
        reserve: 0,
        zero_page: 0,
    };

    /// Starts with these ranges of frames that hold zeroes. The page of zeroes is the
    /// first one: what a start touches stays together at the beginning. The table is at
    /// the first range's end, and costs no memory before it is used.
    pub fn init(&mut self, mut fresh: [Range; 2], interpreted: bool) {
        CLEARED_BY_HOST.store(interpreted, Ordering::Relaxed);
        let ends = fresh.iter().filter(|range| !range.is_empty()).map(|range| range.end);
        let end = ends.max().unwrap_or(0);
        let table_bytes = FrameTable::bytes(end).next_multiple_of(PAGE_SIZE);
        let [low, _] = &mut fresh;
        assert!(low.len() > table_bytes + PAGE_SIZE, "no memory for the table of frames");
        low.end -= table_bytes;
        let table = FrameTable::new(Range { start: low.end, end: low.end + table_bytes }, end);
        let zero_page = low.start;
        low.start += PAGE_SIZE;
        let total: u64 = fresh.iter().map(|range| number(range.len())).sum();
        let reserve = (total / 64).clamp(RESERVE_LEAST, RESERVE_MOST);
        let fresh = Fresh::new(fresh);
        *self = Frames { table, fresh, free: total, total, reserve, zero_page, ..Frames::NONE };
    }

    /// Frames that are free now.
    pub fn available(&self) -> u64 {
        self.free
    }

    /// Free frames that nobody has had yet. Those that were used are taken first, so all
    /// others were in use at once: the most that there was of them.
    pub fn untouched(&self) -> u64 {
        self.free.saturating_sub(self.zero.frames() + self.dirty.frames())
    }

    /// Free frames that a program may have.
    pub fn spare(&self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }

    /// Frames that were free at the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The frame of zeroes that nobody writes: it is nobody's, and what is counted of it
    /// means nothing.
    pub fn zero_page(&self) -> u64 {
        self.zero_page
    }

    /// How many of `most` pages should be mapped at once: fewer as memory runs
    /// out, so that a program which touches little of much still fits.
    pub fn ahead(&self, most: u64) -> u64 {
        match self.free {
            free if free > self.total / 4 => most,
            free if free > self.total / 16 => (most / 8).max(1),
            _ => 1,
        }
    }

    /// Who has how many frames, for a loop over many.
    #[inline(always)]
    pub fn owners(&mut self) -> Owners<'_> {
        Owners(self.table.words())
    }

    /// One more owner for a frame that somebody has. Pages outside of RAM are nobody's,
    /// and nobody counts who maps them.
    #[inline]
    pub fn own(&mut self, frame: u64) {
        self.owners().add(frame);
    }

    /// One owner fewer; true, if that was the last one: the frame is the caller's
    /// alone, to be given up.
    #[inline]
    pub fn disown(&mut self, frame: u64) -> bool {
        !self.owners().remove(frame) && self.is_exclusive(frame)
    }

    /// How many owners a frame has besides one; nobody counts those of a page outside of RAM.
    pub fn further_owners(&self, page: u64) -> u64 {
        if self.table.has(number(page)) { self.table.get(number(page)).into() } else { 0 }
    }

    /// Whether a page is in RAM, and so one of the frames that are counted.
    pub fn is_in_ram(&self, page: u64) -> bool {
        self.table.has(number(page))
    }

    /// Whether a frame has one owner.
    pub fn is_exclusive(&self, frame: u64) -> bool {
        self.table.has(number(frame)) && self.table.get(number(frame)) == 0
    }

    /// `count` zeroed frames in a row, of those that are not the kernel's reserve.
    pub fn allocate_run(&mut self, count: u64) -> Option<u64> {
        if self.free < self.reserve + count {
            return None;
        }
        let run = self.fresh.take_run(count).or_else(|| self.used_run(count))?;
        self.free -= count;
        Some(run.start)
    }

    /// So many frames in a row of those that were used before, if a short look
    /// finds them.
    fn used_run(&mut self, count: u64) -> Option<Range> {
        if let Some(run) = self.zero.pop_run(&mut self.table, count) {
            return Some(run);
        }
        let run = self.dirty.pop_run(&mut self.table, count)?;
        phys::clear(run);
        Some(run)
    }

    /// `count` frames in a row that hold anything, and whether they were used before: those
    /// are taken first, because the host has memory for them.
    pub fn unclean_run(&mut self, count: u64) -> Option<(Range, bool)> {
        if self.free < self.reserve + count {
            return None;
        }
        let (run, dirty) = match self.dirty.pop_run(&mut self.table, count) {
            Some(run) => (run, true),
            None => {
                let clean = self.fresh.take_run(count);
                (clean.or_else(|| self.zero.pop_run(&mut self.table, count))?, false)
            }
        };
        self.free -= count;
        Some((run, dirty))
    }

    /// Up to `most` frames that hold anything, and whether they were used before: those
    /// first.
    pub fn unclean(&mut self, most: u64) -> Option<(Range, bool)> {
        let spare = self.free.checked_sub(self.reserve).filter(|&spare| spare > 0)?;
        match self.dirty.pop(&mut self.table, most.min(spare)) {
            Some(run) => {
                self.free -= number(run.len());
                Some((run, true))
            }
            None => self.take(most).map(|run| (run, false)),
        }
    }

    /// One frame, of the kernel's reserve too.
    pub fn take_reserved(&mut self) -> Option<Range> {
        let reserve = core::mem::take(&mut self.reserve);
        let frame = self.take(1);
        self.reserve = reserve;
        frame
    }

    /// A frame that holds anything: what was used last first.
    pub fn take_unclean(&mut self) -> Option<u64> {
        if self.free <= self.reserve {
            return None;
        }
        match self.dirty.pop(&mut self.table, 1) {
            Some(run) => {
                self.free -= 1;
                Some(run.start)
            }
            None => Some(self.take(1)?.start),
        }
    }

    /// Takes back frames that nobody has and that hold anything.
    #[inline]
    pub fn give_up(&mut self, run: Range) {
        self.free += number(run.len());
        self.dirty.push(&mut self.table, run);
    }

    /// The next free frames, as they are, and whether they are to be cleared.
    fn next_free(&mut self, most: u64) -> Option<(Range, bool)> {
        if let Some(run) = self.zero.pop(&mut self.table, most) {
            return Some((run, false));
        }
        // Where ring 0 is interpreted, clearing here is the last resort.
        let dirty_last = CLEARED_BY_HOST.load(Ordering::Relaxed);
        if !dirty_last && let Some(run) = self.dirty.pop(&mut self.table, most) {
            return Some((run, true));
        }
        if let Some(run) = self.fresh.take(most) {
            return Some((run, false));
        }
        self.dirty.pop(&mut self.table, most).map(|run| (run, true))
    }
}

/// The owners of frames, while all frames are borrowed.
pub struct Owners<'a>(Words<'a>);

impl Owners<'_> {
    /// [`Frames::own`].
    #[inline(always)]
    pub fn add(&mut self, frame: u64) {
        if let Some(owners) = self.0.get_mut(number(frame)) {
            *owners += u32::from(*owners < SATURATED);
        }
    }

    /// Takes one owner off a frame that has more than one, and is not saturated. False,
    /// if it is another frame: [`Frames::disown`] knows what that means.
    #[inline(always)]
    pub fn remove(&mut self, frame: u64) -> bool {
        match self.0.get_mut(number(frame)) {
            Some(owners) if (1..SATURATED).contains(owners) => {
                *owners -= 1;
                true
            }
            _ => false,
        }
    }
}

impl FrameSource for Frames {
    fn take(&mut self, most: u64) -> Option<Range> {
        let spare = self.free.checked_sub(self.reserve).filter(|&spare| spare > 0)?;
        let (run, dirty) = self.next_free(most.min(spare))?;
        self.free -= number(run.len());
        if dirty {
            phys::clear(run);
        }
        Some(run)
    }

    fn give_back(&mut self, run: Range) {
        if run.is_empty() {
            return;
        }
        self.free += number(run.len());
        // What was taken last and not used: no word of the table is touched for it.
        if !self.fresh.put_back(run) {
            self.zero.push(&mut self.table, run);
        }
    }
}

/// Where the kernel's heap gets its memory: `length` bytes in a row, or a page of
/// the reserve where that is enough and no run is left.
pub fn for_heap(length: u64, page_is_enough: bool) -> Option<Range> {
    let mut frames = FRAMES.lock();
    match frames.allocate_run(number(length)) {
        Some(start) => Some(Range { start, end: start + length }),
        None if page_is_enough => frames.take_reserved(),
        None => None,
    }
}

/// One frame for a thread's kernel stack; it holds zeroes.
pub fn take_one() -> Option<u64> {
    FRAMES.lock().take(1).map(|frame| frame.start)
}

/// Takes such frames back: nobody maps them any more.
pub fn give_back(used: &[u64]) {
    let mut frames = FRAMES.lock();
    for &start in used {
        frames.give_up(Range { start, end: start + PAGE_SIZE });
    }
}

/// Makes sure that the next `pages` frames can be had without clearing them here, if
/// that would be slow: called before a lock is taken and before a request is
/// gathered, where frames may be needed.
#[inline]
pub fn stock(pages: u64) {
    if CLEARED_BY_HOST.load(Ordering::Relaxed) {
        let frames = FRAMES.lock();
        let wanted = frames.zero.frames() < pages && frames.dirty.frames() > 0;
        drop(frames);
        if wanted {
            clear_by_host(u64::MAX);
        }
    }
}

/// Gives memory of dirty frames back to the host, of up to `budget` frames: for when
/// there is nothing else to do, without locks. True: there is more to do.
pub fn tidy(budget: u64) -> bool {
    let spare = |dirty: u64| dirty.saturating_sub(KEPT_DIRTY);
    let dirty = FRAMES.lock().dirty.frames();
    if spare(dirty) == 0 {
        return false;
    }
    clear_by_host(budget.min(spare(dirty)));
    let left = FRAMES.lock().dirty.frames();
    left < dirty && spare(left) > 0
}

/// Has the VMM clear dirty frames, up to `most`, as many runs as a request holds.
/// They are on neither list meanwhile, and no lock is held.
fn clear_by_host(most: u64) {
    let mut runs = [Range::ZERO; MAX_SEGMENTS];
    let (mut count, mut taken) = (0, 0);
    let mut frames = FRAMES.lock();
    while count < runs.len()
        && taken < most
        && let Some(run) = frames.next_dirty(most - taken)
    {
        runs[count] = run;
        count += 1;
        taken += number(run.len());
    }
    drop(frames);
    let runs = &runs[..count];
    let mut call = host::Call::new(Request::Discard);
    for run in runs {
        call.push(Segment { address: run.start, length: run.len() });
    }
    let cleared = call.submit().is_ok();
    let mut frames = FRAMES.lock();
    for &run in runs.iter().rev() {
        if cleared { frames.give_back(run) } else { frames.give_up(run) }
    }
}

impl Frames {
    /// Takes dirty frames off their list as they are.
    fn next_dirty(&mut self, most: u64) -> Option<Range> {
        let run = self.dirty.pop(&mut self.table, most)?;
        self.free -= number(run.len());
        Some(run)
    }
}

/// Collects frames that are given up into runs, and frees them at the latest when it
/// is dropped.
#[derive(Default)]
pub struct Batch {
    /// The run that grows.
    run: Range,
}

impl Batch {
    /// Gives `frame` up: no table has it any more, and the caller flushes the
    /// TLB before ring 3 runs again.
    #[inline(always)]
    pub fn free(&mut self, frame: u64, frames: &mut Frames) {
        if self.run.end == frame {
            self.run.end += PAGE_SIZE;
        } else {
            self.end_run(frames);
            self.run = Range { start: frame, end: frame + PAGE_SIZE };
        }
    }

    /// Frees what it has.
    pub fn end_run(&mut self, frames: &mut Frames) {
        let run = core::mem::take(&mut self.run);
        if !run.is_empty() {
            frames.give_up(run);
        }
    }
}

#[cfg(test)]
mod tests;
