//! Memory for a program that is not run yet, built part by part: execve(2).
//!
//! Nobody uses it meanwhile, so nothing is flushed; on an error whoever builds it drops
//! it, and all that it took comes back.

use super::fork::top_tables;
use super::{AddressSpace, FRAMES_AT_ONCE, FaultError, with_access};
use crate::mm::backing::Backing;
use crate::mm::frames::{self, FRAMES};
use crate::mm::vma::{Marks, Prot, Vma, VmaMap};
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{PAGE_SIZE, USER_MIN, page_down, page_up};
use trapgate_abi::x86::pte;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED};
use trapgate_arch::phys;
use trapgate_uapi::Errno;

/// Pages that get frames at once; their tables may need some, too.
const PAGES_AT_ONCE: u64 = FRAMES_AT_ONCE - 6;

impl AddressSpace {
    /// Another one with nothing in it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn beside(&self) -> Result<AddressSpace, Errno> {
        let tables = self.tables.sibling(top_tables(&self.tables).ok_or(Errno::ENOMEM)?);
        let vmas = VmaMap::default();
        let &AddressSpace { end, ahead, eager, ram, mmap_top, growth, bounds, .. } = self;
        let future = Marks::NONE;
        Ok(AddressSpace {
            vmas,
            tables,
            brk_start: 0,
            brk: 0,
            end,
            ahead,
            eager,
            ram,
            mmap_top,
            future,
            growth,
            bounds,
            stored: None,
        })
    }

    /// It is for a program whose addresses end at `end`, and whose mappings grow down from
    /// `mmap_top`.
    pub fn begin(&mut self, end: u64, mmap_top: u64) {
        (self.end, self.mmap_top) = (end, mmap_top);
    }

    /// Whether pages should be there before they are touched.
    pub const fn is_eager(&self) -> bool {
        self.eager
    }

    /// The highest place where so many bytes have room.
    pub fn room(&mut self, length: u64) -> Option<u64> {
        self.vmas.find_gap(USER_MIN, self.mmap_top, page_up(length)?)
    }

    /// Adds a mapping, of whole pages.
    ///
    /// # Errors
    /// EEXIST if something is there; ENOMEM for what could take more than there is RAM,
    /// but of a stack, which takes it as it grows; and as [`VmaMap::insert`].
    pub fn add(&mut self, start: u64, end: u64, prot: Prot, backing: Backing) -> Result<(), Errno> {
        if !self.vmas.is_free(start, end) {
            return Err(Errno::EEXIST);
        }
        let takes_all = match backing {
            Backing::Stack => false,
            Backing::Private(_) => prot.allows(Prot::WRITE),
            _ => true,
        };
        if takes_all && end - start > self.ram {
            return Err(Errno::ENOMEM);
        }
        self.vmas.insert(Vma { start, end, attributes: prot.into(), backing })?;
        self.populate_ahead(start, end);
        Ok(())
    }

    /// Clears what is behind `address` in its page, which is of a private mapping of a
    /// file, whatever its access is; nothing, if it is a page's first.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub fn clear_behind(&mut self, address: u64) -> Result<(), FaultError> {
        let (page, kept) = (page_down(address), address % PAGE_SIZE);
        if kept > 0 {
            let vma = self.vmas.find(page).ok_or(FaultError::NotMapped)?.clone();
            // What is mapped ahead is the file's own.
            self.release_pages(page, page + PAGE_SIZE);
            let entry = self.copy_from_object(&vma, page)?;
            phys::clear_bytes((entry & pte::ADDRESS) + kept, PAGE_SIZE - kept);
        }
        Ok(())
    }

    /// Gives each page of `start..end`, which one mapping has, a frame of zeroes.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn give_frames(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let prot = self.vmas.find(start).ok_or(Errno::EFAULT)?.prot();
        let (mut at, end) = (page_down(start), page_up(end).ok_or(Errno::ENOMEM)?);
        while at < end {
            // As many as the host has made ready at once.
            frames::stock(FRAMES_AT_ONCE);
            let next = end.min(at + PAGES_AT_ONCE * PAGE_SIZE);
            self.populate(at, next, prot);
            // In this order they run out.
            if self.tables.entry(next - PAGE_SIZE) == 0 {
                return Err(Errno::ENOMEM);
            }
            at = next;
        }
        Ok(())
    }

    /// Writes bytes to pages that have frames of their own.
    ///
    /// # Errors
    /// EFAULT, if one has none.
    pub fn fill(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (mut at, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let within = at % PAGE_SIZE;
            let (piece, after) = rest.split_at(rest.len().min((PAGE_SIZE - within) as usize));
            let entry = self.tables.entry(page_down(at));
            if entry == 0 || entry & (COUNTED | COPY_ON_WRITE) != 0 {
                return Err(Errno::EFAULT);
            }
            phys::write((entry & pte::ADDRESS) + within, piece);
            (at, rest) = (at + piece.len() as u64, after);
        }
        Ok(())
    }

    /// Maps frames that the kernel keeps: who writes to one gets a copy.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn lend(&mut self, start: u64, kept: Range, prot: Prot) -> Result<(), Errno> {
        let frames = &mut *FRAMES.lock();
        let flags = COUNTED | COPY_ON_WRITE;
        let done = self.tables.for_each_slot(
            start,
            start + kept.len(),
            frames,
            |address, entry, frames| {
                let frame = kept.start + (address - start);
                frames.own(frame);
                *entry = with_access(frame | flags, prot);
                true
            },
        );
        if done { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Says where the heap begins: nothing is in it.
    pub fn set_heap(&mut self, start: u64) {
        (self.brk_start, self.brk) = (start, start);
    }
}
