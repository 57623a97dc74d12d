//! Physical frames: who has which, and where the next one comes from.
//!
//! Every free frame is known to be zero, so an allocation clears nothing:
//! frames never used are zero because guest RAM is fresh anonymous memory,
//! and frames that come back are cleared when they come back (by the VMM,
//! which also returns their memory to the host, or here).

use crate::host;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::{MAX_SEGMENTS, Request, Segment};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys::{self, FreeList};

/// Runs of at least this many bytes go back to the host; below, clearing here
/// is cheaper than leaving the VM.
const DISCARD_LEAST: u64 = 64 << 10;

/// Bounds of the kernel's reserve, in frames.
const RESERVE_LEAST: u64 = 16;
const RESERVE_MOST: u64 = 256;

/// The free frames.
pub struct Frames {
    /// Never used, in ascending order.
    fresh: [Range; 2],
    /// Used before.
    free: FreeList,
    total: u64,
    /// Frames that are left for the kernel itself when a program has taken all
    /// others.
    reserve: u64,
    /// Where ring 0 is interpreted, the VMM clears even single frames.
    discard_always: bool,
}

/// All frames of this VM.
pub static FRAMES: Mutex<Frames> = Mutex::new(Frames::empty());

impl Frames {
    const fn empty() -> Self {
        let none = Range { start: 0, end: 0 };
        Frames {
            fresh: [none; 2],
            free: FreeList::new(),
            total: 0,
            reserve: 0,
            discard_always: false,
        }
    }

    /// Starts with these ranges of frames that hold zeroes.
    pub fn init(&mut self, fresh: [Range; 2], discard_always: bool) {
        self.fresh = fresh;
        self.free = FreeList::new();
        self.discard_always = discard_always;
        self.total = self.available();
        self.reserve = (self.total / 64).clamp(RESERVE_LEAST, RESERVE_MOST);
    }

    /// Frames that are free now.
    pub fn available(&self) -> u64 {
        let fresh: u64 = self.fresh.iter().map(|range| range.len() / PAGE_SIZE).sum();
        fresh + self.free.len()
    }

    /// Frames that were free at the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of `most` pages should be mapped at once: fewer as memory runs
    /// out, so that a program which touches little of much still fits.
    pub fn ahead(&self, most: u64) -> u64 {
        match self.available() {
            free if free > self.total / 4 => most,
            free if free > self.total / 16 => (most / 8).max(1),
            _ => 1,
        }
    }

    /// `count` zeroed frames in a row, from those that were never used.
    pub fn allocate_run(&mut self, count: u64) -> Option<u64> {
        let length = count * PAGE_SIZE;
        let range = self.fresh.iter_mut().find(|range| range.len() >= length)?;
        let start = range.start;
        range.start += length;
        Some(start)
    }

    /// One frame, of the kernel's reserve too.
    pub fn take_reserved(&mut self) -> Option<Range> {
        let reserve = core::mem::take(&mut self.reserve);
        let frame = self.take(1);
        self.reserve = reserve;
        frame
    }
}

/// Where the kernel's heap gets its memory: `length` bytes in a row, or a page of
/// the reserve where that is enough and no run is left.
pub fn for_heap(length: u64, page_is_enough: bool) -> Option<Range> {
    let mut frames = FRAMES.lock();
    match frames.allocate_run(length / PAGE_SIZE) {
        Some(start) => Some(Range { start, end: start + length }),
        None if page_is_enough => frames.take_reserved(),
        None => None,
    }
}

impl FrameSource for Frames {
    fn take(&mut self, most: u64) -> Option<Range> {
        if self.available() <= self.reserve {
            return None;
        }
        let most = most.min(self.available() - self.reserve);
        if let Some(start) = self.free.pop() {
            return Some(Range { start, end: start + PAGE_SIZE });
        }
        let range = self.fresh.iter_mut().find(|range| !range.is_empty())?;
        let start = range.start;
        range.start = range.end.min(start + most * PAGE_SIZE);
        Some(Range { start, end: range.start })
    }

    fn give_back(&mut self, run: Range) {
        for frame in (run.start..run.end).step_by(PAGE_SIZE as usize) {
            self.free.push(frame);
        }
    }
}

/// Collects frames that are given up, clears them, and frees them when it is
/// dropped or full.
#[derive(Default)]
pub struct Batch {
    /// The run that grows.
    run: Range,
    /// Runs that are complete; `count` of them count.
    pending: [Range; MAX_SEGMENTS],
    count: usize,
}

impl Batch {
    /// Gives `frame` up: no table has it any more, and the caller flushes the
    /// TLB before ring 3 runs again.
    pub fn free(&mut self, frame: u64) {
        if self.run.end == frame {
            self.run.end += PAGE_SIZE;
            return;
        }
        self.end_run();
        self.run = Range { start: frame, end: frame + PAGE_SIZE };
    }

    fn end_run(&mut self) {
        let run = core::mem::take(&mut self.run);
        if run.is_empty() {
            return;
        }
        if self.count == self.pending.len() {
            self.flush();
        }
        self.pending[self.count] = run;
        self.count += 1;
    }

    fn flush(&mut self) {
        let mut frames = FRAMES.lock();
        let runs = &self.pending[..core::mem::take(&mut self.count)];
        let by_host = |run: &Range| frames.discard_always || run.len() >= DISCARD_LEAST;
        let mut cleared_by_host = false;
        if runs.iter().any(by_host) {
            let mut call = host::Call::new(Request::Discard);
            for run in runs.iter().filter(|run| by_host(run)) {
                call.push(Segment { address: run.start, length: run.len() });
            }
            cleared_by_host = call.submit().is_ok();
        }
        for run in runs {
            if !(cleared_by_host && by_host(run)) {
                phys::clear(*run);
            }
        }
        for run in runs {
            // Highest first, so that the lowest is allocated first.
            for index in (0..(run.len() / PAGE_SIZE) as usize).rev() {
                let frame = run.start + index as u64 * PAGE_SIZE;
                frames.free.push(frame);
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.end_run();
        if self.count > 0 {
            self.flush();
        }
    }
}
