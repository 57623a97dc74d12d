//! A page that is there, for an access that its entry does not allow and its mapping
//! does: mostly the first write after a fork.

use super::{AddressSpace, FaultError, flags, with_access};
use crate::mm::frames::FRAMES;
use crate::mm::vma::Prot;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;
use trapgate_arch::paging::{COPY_ON_WRITE, flush_range};
use trapgate_arch::phys;

impl AddressSpace {
    /// Allows what the mapping allows: a copy, if others have the frame, too.
    pub(super) fn open_up(&mut self, page: u64, entry: u64, prot: Prot) -> Result<u64, FaultError> {
        let opened = if entry & COPY_ON_WRITE != 0 && prot.allows(Prot::WRITE) {
            own_copy(entry & pte::ADDRESS)? | flags(prot)
        } else {
            // The tables were behind the mapping: better late than for ever.
            with_access(entry, prot)
        };
        self.tables.replace(page, opened);
        flush_range(page, page + PAGE_SIZE);
        Ok(opened)
    }
}

/// A frame with the same content that nobody else has: the frame itself, if all the
/// others have gone. What remains of them is not the zero page.
fn own_copy(frame: u64) -> Result<u64, FaultError> {
    let frames = &mut *FRAMES.lock();
    if frames.is_exclusive(frame) {
        return Ok(frame);
    }
    let copy = frames.take_unclean().ok_or(FaultError::OutOfMemory)?;
    phys::copy_frame(frame, copy);
    frames.disown(frame);
    Ok(copy)
}
