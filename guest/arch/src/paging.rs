//! Four-level page tables (Intel SDM vol. 3, 4.5), reached through the direct
//! map.
//!
//! The VMM builds the first tables; the kernel's `mm::space` changes the user's half
//! here. All work is on ranges, so that a run of pages costs one walk.
#![allow(unsafe_code, reason = "tables are reached by physical address")]

use super::cpu;
use super::phys::direct;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::mitigation::PTI_USER_TABLE;
use trapgate_abi::x86::pte;

const ENTRIES: usize = 512;

/// Software bit: the page is there, but no access is allowed (`PROT_NONE`).
pub const NO_ACCESS: u64 = 1 << 9;

/// The flags of page-table entries above the leaves, user's half.
const TABLE: u64 = pte::P | pte::W | pte::U | pte::A;

type Table = [u64; ENTRIES];

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

/// Bytes that an entry of `level` covers; level 0 is the leaf.
const fn span(level: u32) -> u64 {
    PAGE_SIZE << (9 * level)
}

const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
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

    fn table(&mut self, physical: u64) -> &mut Table {
        // SAFETY: `physical` comes from an entry of these tables (or is their
        // root), all of RAM is in the direct map, and `self` is borrowed
        // mutably for as long as the reference lives.
        unsafe { &mut *direct(physical) }
    }

    /// The leaf table that covers `address`; missing tables are made from
    /// `frames`, if there are any.
    fn leaf_table(
        &mut self,
        address: u64,
        mut frames: Option<&mut (dyn FrameSource + '_)>,
    ) -> Option<&mut Table> {
        let mut physical = self.root;
        for level in [3, 2, 1] {
            let slot = index(address, level);
            let mut entry = self.table(physical)[slot];
            if entry & pte::P == 0 {
                entry = frames.as_mut()?.take(1)?.start | TABLE;
                self.set(physical, level, slot, entry);
            }
            physical = entry & pte::ADDRESS;
        }
        Some(self.table(physical))
    }

    /// The leaf entry for `address`, 0 if there is none.
    pub fn entry(&mut self, address: u64) -> u64 {
        match self.leaf_table(address, None) {
            Some(table) => table[index(address, 0)],
            None => 0,
        }
    }

    /// Maps the pages of `start..end` that have no entry yet, each to a frame
    /// of its own. Returns how many were mapped; fewer than all if frames ran
    /// out.
    pub fn map_missing(
        &mut self,
        start: u64,
        end: u64,
        flags: u64,
        frames: &mut dyn FrameSource,
    ) -> u64 {
        let mut mapped = 0;
        let mut address = start;
        let mut run = Range::default();
        while address < end {
            let Some(table) = self.leaf_table(address, Some(frames)) else { break };
            let first = index(address, 0);
            let count = (ENTRIES - first).min(((end - address) / PAGE_SIZE) as usize);
            let entries = &mut table[first..first + count];
            for (done, entry) in entries.iter_mut().enumerate() {
                if *entry != 0 {
                    continue;
                }
                if run.is_empty() {
                    // In runs: one question for many pages.
                    let Some(next) = frames.take((count - done) as u64) else { return mapped };
                    run = next;
                }
                *entry = run.start | flags;
                run.start += PAGE_SIZE;
                mapped += 1;
            }
            address += count as u64 * PAGE_SIZE;
        }
        frames.give_back(run);
        mapped
    }

    /// Makes the tables for `start..end`; false if frames ran out.
    pub fn prepare(&mut self, start: u64, end: u64, frames: &mut dyn FrameSource) -> bool {
        (start..end)
            .step_by(span(1) as usize)
            .chain([end - 1])
            .all(|address| self.leaf_table(address, Some(frames)).is_some())
    }

    /// The first page of `start..end` that has an entry, and the entry.
    pub fn first_entry(&mut self, start: u64, end: u64) -> Option<(u64, u64)> {
        self.first_in(self.root, 3, start, end)
    }

    fn first_in(&mut self, physical: u64, level: u32, start: u64, end: u64) -> Option<(u64, u64)> {
        let mut address = start;
        while address < end {
            let next = ((address & !(span(level) - 1)) + span(level)).min(end);
            let entry = self.table(physical)[index(address, level)];
            if level == 0 && entry != 0 {
                return Some((address, entry));
            }
            if level > 0 && entry & pte::P != 0 {
                let found = self.first_in(entry & pte::ADDRESS, level - 1, address, next);
                if found.is_some() {
                    return found;
                }
            }
            address = next;
        }
        None
    }

    /// Gives up the tables that only covered parts of `start..end`: those whose
    /// whole range `is_free` says nobody maps. Calls `freed` with each one's
    /// frame. Whoever calls this flushes the TLB.
    pub fn prune(
        &mut self,
        start: u64,
        end: u64,
        is_free: &dyn Fn(u64, u64) -> bool,
        freed: &mut dyn FnMut(u64),
    ) {
        self.prune_in(self.root, 3, start, end, is_free, freed);
    }

    fn prune_in(
        &mut self,
        physical: u64,
        level: u32,
        start: u64,
        end: u64,
        is_free: &dyn Fn(u64, u64) -> bool,
        freed: &mut dyn FnMut(u64),
    ) {
        let mut address = start;
        while address < end {
            let block = address & !(span(level) - 1);
            let (block_end, slot) = (block + span(level), index(address, level));
            let entry = self.table(physical)[slot];
            if entry & pte::P != 0 {
                let below = entry & pte::ADDRESS;
                let free = is_free(block, block_end);
                if level > 1 {
                    // All of it, if all of it is free.
                    let (start, end) =
                        if free { (block, block_end) } else { (address, end.min(block_end)) };
                    self.prune_in(below, level - 1, start, end, is_free, freed);
                }
                if free {
                    self.set(physical, level, slot, 0);
                    freed(below);
                }
            }
            address = block_end;
        }
    }

    /// Puts `entry` in the place of the entry for `address`, whose tables
    /// exist, and answers the old one. Without tables: nothing, and 0.
    pub fn replace(&mut self, address: u64, entry: u64) -> u64 {
        match self.leaf_table(address, None) {
            Some(table) => core::mem::replace(&mut table[index(address, 0)], entry),
            None => 0,
        }
    }

    /// Calls `visit` with the address of, and the entry for, each page of
    /// `start..end` that has one; the entry may be changed. Skips what has no
    /// tables at the cost of one look a table.
    pub fn for_each(&mut self, start: u64, end: u64, visit: &mut dyn FnMut(u64, &mut u64)) {
        self.visit_level(self.root, 3, start, end, visit);
    }

    fn visit_level(
        &mut self,
        physical: u64,
        level: u32,
        start: u64,
        end: u64,
        visit: &mut dyn FnMut(u64, &mut u64),
    ) {
        let mut address = start;
        while address < end {
            let next = ((address & !(span(level) - 1)) + span(level)).min(end);
            let entry = &mut self.table(physical)[index(address, level)];
            if level == 0 {
                if *entry != 0 {
                    visit(address, entry);
                }
            } else if *entry & pte::P != 0 {
                let below = *entry & pte::ADDRESS;
                self.visit_level(below, level - 1, address, next, visit);
            }
            address = next;
        }
    }
}

/// Forgets the TLB's entries for `start..end`: page by page while that is
/// cheaper than all at once (Linux's limit is 33 pages).
pub fn flush_range(start: u64, end: u64) {
    if end - start > 33 * PAGE_SIZE {
        cpu::flush_tlb();
    } else {
        (start..end).step_by(PAGE_SIZE as usize).for_each(cpu::invalidate_page);
    }
}
