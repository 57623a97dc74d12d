//! Frames that are filled with what an object asks for.

use crate::mm::frames::FRAMES;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys;

/// Pages that are brought at once, from a multiple of it on: files of this size take one
/// request.
pub const AT_ONCE: u64 = 16;
/// Runs of frames that they are brought into, at most.
pub(super) const MOST_RUNS: usize = 16;

/// A file's first pages, which came when it was found.
#[derive(Debug)]
pub struct Begun {
    /// The frames that they are in.
    pub frames: Taken,
    /// How many bytes there are.
    pub bytes: u64,
}

/// Frames that are to be filled, and hold anything until then; they go back, unless they
/// are taken.
#[derive(Debug)]
pub struct Taken {
    runs: [Range; MOST_RUNS],
    /// Which of them were used before, a bit each.
    dirty: u16,
    len: usize,
    count: u64,
}

const _: () = assert!(MOST_RUNS <= u16::BITS as usize);

impl Taken {
    /// Up to `most` frames in up to `most_runs` runs, in a row where there are such.
    pub fn new(most: u64, most_runs: usize) -> Taken {
        let mut taken = Taken { runs: [Range::ZERO; MOST_RUNS], dirty: 0, len: 0, count: 0 };
        let mut frames = FRAMES.lock();
        if let Some(run) = frames.unclean_run(most) {
            taken.add(run);
        }
        while taken.count < most
            && taken.len < most_runs.min(MOST_RUNS)
            && let Some(run) = frames.unclean(most - taken.count)
        {
            taken.add(run);
        }
        taken
    }

    fn add(&mut self, (run, dirty): (Range, bool)) {
        self.runs[self.len] = run;
        self.dirty |= u16::from(dirty) << self.len;
        self.len += 1;
        self.count += run.len() / PAGE_SIZE;
    }

    /// Where they are.
    pub fn runs(&self) -> &[Range] {
        &self.runs[..self.len]
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Gives back all of them: nobody has written to any.
    pub fn untouched(mut self) {
        let mut frames = FRAMES.lock();
        for (index, &run) in self.runs().iter().enumerate().rev() {
            let dirty = self.dirty & 1 << index != 0;
            if dirty { frames.give_up(run) } else { frames.give_back(run) }
        }
        (self.len, self.count) = (0, 0);
    }

    /// Clears all behind the first `filled` bytes.
    pub(super) fn clear_behind(&self, mut filled: u64) {
        for run in self.runs() {
            let start = run.start + filled.min(run.len());
            filled -= start - run.start;
            let whole = start.next_multiple_of(PAGE_SIZE);
            phys::clear_bytes(start, whole - start);
            phys::clear(Range { start: whole, end: run.end });
        }
    }

    /// Gives up all but the first `count`.
    pub(super) fn keep(&mut self, count: u64) {
        let mut frames = FRAMES.lock();
        while self.count > count {
            let last = &mut self.runs[self.len - 1];
            let less = (last.len() / PAGE_SIZE).min(self.count - count);
            let end = last.end;
            last.end -= less * PAGE_SIZE;
            frames.give_up(Range { start: last.end, end });
            self.count -= less;
            self.len -= usize::from(last.is_empty());
        }
    }

    /// All of them, to be kept.
    pub(super) fn take(&mut self) -> [Range; MOST_RUNS] {
        (self.len, self.count) = (0, 0);
        core::mem::replace(&mut self.runs, [Range::ZERO; MOST_RUNS])
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut frames = FRAMES.lock();
        for &run in self.runs() {
            frames.give_up(run);
        }
    }
}
