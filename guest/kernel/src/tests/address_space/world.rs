//! The world that steps change: the machine, both address spaces, and the files.

use super::files::{FILE_PAGES, FILES, OUTSIDE, READ_ONLY, TestPager, file};
use super::model::{Bytes, HEAP, IMAGE, IMAGE_PAGES, Kind, Model, Page};
use super::steps::{OFTEN, Step};
use super::walk;
use crate::mm::backing::{Mapped, Part};
use crate::mm::fault::access_of;
use crate::mm::frames::{self, FRAMES};
use crate::mm::object::NoPage;
use crate::mm::space::map::{Place, Window};
use crate::mm::space::remap::Move;
use crate::mm::space::{AddressSpace, FRAMES_AT_ONCE, FaultError};
use crate::mm::vma::{Marks, Prot};
use proptest::prelude::*;
use std::sync::Arc;
use trapgate_abi::boot_info::{BootInfo, Range, Region, feature};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::{KERNEL_PHYS_END, PAGE_SIZE};
use trapgate_abi::mitigation::PTI_USER_TABLE;
use trapgate_arch::fake::{self, Machine, user};
use trapgate_uapi::Errno;

/// RAM: never short of it.
pub(super) const RAM: u64 = 6 << 20;

/// The machine, both address spaces, and the files that both can map.
pub(super) struct World {
    spaces: [Option<AddressSpace>; 2],
    files: Vec<Arc<Mapped>>,
    /// Which one the CPU uses.
    current: usize,
    /// Ring 3 has top tables of its own.
    isolated: bool,
    machine: Machine,
}

impl World {
    pub(super) fn new(interpreted: bool, isolated: bool) -> World {
        let machine = Machine::new(OUTSIDE + FILE_PAGES * PAGE_SIZE);
        machine.set_vmm(|_, segments, _| {
            assert!(FRAMES.try_lock().is_some(), "a request while the frames are locked");
            for segment in segments {
                fake::fill(segment, &vec![0; segment.length as usize]);
            }
            Ok(0)
        });
        let free = KERNEL_PHYS_END + 4 * PAGE_SIZE;
        let fresh = [Range { start: free, end: RAM }, Range::ZERO];
        FRAMES.lock().init(fresh, interpreted);
        let files = (0..FILES).map(|number| file(number == READ_ONLY)).collect();
        let mut world = World { spaces: [None, None], files, current: 0, isolated, machine };
        for (number, space) in world.spaces.iter_mut().enumerate() {
            // Top tables that the VMM has made: not of the free frames.
            let root = KERNEL_PHYS_END + 2 * number as u64 * PAGE_SIZE;
            let mut boot = BootInfo { ram_size: RAM, brk: HEAP * PAGE_SIZE, ..BootInfo::NONE };
            boot.features = if interpreted { feature::INTERPRETED } else { 0 };
            boot.region_count = 1;
            let (start, end) = (IMAGE * PAGE_SIZE, (IMAGE + IMAGE_PAGES) * PAGE_SIZE);
            boot.regions[0] = Region { start, end, flags: 3 };
            *space = AddressSpace::from_boot_info(&boot, fake::page_tables(root, isolated)).ok();
        }
        world.load();
        world
    }

    /// What the files have at the start.
    pub(super) fn files() -> Vec<Vec<Bytes>> {
        vec![(0..FILE_PAGES).map(TestPager::bytes).collect(); FILES]
    }

    fn load(&self) {
        self.machine.set_page_table(self.space(self.current).page_table());
    }

    fn space(&self, number: usize) -> &AddressSpace {
        self.spaces[number].as_ref().expect("it is there until the end")
    }

    fn now(&mut self) -> &mut AddressSpace {
        // As the calls do it, before they take a lock.
        frames::stock(FRAMES_AT_ONCE);
        self.spaces[self.current].as_mut().expect("it is there until the end")
    }

    /// Takes both apart.
    pub(super) fn end(&mut self) {
        self.machine.set_page_table(0);
        self.spaces = [None, None];
        self.files.clear();
    }

    /// Does a step to both, and compares the answers.
    pub(super) fn carry_out(
        &mut self,
        step: &Step,
        model: &mut Model,
    ) -> Result<(), TestCaseError> {
        let space = self.current;
        let at = |page: u64| page * PAGE_SIZE;
        match *step {
            Step::Map { first, count, prot, shared, replace } => {
                let place = Place {
                    fixed: true,
                    replace,
                    window: Window::NATIVE,
                    shared,
                    marks: Marks::NONE,
                };
                let answer = self.now().map(at(first), at(count), prot, place, None, true);
                let fits = replace || model.is_free(space, first, count);
                prop_assert_eq!(answer, if fits { Ok(at(first)) } else { Err(Errno::EEXIST) });
                if fits {
                    let object = if shared { Some(model.object(count)) } else { None };
                    for index in 0..count {
                        let kind =
                            object.map_or(Kind::Private, |object| Kind::Shared(object, index));
                        model.spaces[space].insert(first + index, Page::new(prot, kind));
                    }
                }
            }
            Step::MapFile { first, count, prot, shared, file, from } => {
                let read_only = shared && file == READ_ONLY && prot.allows(Prot::WRITE);
                let prot = if read_only { Prot::READ } else { prot };
                let place = Place {
                    fixed: true,
                    replace: true,
                    window: Window::NATIVE,
                    shared,
                    marks: Marks::NONE,
                };
                let part = Part { mapped: self.files[file].clone(), first: from };
                let answer = self.now().map(at(first), at(count), prot, place, Some(part), true);
                prop_assert_eq!(answer, Ok(at(first)));
                let kind = if shared { Kind::Shared(file, from) } else { Kind::File(file, from) };
                for index in 0..count {
                    let page = Page::new(prot, kind.after(index));
                    model.spaces[space].insert(first + index, page);
                }
            }
            Step::WriteFile { file: READ_ONLY, page, .. } if page % 3 == 1 => {}
            Step::WriteFile { file, page, value } => {
                frames::stock(FRAMES_AT_ONCE);
                let object = self.files[file].object.clone();
                let owned = match page < object.pages() {
                    true => object.lock().own(page, &mut FRAMES.lock()),
                    false => Err(NoPage::Beyond),
                };
                let bytes = model.objects[file].get_mut(page as usize);
                prop_assert_eq!(owned.map(|_| ()).ok(), bytes.as_ref().map(|_| ()));
                if let (Ok(frame), Some(bytes)) = (owned, bytes) {
                    let place = Segment { address: frame, length: PAGE_SIZE };
                    prop_assert!(fake::bytes_of(&place) == *bytes, "what was below");
                    bytes[7] = value;
                    fake::fill(&Segment { address: frame + 7, length: 1 }, &[value]);
                }
            }
            Step::Truncate { file, pages, bytes } => {
                let size = at(pages) + if file == READ_ONLY { 0 } else { bytes };
                let object = self.files[file].object.clone();
                prop_assert_eq!(object.set_size(size), Ok(()));
                let pages = size.div_ceil(PAGE_SIZE);
                self.spaces.iter_mut().flatten().for_each(|space| space.truncate(&object, pages));
                model.cut(file, size);
                // What it grows by is zeroes, whatever was below.
                prop_assert_eq!(object.set_size(at(FILE_PAGES - 1)), Ok(()));
                model.resize(file, FILE_PAGES - 1);
            }
            Step::Unmap { first, count } => {
                prop_assert_eq!(self.now().unmap(at(first), at(count)), Ok(()));
                model.unmap(space, first, count);
            }
            Step::Protect { first, count, prot } => {
                let answer = self.now().protect(at(first), at(count), prot);
                let mut expected = Ok(());
                for page in first..first + count {
                    match model.spaces[space].get_mut(&page) {
                        None => expected = Err(Errno::ENOMEM),
                        Some(Page { kind: Kind::Shared(READ_ONLY, _), .. })
                            if prot.allows(Prot::WRITE) =>
                        {
                            expected = Err(Errno::EACCES);
                        }
                        Some(page) => page.prot = prot,
                    }
                    if expected.is_err() {
                        break;
                    }
                }
                prop_assert_eq!(answer, expected);
            }
            Step::Discard { first, count } => {
                let answer = self.now().discard(at(first), at(count), false, false);
                let covered =
                    model.spaces[space].range(first..first + count).count() as u64 == count;
                prop_assert_eq!(answer, if covered { Ok(()) } else { Err(Errno::ENOMEM) });
                model.discard(space, first, count);
            }
            Step::Move { from, old, to, new } => {
                let answer = self.now().remap(at(from), at(old), at(new), Move::To(at(to)), false);
                let expected = may_move(model, space, [from, old, to, new]);
                prop_assert_eq!(answer, expected.map(|()| at(to)));
                if expected.is_ok() {
                    model.relocate(space, from, to, old.min(new), new);
                    model.unmap(space, from, old);
                }
            }
            Step::Resize { from, old, new } => {
                let answer = self.now().remap(at(from), at(old), at(new), Move::Never, false);
                let expected = may_grow(model, space, [from, old, new]);
                prop_assert_eq!(answer, expected.map(|()| at(from)));
                if expected.is_ok() && new < old {
                    model.unmap(space, from + new, old - new);
                } else if expected.is_ok() {
                    model.extend(space, from + old, new - old);
                }
            }
            Step::Brk { pages } => {
                let end = at(HEAP + pages);
                prop_assert_eq!(self.now().set_brk(end), end);
                let prot = Prot::READ.with(Prot::WRITE);
                let heap = std::mem::replace(&mut model.heap[space], pages);
                for page in HEAP + heap..HEAP + pages {
                    model.spaces[space].insert(page, Page::new(prot, Kind::Heap));
                }
                model.unmap(space, HEAP + pages, heap.saturating_sub(pages));
            }
            Step::Write { page, offset, length, value } => {
                for address in at(page) + offset..at(page) + offset + length {
                    let answer = self.store(address, value);
                    prop_assert_eq!(answer, model.store(space, address, value));
                    if answer.is_err() {
                        break;
                    }
                }
            }
            Step::Read { page } => self.read_page(model, space, page)?,
            Step::Transfer { page, length, value } => {
                let mut filled = 0;
                let taken = self.now().pieces(at(page), length, Prot::WRITE, |piece| {
                    filled += fake::fill(&piece, &vec![value; piece.length as usize]);
                    true
                });
                prop_assert_eq!(taken, filled);
                let addresses = at(page)..at(page) + length;
                let stored = addresses.take_while(|&at| model.store(space, at, value).is_ok());
                prop_assert_eq!(taken, stored.count() as u64);
            }
            Step::Fork => {
                let copy = self.now().fork().expect("there is memory");
                self.spaces[1 - space] = Some(copy);
                model.spaces[1 - space] = model.spaces[space].clone();
                model.heap[1 - space] = model.heap[space];
            }
            Step::Switch => {
                self.current = 1 - space;
                self.load();
            }
            Step::Spoil => walk::spoil_free_frames(),
            Step::Tidy => {
                frames::tidy(100);
            }
        }
        Ok(())
    }

    /// The program stores a byte; its page faults are served.
    fn store(&mut self, address: u64, value: u8) -> Result<(), FaultError> {
        while let Err(fault) = user::store(address, value) {
            self.now().fault(fault.address, access_of(fault.error_code))?;
        }
        Ok(())
    }

    /// The program reads the pages that it touches most often, and writes to every
    /// second one.
    pub(super) fn touch(&mut self, model: &mut Model) -> Result<(), TestCaseError> {
        for page in OFTEN {
            self.read_page(model, self.current, page)?;
            if page % 2 == 0 {
                let answer = self.store(page * PAGE_SIZE, 0xee);
                prop_assert_eq!(answer, model.store(self.current, page * PAGE_SIZE, 0xee));
            }
        }
        Ok(())
    }

    /// The program reads a page.
    fn read_page(&mut self, model: &Model, space: usize, page: u64) -> Result<(), TestCaseError> {
        let loaded = loop {
            match user::load_page(page * PAGE_SIZE) {
                Ok(bytes) => break Ok(bytes.to_vec()),
                Err(fault) => {
                    let access = access_of(fault.error_code);
                    if let Err(error) = self.now().fault(fault.address, access) {
                        break Err(error);
                    }
                }
            }
        };
        let expected = model.load_page(space, page);
        prop_assert!(
            loaded.as_ref() == expected.as_ref().map(|&bytes| bytes),
            "page {:#x} of {}",
            page,
            space
        );
        Ok(())
    }

    /// Compares all entries, and what is behind them, with the model.
    pub(super) fn compare(&self, model: &Model) -> Result<(), TestCaseError> {
        for number in 0..2 {
            let mut tables = Vec::new();
            let leaves = walk::leaves(self.space(number).page_table(), &mut tables);
            if self.isolated {
                let of_ring_3 = self.space(number).page_table() | PTI_USER_TABLE;
                prop_assert_eq!(&walk::leaves(of_ring_3, &mut Vec::new()), &leaves);
            }
            for (&page, &entry) in &leaves {
                let prot = model.spaces[number].get(&page).map(|page| page.prot);
                prop_assert!(prot.is_some(), "page {page:#x} of {number} is still there");
                walk::entry_allows_no_more_than(entry, prot.unwrap_or(Prot::NONE))?;
                let expected = model.bytes(number, page);
                prop_assert!(expected.is_some_and(|bytes| *bytes == walk::page_of(entry)));
            }
            let pages: Vec<u64> = model.spaces[number].keys().copied().collect();
            for page in pages.into_iter().filter(|page| !leaves.contains_key(page)) {
                // Its object has it.
                if !model.spaces[number][&page].is_of_object() {
                    let zero = |bytes: &Vec<u8>| *bytes == [0; PAGE_SIZE as usize];
                    prop_assert!(model.bytes(number, page).is_some_and(zero));
                }
            }
        }
        walk::frames_have_their_owners([self.space(0), self.space(1)])
    }

    /// Both programs read all that there is.
    pub(super) fn read_all(&mut self, model: &Model) -> Result<(), TestCaseError> {
        for _ in 0..2 {
            let space = self.current;
            let pages: Vec<u64> = model.spaces[space].keys().copied().collect();
            for page in pages {
                self.read_page(model, space, page)?;
            }
            self.current = 1 - space;
            self.load();
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
    }
}

/// What mremap(2) to a fixed place answers.
fn may_move(model: &Model, space: usize, [from, old, to, new]: [u64; 4]) -> Result<(), Errno> {
    let page = model.spaces[space].get(&from).ok_or(Errno::EFAULT)?;
    if old == 0 && !matches!(page.kind, Kind::Shared(..)) {
        return Err(Errno::EINVAL);
    }
    if to < from + old && from < to + new {
        return Err(Errno::EINVAL);
    }
    let fits = from + old <= model.end_of_mapping(space, from);
    if fits { Ok(()) } else { Err(Errno::EFAULT) }
}

/// What mremap(2) answers that must not move.
fn may_grow(model: &Model, space: usize, [from, old, new]: [u64; 3]) -> Result<(), Errno> {
    model.spaces[space].get(&from).ok_or(Errno::EFAULT)?;
    if new <= old {
        return Ok(());
    }
    if from + old > model.end_of_mapping(space, from) {
        return Err(Errno::EFAULT);
    }
    if model.is_free(space, from + old, new - old) { Ok(()) } else { Err(Errno::ENOMEM) }
}
