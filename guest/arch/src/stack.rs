//! Kernel stacks: one a thread, in a range of addresses of their own
//! (`layout::THREAD_STACKS`), with unmapped pages below each.
//!
//! The page tables of that range are the kernel's, so that every address space has
//! all stacks. A stack that a thread has left is kept mapped for the next one, up to
//! a few.
#![allow(unsafe_code, reason = "page tables are reached by physical address")]

use super::cpu;
use super::phys::direct;
use spin::Mutex;
use trapgate_abi::layout::{
    MAX_THREADS, PAGE_SIZE, THREAD_STACK_SIZE, THREAD_STACK_STRIDE, THREAD_STACKS,
};
use trapgate_abi::x86::pte;

/// Where frames come from that hold zeroes, one at a time, and where they go.
#[derive(Clone, Copy)]
pub struct Source {
    /// One frame, by its physical address.
    pub take: fn() -> Option<u64>,
    /// Takes frames back that nobody maps any more.
    pub give: fn(&[u64]),
}

/// Pages of a stack.
const PAGES: usize = (THREAD_STACK_SIZE / PAGE_SIZE) as usize;
/// Words of the set of stacks that are in use or kept.
const WORDS: usize = MAX_THREADS as usize / 64;
/// How many stacks are kept that nobody uses.
const KEPT: usize = 8;
/// The kernel's own: written and not executed; accessed and dirty ahead. Not global:
/// they come and go.
const LEAF: u64 = pte::P | pte::W | pte::A | pte::D | pte::NX;
const TABLE: u64 = pte::P | pte::W | pte::A;

struct Stacks {
    source: Option<Source>,
    used: [u64; WORDS],
    kept: [u32; KEPT],
    kept_count: usize,
}

static STACKS: Mutex<Stacks> =
    Mutex::new(Stacks { source: None, used: [0; WORDS], kept: [0; KEPT], kept_count: 0 });

/// Says where the stacks' memory comes from.
pub fn init(source: Source) {
    STACKS.lock().source = Some(source);
}

/// A stack that is mapped; nobody else's.
pub struct KernelStack(u32);

impl KernelStack {
    /// A stack; `None` if there is no memory, or no room for one more thread.
    pub fn new() -> Option<KernelStack> {
        let mut stacks = STACKS.lock();
        if stacks.kept_count > 0 {
            stacks.kept_count -= 1;
            return Some(KernelStack(stacks.kept[stacks.kept_count]));
        }
        let source = stacks.source?;
        let word = stacks.used.iter().position(|&word| word != u64::MAX)?;
        let slot = 64 * word as u32 + stacks.used[word].trailing_ones();
        let stack = KernelStack(slot);
        if !stack.map(source) {
            stack.unmap(source);
            core::mem::forget(stack);
            return None;
        }
        stacks.used[word] |= 1 << (slot % 64);
        Some(stack)
    }

    /// The address behind its last byte.
    pub fn top(&self) -> u64 {
        THREAD_STACKS + (u64::from(self.0) + 1) * THREAD_STACK_STRIDE
    }

    fn pages(&self) -> impl Iterator<Item = u64> {
        let top = self.top();
        (1..=PAGES as u64).map(move |page| top - page * PAGE_SIZE)
    }

    /// False if frames ran out: then some of it is mapped.
    fn map(&self, source: Source) -> bool {
        self.pages().all(|page| {
            let Some(entry) = entry(page, Some(source)) else { return false };
            let Some(frame) = (source.take)() else { return false };
            // SAFETY: the entry is one of the kernel's for a page that is not mapped.
            unsafe { entry.write(frame | LEAF) };
            true
        })
    }

    fn unmap(&self, source: Source) {
        let mut frames = [0; PAGES];
        let mut count = 0;
        for page in self.pages() {
            let Some(entry) = entry(page, None) else { continue };
            // SAFETY: the entry is one of the kernel's for a page of this stack, on
            // which nobody stands.
            let old = unsafe { entry.replace(0) };
            if old != 0 {
                cpu::invalidate_page(page);
                frames[count] = old & pte::ADDRESS;
                count += 1;
            }
        }
        (source.give)(&frames[..count]);
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        let mut stacks = STACKS.lock();
        if stacks.kept_count < KEPT {
            let count = stacks.kept_count;
            stacks.kept[count] = self.0;
            stacks.kept_count += 1;
        } else if let Some(source) = stacks.source {
            self.unmap(source);
            stacks.used[self.0 as usize / 64] &= !(1 << (self.0 % 64));
        }
    }
}

/// Where the leaf entry for `page` is, in the kernel's tables. Tables that are
/// missing are made, if there is a source.
fn entry(page: u64, source: Option<Source>) -> Option<*mut u64> {
    let mut table = cpu::page_table() & pte::ADDRESS;
    for level in [3, 2, 1] {
        let entry: *mut u64 = direct(table + 8 * (page >> (12 + 9 * level) & 511));
        // SAFETY: tables are in RAM, all of which is in the direct map.
        let mut value = unsafe { entry.read() };
        if value & pte::P == 0 {
            value = (source?.take)()? | TABLE;
            // SAFETY: as above; the frame holds zeroes, so it is an empty table.
            unsafe { entry.write(value) };
        }
        table = value & pte::ADDRESS;
    }
    Some(direct(table + 8 * (page >> 12 & 511)))
}
