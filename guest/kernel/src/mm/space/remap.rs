//! Mappings that grow, shrink and move: mremap(2).

use crate::mm::frames::FRAMES;
use crate::mm::space::map::Window;
use crate::mm::space::{AddressSpace, with_access};
use crate::mm::vma::{Prot, Vma};
use trapgate_abi::layout::{LARGE_PAGE_SIZE, PAGE_SIZE, USER_MIN, page_up};
use trapgate_arch::paging::flush_range;
use trapgate_uapi::Errno;

/// Where mremap(2) may move a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nowhere.
    Never,
    /// To this address, over whatever is there.
    To(u64),
    /// To wherever there is room.
    Within(Window),
}

impl AddressSpace {
    /// mremap(2). `keep`: the pages move, and the mapping stays without them, too.
    ///
    /// # Errors
    /// Those of mremap(2).
    pub fn remap(
        &mut self,
        address: u64,
        old_length: u64,
        new_length: u64,
        to: Move,
        keep: bool,
    ) -> Result<u64, Errno> {
        if !address.is_multiple_of(PAGE_SIZE) || new_length == 0 {
            return Err(Errno::EINVAL);
        }
        let old_length = page_up(old_length).ok_or(Errno::EINVAL)?;
        let new_length =
            page_up(new_length).filter(|&length| length <= self.end).ok_or(Errno::EINVAL)?;
        let vma = self.vmas.find(address).ok_or(Errno::EFAULT)?.clone();
        let old_end = address.checked_add(old_length).ok_or(Errno::EINVAL)?;
        // A second mapping of the same pages: only for shared memory.
        if old_length == 0 && !vma.backing.is_shared() {
            return Err(Errno::EINVAL);
        }
        if let Move::To(to) = to {
            let end = to.checked_add(new_length).filter(|&end| end <= self.end);
            let end = end.ok_or(Errno::EINVAL)?;
            let overlap = to < old_end && address < end;
            if to % PAGE_SIZE != 0 || overlap {
                return Err(Errno::EINVAL);
            }
            if to < USER_MIN {
                return Err(Errno::EPERM);
            }
        } else if new_length <= old_length && !keep {
            if new_length < old_length {
                self.unmap(address + new_length, old_length - new_length)?;
            }
            return Ok(address);
        }
        if old_end > vma.end {
            return Err(Errno::EFAULT);
        }
        let more = new_length.saturating_sub(if keep { 0 } else { old_length });
        if !self.may_expand(&vma, more / PAGE_SIZE, (0, 0)) {
            return Err(Errno::ENOMEM);
        }
        let wanted = address.checked_add(new_length).filter(|&end| end <= self.end);
        if !matches!(to, Move::To(_))
            && let Some(end) = wanted
            && old_length > 0
            && !keep
            && self.vmas.is_free(old_end, end)
        {
            let backing = vma.backing.after(old_end - vma.start);
            let attributes = vma.attributes;
            self.vmas.insert(Vma { start: old_end, end, attributes, backing })?;
            self.populate_ahead(old_end, end);
            return Ok(address);
        }
        let target = match to {
            Move::Never => return Err(Errno::ENOMEM),
            Move::To(to) => {
                if !self.vmas.is_free(to, to + new_length) {
                    self.unmap(to, new_length)?;
                }
                to
            }
            Move::Within(Window { low, high }) => {
                let high = high.min(self.mmap_top);
                self.vmas.find_gap(low, high, new_length).ok_or(Errno::ENOMEM)?
            }
        };
        let kept = old_length.min(new_length);
        let backing = vma.backing.after(address - vma.start);
        let (start, end) = (target, target + new_length);
        let moved = Vma { start, end, attributes: vma.attributes, backing };
        if old_length == 0 {
            return self.vmas.insert(moved).map(|()| target);
        }
        if keep {
            let ready = self.prepare_move(address, target, kept);
            if let Err(error) = ready.and_then(|()| self.vmas.insert(moved)) {
                self.prune(start, end, self.vmas.free_around(start));
                return Err(error);
            }
            self.move_pages(address, target, kept, vma.prot());
            return Ok(target);
        }
        let room = self.vmas.prepare_put(address, old_end)?;
        if let Err(error) = self.prepare_move(address, target, kept) {
            self.vmas.rejoin(room);
            self.prune(start, end, self.vmas.free_around(start));
            return Err(error);
        }
        self.vmas.put(room, moved)?;
        self.move_pages(address, target, kept, vma.prot());
        self.release(address, old_end, self.vmas.free_around(address));
        Ok(target)
    }

    /// Makes the tables at `to` for what there is in `length` bytes at `from`:
    /// a mapping may be far larger than what was touched of it.
    fn prepare_move(&mut self, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        let end = from + length;
        let mut at = from;
        while let Some((page, _)) = self.tables.first_entry(at, end) {
            // All pages that share this one's table, on either side.
            at = ((page & !(LARGE_PAGE_SIZE - 1)) + LARGE_PAGE_SIZE).min(end);
            let (first, last) = (to + (page - from), to + (at - from));
            if !self.tables.prepare(first, last, &mut *FRAMES.lock()) {
                return Err(Errno::ENOMEM);
            }
        }
        Ok(())
    }

    /// Moves the frames of `length` bytes at `from` to `to`, where tables are
    /// ready.
    fn move_pages(&mut self, from: u64, to: u64, length: u64, prot: Prot) {
        let mut at = from;
        while let Some((page, entry)) = self.tables.first_entry(at, from + length) {
            self.tables.replace(page, 0);
            self.tables.replace(to + (page - from), with_access(entry, prot));
            at = page + PAGE_SIZE;
        }
        flush_range(from, from + length);
    }
}
