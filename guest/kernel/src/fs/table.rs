//! A process's table of descriptors.

use crate::fs::file::OpenFile;
use crate::memory::{try_arc, try_push, try_with_capacity};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use trapgate_abi::boot_info::StandardFile;
use trapgate_uapi::Errno;

/// The most descriptors: the hard `RLIMIT_NOFILE`.
pub const MAX_DESCRIPTORS: usize = 1024;

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
}

impl FileTable {
    /// Descriptors 0 to 2, as far as the host granted them.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn standard(files: &'static [StandardFile; 3]) -> Result<Self, Errno> {
        let flags = |number: usize| try_arc(AtomicU32::new(files[number].flags as u32));
        let flags = [flags(0)?, flags(1)?, flags(2)?];
        let mut slots = try_with_capacity(files.len())?;
        for (number, file) in files.iter().enumerate() {
            let flags = flags.get(file.same_as as usize).unwrap_or(&flags[number]).clone();
            let open = || -> Result<Descriptor, Errno> {
                let file = try_arc(OpenFile::standard(number as u32, flags, file))?;
                Ok(Descriptor { file, close_on_exec: false })
            };
            try_push(&mut slots, (file.open != 0).then(open).transpose()?)?;
        }
        Ok(FileTable { slots })
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
        let slot = self.slots.get(fd as usize).and_then(Option::as_ref);
        slot.map(|descriptor| descriptor.file.clone()).ok_or(Errno::EBADF)
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
        self.slots[slot as usize] = Some(descriptor);
        Ok(slot)
    }

    /// The lowest free slot from `least` on, below `limit`, which is there for
    /// [`FileTable::fill`].
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn free_slot(&mut self, least: u32, limit: usize) -> Result<u32, Errno> {
        let free = |slot: &usize| self.slots.get(*slot).is_none_or(Option::is_none);
        let slot = (least as usize..limit.min(MAX_DESCRIPTORS)).find(free);
        let slot = slot.ok_or(Errno::EMFILE)?;
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
        self.slots[slot as usize] = Some(descriptor);
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
        self.slots[slot] = Some(descriptor);
        Ok(())
    }

    /// Makes sure that there is a slot of this number.
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn make_room(&mut self, slot: usize) -> Result<(), Errno> {
        if self.slots.len() <= slot {
            let more = slot + 1 - self.slots.len();
            self.slots.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            self.slots.resize_with(slot + 1, || None);
        }
        Ok(())
    }

    /// close(2): answers what was there, for the caller to drop without the table.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        let slot = self.slots.get_mut(fd as usize).ok_or(Errno::EBADF)?;
        slot.take().ok_or(Errno::EBADF)
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
            let slot = &mut self.slots[number];
            let closes = slot.as_ref().is_some_and(|file| !only_on_exec || file.close_on_exec);
            if closes && let Some(descriptor) = slot.take() {
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
        assert_eq!(table.insert(0, MAX_DESCRIPTORS, descriptor.clone()), Ok(2));
        assert_eq!(table.insert(10, MAX_DESCRIPTORS, descriptor.clone()), Ok(10));
        table.close(0).unwrap();
        assert_eq!(table.close(0).err(), Some(Errno::EBADF));
        assert_eq!(table.insert(0, MAX_DESCRIPTORS, descriptor.clone()), Ok(0));
        assert_eq!(table.insert(1024, MAX_DESCRIPTORS, descriptor.clone()), Err(Errno::EINVAL));
        assert_eq!(table.insert(1023, MAX_DESCRIPTORS, descriptor.clone()), Ok(1023));
        assert_eq!(table.insert(1023, MAX_DESCRIPTORS, descriptor), Err(Errno::EMFILE));
    }
}
