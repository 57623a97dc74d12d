//! Steps: what may happen to an address space, in any order.

use super::files::{FILE_PAGES, FILES};
use super::model::{HEAP, IMAGE, IMAGE_PAGES};
use crate::mm::vma::Prot;
use proptest::prelude::*;
use trapgate_abi::layout::PAGE_SIZE;

/// The pages that steps are about: around a border of tables of two levels.
const FIRST: u64 = (1 << 18) - PAGES / 2;
const PAGES: u64 = 96;
/// Those that are most often touched, on both sides of that border, so that one that was
/// touched before something happened is touched after it, too.
pub(super) const OFTEN: core::ops::Range<u64> = (1 << 18) - 2..(1 << 18) + 2;
/// The most pages of the heap.
const HEAP_PAGES: u64 = 24;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Map {
        first: u64,
        count: u64,
        prot: Prot,
        shared: bool,
        replace: bool,
    },
    /// Of a file's pages, from `from` on.
    MapFile {
        first: u64,
        count: u64,
        prot: Prot,
        shared: bool,
        file: usize,
        from: u64,
    },
    /// write(2)
    WriteFile {
        file: usize,
        page: u64,
        value: u8,
    },
    /// ftruncate(2)
    Truncate {
        file: usize,
        pages: u64,
        bytes: u64,
    },
    Unmap {
        first: u64,
        count: u64,
    },
    Protect {
        first: u64,
        count: u64,
        prot: Prot,
    },
    Discard {
        first: u64,
        count: u64,
    },
    Move {
        from: u64,
        old: u64,
        to: u64,
        new: u64,
    },
    Resize {
        from: u64,
        old: u64,
        new: u64,
    },
    Brk {
        pages: u64,
    },
    Write {
        page: u64,
        offset: u64,
        length: u64,
        value: u8,
    },
    Read {
        page: u64,
    },
    /// The kernel writes for the program: read(2).
    Transfer {
        page: u64,
        length: u64,
        value: u8,
    },
    /// The other address space becomes a copy of this one.
    Fork,
    /// The other one runs.
    Switch,
    Spoil,
    Tidy,
}

fn prot() -> impl Strategy<Value = Prot> {
    let usual = Prot::READ.with(Prot::WRITE);
    prop_oneof![
        6 => Just(usual), 2 => Just(Prot::READ), 1 => Just(Prot::NONE), 1 => Just(Prot::EXEC),
    ]
}

/// Any step.
pub(super) fn step() -> impl Strategy<Value = Step> {
    // The program's segment and the heap are touched, too.
    let page = prop_oneof![
        8 => FIRST..FIRST + PAGES,
        8 => OFTEN,
        1 => IMAGE..IMAGE + IMAGE_PAGES,
        2 => HEAP..HEAP + HEAP_PAGES,
    ];
    let within = |(first, count): (u64, u64)| (first, count.min(FIRST + PAGES - first));
    let many = (FIRST..FIRST + PAGES, 1..40u64).prop_map(within);
    // A few are more often of one mapping, and mapped at all.
    let few = (OFTEN, 1..5u64);
    let part = prop_oneof![many.clone(), few];
    let anywhere = prop_oneof![
        6 => part.clone(),
        1 => (IMAGE..IMAGE + IMAGE_PAGES).prop_map(|first| (first, IMAGE + IMAGE_PAGES - first)),
        1 => (HEAP..HEAP + HEAP_PAGES, 1..HEAP_PAGES),
    ];
    let offset = 0..PAGE_SIZE;
    prop_oneof![
        8 => (many.clone(), prot(), any::<bool>(), any::<bool>()).prop_map(
            |((first, count), prot, shared, replace)| {
                Step::Map { first, count, prot, shared, replace }
            }),
        6 => (many, prot(), any::<bool>(), 0..FILES, 0..FILE_PAGES).prop_map(
            |((first, count), prot, shared, file, from)| {
                Step::MapFile { first, count, prot, shared, file, from }
            }),
        4 => (0..FILES, 0..FILE_PAGES, any::<u8>())
            .prop_map(|(file, page, value)| Step::WriteFile { file, page, value }),
        // Shorter than what it then grows to.
        1 => (0..FILES, 0..FILE_PAGES - 1, 0..PAGE_SIZE)
            .prop_map(|(file, pages, bytes)| Step::Truncate { file, pages, bytes }),
        3 => part.clone().prop_map(|(first, count)| Step::Unmap { first, count }),
        4 => (anywhere.clone(), prot())
            .prop_map(|((first, count), prot)| Step::Protect { first, count, prot }),
        2 => anywhere.prop_map(|(first, count)| Step::Discard { first, count }),
        4 => (part.clone(), part.clone(), any::<bool>()).prop_map(
            |((from, old), (to, new), twice)| {
                Step::Move { from, old: if twice { 0 } else { old }, to, new }
            }),
        2 => (part, 1..40u64).prop_map(|((from, old), new)| Step::Resize { from, old, new }),
        2 => (0..HEAP_PAGES).prop_map(|pages| Step::Brk { pages }),
        12 => (page.clone(), offset, 1..300u64, any::<u8>()).prop_map(
            |(page, offset, length, value)| Step::Write { page, offset, length, value }),
        6 => page.clone().prop_map(|page| Step::Read { page }),
        2 => (page, 1..3 * PAGE_SIZE, any::<u8>())
            .prop_map(|(page, length, value)| Step::Transfer { page, length, value }),
        3 => Just(Step::Fork),
        3 => Just(Step::Switch),
        1 => Just(Step::Spoil),
        1 => Just(Step::Tidy),
    ]
}
