//! What should be: each page by itself, with its bytes.

use crate::mm::space::FaultError;
use crate::mm::vma::Prot;
use std::collections::BTreeMap;
use trapgate_abi::layout::PAGE_SIZE;

/// The first page of the heap.
pub(super) const HEAP: u64 = 0x800;
/// The program's segment, which is there at the start.
pub(super) const IMAGE: u64 = 0x400;
pub(super) const IMAGE_PAGES: u64 = 4;

/// A page's bytes, at first all zero.
pub(super) type Bytes = Vec<u8>;

/// What a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Private,
    Heap,
    /// A segment of the program.
    Image,
    /// An object, and the page's index in it.
    Shared(usize, u64),
    /// The same, private.
    File(usize, u64),
}

impl Kind {
    /// The same, so many pages further.
    pub(super) fn after(self, pages: u64) -> Kind {
        match self {
            Kind::Shared(object, index) => Kind::Shared(object, index + pages),
            Kind::File(object, index) => Kind::File(object, index + pages),
            kind => kind,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) prot: Prot,
    pub(super) kind: Kind,
    /// Not of shared memory.
    own: Bytes,
    /// Of a private mapping of an object: whether it has a page of its own.
    written: bool,
}

impl Page {
    pub(super) fn new(prot: Prot, kind: Kind) -> Page {
        Page { prot, kind, own: vec![0; PAGE_SIZE as usize], written: false }
    }

    /// Whether what it holds is the object's.
    pub(super) fn is_of_object(&self) -> bool {
        match self.kind {
            Kind::Shared(..) => true,
            Kind::File(..) => !self.written,
            _ => false,
        }
    }

    /// Whether it and the one `distance` pages further belong to one mapping.
    fn goes_on_as(&self, next: &Page) -> bool {
        self.prot == next.prot && self.kind.after(1) == next.kind
    }
}

/// Pages by their number.
pub(super) type Space = BTreeMap<u64, Page>;

/// Both address spaces, and the objects of both.
#[derive(Default)]
pub(super) struct Model {
    pub(super) spaces: [Space; 2],
    /// The end of the heap, in pages from its start.
    pub(super) heap: [u64; 2],
    pub(super) objects: Vec<Vec<Bytes>>,
}

impl Model {
    /// With the content of the files that there are.
    pub(super) fn new(files: Vec<Vec<Bytes>>) -> Model {
        let prot = Prot::READ.with(Prot::WRITE);
        let image = (IMAGE..IMAGE + IMAGE_PAGES).map(|page| (page, Page::new(prot, Kind::Image)));
        let space: Space = image.collect();
        Model { spaces: [space.clone(), space], objects: files, ..Model::default() }
    }

    /// What the program finds in a page.
    pub(super) fn load_page(&self, space: usize, page: u64) -> Result<&Bytes, FaultError> {
        self.allowed(space, page, Prot::READ)?;
        self.bytes(space, page).ok_or(FaultError::Beyond)
    }

    /// What comes of its storing a byte.
    pub(super) fn store(&mut self, space: usize, at: u64, value: u8) -> Result<(), FaultError> {
        let (page, offset) = (at / PAGE_SIZE, at % PAGE_SIZE);
        self.allowed(space, page, Prot::WRITE)?;
        let Page { kind, own, written, .. } =
            self.spaces[space].get_mut(&page).ok_or(FaultError::NotMapped)?;
        let bytes = match *kind {
            Kind::Shared(object, index) => self.objects[object].get_mut(index as usize),
            Kind::File(object, index) if !*written => {
                let bytes = self.objects[object].get(index as usize);
                own.clone_from(bytes.ok_or(FaultError::Beyond)?);
                *written = true;
                Some(own)
            }
            _ => Some(own),
        };
        bytes.ok_or(FaultError::Beyond)?[offset as usize] = value;
        Ok(())
    }

    fn allowed(&self, space: usize, page: u64, access: Prot) -> Result<(), FaultError> {
        let Page { prot, .. } = self.spaces[space].get(&page).ok_or(FaultError::NotMapped)?;
        // What can be written or executed can be read.
        let allowed = match access {
            Prot::WRITE => prot.allows(Prot::WRITE),
            _ => *prot != Prot::NONE,
        };
        if allowed { Ok(()) } else { Err(FaultError::Access) }
    }

    /// The bytes of a page; `None` beyond the end of its object.
    pub(super) fn bytes(&self, space: usize, page: u64) -> Option<&Bytes> {
        let page = self.spaces[space].get(&page)?;
        match page.kind {
            Kind::Shared(object, index) => self.objects[object].get(index as usize),
            Kind::File(object, index) if !page.written => self.objects[object].get(index as usize),
            _ => Some(&page.own),
        }
    }

    /// The object ends here now.
    pub(super) fn cut(&mut self, object: usize, size: u64) {
        self.resize(object, size.div_ceil(PAGE_SIZE));
        let kept = (size % PAGE_SIZE) as usize;
        if kept > 0
            && let Some(last) = self.objects[object].last_mut()
        {
            last[kept..].fill(0);
        }
    }

    /// The object has so many pages now; what was beyond is gone from all mappings.
    pub(super) fn resize(&mut self, object: usize, pages: u64) {
        self.objects[object].resize(pages as usize, vec![0; PAGE_SIZE as usize]);
        for page in self.spaces.iter_mut().flat_map(|space| space.values_mut()) {
            if matches!(page.kind, Kind::File(of, index) if of == object && index >= pages) {
                page.written = false;
            }
        }
    }

    /// More pages of the mapping before them.
    pub(super) fn extend(&mut self, space: usize, first: u64, count: u64) {
        for page in first..first + count {
            let before = &self.spaces[space][&(page - 1)];
            let new = Page::new(before.prot, before.kind.after(1));
            self.spaces[space].insert(page, new);
        }
    }

    /// A new object with so many pages.
    pub(super) fn object(&mut self, pages: u64) -> usize {
        self.objects.push(vec![vec![0; PAGE_SIZE as usize]; pages as usize]);
        self.objects.len() - 1
    }

    /// The end of the mapping that has this page.
    pub(super) fn end_of_mapping(&self, space: usize, page: u64) -> u64 {
        let space = &self.spaces[space];
        let mut last = page;
        while let (Some(this), Some(next)) = (space.get(&last), space.get(&(last + 1)))
            && this.goes_on_as(next)
        {
            last += 1;
        }
        last + 1
    }

    pub(super) fn is_free(&self, space: usize, first: u64, count: u64) -> bool {
        self.spaces[space].range(first..first + count).next().is_none()
    }

    pub(super) fn unmap(&mut self, space: usize, first: u64, count: u64) {
        (first..first + count).for_each(|page| {
            self.spaces[space].remove(&page);
        });
    }

    /// What is given up of private memory is zero, or as the object has it.
    pub(super) fn discard(&mut self, space: usize, first: u64, count: u64) {
        for (_, page) in self.spaces[space].range_mut(first..first + count) {
            match page.kind {
                Kind::Private | Kind::Heap => page.own.fill(0),
                _ => page.written = false,
            }
        }
    }

    /// Moves `kept` pages, and what comes behind them is new.
    pub(super) fn relocate(&mut self, space: usize, from: u64, to: u64, kept: u64, new: u64) {
        let first = self.spaces[space][&from].clone();
        self.unmap(space, to, new);
        for offset in 0..new {
            let mut page = Page::new(first.prot, first.kind.after(offset));
            if offset < kept {
                page = self.spaces[space].remove(&(from + offset)).expect("it is mapped");
            }
            self.spaces[space].insert(to + offset, page);
        }
    }
}
