//! A process's table of descriptors.

use crate::fs::file::OpenFile;
use crate::memory::try_arc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use trapgate_abi::boot_info::StandardFile;
use trapgate_uapi::Errno;

/// The most descriptors: the hard `RLIMIT_NOFILE`.
pub const MAX_DESCRIPTORS: usize = 1 << 17;
/// As many as a program has that asks for no more: the soft one, as Linux has it.
pub const DESCRIPTORS: usize = 1024;

/// A descriptor: the file, and the one flag of its own.
#[derive(Clone)]
pub struct Descriptor {
    /// What it refers to.
    pub file: Arc<OpenFile>,
    /// `FD_CLOEXEC`.
    pub close_on_exec: bool,
}

/// A process's descriptors.
#[derive(Default)]
pub struct FileTable {
    slots: Vec<Option<Descriptor>>,
    taken: Taken,
}

/// Which slots are taken: a bit for each.
#[derive(Default)]
struct Taken {
    words: Vec<u64>,
    /// Words in front of the first that is not full.
    full: usize,
}

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

impl Taken {
    /// The lowest slot from `least` on that is free.
    #[inline]
    fn lowest_free(&self, least: usize) -> usize {
        let first = least / BITS;
        let from = first.max(self.full);
        let words = self.words.iter().enumerate().skip(from);
        let not_below = |index| if index == first { u64::MAX << (least % BITS) } else { u64::MAX };
        let mut free = words.map(|(index, word)| (index, !word & not_below(index)));
        match free.find(|&(_, free)| free != 0) {
            Some((index, free)) => index * BITS + free.trailing_zeros() as usize,
            None => least.max(self.words.len() * BITS),
        }
    }

    fn set(&mut self, slot: usize) {
        self.words[slot / BITS] |= 1 << (slot % BITS);
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
    }

    fn clear(&mut self, slot: usize) {
        self.words[slot / BITS] &= !(1 << (slot % BITS));
        self.full = self.full.min(slot / BITS);
    }
}

impl FileTable {
    /// Descriptors 0 to 2, as far as the host granted them.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn standard(files: &'static [StandardFile; 3]) -> Result<Self, Errno> {
        let flags = |number: usize| try_arc(AtomicU32::new(files[number].flags as u32));
        let flags = [flags(0)?, flags(1)?, flags(2)?];
        let mut table = FileTable::default();
        table.make_room(files.len() - 1)?;
        for (number, file) in files.iter().enumerate() {
            let flags = flags.get(file.same_as as usize).unwrap_or(&flags[number]).clone();
            let open = || -> Result<Descriptor, Errno> {
                let file = try_arc(OpenFile::standard(number as u32, flags, file))?;
                Ok(Descriptor { file, close_on_exec: false })
            };
            if file.open != 0 {
                table.put(number, open()?);
            }
        }
        Ok(table)
    }

    /// The descriptor's entry.
    ///
    /// # Errors
    /// EBADF.
    pub fn descriptor(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::EBADF)
    }

    /// The lowest descriptor from `least` on that is open.
    pub fn next_open(&self, least: u32) -> Option<u32> {
        let rest = self.slots.get(least as usize..)?;
        let found = rest.iter().position(Option::is_some)?;
        Some(least + found as u32)
    }

    /// How many descriptors it has room for.
    pub fn room(&self) -> usize {
        self.slots.len()
    }

    /// The file behind a descriptor.
    ///
    /// # Errors
    /// EBADF.
    pub fn file(&self, fd: u32) -> Result<Arc<OpenFile>, Errno> {
        self.look(fd).cloned().ok_or(Errno::EBADF)
    }

    /// The same, for who is done with it before the table changes.
    #[inline(always)]
    pub fn look(&self, fd: u32) -> Option<&Arc<OpenFile>> {
        self.slots.get(fd as usize)?.as_ref().map(|descriptor| &descriptor.file)
    }

    /// Puts `descriptor` in the lowest free slot from `least` on, below
    /// `limit`: the soft `RLIMIT_NOFILE`.
    ///
    /// # Errors
    /// EMFILE; ENOMEM; EINVAL if `least` is beyond the limit, as fcntl(2) has it.
    pub fn insert(
        &mut self,
        least: u32,
        limit: usize,
        descriptor: Descriptor,
    ) -> Result<u32, Errno> {
        if least as usize >= limit {
            return Err(Errno::EINVAL);
        }
        let slot = self.free_slot(least, limit)?;
        self.put(slot as usize, descriptor);
        Ok(slot)
    }

    /// The lowest free slot from `least` on, below `limit`, which is there for
    /// [`FileTable::fill`].
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn free_slot(&mut self, least: u32, limit: usize) -> Result<u32, Errno> {
        let slot = self.taken.lowest_free(least as usize);
        if slot >= limit.min(MAX_DESCRIPTORS) {
            return Err(Errno::EMFILE);
        }
        self.make_room(slot)?;
        Ok(slot as u32)
    }

    /// Puts `descriptor` into a slot that was free, or into another, if somebody has
    /// taken that meanwhile.
    ///
    /// # Errors
    /// Those of [`FileTable::free_slot`], in the latter case.
    pub fn fill(&mut self, slot: u32, limit: usize, descriptor: Descriptor) -> Result<u32, Errno> {
        let slot = match self.slots.get(slot as usize) {
            Some(None) => slot,
            _ => self.free_slot(0, limit)?,
        };
        self.put(slot as usize, descriptor);
        Ok(slot)
    }

    /// Puts `descriptor` into slot `fd`, below `limit`, closing what was there.
    ///
    /// # Errors
    /// EBADF beyond the limit, ENOMEM.
    pub fn replace(&mut self, fd: u32, limit: usize, descriptor: Descriptor) -> Result<(), Errno> {
        let slot = fd as usize;
        if slot >= limit.min(MAX_DESCRIPTORS) {
            return Err(Errno::EBADF);
        }
        self.make_room(slot)?;
        self.put(slot, descriptor);
        Ok(())
    }

    /// Puts a descriptor into a slot that there is.
    #[inline]
    fn put(&mut self, slot: usize, descriptor: Descriptor) {
        self.slots[slot] = Some(descriptor);
        self.taken.set(slot);
    }

    /// Takes out what there is in a slot.
    #[inline]
    fn take(&mut self, slot: usize) -> Option<Descriptor> {
        let descriptor = self.slots.get_mut(slot)?.take()?;
        self.taken.clear(slot);
        Some(descriptor)
    }

    /// Makes sure that there is a slot of this number.
    #[inline]
    fn make_room(&mut self, slot: usize) -> Result<(), Errno> {
        if slot < self.slots.len() { Ok(()) } else { self.grow(slot) }
    }

    #[cold]
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn grow(&mut self, slot: usize) -> Result<(), Errno> {
        let (slots, words) = (slot + 1, slot / BITS + 1);
        self.slots.try_reserve(slots - self.slots.len()).map_err(|_| Errno::ENOMEM)?;
        if words > self.taken.words.len() {
            let more = words - self.taken.words.len();
            self.taken.words.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            self.taken.words.resize(words, 0);
        }
        self.slots.resize_with(slots, || None);
        Ok(())
    }

    /// close(2): answers what was there, for the caller to drop without the table.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.take(fd as usize).ok_or(Errno::EBADF)
    }

    /// The first descriptor from `first` to `last` that is closed, and what it referred
    /// to; for close_range(2) and execve(2).
    pub fn close_next(
        &mut self,
        first: u32,
        last: u32,
        only_on_exec: bool,
    ) -> Option<(u32, Descriptor)> {
        let end = (last as usize).saturating_add(1).min(self.slots.len());
        for number in first as usize..end {
            let slot = self.slots[number].as_ref();
            let closes = slot.is_some_and(|file| !only_on_exec || file.close_on_exec);
            if closes && let Some(descriptor) = self.take(number) {
                return Some((number as u32, descriptor));
            }
        }
        None
    }

    /// close_range(2) `CLOSE_RANGE_CLOEXEC`.
    pub fn close_on_exec(&mut self, first: u32, last: u32) {
        let end = (last as usize).saturating_add(1).min(self.slots.len());
        let slots = self.slots.get_mut(first as usize..end).unwrap_or_default();
        slots.iter_mut().flatten().for_each(|descriptor| descriptor.close_on_exec = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::file::TRANSFER_FLAGS;
    use trapgate_uapi::fcntl::{O_APPEND, O_WRONLY};

    fn table() -> FileTable {
        let open = StandardFile { open: 1, flags: 2, ..StandardFile::default() };
        FileTable::standard(Box::leak(Box::new([open, open, StandardFile::default()]))).unwrap()
    }

    #[test]
    fn standard_files_share_flags_where_they_are_one_description_on_the_host() {
        let open = StandardFile { open: 1, ..StandardFile::default() };
        let [other, same] = [1, 1].map(|same_as| StandardFile { same_as, ..open });
        let table = FileTable::standard(Box::leak(Box::new([open, other, same]))).unwrap();
        let file = |fd| table.file(fd).unwrap();
        file(1).set_flags(TRANSFER_FLAGS, O_APPEND | O_WRONLY);
        let host = file(2).as_standard().map(|standard| standard.host);
        assert_eq!((file(2).transfer_flags(), host), (O_APPEND, Some(2)));
        assert!(file(2).readable(), "the access mode cannot be set");
        assert_eq!(file(0).transfer_flags(), 0);
    }

    #[test]
    fn a_file_that_the_host_did_not_grant_is_closed() {
        let table = table();
        assert!(table.file(0).is_ok() && table.file(1).is_ok());
        assert_eq!(table.file(2).err(), Some(Errno::EBADF));
        assert_eq!(table.file(u32::MAX).err(), Some(Errno::EBADF));
    }

    #[test]
    fn dup_takes_the_lowest_free_slot_and_close_frees_it() {
        let mut table = table();
        let descriptor = table.descriptor(1).unwrap().clone();
        assert_eq!(table.insert(0, DESCRIPTORS, descriptor.clone()), Ok(2));
        assert_eq!(table.insert(10, DESCRIPTORS, descriptor.clone()), Ok(10));
        table.close(0).unwrap();
        assert_eq!(table.close(0).err(), Some(Errno::EBADF));
        assert_eq!(table.insert(0, DESCRIPTORS, descriptor.clone()), Ok(0));
        assert_eq!(table.insert(1024, DESCRIPTORS, descriptor.clone()), Err(Errno::EINVAL));
        assert_eq!(table.insert(1023, DESCRIPTORS, descriptor.clone()), Ok(1023));
        assert_eq!(table.insert(1023, DESCRIPTORS, descriptor), Err(Errno::EMFILE));
    }
    #[test]
    fn the_lowest_free_slot_is_found_whatever_was_taken_and_given_back() {
        let mut table = FileTable::default();
        let file = table_file();
        let limit = 200;
        let mut model = [false; 200];
        let mut number = 1u32;
        for _ in 0..5000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (least, closes) = ((number >> 8) % 200, number >> 30 == 0);
            let least = if number >> 29 & 1 == 0 { 0 } else { least };
            if closes {
                let was_open = core::mem::take(&mut model[least as usize]);
                assert_eq!(table.close(least).is_ok(), was_open);
                continue;
            }
            let lowest = (least as usize..limit).find(|&slot| !model[slot]);
            let descriptor = Descriptor { file: file.clone(), close_on_exec: false };
            let got = table.insert(least, limit, descriptor);
            assert_eq!(got, lowest.map(|slot| slot as u32).ok_or(Errno::EMFILE));
            lowest.inspect(|&slot| model[slot] = true);
        }
    }

    #[test]
    fn there_are_as_many_as_the_limit_says_and_no_more() {
        let (mut table, file) = (FileTable::default(), table_file());
        let descriptor = || Descriptor { file: file.clone(), close_on_exec: false };
        for slot in 0..MAX_DESCRIPTORS as u32 {
            assert_eq!(table.insert(0, usize::MAX, descriptor()), Ok(slot));
        }
        assert_eq!(table.insert(0, usize::MAX, descriptor()), Err(Errno::EMFILE));
        let all = MAX_DESCRIPTORS as u32;
        assert_eq!(table.replace(all, usize::MAX, descriptor()), Err(Errno::EBADF));
        for slot in [all - 1, 70_000, 64, 0] {
            table.close(slot).unwrap();
            assert_eq!(table.insert(0, usize::MAX, descriptor()), Ok(slot));
        }
    }

    fn table_file() -> Arc<OpenFile> {
        table().file(1).unwrap()
    }
}
