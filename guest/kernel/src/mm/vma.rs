//! Which ranges of the address space the program has mapped, and how: pure
//! book-keeping, no page tables.
//!
//! `space` asks and changes it; tests hold it against a naive model.

use crate::mm::backing::Backing;
use alloc::vec::Vec;
use trapgate_uapi::Errno;

mod gap;
mod map;
#[cfg(test)]
mod tests;

pub use map::VmaMap;
use map::{At, Chunk, Spare};

/// What a mapping may be used for: `PROT_*` of mmap(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot(u8);

impl Prot {
    /// No access.
    pub const NONE: Prot = Prot(0);
    /// Read.
    pub const READ: Prot = Prot(1);
    /// Write.
    pub const WRITE: Prot = Prot(2);
    /// Execute.
    pub const EXEC: Prot = Prot(4);

    /// The bits of mmap(2); `None` if one is unknown.
    pub const fn from_bits(bits: u64) -> Option<Prot> {
        if bits & !7 == 0 { Some(Prot(bits as u8)) } else { None }
    }

    /// This but not the other.
    pub const fn without(self, other: Prot) -> Prot {
        Prot(self.0 & !other.0)
    }

    /// Both.
    pub const fn with(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }

    /// Whether all of `other` is allowed.
    pub const fn allows(self, other: Prot) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What was said of a mapping that no access depends on: by mmap(2), mlock(2),
/// madvise(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// Nothing.
    pub const NONE: Marks = Marks(0);
    /// Its pages stay: mlock(2).
    pub const LOCKED: Marks = Marks(1);
    /// It grows down when it is touched below: `MAP_GROWSDOWN`.
    pub const GROWS_DOWN: Marks = Marks(2);
    /// A forked process has it without its pages: `MADV_WIPEONFORK`.
    pub const WIPE_ON_FORK: Marks = Marks(4);
    /// A forked process does not have it: `MADV_DONTFORK`.
    pub const DONT_FORK: Marks = Marks(8);

    /// Both.
    pub const fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub const fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }

    /// Whether one of `other` is among them.
    pub const fn has(self, other: Marks) -> bool {
        self.0 & other.0 != 0
    }
}

/// Access and marks of a mapping, in one word: so they are copied and compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    const MARKS: u32 = 8;

    /// Both.
    pub const fn new(prot: Prot, marks: Marks) -> Attributes {
        Attributes(prot.0 as u32 | (marks.0 as u32) << Attributes::MARKS)
    }

    /// Access.
    pub const fn prot(self) -> Prot {
        Prot(self.0 as u8)
    }

    /// What was said of it.
    pub const fn marks(self) -> Marks {
        Marks((self.0 >> Attributes::MARKS) as u8)
    }
}

impl From<Prot> for Attributes {
    fn from(prot: Prot) -> Attributes {
        Attributes::new(prot, Marks::NONE)
    }
}

/// One mapping.
#[derive(Clone, Debug)]
pub struct Vma {
    /// Its first address.
    pub start: u64,
    /// Its end, exclusive.
    pub end: u64,
    /// Access and marks.
    pub attributes: Attributes,
    /// What is mapped.
    pub backing: Backing,
}

impl Vma {
    /// Whether it has this address.
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Whether `next` begins where it ends, and both could be one mapping.
    #[inline]
    pub(super) fn joins(&self, next: &Vma) -> bool {
        self.end == next.start
            && self.attributes == next.attributes
            && self.backing.goes_on_as(self.end - self.start, &next.backing)
    }

    /// Access.
    pub const fn prot(&self) -> Prot {
        self.attributes.prot()
    }

    /// What was said of it.
    pub const fn marks(&self) -> Marks {
        self.attributes.marks()
    }

    /// Cuts off what is from `address` on, which must be inside.
    fn split_off(&mut self, address: u64) -> Vma {
        let backing = self.backing.after(address - self.start);
        let end = core::mem::replace(&mut self.end, address);
        Vma { start: address, end, attributes: self.attributes, backing }
    }
}

/// The most mappings a program may have: Linux's `vm.max_map_count`.
pub const MAX_MAP_COUNT: usize = 65530;

/// Room for a mapping that comes in the place of others: see
/// [`VmaMap::prepare_put`].
pub struct Room {
    start: u64,
    end: u64,
    spare: Vec<Vma>,
}

impl VmaMap {
    /// Adds a mapping to a free range, joined with equal neighbours. On an error
    /// nothing has changed.
    ///
    /// # Errors
    /// ENOMEM with too many mappings, or without memory to note it.
    pub fn insert(&mut self, vma: Vma) -> Result<(), Errno> {
        self.insert_with(vma, None)
    }

    /// Makes sure that one mapping can be put in the place of all those in
    /// `start..end`: by [`Self::put`], or it was in vain, and [`Self::rejoin`]. What is
    /// mapped does not change.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn prepare_put(&mut self, start: u64, end: u64) -> Result<Room, Errno> {
        // Linux: `move_vma` keeps as many to itself.
        if self.count() + 3 > MAX_MAP_COUNT {
            return Err(Errno::ENOMEM);
        }
        let spare = self.spare()?;
        self.cut(self.seek(start), start, end, false)?;
        Ok(Room { start, end, spare })
    }

    /// Removes all mappings from the range for which room was made, and adds one, to
    /// a range that is free then.
    ///
    /// # Errors
    /// None: there is room.
    pub fn put(&mut self, room: Room, vma: Vma) -> Result<(), Errno> {
        let Room { start, end, mut spare } = room;
        self.remove(start, end)?;
        self.insert_with(vma, Some(&mut spare))
    }

    /// Takes back that room was made.
    pub fn rejoin(&mut self, room: Room) {
        let at = self.seek(room.start);
        self.join(self.before(at).unwrap_or(at), room.end);
    }

    fn insert_with(&mut self, vma: Vma, spare: Spare<'_>) -> Result<(), Errno> {
        let mut at = self.seek(vma.start);
        if self.goes_between(at, &vma) {
            self.insert_at(at, vma);
            return Ok(());
        }
        let joins_next = self.at(at).is_some_and(|next| vma.joins(next));
        let before = self.before(at);
        if let Some(before) = before
            && self.at(before).is_some_and(|before| before.joins(&vma))
        {
            let mut end = vma.end;
            if joins_next {
                end = self.remove_at(&mut at).end;
            }
            self.at_mut(before).end = end;
        } else if joins_next {
            let next = self.at_mut(at);
            (next.start, next.backing) = (vma.start, vma.backing);
        } else {
            if self.count() >= MAX_MAP_COUNT {
                return Err(Errno::ENOMEM);
            }
            self.reserve(&mut at, spare)?;
            self.insert_at(at, vma);
        }
        Ok(())
    }

    /// Removes all mappings from `start..end`. Answers the range around it where nothing
    /// is mapped now. On an error nothing has changed.
    ///
    /// # Errors
    /// ENOMEM, if that would split one and there are too many already, or there is
    /// no memory to note it.
    pub fn remove(&mut self, start: u64, end: u64) -> Result<[u64; 2], Errno> {
        let at = self.seek(start);
        if let Some(around) = self.remove_whole(at, [start, end]) {
            return Ok(around);
        }
        let at = self.cut(at, start, end, false)?;
        Ok(self.remove_below(at, end))
    }

    /// Changes the access of the mappings in `start..end`, which must be
    /// covered. On an error nothing has changed.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn protect(&mut self, start: u64, end: u64, prot: Prot) -> Result<(), Errno> {
        self.change(start, end, |attributes| Attributes::new(prot, attributes.marks()))
    }

    /// Sets and clears marks of the mappings in `start..end`, which may have holes. On an
    /// error nothing has changed.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn mark(&mut self, start: u64, end: u64, set: Marks, clear: Marks) -> Result<(), Errno> {
        if start >= end {
            return Ok(());
        }
        self.change(start, end, |attributes| {
            Attributes::new(attributes.prot(), attributes.marks().without(clear).with(set))
        })
    }

    #[inline(always)]
    fn change(
        &mut self,
        start: u64,
        end: u64,
        change: impl Fn(Attributes) -> Attributes,
    ) -> Result<(), Errno> {
        let first = self.cut(self.seek(start), start, end, true)?;
        let mut index = first.index;
        for Chunk { areas, .. } in &mut self.chunks[first.chunk..] {
            for vma in &mut areas[index..] {
                if vma.start >= end {
                    break;
                }
                vma.attributes = change(vma.attributes);
            }
            if areas.last().is_some_and(|last| last.end >= end) {
                break;
            }
            index = 0;
        }
        self.join(self.before(first).unwrap_or(first), end);
        Ok(())
    }

    /// Makes sure that no mapping crosses `start`, to which `at` belongs, or `end`, and
    /// answers where the first one from `start` on is. `kept`: the pieces between them
    /// will stay, so that there are more mappings in the end. On an error nothing has
    /// changed.
    #[inline]
    fn cut(&mut self, at: At, start: u64, end: u64, kept: bool) -> Result<At, Errno> {
        match self.at(at) {
            // Mostly it is all of one mapping.
            Some(first) if first.start < start || first.end != end => {
                self.cut_at(at, start, end, kept)
            }
            _ => Ok(at),
        }
    }

    /// The same, where the first mapping is at `at`.
    #[inline(never)]
    fn cut_at(&mut self, mut at: At, start: u64, end: u64, kept: bool) -> Result<At, Errno> {
        let Some(first) = self.at(at).filter(|first| first.start < end) else { return Ok(at) };
        let (crosses_start, crosses_both) = (first.start < start, first.end > end);
        let mut last = if first.end >= end { at } else { self.seek(end) };
        let crosses_end = self.at(last).is_some_and(|last| last.start < end && end < last.end);
        let more = match (kept, crosses_start && crosses_both) {
            (true, _) => usize::from(crosses_start) + usize::from(crosses_end),
            (false, in_its_middle) => in_its_middle.into(),
        };
        if more > 0 && self.count() + more > MAX_MAP_COUNT {
            return Err(Errno::ENOMEM);
        }
        // To reserve may move what is behind, in the same chunk or in later ones.
        if crosses_end && self.reserve(&mut last, None)? {
            at = self.seek(start);
        }
        if crosses_start && self.reserve(&mut at, None)? {
            last = self.seek(end);
        }
        if crosses_end {
            let rest = self.at_mut(last).split_off(end);
            self.insert_at(last.next(), rest);
        }
        if crosses_start {
            let rest = self.at_mut(at).split_off(start);
            at = at.next();
            self.insert_at(at, rest);
        }
        Ok(at)
    }

    /// Joins equal neighbours, from the mapping at `at` to those that begin at `end`.
    fn join(&mut self, at: At, end: u64) {
        let At { mut chunk, mut index } = at;
        while let Some(Chunk { areas, .. }) = self.chunks.get_mut(chunk) {
            while let [vma, next, ..] = &mut areas[index..] {
                if next.start > end {
                    return;
                }
                if vma.joins(next) {
                    vma.end = next.end;
                    areas.remove(index + 1);
                    self.count -= 1;
                } else {
                    index += 1;
                }
            }
            // The last one here, and the first one of the next chunk.
            let (last, mut next) = (At { chunk, index }, At { chunk: chunk + 1, index: 0 });
            let (Some(vma), Some(after)) = (self.at(last), self.at(next)) else { return };
            if after.start <= end && vma.joins(after) {
                self.at_mut(last).end = self.remove_at(&mut next).end;
            } else {
                (chunk, index) = (chunk + 1, 0);
            }
        }
    }
}
