//! Pages of mappings that have an object: of files, and of shared memory.
//!
//! What is mapped is the object's own frame, or what is below it; a private mapping gets
//! a frame of its own when it writes.

use super::{AddressSpace, FaultError, flags, with_access};
use crate::mm::backing::{Backing, Mapped};
use crate::mm::frames::{FRAMES, Frames};
use crate::mm::object::{NoPage, Object, Pages};
use crate::mm::vma::{Prot, Vma};
use crate::sched::thread::work;
use alloc::sync::Arc;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{PAGE_SIZE, page_down};
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, PageTables, flush_range};
use trapgate_arch::{percpu, phys};

/// Pages of an object that a private mapping gets around a fault, a power of two:
/// they are there, and cost an entry each.
const AROUND_PRIVATE: u64 = 64;

impl From<NoPage> for FaultError {
    fn from(error: NoPage) -> FaultError {
        match error {
            // Linux: SIGBUS, whatever a file system says.
            NoPage::Beyond | NoPage::Failed | NoPage::Denied | NoPage::Quota | NoPage::There => {
                FaultError::Beyond
            }
            NoPage::Frame => FaultError::OutOfMemory,
            NoPage::Absent => FaultError::Absent,
        }
    }
}

/// The object behind an address of a mapping that has one, and the page's index.
pub(super) fn object_at(vma: &Vma, address: u64) -> Option<(&Object, u64)> {
    let part = vma.backing.part()?;
    Some((&part.mapped.object, part.first + (address - vma.start) / PAGE_SIZE))
}

/// What the pages of a mapping allow before somebody writes to them: of a file's that is
/// shared, not that.
pub(super) fn unstored(vma: &Vma) -> Prot {
    match &vma.backing {
        Backing::Shared(part) if part.mapped.file.is_some() => vma.prot().without(Prot::WRITE),
        _ => vma.prot(),
    }
}

/// Maps the object's own frames, with these bits, wherever `first..last` has no page:
/// how many. `index` is that of the first one.
fn map_own(
    tables: &mut PageTables,
    [first, last]: [u64; 2],
    pages: &Pages<'_>,
    index: u64,
    bits: u64,
    frames: &mut Frames,
) -> u64 {
    let (mut address, mut mapped) = (first, 0);
    while address < last {
        let own = pages.frames_from(index + (address - first) / PAGE_SIZE);
        let entries = if own.is_empty() { None } else { tables.slots(address, last, frames) };
        let Some(entries) = entries else { break };
        address += entries.len().min(own.len()) as u64 * PAGE_SIZE;
        let mut owners = frames.owners();
        for (entry, &frame) in entries.iter_mut().zip(own) {
            if *entry == 0 && frame != 0 {
                owners.add(frame);
                *entry = frame | bits;
                mapped += 1;
            }
        }
    }
    mapped
}

impl AddressSpace {
    /// Makes `page` of this mapping accessible, whose entry does not allow it yet.
    pub(super) fn fault_in_object(
        &mut self,
        vma: &Vma,
        page: u64,
        entry: u64,
        access: Prot,
    ) -> Result<u64, FaultError> {
        let shared = vma.backing.is_shared();
        if access == Prot::WRITE && !shared && entry == 0 {
            return self.copy_from_object(vma, page);
        }
        if entry != 0 && !shared {
            return self.open_up(page, entry, vma.prot());
        }
        let most = if shared { self.ahead } else { AROUND_PRIVATE };
        let window = FRAMES.lock().ahead(most) * PAGE_SIZE;
        let block = page & !(window - 1);
        let (first, last) = (block.max(vma.start), (block + window).min(vma.end));
        if entry == 0 {
            self.populate_from_object(vma, first, last, page, access)?;
        }
        if shared && access == Prot::WRITE {
            self.open_for_stores(vma, first, last);
        }
        Ok(self.tables.entry(page))
    }

    /// Lets programs write to those pages of a shared mapping that are there: a file's has
    /// changed.
    fn open_for_stores(&mut self, vma: &Vma, first: u64, last: u64) {
        let Some(part) = vma.backing.part().filter(|part| part.mapped.file.is_some()) else {
            return;
        };
        let prot = vma.prot();
        self.tables.for_each(first, last, |_, entry| *entry = with_access(*entry, prot));
        flush_range(first, last);
        // One that nobody has heard of yet is lost: two at once are rare.
        self.stored = Some(part.mapped.clone());
        percpu::raise_work(work::STORED);
    }

    /// What was stored to since the last time.
    pub const fn take_stored(&mut self) -> Option<Arc<Mapped>> {
        self.stored.take()
    }

    /// Maps the object's pages wherever `first..last` has none, as far as they are at
    /// hand, and `page` in any case.
    ///
    /// # Errors
    /// If `page` cannot be had.
    pub(super) fn populate_from_object(
        &mut self,
        vma: &Vma,
        first: u64,
        last: u64,
        page: u64,
        access: Prot,
    ) -> Result<(), FaultError> {
        let Some((object, index)) = object_at(vma, first) else { return Ok(()) };
        let shared = vma.backing.is_shared();
        let private = if shared { 0 } else { COPY_ON_WRITE };
        // Who writes first is to be noticed.
        let prot = if access == Prot::WRITE { vma.prot() } else { unstored(vma) };
        let (mut pages, frames) = (object.lock(), &mut *FRAMES.lock());
        // Mostly the object has them all, or those that are not beyond its end.
        let end = object.pages().saturating_sub(index).saturating_mul(PAGE_SIZE);
        if page - first >= end {
            return Err(FaultError::Beyond);
        }
        let last = last.min(first.saturating_add(end));
        let bits = with_access(COUNTED | private, prot);
        let mut mapped = map_own(&mut self.tables, [first, last], &pages, index, bits, frames);
        if mapped == (last - first) / PAGE_SIZE {
            percpu::count!(pages_mapped, mapped);
            return Ok(());
        }
        // If a table cannot be made.
        let mut result = Err(FaultError::OutOfMemory);
        self.tables.for_each_slot(first, last, frames, |address, entry, frames| {
            let index = index + (address - first) / PAGE_SIZE;
            let had = match (*entry, address == page) {
                (0, true) => {
                    let had = pages.map(index, shared, frames);
                    result = had.map(drop).map_err(FaultError::from);
                    had.ok()
                }
                (0, false) => pages.map_at_hand(index, shared, frames),
                (_, true) => {
                    result = Ok(());
                    None
                }
                (_, false) => None,
            };
            if let Some(page_bits) = had {
                *entry = with_access(page_bits | private, prot);
                mapped += 1;
            }
            true
        });
        percpu::count!(pages_mapped, mapped);
        result
    }

    /// Gives a private mapping a frame of its own with what the object has there.
    pub(super) fn copy_from_object(&mut self, vma: &Vma, page: u64) -> Result<u64, FaultError> {
        let Some((object, index)) = object_at(vma, page) else { return Err(FaultError::NotMapped) };
        let copy = FRAMES.lock().take_unclean().ok_or(FaultError::OutOfMemory)?;
        let run = Range { start: copy, end: copy + PAGE_SIZE };
        let mut pages = object.lock();
        let is_there = if index < object.pages() { Ok(()) } else { Err(NoPage::Beyond) };
        let copied = is_there.and_then(|()| pages.source(index)).map(|from| match from {
            Some(from) => phys::copy_frame(from, copy),
            None => phys::clear(run),
        });
        let frames = &mut *FRAMES.lock();
        let placed = copied.map_err(FaultError::from).and_then(|()| {
            let entry = copy | flags(vma.prot());
            let mut place = |_, slot: &mut u64, _: &mut _| {
                *slot = entry;
                true
            };
            match self.tables.for_each_slot(page, page + PAGE_SIZE, frames, &mut place) {
                true => Ok(entry),
                false => Err(FaultError::OutOfMemory),
            }
        });
        match placed {
            Ok(_) => {
                percpu::count!(pages_mapped, 1);
                flush_range(page, page + PAGE_SIZE);
            }
            Err(_) => frames.give_up(run),
        }
        placed
    }

    /// The object behind an address of a mapping that has one, and the page's index.
    pub fn object_behind(&self, address: u64) -> Option<(Arc<Mapped>, u64)> {
        let vma = self.vmas.find(address)?;
        let (_, index) = object_at(vma, page_down(address))?;
        Some((vma.backing.part()?.mapped.clone(), index))
    }

    /// The same of a shared mapping, alone.
    pub fn shared_behind(&self, address: u64) -> Option<(Arc<Mapped>, u64)> {
        let vma = self.vmas.find(address).filter(|vma| vma.backing.is_shared())?;
        let (_, index) = object_at(vma, page_down(address))?;
        Some((vma.backing.part()?.mapped.clone(), index))
    }

    /// Takes the pages of an object from `first` on out of all mappings of it, also
    /// what private ones had written there: the object ends before them.
    pub fn truncate(&mut self, object: &Object, first: u64) {
        let mut at = 0;
        while let Some(vma) = self.vmas.find_from(at) {
            at = vma.end;
            let (start, end) = (vma.start, vma.end);
            let Some((_, index)) =
                object_at(vma, start).filter(|(mapped, _)| core::ptr::eq(*mapped, object))
            else {
                continue;
            };
            let kept = first.saturating_sub(index).min((end - start) / PAGE_SIZE);
            self.release_pages(start + kept * PAGE_SIZE, end);
        }
    }
}
