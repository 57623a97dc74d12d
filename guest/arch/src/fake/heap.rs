//! The host's heap in the kernel's place, which can refuse: a test says which
//! attempt of the kernel's to get memory fails, and finds out what came of it.
//!
//! An attempt is a reservation, an allocation that no reservation stands for, or a
//! frame. Each thread has attempts of its own.

use crate::heap::{LARGEST, Need, class};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr::null_mut;
use std::alloc::System;

thread_local! {
    /// Whether attempts count now.
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    /// How many there were.
    static ATTEMPTS: Cell<u64> = const { Cell::new(0) };
    /// Which one fails; 0 for none.
    static FAILS: Cell<u64> = const { Cell::new(0) };
    /// Whether what must not be locked is so.
    static WATCH: Cell<Option<fn() -> bool>> = const { Cell::new(None) };
    /// How often it was, all the same.
    static LOCKED: Cell<u64> = const { Cell::new(0) };
    /// Blocks that were reserved and not taken yet, by class.
    static RESERVED: [Cell<usize>; LARGEST as usize + 1] =
        const { [const { Cell::new(0) }; LARGEST as usize + 1] };
}

/// Runs kernel code whose attempt number `fails` to get memory fails, if it comes to
/// that: 0 for none. Answers what it answers, and how many attempts it made.
pub fn failing<R>(fails: u64, code: impl FnOnce() -> R) -> (R, u64) {
    ATTEMPTS.set(0);
    FAILS.set(fails);
    RESERVED.with(|reserved| reserved.iter().for_each(|blocks| blocks.set(0)));
    let counting = Counting::switch(true);
    let result = code();
    drop(counting);
    (result, ATTEMPTS.get())
}

/// Runs kernel code that must not get memory while `is_locked`: the heap would have to lock
/// the same, which the fake does not. Answers how often it has, besides.
pub fn watched<R>(is_locked: fn() -> bool, code: impl FnOnce() -> R) -> (R, u64) {
    LOCKED.set(0);
    if !COUNTING.get() {
        RESERVED.with(|reserved| reserved.iter().for_each(|blocks| blocks.set(0)));
    }
    let watching = Watching(WATCH.replace(Some(is_locked)));
    let result = code();
    drop(watching);
    (result, LOCKED.get())
}

/// Runs code that is not the kernel's in the midst of such: it gets its memory.
pub fn aside<R>(code: impl FnOnce() -> R) -> R {
    let _counting = Counting::switch(false);
    let _watching = Watching(WATCH.take());
    code()
}

/// Restores who is watched, also when the code unwinds.
struct Watching(Option<fn() -> bool>);

impl Drop for Watching {
    fn drop(&mut self) {
        WATCH.set(self.0);
    }
}

/// Restores whether attempts count, also when the code unwinds.
struct Counting(bool);

impl Counting {
    fn switch(on: bool) -> Counting {
        Counting(COUNTING.replace(on))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        COUNTING.set(self.0);
    }
}

/// Counts an attempt; false if it fails.
fn attempt() -> bool {
    if !COUNTING.get() {
        return true;
    }
    let number = ATTEMPTS.get() + 1;
    ATTEMPTS.set(number);
    number != FAILS.get()
}

/// As the kernel's: the next allocations, of what `needs` names, succeed.
pub fn reserve(needs: &[Need]) -> bool {
    if needs.iter().any(|need| class(need.layout).is_none()) || !attempt() {
        return false;
    }
    for need in needs {
        with_reserved(need.layout, |blocks| blocks.set(blocks.get() + need.count));
    }
    true
}

/// The blocks reserved for such a layout.
fn with_reserved<R>(layout: Layout, with: impl FnOnce(&Cell<usize>) -> R) -> Option<R> {
    class(layout).map(|class| RESERVED.with(|reserved| with(&reserved[class as usize])))
}

/// Whether a block was reserved for this; it is taken.
fn take_reserved(layout: Layout) -> bool {
    let take = |blocks: &Cell<usize>| {
        let there = blocks.get();
        blocks.set(there.saturating_sub(1));
        there > 0
    };
    with_reserved(layout, take).unwrap_or(false)
}

struct FakeHeap;

#[global_allocator]
static HEAP: FakeHeap = FakeHeap;

// SAFETY: the host's own, or null.
unsafe impl GlobalAlloc for FakeHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let watch = WATCH.get();
        if (COUNTING.get() || watch.is_some()) && !take_reserved(layout) {
            if watch.is_some_and(|is_locked| is_locked()) {
                LOCKED.set(LOCKED.get() + 1);
            }
            if !attempt() {
                return null_mut();
            }
        }
        // SAFETY: the caller vouches for the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: it came from there.
        unsafe { System.dealloc(block, layout) }
    }
}
