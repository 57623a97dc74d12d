//! Mappings in the order of their addresses: a tree of two levels.
//!
//! Chunks of up to 40 mappings each, so that a program with as many has one sorted
//! array, and one with 65,530 has some 3,000 chunks, of which an insertion moves
//! 40 mappings. (`gap` says what a search for room costs.) Mostly the mapping that
//! is asked for is that of the last time; so that one is tried first.
//!
//! All memory is reserved before anything is changed.

use super::{MAX_MAP_COUNT, Marks, Vma};
use crate::memory::{try_push, try_with_capacity};
use alloc::vec::Vec;
use core::cell::Cell;
use trapgate_arch::paging::USER_HALF_END;
use trapgate_uapi::Errno;

/// The most mappings in a chunk: they fill a block of 2 KiB.
const CHUNK: usize = 40;
const _: () = assert!(CHUNK * size_of::<Vma>() <= 2048);

/// Room at the start: what a simple program has in the end.
const USUAL_MAPPINGS: usize = 16;

/// How many more mappings an operation makes in a chunk.
const MORE: usize = 2;

/// A place: of a mapping, or where the next one would come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) chunk: usize,
    pub(super) index: usize,
}

impl At {
    /// The place behind it in its chunk.
    pub(super) const fn next(self) -> At {
        At { chunk: self.chunk, index: self.index + 1 }
    }
}

/// Memory for a chunk, if somebody has put it by.
pub(super) type Spare<'a> = Option<&'a mut Vec<Vma>>;

/// Some neighbours.
pub(super) struct Chunk {
    pub(super) areas: Vec<Vma>,
    /// No gap directly below one of them is larger.
    pub(super) gap: u64,
}

/// The mappings of one address space, disjoint.
#[derive(Default)]
pub struct VmaMap {
    /// Ascending; none is empty.
    pub(super) chunks: Vec<Chunk>,
    pub(super) count: usize,
    last: Cell<(usize, usize)>,
}

impl VmaMap {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mapping at a place; `None` behind the last.
    pub(super) fn at(&self, at: At) -> Option<&Vma> {
        self.chunks.get(at.chunk)?.areas.get(at.index)
    }

    pub(super) fn at_mut(&mut self, at: At) -> &mut Vma {
        &mut self.chunks[at.chunk].areas[at.index]
    }

    /// The place of the first mapping that ends after `address`.
    #[inline]
    pub(super) fn seek(&self, address: u64) -> At {
        let (chunk, index) = self.last.get();
        if let Some(Chunk { areas, .. }) = self.chunks.get(chunk)
            && let Some(vma) = areas.get(index)
            && address < vma.end
            && (vma.start <= address || index > 0 && areas[index - 1].end <= address)
        {
            return At { chunk, index };
        }
        self.search(address)
    }

    /// The same, when it is another one than the last time: mostly a neighbour of it.
    #[inline(never)]
    pub(super) fn search(&self, address: u64) -> At {
        let (chunk, index) = self.last.get();
        if let Some(Chunk { areas, .. }) = self.chunks.get(chunk)
            && let Some(vma) = areas.get(index)
        {
            let neighbour = if address < vma.end {
                let before = index.checked_sub(1);
                before
                    .filter(|&before| areas[before].start <= address && address < areas[before].end)
            } else {
                areas.get(index + 1).filter(|next| address < next.end).map(|_| index + 1)
            };
            if let Some(index) = neighbour {
                self.last.set((chunk, index));
                return At { chunk, index };
            }
        }
        let ends_before = |chunk: &Chunk| chunk.areas.last().is_some_and(|vma| vma.end <= address);
        // Mostly there is one chunk.
        let chunk = match &self.chunks[..] {
            [_] => 0,
            chunks => chunks.partition_point(ends_before),
        };
        let Some(Chunk { areas, .. }) = self.chunks.get(chunk) else {
            return At { chunk, index: 0 };
        };
        let index = areas.partition_point(|vma| vma.end <= address);
        if index == areas.len() {
            return At { chunk: chunk + 1, index: 0 };
        }
        self.last.set((chunk, index));
        At { chunk, index }
    }

    /// The place of the mapping before; `None` at the first.
    pub(super) fn before(&self, at: At) -> Option<At> {
        if at.index > 0 {
            return Some(At { index: at.index - 1, ..at });
        }
        let chunk = at.chunk.checked_sub(1)?;
        Some(At { chunk, index: self.chunks[chunk].areas.len() - 1 })
    }

    /// The place of the mapping after.
    pub(super) fn after(&self, at: At) -> At {
        if at.index + 1 < self.chunks[at.chunk].areas.len() {
            at.next()
        } else {
            At { chunk: at.chunk + 1, index: 0 }
        }
    }

    /// Makes sure of memory for [`MORE`] mappings in the chunk of `at`, which may
    /// move with what is behind it: in `spare`, if that is left and no other can be had.
    /// What is mapped does not change. Answers whether places have moved.
    #[inline]
    pub(super) fn reserve(&mut self, at: &mut At, spare: Spare<'_>) -> Result<bool, Errno> {
        match self.chunks.get(at.chunk) {
            Some(Chunk { areas, .. }) if areas.len() + MORE <= areas.capacity() => Ok(false),
            _ => self.make_room(at, spare).map(|()| true),
        }
    }

    #[cold]
    fn make_room(&mut self, at: &mut At, spare: Spare<'_>) -> Result<(), Errno> {
        if at.chunk == self.chunks.len() {
            // Behind the last one: at its end.
            let Some(last) = self.chunks.last() else {
                let areas = or_spare(USUAL_MAPPINGS, spare)?;
                return try_push(&mut self.chunks, Chunk { areas, gap: 0 });
            };
            *at = At { chunk: at.chunk - 1, index: last.areas.len() };
        }
        let areas = &mut self.chunks[at.chunk].areas;
        let (length, capacity) = (areas.len(), areas.capacity());
        if length + MORE <= capacity {
            return Ok(());
        }
        if length + MORE <= CHUNK {
            let wanted = (2 * capacity).clamp(length + MORE, CHUNK);
            if areas.try_reserve_exact(wanted - length).is_ok() {
                return Ok(());
            }
        }
        self.halve(at, or_spare(CHUNK, spare)?)
    }

    /// Makes two chunks of one.
    #[expect(
        clippy::disallowed_methods,
        reason = "half a chunk fits into one, and the rest is reserved"
    )]
    fn halve(&mut self, at: &mut At, mut upper: Vec<Vma>) -> Result<(), Errno> {
        self.chunks.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let Chunk { areas, gap } = &mut self.chunks[at.chunk];
        let (middle, gap) = (areas.len() / 2, *gap);
        upper.extend(areas.drain(middle..));
        self.chunks.insert(at.chunk + 1, Chunk { areas: upper, gap });
        if at.index >= middle {
            *at = At { chunk: at.chunk + 1, index: at.index - middle };
        }
        Ok(())
    }

    /// Memory for a chunk, with which [`Self::reserve`] makes sure of an insertion
    /// after other changes.
    pub(super) fn spare(&mut self) -> Result<Vec<Vma>, Errno> {
        self.chunks.try_reserve(2).map_err(|_| Errno::ENOMEM)?;
        try_with_capacity(CHUNK)
    }

    /// Whether a mapping goes to `at` as it mostly does: between two, with neither of
    /// which it is one, and there is memory for it.
    #[inline(always)]
    pub(super) fn goes_between(&self, at: At, vma: &Vma) -> bool {
        let Some(Chunk { areas, .. }) = self.chunks.get(at.chunk) else { return false };
        let before = at.index.checked_sub(1).and_then(|before| areas.get(before..));
        let Some([before, next, ..]) = before else { return false };
        areas.len() + MORE <= areas.capacity()
            && self.count < MAX_MAP_COUNT
            && !before.joins(vma)
            && !vma.joins(next)
    }

    /// Removes the mapping at `at` as it is mostly removed: the whole of it, between two
    /// in a chunk that does not become small. Answers the free range, as
    /// [`Self::free_around`].
    #[inline(always)]
    pub(super) fn remove_whole(&mut self, at: At, [start, end]: [u64; 2]) -> Option<[u64; 2]> {
        let Chunk { areas, gap } = self.chunks.get_mut(at.chunk)?;
        let [before, gone, next, ..] = areas.get(at.index.checked_sub(1)?..)? else { return None };
        let becomes_small = at.chunk > 0 && areas.len() <= CHUNK / 2;
        if gone.start != start || gone.end != end || becomes_small {
            return None;
        }
        let around = [before.end, next.start];
        *gap = (*gap).max(next.start - before.end);
        drop(areas.remove(at.index));
        self.count -= 1;
        Some(around)
    }

    /// Inserts where there is memory for it, and keeps the chunk's gap right.
    #[inline(always)]
    #[expect(clippy::disallowed_methods, reason = "whoever calls it has reserved")]
    pub(super) fn insert_at(&mut self, at: At, vma: Vma) {
        let below = self.end_below(at);
        let Chunk { areas, gap } = &mut self.chunks[at.chunk];
        *gap = (*gap).max(vma.start - below);
        areas.insert(at.index, vma);
        self.count += 1;
    }

    /// Removes a mapping into whose place another one grows; the place is then that of
    /// the one after it.
    pub(super) fn remove_at(&mut self, at: &mut At) -> Vma {
        let areas = &mut self.chunks[at.chunk].areas;
        let vma = areas.remove(at.index);
        if areas.is_empty() {
            self.chunks.remove(at.chunk);
        } else if at.index == areas.len() {
            *at = At { chunk: at.chunk + 1, index: 0 };
        }
        self.count -= 1;
        vma
    }

    /// Removes the mappings from `at` on that begin before `end`, notes the gap, and
    /// makes one chunk of two that have become small. Answers the free range, as
    /// [`Self::free_around`].
    #[inline]
    pub(super) fn remove_below(&mut self, mut at: At, end: u64) -> [u64; 2] {
        let below = self.end_below(at);
        while let Some(Chunk { areas, gap }) = self.chunks.get_mut(at.chunk) {
            let gone = areas[at.index..].iter().take_while(|vma| vma.start < end).count();
            match gone {
                // Mostly.
                1 => drop(areas.remove(at.index)),
                _ => drop(areas.drain(at.index..at.index + gone)),
            }
            self.count -= gone;
            if let Some(next) = areas.get(at.index) {
                let above = next.start;
                *gap = (*gap).max(above - below);
                if at.chunk > 0 {
                    self.make_one(at.chunk - 1);
                }
                return [below, above];
            }
            if areas.is_empty() {
                self.chunks.remove(at.chunk);
            } else {
                at = At { chunk: at.chunk + 1, index: 0 };
            }
        }
        [below, USER_HALF_END]
    }

    /// Makes one chunk of two, if both have become small.
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn make_one(&mut self, before: usize) {
        let length = self.chunks[before + 1].areas.len();
        let into = &mut self.chunks[before].areas;
        // Without memory for it they stay two.
        if into.len() + length <= CHUNK / 2 && into.try_reserve_exact(length).is_ok() {
            let Chunk { areas, gap } = self.chunks.remove(before + 1);
            let into = &mut self.chunks[before];
            into.gap = into.gap.max(gap);
            into.areas.extend(areas);
        }
    }

    /// Where the mapping before this place ends.
    #[inline]
    pub(super) fn end_below(&self, at: At) -> u64 {
        if at.index > 0
            && let Some(Chunk { areas, .. }) = self.chunks.get(at.chunk)
        {
            return areas[at.index - 1].end;
        }
        self.before(at).and_then(|before| self.at(before)).map_or(0, |vma| vma.end)
    }

    /// A copy.
    ///
    /// # Errors
    /// ENOMEM.
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    pub fn try_clone(&self) -> Result<VmaMap, Errno> {
        let mut chunks = try_with_capacity(self.chunks.len())?;
        for Chunk { areas, gap } in &self.chunks {
            let mut copy = try_with_capacity(areas.len().max(USUAL_MAPPINGS))?;
            copy.extend(areas.iter().cloned());
            try_push(&mut chunks, Chunk { areas: copy, gap: *gap })?;
        }
        Ok(VmaMap { chunks, count: self.count, last: Cell::default() })
    }

    /// A forked process has them now: without those that do not go there, nor locks.
    pub fn begin_in_child(&mut self) {
        // Nothing is split by either, so that nothing is needed for it.
        let leaves = |vma: &&Vma| vma.marks().has(Marks::DONT_FORK);
        loop {
            let leaving = self.within(0, u64::MAX).find(leaves).map(|vma| [vma.start, vma.end]);
            let Some([start, end]) = leaving else { break };
            let _ = self.remove(start, end);
        }
        if self.within(0, u64::MAX).any(|vma| vma.marks().has(Marks::LOCKED)) {
            let _ = self.mark(0, u64::MAX, Marks::NONE, Marks::LOCKED);
        }
    }

    /// Notes where something was found, for the next one who asks for it.
    pub(super) fn found(&self, at: At) {
        self.last.set((at.chunk, at.index));
    }

    /// The first mapping that ends after `address`.
    pub fn find_from(&self, address: u64) -> Option<&Vma> {
        self.at(self.seek(address))
    }

    /// The mapping that holds `address`.
    #[inline]
    pub fn find(&self, address: u64) -> Option<&Vma> {
        self.find_from(address).filter(|vma| vma.start <= address)
    }

    /// The last mapping that begins before `address`.
    pub fn last_before(&self, address: u64) -> Option<&Vma> {
        self.at(self.before(self.seek(address))?)
    }

    /// The mappings that have a part of `start..end`, in order.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma> {
        let mut at = self.seek(start);
        core::iter::from_fn(move || {
            let vma = self.at(at).filter(|vma| vma.start < end)?;
            at = self.after(at);
            Some(vma)
        })
    }

    /// Whether nothing is mapped in `start..end`.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.find_from(start).is_none_or(|first| first.start >= end)
    }

    /// Whether all of `start..end` is mapped.
    pub fn is_covered(&self, start: u64, end: u64) -> bool {
        // Mostly by one mapping.
        let Some(first) = self.find(start) else { return start >= end };
        let mut reached = first.end;
        if reached < end {
            for vma in self.within(reached, end) {
                if vma.start > reached {
                    return false;
                }
                reached = vma.end;
            }
        }
        reached >= end
    }

    /// Whether `start..end` has a part of one of which this is so.
    pub fn any(&self, start: u64, end: u64, is_so: impl Fn(&Vma) -> bool) -> bool {
        match self.find_from(start) {
            Some(first) if first.end >= end => first.start < end && is_so(first),
            _ => self.within(start, end).any(is_so),
        }
    }

    /// The free range around `start`, where nothing is mapped: up to the mappings on
    /// both sides, or all there is.
    pub fn free_around(&self, start: u64) -> [u64; 2] {
        let at = self.seek(start);
        [self.end_below(at), self.at(at).map_or(USER_HALF_END, |above| above.start)]
    }
}

fn or_spare(count: usize, spare: Spare<'_>) -> Result<Vec<Vma>, Errno> {
    let kept = spare.filter(|spare| spare.capacity() >= count);
    try_with_capacity(count).or_else(|error| kept.map(core::mem::take).ok_or(error))
}
