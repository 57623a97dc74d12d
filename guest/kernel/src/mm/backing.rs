//! What is behind a mapping: nothing but its own pages, or a part of an object.

use crate::memory::try_arc;
use crate::mm::object::Object;
use crate::sched::thread::work;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;

/// What a mapping has behind it.
#[derive(Clone, Debug)]
pub enum Backing {
    /// mmap(2) without a file, private.
    Anonymous,
    /// A part of an object, shared: of a file, or of memory without one.
    Shared(Part),
    /// A part of an object, private: what is written is the mapping's own.
    Private(Part),
    /// A part of the file of a program that the VMM has loaded, private: what madvise(2)
    /// gives up comes back as it was.
    Image,
    /// The vDSO's code: as Image.
    Vdso,
    /// The vDSO's data page: as Image, and only ever read.
    Vvar,
    /// The heap of brk(2).
    Heap,
    /// The stack.
    Stack,
}

/// The part of an object that a mapping begins with.
#[derive(Clone, Debug)]
pub struct Part {
    /// What was mapped.
    pub mapped: Arc<Mapped>,
    /// The index of the first page.
    pub first: u64,
}

/// What one mmap(2) has mapped.
#[derive(Debug)]
pub struct Mapped {
    /// The object.
    pub object: Arc<Object>,
    /// The open file by which it was mapped.
    pub file: Option<Arc<dyn MappedFile>>,
    /// Whether a shared mapping may be written: mprotect(2) asks.
    pub may_write: bool,
    /// What is stored there is to be written back.
    pub stored: Option<Stored>,
}

/// What goes with the last mapping of a file of the host's that could be written: then it
/// is time to write back what was stored there.
#[derive(Debug)]
pub struct Stored;

impl Drop for Stored {
    fn drop(&mut self) {
        percpu::raise_work(work::WRITE_BACK);
    }
}

/// An open file, as far as a mapping of it is concerned: it stays open, and proc(5) tells
/// which it is.
pub trait MappedFile: Send + Sync + Debug {
    /// Its file system's `st_dev`.
    fn device(&self) -> u64;

    /// Its `st_ino`.
    fn number(&self) -> u64;

    /// Its path from the root of everything; ` (deleted)` follows, if it was.
    ///
    /// # Errors
    /// ENOMEM, ENAMETOOLONG.
    fn path(&self) -> Result<Vec<u8>, Errno>;

    /// The number of the segment of System V's shared memory that it is, if it is none of
    /// a file system.
    fn segment(&self) -> Option<u32> {
        None
    }

    /// A program stores in it: it has changed now. Nothing is locked.
    fn stored(&self) {}

    /// Writes back what programs have stored in it, to where it lies; with `to_disk`, it is
    /// on the disk then. Nothing is locked.
    ///
    /// # Errors
    /// Those of write(2) and fsync(2).
    fn write_back(&self, to_disk: bool) -> Result<(), Errno> {
        let _ = to_disk;
        Ok(())
    }
}

impl Mapped {
    /// Shared memory of so many pages, which nobody else has yet.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn anonymous(pages: u64) -> Result<Arc<Mapped>, Errno> {
        let object = try_arc(Object::new(pages))?;
        try_arc(Mapped { object, file: None, may_write: true, stored: None })
    }
}

impl Mapped {
    /// Whether a mapping of this one could be one with a mapping of the other.
    fn is_as(&self, other: &Mapped) -> bool {
        let same_file = match (&self.file, &other.file) {
            (Some(file), Some(other)) => Arc::ptr_eq(file, other),
            (None, None) => true,
            _ => false,
        };
        same_file && Arc::ptr_eq(&self.object, &other.object) && self.may_write == other.may_write
    }
}

impl Part {
    fn goes_on_as(&self, length: u64, next: &Part) -> bool {
        self.mapped.is_as(&next.mapped) && self.first + length / PAGE_SIZE == next.first
    }
}

impl Backing {
    /// The same, from `distance` bytes on.
    pub fn after(&self, distance: u64) -> Backing {
        let mut backing = self.clone();
        if let Backing::Shared(part) | Backing::Private(part) = &mut backing {
            part.first += distance / PAGE_SIZE;
        }
        backing
    }

    /// Whether `next` is what comes after `length` bytes of this.
    pub fn goes_on_as(&self, length: u64, next: &Backing) -> bool {
        match (self, next) {
            (Backing::Shared(part), Backing::Shared(next))
            | (Backing::Private(part), Backing::Private(next)) => part.goes_on_as(length, next),
            (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
        }
    }

    /// The object, if it has one.
    pub const fn part(&self) -> Option<&Part> {
        match self {
            Backing::Shared(part) | Backing::Private(part) => Some(part),
            _ => None,
        }
    }

    /// Whether what is written there is seen by all who map it.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Backing::Shared(_))
    }
}
