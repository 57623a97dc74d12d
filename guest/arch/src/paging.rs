//! Four-level page tables (Intel SDM vol. 3, 4.5), reached through the direct
//! map.
//!
//! The VMM builds the first tables; the kernel's `mm::space` changes the user's half
//! here. All work is on ranges, so that a run of pages costs one walk, and what
//! is done to an entry is the caller's, compiled into the walk.
#![allow(unsafe_code, reason = "tables are reached by physical address")]

use super::cpu;
use super::phys::direct;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::mitigation::PTI_USER_TABLE;
use trapgate_abi::x86::pte;

const ENTRIES: usize = 512;
/// The first entry of the top table that is the kernel's half.
const KERNEL_HALF: usize = 256;

/// Software bit: the page is there, but no access is allowed (`PROT_NONE`).
pub const NO_ACCESS: u64 = 1 << 9;
/// Software bit: the frame may have other owners than this entry.
pub const COUNTED: u64 = 1 << 10;
/// Software bit: whoever may write the page gets a copy first.
pub const COPY_ON_WRITE: u64 = 1 << 11;

/// Where the addresses of the user's half end.
pub const USER_HALF_END: u64 = 1 << 47;

/// The flags of page-table entries above the leaves, user's half.
const TABLE: u64 = pte::P | pte::W | pte::U | pte::A;

/// A table: what [`PageTables::leaf`] answers, the last level.
pub type Table = [u64; ENTRIES];

/// Where zeroed frames come from.
pub trait FrameSource {
    /// Up to `most` frames in a row, at least one; `None` if there are none.
    fn take(&mut self, most: u64) -> Option<Range>;

    /// Takes back what was not used and is still zero; may be empty.
    fn give_back(&mut self, run: Range);
}

/// A set of page tables, by the physical address of the top one; and of ring
/// 3's own, if it has one. The tables below are the same for both.
pub struct PageTables {
    root: u64,
    user_root: Option<u64>,
}

/// What CR3 holds for page tables: a thread has it, whose address space has the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cr3(u64);

impl Cr3 {
    /// Has the CPU use the tables. Whoever owns them keeps them while they are used:
    /// [`PageTables::is_loaded`].
    #[inline]
    pub fn load(self) {
        // SAFETY: it comes from `PageTables`, all of which have the same kernel's half.
        unsafe { cpu::set_page_table(self.0) };
    }
}

/// One that may be exchanged for another.
pub struct AtomicCr3(AtomicU64);

impl AtomicCr3 {
    /// This one.
    pub const fn new(cr3: Cr3) -> AtomicCr3 {
        AtomicCr3(AtomicU64::new(cr3.0))
    }

    /// What it is.
    #[inline]
    pub fn get(&self) -> Cr3 {
        Cr3(self.0.load(Ordering::Relaxed))
    }

    /// Another in its place.
    pub fn set(&self, cr3: Cr3) {
        self.0.store(cr3.0, Ordering::Relaxed);
    }
}

/// Bytes that an entry of `level` covers; level 0 is the leaf.
const fn span(level: u32) -> u64 {
    PAGE_SIZE << (9 * level)
}

const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
}

/// The end of the piece of `level` that holds `address`.
const fn piece_end(address: u64, level: u32) -> u64 {
    (address & !(span(level) - 1)) + span(level)
}

/// The table at a physical address.
///
/// # Safety
/// It must be a table, and nobody else's for as long as the reference lives.
#[inline(always)]
unsafe fn table_at<'a>(physical: u64) -> &'a mut Table {
    // SAFETY: all of RAM is in the direct map; the caller vouches for the rest.
    unsafe { &mut *direct(physical) }
}

impl PageTables {
    /// The tables whose top one is at physical address `root`. `isolated`: there
    /// is a second one, for ring 3, at [`PTI_USER_TABLE`].
    ///
    /// # Safety
    /// They must be well-formed, their user's half made of 4 KiB pages, and
    /// nobody else may change them while this value exists.
    pub const unsafe fn new(root: u64, isolated: bool) -> Self {
        PageTables { root, user_root: if isolated { Some(root | PTI_USER_TABLE) } else { None } }
    }

    /// The physical address of the top table: CR3's.
    pub const fn root(&self) -> u64 {
        self.root
    }

    /// What CR3 holds in ring 0 while the CPU uses these.
    pub const fn cr3(&self) -> Cr3 {
        Cr3(self.root)
    }

    /// The frames of the top table, or of both.
    pub const fn top(&self) -> Range {
        let end = if let Some(user_root) = self.user_root { user_root } else { self.root };
        Range { start: self.root, end: end + PAGE_SIZE }
    }

    /// Whether ring 3 has a top table of its own, behind the other.
    pub const fn is_isolated(&self) -> bool {
        self.user_root.is_some()
    }

    /// Whether they are those that this CPU uses now.
    pub fn is_loaded(&self) -> bool {
        let loaded = cpu::page_table() & pte::ADDRESS;
        loaded == self.root || Some(loaded) == self.user_root
    }

    /// Tables with the same kernel's half and nothing in the user's, whose top
    /// tables are in `frames`: zeroed, nobody else's, as many as these have, and
    /// aligned as these are.
    pub fn sibling(&self, frames: Range) -> PageTables {
        let user_root = self.user_root.map(|_| frames.start | PTI_USER_TABLE);
        let both = [(self.root, frames.start)].into_iter().chain(self.user_root.zip(user_root));
        for (from, to) in both {
            // SAFETY: top tables of ours; the kernel's half of them never changes
            // after the VMM has made it.
            let (from, to) = unsafe { (table_at(from), table_at(to)) };
            to[KERNEL_HALF..].copy_from_slice(&from[KERNEL_HALF..]);
        }
        PageTables { root: frames.start, user_root }
    }

    /// Sets an entry of the user's half in `table`, which is of `level`; at the
    /// top in ring 3's table too. There ring 0 has no use for executing it: with
    /// the kernel's tables, ring 3 does not get far (Linux: `__pti_set_user_pgtbl`).
    fn set(&mut self, table: u64, level: u32, slot: usize, entry: u64) {
        let Some(user_root) = self.user_root.filter(|_| level == 3) else {
            self.table(table)[slot] = entry;
            return;
        };
        self.table(user_root)[slot] = entry;
        let no_execute = if entry & pte::P != 0 { pte::NX } else { 0 };
        self.table(table)[slot] = entry | no_execute;
    }

    #[inline(always)]
    fn table(&mut self, physical: u64) -> &mut Table {
        // SAFETY: `physical` comes from an entry of these tables (or is their
        // root), and `self` is borrowed mutably for as long as the reference lives.
        unsafe { table_at(physical) }
    }

    /// The leaf table that covers `address`; without one, where the piece ends that
    /// has no table.
    #[inline(always)]
    fn leaf(&mut self, address: u64) -> Result<&mut Table, u64> {
        let mut physical = self.root;
        for level in [3, 2, 1] {
            let entry = self.table(physical)[index(address, level)];
            if entry & pte::P == 0 {
                return Err(piece_end(address, level));
            }
            physical = entry & pte::ADDRESS;
        }
        Ok(self.table(physical))
    }

    /// The same; missing tables are made from `frames`, as long as there are any.
    fn leaf_or_new(&mut self, address: u64, frames: &mut impl FrameSource) -> Option<&mut Table> {
        let mut physical = self.root;
        for level in [3, 2, 1] {
            let slot = index(address, level);
            let mut entry = self.table(physical)[slot];
            if entry & pte::P == 0 {
                entry = frames.take(1)?.start | TABLE;
                self.set(physical, level, slot, entry);
            }
            physical = entry & pte::ADDRESS;
        }
        Some(self.table(physical))
    }

    /// The leaf entry for `address`, 0 if there is none.
    #[inline]
    pub fn entry(&mut self, address: u64) -> u64 {
        self.leaf(address).map_or(0, |table| table[index(address, 0)])
    }

    /// Puts `entry` in the place of the entry for `address`, whose tables
    /// exist, and answers the old one. Without tables: nothing, and 0.
    #[inline]
    pub fn replace(&mut self, address: u64, entry: u64) -> u64 {
        match self.leaf(address) {
            Ok(table) => core::mem::replace(&mut table[index(address, 0)], entry),
            Err(_) => 0,
        }
    }

    /// Calls `visit` with the part of each leaf table that `start..end` has, and the
    /// address where it begins, until that breaks off. Skips what has no tables at the
    /// cost of one look a table.
    #[inline(always)]
    fn for_each_leaf<B>(
        &mut self,
        start: u64,
        end: u64,
        mut visit: impl FnMut(u64, &mut [u64]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut address = start;
        while address < end {
            address = match self.leaf(address) {
                Ok(table) => {
                    visit(address, entries(table, address, end))?;
                    piece_end(address, 1)
                }
                Err(next) => next,
            };
        }
        ControlFlow::Continue(())
    }

    /// Calls `visit` with the address of, and the entry for, each page of
    /// `start..end` that has one; the entry may be changed.
    #[inline]
    pub fn for_each(&mut self, start: u64, end: u64, mut visit: impl FnMut(u64, &mut u64)) {
        let _: ControlFlow<()> = self.for_each_leaf(start, end, |mut address, entries| {
            for entry in entries {
                if *entry != 0 {
                    visit(address, entry);
                }
                address += PAGE_SIZE;
            }
            ControlFlow::Continue(())
        });
    }

    /// Calls `visit` with the part of each leaf table that `start..end` has.
    #[inline(always)]
    pub fn for_each_part(&mut self, start: u64, end: u64, mut visit: impl FnMut(&mut [u64])) {
        let _: ControlFlow<()> = self.for_each_leaf(start, end, |_, entries| {
            visit(entries);
            ControlFlow::Continue(())
        });
    }

    /// Calls `visit` with each page of `start..end`, its entry, which may be 0, and
    /// `frames`, until that answers false. Missing tables are made first. False, if
    /// that was the end of it, or frames for tables ran out.
    #[inline]
    pub fn for_each_slot<F: FrameSource>(
        &mut self,
        start: u64,
        end: u64,
        frames: &mut F,
        mut visit: impl FnMut(u64, &mut u64, &mut F) -> bool,
    ) -> bool {
        let mut address = start;
        while address < end {
            let Some(entries) = self.slots(address, end, frames) else { return false };
            for entry in entries {
                if !visit(address, entry, frames) {
                    return false;
                }
                address += PAGE_SIZE;
            }
        }
        true
    }

    /// The entries for the first pages of `start..end`, as many as one table has, which
    /// is made if it is missing; `None`, if frames for it ran out.
    #[inline(always)]
    pub fn slots(
        &mut self,
        start: u64,
        end: u64,
        frames: &mut impl FrameSource,
    ) -> Option<&mut [u64]> {
        Some(entries(self.leaf_or_new(start, frames)?, start, end))
    }

    /// Makes the tables for `start..end`; false if frames ran out.
    pub fn prepare(&mut self, start: u64, end: u64, frames: &mut impl FrameSource) -> bool {
        (start..end)
            .step_by(span(1) as usize)
            .chain([end - 1])
            .all(|address| self.leaf_or_new(address, frames).is_some())
    }

    /// The first page of `start..end` that has an entry, and the entry.
    pub fn first_entry(&mut self, start: u64, end: u64) -> Option<(u64, u64)> {
        let walk = self.for_each_leaf(start, end, |address, entries| {
            match entries.iter().zip(0..).find(|(entry, _)| **entry != 0) {
                Some((&entry, page)) => ControlFlow::Break((address + page * PAGE_SIZE, entry)),
                None => ControlFlow::Continue(()),
            }
        });
        walk.break_value()
    }

    /// Gives `to`, which has nothing there, a copy of what `start..end` has: calls `share`
    /// with the part of each leaf table in which there is something, as it is and as it is
    /// to be in the copy, all 0 before. False, if frames for tables ran out; then part of
    /// it is copied.
    #[inline]
    pub fn copy<F: FrameSource>(
        &mut self,
        to: &mut PageTables,
        start: u64,
        end: u64,
        frames: &mut F,
        mut share: impl FnMut(&mut [u64], &mut [u64], &mut F),
    ) -> bool {
        let walk = self.for_each_leaf(start, end, |address, from| {
            if from.iter().any(|&entry| entry != 0) {
                let Some(table) = to.leaf_or_new(address, frames) else {
                    return ControlFlow::Break(());
                };
                share(from, entries(table, address, end), frames);
            }
            ControlFlow::Continue(())
        });
        walk.is_continue()
    }

    /// Gives up the tables that cover nothing but `low..high` and have a part in
    /// `start..end`: what they mapped is gone, so they hold zeroes. Calls `freed`
    /// with each one's frame. Whoever calls this flushes the TLB.
    pub fn prune(
        &mut self,
        [start, end]: [u64; 2],
        [low, high]: [u64; 2],
        freed: &mut dyn FnMut(u64),
    ) {
        let block = start & !(span(1) - 1);
        // Often none: a table is far larger than most mappings.
        if (block >= low && block + span(1) <= high)
            || (piece_end(block, 1) < end && piece_end(block, 1) + span(1) <= high)
        {
            self.prune_in(self.root, 3, [start, end], [low, high], freed);
        }
    }

    fn prune_in(
        &mut self,
        physical: u64,
        level: u32,
        [start, end]: [u64; 2],
        [low, high]: [u64; 2],
        freed: &mut dyn FnMut(u64),
    ) {
        let mut address = start;
        while address < end {
            let block = address & !(span(level) - 1);
            let (block_end, slot) = (block + span(level), index(address, level));
            let entry = self.table(physical)[slot];
            if entry & pte::P != 0 {
                let below = entry & pte::ADDRESS;
                let free = block >= low && block_end <= high;
                if level > 1 {
                    // All of it, if all of it is free.
                    let part =
                        if free { [block, block_end] } else { [address, end.min(block_end)] };
                    self.prune_in(below, level - 1, part, [low, high], freed);
                }
                if free {
                    self.set(physical, level, slot, 0);
                    freed(below);
                }
            }
            address = block_end;
        }
    }
}

/// The entries of a leaf table for the pages from `address` on that it covers, up to
/// `end`.
#[inline(always)]
fn entries(table: &mut Table, address: u64, end: u64) -> &mut [u64] {
    let first = index(address, 0);
    let count = (ENTRIES - first).min(((end - address) / PAGE_SIZE) as usize);
    &mut table[first..first + count]
}

/// Forgets the TLB's entries for `start..end`: page by page while that is
/// cheaper than all at once (Linux's limit is 33 pages).
pub fn flush_range(start: u64, end: u64) {
    if end - start > 33 * PAGE_SIZE {
        cpu::flush_tlb();
    } else {
        let mut page = start;
        while page < end {
            cpu::invalidate_page(page);
            page += PAGE_SIZE;
        }
    }
}
