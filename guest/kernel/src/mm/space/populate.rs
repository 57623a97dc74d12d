//! Missing pages get frames: of their own, or the page of zeroes.

use super::{AddressSpace, flags, prot_permits, with_access};
use crate::mm::backing::Backing;
use crate::mm::frames::FRAMES;
use crate::mm::vma::Prot;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, FrameSource, flush_range};
use trapgate_arch::percpu;

impl AddressSpace {
    /// Gives each page of `start..end` that has none, or only the page of zeroes, a
    /// frame of its own, as far as there are frames.
    pub(super) fn populate(&mut self, start: u64, end: u64, prot: Prot) {
        let frames = &mut *FRAMES.lock();
        let (flags, zero_page) = (flags(prot), frames.zero_page());
        let (mut run, mut mapped, mut replaced) = (Range::default(), 0, false);
        self.tables.for_each_slot(start, end, frames, |address, entry, frames| {
            if *entry != 0 {
                if *entry & pte::ADDRESS != zero_page {
                    return true;
                }
                replaced = true;
            }
            if run.is_empty() {
                // In runs: one question for many pages.
                let Some(next) = frames.take((end - address) / PAGE_SIZE) else { return false };
                run = next;
            }
            *entry = run.start | flags;
            run.start += PAGE_SIZE;
            mapped += 1;
            true
        });
        frames.give_back(run);
        percpu::count!(pages_mapped, mapped);
        if replaced {
            flush_range(start, end);
        }
    }

    /// Maps the page of zeroes wherever `start..end` has no page: to be read, and to
    /// be replaced by the first write.
    pub(super) fn populate_zero(&mut self, start: u64, end: u64, prot: Prot) {
        let frames = &mut *FRAMES.lock();
        let page = with_access(frames.zero_page() | COUNTED | COPY_ON_WRITE, prot);
        let mut mapped = 0;
        self.tables.for_each_slot(start, end, frames, |_, entry, _| {
            if *entry == 0 {
                *entry = page;
                mapped += 1;
            }
            true
        });
        percpu::count!(pages_mapped, mapped);
    }

    /// Maps the first pages of what was just mapped at `start`, which will surely be
    /// touched, where a fault would cost more than that.
    #[inline]
    pub(super) fn populate_ahead(&mut self, start: u64, end: u64) {
        if self.eager {
            self.populate_first(start, end);
        }
    }

    fn populate_first(&mut self, start: u64, end: u64) {
        let ahead = FRAMES.lock().ahead(self.ahead);
        let Some(vma) = self.vmas.find(start).filter(|_| ahead > 1) else { return };
        if !prot_permits(vma.prot(), Prot::READ) {
            return;
        }
        let end = end.min(start + ahead * PAGE_SIZE);
        match &vma.backing {
            // Each page might cost a frame.
            Backing::Shared(_) => {}
            Backing::Private(_) => {
                let vma = vma.clone();
                let _ = self.populate_from_object(&vma, start, end, start, Prot::READ);
            }
            _ => {
                let prot = vma.prot();
                self.populate(start, end, prot);
            }
        }
    }
}
