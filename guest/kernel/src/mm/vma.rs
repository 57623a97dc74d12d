//! Which ranges of the address space the program has mapped, and how: pure
//! book-keeping, no page tables.
//!
//! `space` asks and changes it; tests hold it against a naive model.

use alloc::vec::Vec;
use core::ops::Range;
use trapgate_uapi::Errno;

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

    /// Both.
    pub const fn with(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }

    /// Whether all of `other` is allowed.
    pub const fn allows(self, other: Prot) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// mmap(2) without a file.
    Anonymous,
    /// The same, shared: what madvise(2) gives up comes back as it was.
    Shared,
    /// A segment of the program: as Shared, for its file is not here.
    Image,
    /// The vDSO's data page: as Image, and only ever read.
    Vvar,
    /// The heap of brk(2).
    Heap,
    /// The stack.
    Stack,
}

/// One mapping; its start is its key in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vma {
    /// End, exclusive.
    pub end: u64,
    /// Access.
    pub prot: Prot,
    /// Purpose.
    pub kind: Kind,
}

/// The mappings of one address space, disjoint.
///
/// A sorted array and no tree: programs have dozens of mappings, and the
/// kernel makes the first ones at every start.
#[derive(Default)]
pub struct VmaMap {
    /// Start and mapping, ascending.
    areas: Vec<(u64, Vma)>,
}

/// The most mappings a program may have: Linux's `vm.max_map_count`.
pub const MAX_MAP_COUNT: usize = 65530;

impl VmaMap {
    /// No mapping, and room for `count`.
    pub fn with_capacity(count: usize) -> Self {
        VmaMap { areas: Vec::with_capacity(count) }
    }

    /// The index of the first mapping that ends after `address`.
    fn index(&self, address: u64) -> usize {
        self.areas.partition_point(|(_, vma)| vma.end <= address)
    }

    /// The first mapping that ends after `address`, with its start.
    pub fn find_from(&self, address: u64) -> Option<(u64, Vma)> {
        self.areas.get(self.index(address)).copied()
    }

    /// The mapping that holds `address`, with its start.
    pub fn find(&self, address: u64) -> Option<(u64, Vma)> {
        self.find_from(address).filter(|(start, _)| *start <= address)
    }

    /// Whether nothing is mapped in `start..end`.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.find_from(start).is_none_or(|(first, _)| first >= end)
    }

    /// Whether all of `start..end` is mapped.
    pub fn is_covered(&self, start: u64, end: u64) -> bool {
        let mut address = start;
        while address < end {
            match self.find(address) {
                Some((_, vma)) => address = vma.end,
                None => return false,
            }
        }
        true
    }

    /// Whether any mapping in `start..end` is of this kind.
    pub fn any(&self, start: u64, end: u64, kind: Kind) -> bool {
        let areas = self.areas[self.index(start)..].iter();
        areas.take_while(|(first, _)| *first < end).any(|(_, vma)| vma.kind == kind)
    }

    /// Adds a mapping to a free range, joined with equal neighbours.
    ///
    /// # Errors
    /// ENOMEM with too many mappings.
    pub fn insert(&mut self, start: u64, vma: Vma) -> Result<(), Errno> {
        let index = self.index(start);
        let like = |other: &Vma| other.prot == vma.prot && other.kind == vma.kind;
        let joins_next =
            self.areas.get(index).is_some_and(|(next, other)| *next == vma.end && like(other));
        let before = index.checked_sub(1).and_then(|before| self.areas.get_mut(before));
        if let Some((_, before)) = before.filter(|(_, other)| other.end == start && like(other)) {
            before.end = vma.end;
            if joins_next {
                let (_, next) = self.areas.remove(index);
                self.areas[index - 1].1.end = next.end;
            }
        } else if joins_next {
            self.areas[index].0 = start;
        } else {
            self.make_room()?;
            self.areas.insert(index, (start, vma));
        }
        Ok(())
    }

    /// Room for one more mapping.
    fn make_room(&mut self) -> Result<(), Errno> {
        if self.areas.len() >= MAX_MAP_COUNT {
            return Err(Errno::ENOMEM);
        }
        self.areas.try_reserve(1).map_err(|_| Errno::ENOMEM)
    }

    /// Makes sure that no mapping crosses `address`. Answers where the first one
    /// that ends after it is: it starts there or later.
    fn split(&mut self, address: u64) -> Result<usize, Errno> {
        let index = self.index(address);
        if let Some(&(start, vma)) = self.areas.get(index)
            && start < address
        {
            self.make_room()?;
            self.areas[index].0 = address;
            self.areas.insert(index, (start, Vma { end: address, ..vma }));
            return Ok(index + 1);
        }
        Ok(index)
    }

    /// Makes sure that no mapping crosses `start` or `end`. Answers where those
    /// between them are.
    fn cut(&mut self, start: u64, end: u64) -> Result<Range<usize>, Errno> {
        let first = self.split(start)?;
        // What this inserts is not before `first`.
        self.split(end)?;
        // Mostly one: cheaper to walk along than to search.
        let inside = self.areas[first..].iter().take_while(|(start, _)| *start < end);
        Ok(first..first + inside.count())
    }

    /// Removes all mappings from `start..end`.
    ///
    /// # Errors
    /// ENOMEM, if that would split one and there are too many already.
    pub fn remove(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let inside = self.cut(start, end)?;
        self.areas.drain(inside);
        Ok(())
    }

    /// Changes the access of the mappings in `start..end`, which must be
    /// covered. On an error nothing has changed.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn protect(&mut self, start: u64, end: u64, prot: Prot) -> Result<(), Errno> {
        let inside = self.cut(start, end)?;
        for (_, vma) in &mut self.areas[inside.clone()] {
            vma.prot = prot;
        }
        self.join(inside.start.saturating_sub(1), inside.end);
        Ok(())
    }

    /// Joins equal neighbours among the areas `first..=last`.
    fn join(&mut self, first: usize, last: usize) {
        let end = self.areas.len().min(last + 1);
        if end < first + 2 {
            return;
        }
        let mut kept = first;
        for index in first + 1..end {
            let (start, vma) = self.areas[index];
            let (_, before) = &mut self.areas[kept];
            if before.end == start && before.prot == vma.prot && before.kind == vma.kind {
                before.end = vma.end;
            } else {
                kept += 1;
                self.areas[kept] = (start, vma);
            }
        }
        self.areas.drain(kept + 1..end);
    }

    /// The highest free range of `length` bytes within `low..high`: where
    /// Linux puts a mapping without a hint.
    pub fn find_gap(&self, low: u64, high: u64, length: u64) -> Option<u64> {
        let mut end = high;
        for &(start, vma) in self.areas.iter().rev() {
            if vma.end < end && end - vma.end >= length {
                break;
            }
            end = end.min(start);
        }
        let start = end.checked_sub(length)?;
        (start >= low).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGES: u64 = 24;

    fn vma(end: u64, prot: u8) -> Vma {
        Vma { end, prot: Prot(prot), kind: Kind::Anonymous }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64, u8),
        Remove(u64, u64),
        Protect(u64, u64, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let range = (0..PAGES, 1..6u64).prop_map(|(a, n)| (a, (a + n).min(PAGES)));
        prop_oneof![
            (range.clone(), 0..4u8).prop_map(|((a, b), p)| Step::Insert(a, b, p)),
            range.clone().prop_map(|(a, b)| Step::Remove(a, b)),
            (range, 0..4u8).prop_map(|((a, b), p)| Step::Protect(a, b, p)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_an_array_of_pages(steps in prop::collection::vec(step(), 1..40)) {
            let mut map = VmaMap::default();
            let mut model = [None; PAGES as usize];
            for step in steps {
                match step {
                    Step::Insert(a, b, p) => {
                        map.remove(a, b).unwrap();
                        map.insert(a, vma(b, p)).unwrap();
                        model[a as usize..b as usize].fill(Some(p));
                    }
                    Step::Remove(a, b) => {
                        map.remove(a, b).unwrap();
                        model[a as usize..b as usize].fill(None);
                    }
                    Step::Protect(a, b, p) => {
                        map.protect(a, b, Prot(p)).unwrap();
                        for page in &mut model[a as usize..b as usize] {
                            *page = page.map(|_| p);
                        }
                    }
                }
                for page in 0..PAGES {
                    let found = map.find(page).map(|(_, vma)| vma.prot.0);
                    prop_assert_eq!(found, model[page as usize]);
                }
                let joined = map.areas.iter().zip(map.areas.iter().skip(1));
                for ((_, left), (start, right)) in joined {
                    prop_assert!(left.end < *start || left.prot != right.prot);
                }
                for length in 1..8 {
                    let free = |at: u64| (at..at + length).all(|p| model[p as usize].is_none());
                    let expected = (0..=PAGES - length).rev().find(|&at| free(at));
                    prop_assert_eq!(map.find_gap(0, PAGES, length), expected);
                }
            }
        }
    }

    #[test]
    fn coverage_sees_holes() {
        let mut map = VmaMap::default();
        map.insert(2, vma(4, 1)).unwrap();
        map.insert(4, vma(6, 2)).unwrap();
        assert!(map.is_covered(2, 6) && map.is_covered(3, 5));
        assert!(!map.is_covered(1, 3) && !map.is_covered(5, 7));
        assert!(map.is_free(0, 2) && map.is_free(6, 9) && !map.is_free(0, 3));
    }
}
