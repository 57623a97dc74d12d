//! What is mapped: a mapping's memory object, and which part of it.
//!
//! Private memory has none: its pages belong to the tables that map them. Shared
//! memory is an [`Object`] with pages by their index: each mapping of it, in any
//! address space, finds the same frames there, and it goes with the last one.

use crate::mm::frames::{Batch, FRAMES, Frames};
use alloc::sync::Arc;
use spin::Mutex;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::page_map::PageMap;
use trapgate_arch::paging::FrameSource;

/// What a mapping has behind it.
#[derive(Clone, Debug)]
pub enum Backing {
    /// mmap(2) without a file, private.
    Anonymous,
    /// The same, shared: a part of an object.
    Shared(Part),
    /// A segment of the program, private: what madvise(2) gives up comes back as it
    /// was, for its file is not here.
    Image,
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
    /// The object.
    pub object: Arc<Object>,
    /// The index of the first page.
    pub first: u64,
}

impl Backing {
    /// The same, from `distance` bytes on.
    pub fn after(&self, distance: u64) -> Backing {
        let mut backing = self.clone();
        if let Backing::Shared(part) = &mut backing {
            part.first += distance / PAGE_SIZE;
        }
        backing
    }

    /// Whether `next` is what comes after `length` bytes of this.
    pub fn goes_on_as(&self, length: u64, next: &Backing) -> bool {
        match (self, next) {
            (Backing::Shared(part), Backing::Shared(next)) => {
                Arc::ptr_eq(&part.object, &next.object)
                    && part.first + length / PAGE_SIZE == next.first
            }
            (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
        }
    }

    /// The object, if others may have it too.
    pub const fn shared(&self) -> Option<&Part> {
        match self {
            Backing::Shared(part) => Some(part),
            _ => None,
        }
    }
}

/// Shared memory.
#[derive(Debug)]
pub struct Object {
    /// Pages that it has; those beyond cannot be touched.
    pages: u64,
    /// Always there; only the end takes it.
    frames: Mutex<Option<PageMap>>,
}

impl Object {
    /// Shared memory of so many pages, all zero; `None` without a frame to note
    /// them in.
    pub fn new(pages: u64) -> Option<Object> {
        let map = PageMap::new(pages, &mut *FRAMES.lock())?;
        Some(Object { pages, frames: Mutex::new(Some(map)) })
    }

    /// How many pages it has.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// The frame of a page, with one owner more: whoever maps it now. A frame of
    /// zeroes, if nobody has touched it. `None` without a frame.
    pub fn share(&self, page: u64, frames: &mut Frames) -> Option<u64> {
        let mut map = self.frames.lock();
        let slot = map.as_mut()?.slot(page, frames)?;
        if *slot == 0 {
            *slot = frames.take(1)?.start;
        }
        frames.own(*slot);
        Some(*slot)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let frames = &mut *FRAMES.lock();
        let mut batch = Batch::default();
        let Some(map) = self.frames.get_mut().take() else { return };
        map.take_apart(&mut |frame, is_page| {
            if !is_page || frames.disown(frame) {
                batch.free(frame, frames);
            }
        });
        batch.end_run(frames);
    }
}
