//! The pages of a pipe, first in, first out.

use crate::mm::frames::{self, FRAMES};
use alloc::collections::VecDeque;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;
use trapgate_uapi::Errno;

/// How far a transfer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To its end.
    Done,
    /// Up to a page of the program's that is not there, so many bytes from the beginning.
    Missing(u64),
    /// There is nothing more to be read, or no more room.
    Stuck,
    /// There is no frame.
    NoFrame,
    /// Nobody reads.
    Broken,
}

/// What copies so many bytes, `done` from the beginning of the transfer, from or to a
/// physical address within a frame: answers how many, before a page was missing.
pub(super) type Copy<'a> = dyn FnMut(u64, u64, u64) -> u64 + 'a;

/// A page with bytes in it.
struct Page {
    frame: u64,
    /// Where they begin and end in it.
    start: u64,
    end: u64,
    /// It was written with `O_DIRECT`: one read(2) is for it alone.
    packet: bool,
}

/// Pages with bytes, and places for more.
#[derive(Default)]
pub(super) struct Pages {
    pages: VecDeque<Page>,
    places: usize,
    /// A frame that the next page gets; 0 for none.
    spare: u64,
}

impl Pages {
    /// Makes so many places, if there are none yet.
    pub(super) fn make_places(&mut self, places: usize) -> Result<(), Errno> {
        if self.places == 0 { self.set_places(places) } else { Ok(()) }
    }

    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// Changes how many there are.
    ///
    /// # Errors
    /// EBUSY, if more are in use; ENOMEM.
    pub(super) fn set_places(&mut self, places: usize) -> Result<(), Errno> {
        if places < self.pages.len() {
            return Err(Errno::EBUSY);
        }
        let more = places - self.pages.len();
        self.pages.try_reserve_exact(more).map_err(|_| Errno::ENOMEM)?;
        self.places = places;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pages.len() >= self.places
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.end - page.start).sum()
    }

    /// Writes what is left of a transfer, as far as there are places.
    #[expect(clippy::disallowed_methods, reason = "places are reserved")]
    pub(super) fn put(
        &mut self,
        done: &mut u64,
        length: u64,
        packet: bool,
        copy: &mut Copy<'_>,
    ) -> Step {
        let odd = length % PAGE_SIZE;
        if *done == 0
            && odd > 0
            && !packet
            && let Some(last) = self.pages.back_mut()
            && !last.packet
            && last.end + odd <= PAGE_SIZE
        {
            let copied = copy(last.frame + last.end, 0, odd);
            if copied < odd {
                return Step::Missing(copied);
            }
            last.end += odd;
            *done = odd;
        }
        while *done < length {
            if self.is_full() {
                return Step::Stuck;
            }
            let frame = match core::mem::take(&mut self.spare) {
                0 => FRAMES.lock().take_unclean(),
                frame => Some(frame),
            };
            let Some(frame) = frame else { return Step::NoFrame };
            let piece = (length - *done).min(PAGE_SIZE);
            let copied = copy(frame, *done, piece);
            if copied < piece {
                self.spare = frame;
                return Step::Missing(*done + copied);
            }
            self.pages.push_back(Page { frame, start: 0, end: piece, packet });
            *done += piece;
        }
        Step::Done
    }

    /// Writes less than a page, if there is room behind what was written last, or in a
    /// page that is at hand: all of it, or nothing.
    #[inline(always)]
    #[expect(clippy::disallowed_methods, reason = "places are reserved")]
    pub(super) fn put_few(&mut self, length: u64, copy: impl FnOnce(u64) -> u64) -> bool {
        let is_full = self.is_full();
        let last = self.pages.back_mut();
        let last = last.filter(|last| !last.packet && last.end + length <= PAGE_SIZE);
        let to = match &last {
            Some(last) => last.frame + last.end,
            None if is_full || self.spare == 0 => return false,
            None => self.spare,
        };
        if copy(to) != length {
            return false;
        }
        match last {
            Some(last) => last.end += length,
            None => {
                let frame = core::mem::take(&mut self.spare);
                self.pages.push_back(Page { frame, start: 0, end: length, packet: false });
            }
        }
        true
    }

    /// Reads up to so many bytes, if they are in one page: all that there are, or none.
    #[inline(always)]
    pub(super) fn take_few(&mut self, length: u64, copy: impl FnOnce(u64, u64) -> u64) -> u64 {
        let is_alone = self.pages.len() == 1;
        let Some(first) = self.pages.front_mut() else { return 0 };
        let there = first.end - first.start;
        let piece = there.min(length);
        let goes_on = piece < length && !is_alone;
        if goes_on || first.packet || copy(first.frame + first.start, piece) != piece {
            return 0;
        }
        first.start += piece;
        if piece == there {
            self.drop_first();
        }
        piece
    }

    /// Reads what is left of a transfer, as far as there are bytes.
    pub(super) fn take(&mut self, done: &mut u64, length: u64, copy: &mut Copy<'_>) -> Step {
        while *done < length {
            let Some(first) = self.pages.front_mut() else { return Step::Stuck };
            let piece = (first.end - first.start).min(length - *done);
            let copied = copy(first.frame + first.start, *done, piece);
            if copied < piece {
                return Step::Missing(*done + copied);
            }
            first.start += piece;
            *done += piece;
            let is_packet = first.packet;
            if is_packet || first.start == first.end {
                self.drop_first();
            }
            if is_packet {
                return Step::Done;
            }
        }
        Step::Done
    }

    /// Copies bytes from the one after `skip` on: how many there were.
    pub(super) fn peek(&self, mut skip: u64, to: &mut [u8]) -> usize {
        let mut done = 0;
        for page in &self.pages {
            let length = page.end - page.start;
            if skip >= length {
                skip -= length;
                continue;
            }
            let piece = ((length - skip) as usize).min(to.len() - done);
            phys::read(page.frame + page.start + skip, &mut to[done..done + piece]);
            (done, skip) = (done + piece, 0);
        }
        done
    }

    fn drop_first(&mut self) {
        let Some(Page { frame, .. }) = self.pages.pop_front() else { return };
        match self.spare {
            0 => self.spare = frame,
            _ => frames::give_back(&[frame]),
        }
    }

    /// Gives all frames back.
    pub(super) fn clear(&mut self) {
        while !self.pages.is_empty() {
            self.drop_first();
        }
        match core::mem::take(&mut self.spare) {
            0 => {}
            spare => frames::give_back(&[spare]),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.clear();
    }
}
