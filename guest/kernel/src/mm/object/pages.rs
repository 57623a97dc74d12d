//! The pages of an object, for who maps or changes some.

use super::{Below, Held, NoPage, Object};
use crate::mm::frames::{FRAMES, Frames};
use spin::MutexGuard;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, FrameSource};
use trapgate_arch::phys;

/// The pages of an object that is locked.
pub struct Pages<'a> {
    pub(super) held: MutexGuard<'a, Held>,
    pub(super) object: &'a Object,
}

impl Pages<'_> {
    /// A page for an entry of a table: its address, and `COUNTED`, with one owner more,
    /// whoever maps it now; with `COPY_ON_WRITE`, if it is not the object's own.
    /// `shared`: it is to be that.
    ///
    /// # Errors
    /// [`NoPage`].
    pub fn map(&mut self, page: u64, shared: bool, frames: &mut Frames) -> Result<u64, NoPage> {
        if page >= self.object.pages() {
            return Err(NoPage::Beyond);
        }
        let mut frame = self.held.map.get(page);
        if frame == 0 {
            if !shared {
                match self.object.below(&self.held, page)? {
                    Below::Outside(page) => return Ok(page | COUNTED | COPY_ON_WRITE),
                    Below::Clean(frame) => {
                        frames.own(frame);
                        return Ok(frame | COUNTED | COPY_ON_WRITE);
                    }
                    _ => {}
                }
            }
            frame = match self.own(page, frames) {
                Err(NoPage::There) => self.lend(page, frames)?,
                owned => owned?,
            };
        }
        frames.own(frame);
        Ok(frame | COUNTED)
    }

    /// The same of a page beside one that is wanted, if it is at hand: it needs no copy,
    /// and is worth a frame. One of zeroes is for those who write it, and all see it.
    pub fn map_at_hand(&mut self, page: u64, shared: bool, frames: &mut Frames) -> Option<u64> {
        if page >= self.object.pages() {
            return None;
        }
        let (frame, copies) = match self.held.map.get(page) {
            0 => match self.object.below(&self.held, page) {
                Ok(Below::Outside(page)) if !shared => return Some(page | COUNTED | COPY_ON_WRITE),
                Ok(Below::Clean(frame)) if !shared => (frame, COPY_ON_WRITE),
                Ok(Below::Hole) if shared => (self.own(page, frames).ok()?, 0),
                _ => return None,
            },
            frame => (frame, 0),
        };
        frames.own(frame);
        Some(frame | COUNTED | copies)
    }

    /// Whether a page has something, in a frame or below.
    pub fn is_there(&self, page: u64) -> bool {
        page < self.object.pages()
            && (self.frame(page) != 0 || self.object.below(&self.held, page) != Ok(Below::Hole))
    }

    /// The object's own frame for a page; 0, if it has none.
    pub fn frame(&self, page: u64) -> u64 {
        self.held.map.get(page)
    }

    /// The object's own frames for pages from this one on, 0 where it has none, as far as
    /// that is one look; none, if it has no frame there.
    pub fn frames_from(&self, page: u64) -> &[u64] {
        self.held.map.words_from(page)
    }

    /// What a page is to be copied from: its physical address; `None` for zeroes.
    ///
    /// # Errors
    /// [`NoPage`].
    pub fn source(&mut self, page: u64) -> Result<Option<u64>, NoPage> {
        match self.held.map.get(page) {
            0 => match self.object.below(&self.held, page)? {
                Below::Hole => Ok(None),
                Below::Outside(page) | Below::Clean(page) => Ok(Some(page)),
                Below::Bytes | Below::Elsewhere => self.own(page, &mut FRAMES.lock()).map(Some),
            },
            frame => Ok(Some(frame)),
        }
    }

    /// The object's own frame for a page, to be written; a new one has what was below.
    ///
    /// # Errors
    /// [`NoPage`].
    pub fn own(&mut self, page: u64, frames: &mut Frames) -> Result<u64, NoPage> {
        let frame = self.held.map.get(page);
        if frame != 0 {
            return Ok(frame);
        }
        let below = self.object.below(&self.held, page);
        let below = below.map_err(|why| self.object.why_not_own(why))?;
        // All that it takes is there, or nothing is taken.
        if frames.spare() <= self.held.map.missing(page) {
            return Err(NoPage::Frame);
        }
        let quota = self.object.quota.as_deref();
        match quota {
            // Who only reads comes here, too, and is not to be told that there is no
            // room to write. A file has one such page at most.
            Some(quota) if below == Below::Bytes => quota.take_anyhow(1),
            Some(quota) if !quota.take(1) => return Err(NoPage::Quota),
            _ => {}
        }
        let taken = match below {
            Below::Outside(from) => {
                frames.take_unclean().map(|to| (to, phys::copy_frame(from, to)))
            }
            // It is nobody's but the object's now: to those who have mapped it, too, it is
            // a page that others may write.
            Below::Clean(_) if self.object.is_written_there() => {
                quota.into_iter().for_each(|quota| quota.give_back(1));
                return Err(NoPage::There);
            }
            Below::Clean(frame) => Some((self.held.take_over(page, frame), ())),
            Below::Hole | Below::Bytes | Below::Elsewhere => {
                frames.take(1).map(|run| (run.start, ()))
            }
        };
        let filled = match (taken, below, &self.object.pager) {
            (None, ..) => Err(NoPage::Frame),
            (Some((frame, ())), Below::Bytes, Some(pager)) => {
                pager.fill(page, frame).map(|()| frame).map_err(|_| {
                    frames.give_up(Range { start: frame, end: frame + PAGE_SIZE });
                    NoPage::Failed
                })
            }
            (Some((frame, ())), ..) => Ok(frame),
        };
        let slot = self.held.map.slot(page, frames);
        match (filled, slot) {
            (Ok(frame), Some(slot)) => {
                *slot = frame;
                self.held.count += 1;
                Ok(frame)
            }
            (filled, _) => {
                quota.into_iter().for_each(|quota| quota.give_back(1));
                filled.and(Err(NoPage::Frame))
            }
        }
    }
}
