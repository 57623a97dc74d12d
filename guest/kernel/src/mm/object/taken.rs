//! Frames that are filled with what an object asks for.

use crate::mm::frames::{self, FRAMES};
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::FrameSource;

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

/// Frames that are to be filled; they go back, unless they are taken.
#[derive(Debug)]
pub struct Taken {
    runs: [Range; MOST_RUNS],
    len: usize,
    count: u64,
}

impl Taken {
    /// Up to `most` frames in up to `most_runs` runs, in a row where there are such.
    pub fn new(most: u64, most_runs: usize) -> Taken {
        frames::stock(most);
        let mut taken = Taken { runs: [Range::ZERO; MOST_RUNS], len: 0, count: 0 };
        let mut frames = FRAMES.lock();
        if let Some(start) = frames.allocate_run(most) {
            taken.runs[0] = Range { start, end: start + most * PAGE_SIZE };
            (taken.len, taken.count) = (1, most);
        }
        while taken.count < most
            && taken.len < most_runs.min(MOST_RUNS)
            && let Some(run) = frames.take(most - taken.count)
        {
            taken.runs[taken.len] = run;
            taken.len += 1;
            taken.count += run.len() / PAGE_SIZE;
        }
        taken
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
        for &run in self.runs().iter().rev() {
            frames.give_back(run);
        }
        (self.len, self.count) = (0, 0);
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
