//! What the tables say, read as the CPU reads them, and where each frame is.

use crate::mm::frames::FRAMES;
use crate::mm::space::AddressSpace;
use crate::mm::vma::Prot;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;
use trapgate_arch::fake;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, FrameSource};

/// The leaf entries of an address space, by page; tables are added to `tables`.
pub(super) fn leaves(root: u64, tables: &mut Vec<u64>) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    visit(root, 3, 0, &mut found, tables);
    found
}

fn visit(
    table: u64,
    level: u32,
    first: u64,
    found: &mut BTreeMap<u64, u64>,
    tables: &mut Vec<u64>,
) {
    tables.push(table);
    let bytes = fake::bytes_of(&Segment { address: table, length: PAGE_SIZE });
    for (slot, word) in bytes.chunks_exact(8).enumerate() {
        let entry = u64::from_le_bytes(word.try_into().unwrap());
        let page = first + ((slot as u64) << (9 * level));
        if entry != 0 && level == 0 {
            found.insert(page, entry);
        } else if entry & pte::P != 0 {
            visit(entry & pte::ADDRESS, level - 1, page, found, tables);
        }
    }
}

/// The bytes of the page that an entry is for.
pub(super) fn page_of(entry: u64) -> Vec<u8> {
    fake::bytes_of(&Segment { address: entry & pte::ADDRESS, length: PAGE_SIZE })
}

/// An entry is as its mapping says, or allows less.
pub(super) fn entry_allows_no_more_than(entry: u64, prot: Prot) -> Result<(), TestCaseError> {
    let present = entry & pte::P != 0;
    prop_assert_eq!(present, prot != Prot::NONE);
    prop_assert!(!present || entry & pte::U != 0);
    prop_assert!(entry & pte::W == 0 || prot.allows(Prot::WRITE));
    prop_assert_eq!(present && entry & pte::NX == 0, prot.allows(Prot::EXEC));
    Ok(())
}

/// A frame with one owner is in one entry, a page table is nothing else, and what is
/// to be copied cannot be written.
pub(super) fn frames_have_their_owners(spaces: [&AddressSpace; 2]) -> Result<(), TestCaseError> {
    let mut tables = Vec::new();
    let entries: Vec<u64> = spaces
        .iter()
        .flat_map(|space| leaves(space.page_table(), &mut tables).into_values())
        .collect();
    let frames = FRAMES.lock();
    let mut users = BTreeMap::<u64, u64>::new();
    for entry in &entries {
        *users.entry(entry & pte::ADDRESS).or_default() += 1;
        prop_assert!(entry & COPY_ON_WRITE == 0 || entry & pte::W == 0);
    }
    for entry in entries {
        let frame = entry & pte::ADDRESS;
        if entry & COUNTED == 0 {
            prop_assert_eq!(users[&frame], 1, "an exclusive frame in two entries");
            prop_assert!(frames.is_exclusive(frame));
        } else if frame != frames.zero_page() && users[&frame] > 1 {
            prop_assert!(!frames.is_exclusive(frame), "two entries, and one owner");
        }
    }
    let distinct: BTreeSet<u64> = tables.iter().copied().collect();
    prop_assert_eq!(distinct.len(), tables.len(), "a page table twice");
    prop_assert!(distinct.iter().all(|table| !users.contains_key(table)));
    Ok(())
}

/// Takes all frames that there are: as many as there should be.
pub(super) fn all_free_frames_are_zero_and_come_once(count: u64) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    let mut frames = FRAMES.lock();
    while let Some(run) = frames.take(64).or_else(|| frames.take_reserved()) {
        for frame in (run.start..run.end).step_by(PAGE_SIZE as usize) {
            prop_assert!(seen.insert(frame), "frame {frame:#x} comes twice");
        }
        let bytes = fake::bytes_of(&Segment { address: run.start, length: run.len() });
        prop_assert!(bytes == vec![0; bytes.len()], "{run:x?} is not zero");
    }
    prop_assert_eq!(seen.len() as u64, count);
    Ok(())
}

/// Writes over frames that are free: whoever still uses one sees it.
pub(super) fn spoil_free_frames() {
    let mut frames = FRAMES.lock();
    let taken: Vec<u64> = (0..8).map_while(|_| frames.take_unclean()).collect();
    for &frame in &taken {
        let run = trapgate_abi::boot_info::Range { start: frame, end: frame + PAGE_SIZE };
        fake::fill(&Segment { address: frame, length: PAGE_SIZE }, &[0x5a; PAGE_SIZE as usize]);
        frames.give_up(run);
    }
}
