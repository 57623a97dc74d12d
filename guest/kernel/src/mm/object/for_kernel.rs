//! What the kernel itself does with an object's bytes.

use super::{NoPage, Object, Pages};
use crate::mm::frames::FRAMES;
use core::sync::atomic::Ordering;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;

impl Object {
    /// Copies bytes of the kernel's to `offset` and on: how many, if not all.
    ///
    /// # Errors
    /// No page for the first byte.
    pub fn write_for_kernel(&self, offset: u64, from: &[u8]) -> Result<usize, NoPage> {
        self.with_what_it_takes(|| self.try_write_for_kernel(offset, from))
    }

    fn try_write_for_kernel(&self, offset: u64, from: &[u8]) -> Result<usize, NoPage> {
        let mut pages = self.lock();
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let within = at % PAGE_SIZE;
            let piece = (from.len() - done).min((PAGE_SIZE - within) as usize);
            match pages.own(at / PAGE_SIZE, &mut FRAMES.lock()) {
                Ok(frame) => phys::write(frame + within, &from[done..done + piece]),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            done += piece;
        }
        if offset + done as u64 > self.size() {
            self.grow(&pages.held, offset + done as u64, offset);
        }
        Ok(done)
    }

    /// Calls `take` with where the bytes from `offset` on lie, page by page, up to `length`
    /// of them and to the object's end, until it answers false. Answers how many it took;
    /// nobody may change anything before they are used.
    ///
    /// # Errors
    /// The first cannot be had; [`NoPage::Absent`], too.
    pub fn where_it_is(
        &self,
        offset: u64,
        length: u64,
        mut take: impl FnMut(Range) -> bool,
    ) -> Result<u64, NoPage> {
        let mut pages = self.lock();
        let length = length.min(self.size().saturating_sub(offset));
        let mut done = 0;
        while done < length {
            let at = offset + done;
            let within = at % PAGE_SIZE;
            let piece = (PAGE_SIZE - within).min(length - done);
            let frame = match pages.source(at / PAGE_SIZE) {
                Ok(Some(frame)) => frame,
                Ok(None) => FRAMES.lock().zero_page(),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            if !take(Range { start: frame + within, end: frame + within + piece }) {
                break;
            }
            done += piece;
        }
        Ok(done)
    }

    /// Gives each page of `start..end` a frame; with `grows`, the object is as long then.
    ///
    /// # Errors
    /// There are not as many; those that were there are kept.
    pub fn allocate(&self, start: u64, end: u64, grows: bool) -> Result<(), NoPage> {
        self.with_what_it_takes(|| self.try_allocate(start, end, grows))
    }

    fn try_allocate(&self, start: u64, end: u64, grows: bool) -> Result<(), NoPage> {
        let mut pages = self.lock();
        for page in start / PAGE_SIZE..end.div_ceil(PAGE_SIZE) {
            pages.own(page, &mut FRAMES.lock())?;
        }
        if grows && end > self.size() {
            self.grow(&pages.held, end, end);
        }
        Ok(())
    }

    /// Makes the bytes of `start..end` zeroes, and gives their frames up as far as these
    /// are whole pages.
    ///
    /// # Errors
    /// A page is to be kept in part, and cannot be copied.
    pub fn punch(&self, start: u64, end: u64) -> Result<(), NoPage> {
        self.with_what_it_takes(|| self.try_punch(start, end))
    }

    fn try_punch(&self, start: u64, end: u64) -> Result<(), NoPage> {
        let mut pages = self.lock();
        let (first, last) = (start.div_ceil(PAGE_SIZE), end / PAGE_SIZE);
        let whole = first..last.max(first);
        let part = |pages: &mut Pages, from: u64, to: u64| -> Result<(), NoPage> {
            if from < to && pages.source(from / PAGE_SIZE)?.is_some() {
                let frame = pages.own(from / PAGE_SIZE, &mut FRAMES.lock())?;
                phys::clear_bytes(frame + from % PAGE_SIZE, to - from);
            }
            Ok(())
        };
        if last < first {
            return part(&mut pages, start, end);
        }
        part(&mut pages, start, first * PAGE_SIZE)?;
        part(&mut pages, last * PAGE_SIZE, end)?;
        // What is below would show: there, zeroes of its own are the hole.
        let below = self.pages_below.load(Ordering::Relaxed);
        for page in whole.start..whole.end.min(below) {
            if !self.is_hole(&pages.held, page)? {
                let frame = pages.own(page, &mut FRAMES.lock())?;
                phys::clear_bytes(frame, PAGE_SIZE);
            }
        }
        let start = whole.start.max(below.min(whole.end));
        pages.held.remove(start, whole.end, self.quota.as_deref());
        Ok(())
    }
}
