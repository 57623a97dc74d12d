//! The table of handles: what the guest names a file by is an index and a generation, so
//! that one which was released, or made up, is none.

use super::Trouble;
use super::node::{Directory, Named, Node};
use std::sync::Arc;
use trapgate_abi::hypercall::files::Handle;
use trapgate_uapi::Errno;

#[derive(Debug)]
pub(super) struct Table {
    /// So many handles at most.
    most: usize,
    slots: Vec<Slot>,
    /// Slots that have no node.
    free: Vec<u32>,
    /// So many of the first are never released.
    pinned: usize,
}

#[derive(Debug)]
struct Slot {
    /// Of the handle that is there or comes next, from 1 on.
    generation: u32,
    node: Option<Node>,
}

/// One bit of a handle means something else: [`Handle::NOT_WRITTEN`].
const LAST_GENERATION: u32 = 1 << 31;

fn handle(index: usize, generation: u32) -> Handle {
    Handle(u64::from(generation) << 32 | index as u64)
}

impl Table {
    /// Of none.
    pub(super) fn new(most: usize) -> Table {
        Table { most, slots: Vec::new(), free: Vec::new(), pinned: 0 }
    }

    /// A handle for this.
    ///
    /// # Errors
    /// ENFILE.
    pub(super) fn insert(&mut self, node: Node) -> Result<Handle, Errno> {
        if let Some(index) = self.free.pop() {
            let index = index as usize;
            let slot = &mut self.slots[index];
            slot.node = Some(node);
            return Ok(handle(index, slot.generation));
        }
        let index = self.slots.len();
        if index >= self.most {
            return Err(Errno::ENFILE);
        }
        self.slots.push(Slot { generation: 1, node: Some(node) });
        Ok(handle(index, 1))
    }

    /// Those that are there stay.
    pub(super) fn pin(&mut self) {
        self.pinned = self.slots.len();
    }

    fn slot(&mut self, given: Handle) -> Option<(usize, &mut Slot)> {
        let index = (given.0 & u64::from(u32::MAX)) as usize;
        let slot = self.slots.get_mut(index)?;
        (handle(index, slot.generation) == given).then_some((index, slot))
    }

    /// What a handle is.
    ///
    /// # Errors
    /// EBADF, a refusal: no kernel of ours asks so.
    pub(super) fn get(&mut self, given: Handle) -> Result<&mut Node, Trouble> {
        let node = self.slot(given).and_then(|(_, slot)| slot.node.as_mut());
        node.ok_or(Trouble::Refused(Errno::EBADF))
    }

    /// The directory that a handle is.
    ///
    /// # Errors
    /// EBADF; ENOTDIR.
    pub(super) fn directory(&mut self, given: Handle) -> Result<Arc<Directory>, Trouble> {
        match self.get(given)? {
            Node::Directory(directory) => Ok(directory.clone()),
            Node::Named(_) => Err(Errno::ENOTDIR.into()),
        }
    }

    /// The file that a handle is.
    ///
    /// # Errors
    /// EBADF; EISDIR.
    pub(super) fn named(&mut self, given: Handle) -> Result<&mut Named, Trouble> {
        match self.get(given)? {
            Node::Named(named) => Ok(named),
            Node::Directory(_) => Err(Errno::EISDIR.into()),
        }
    }

    /// Forgets a handle; false, if it is none.
    pub(super) fn release(&mut self, given: Handle) -> bool {
        let pinned = self.pinned;
        let Some((index, slot)) = self.slot(given) else { return false };
        if index < pinned || slot.node.take().is_none() {
            return false;
        }
        // One that has had all its generations is not used any more.
        if let Some(next) = slot.generation.checked_add(1).filter(|next| *next < LAST_GENERATION) {
            slot.generation = next;
            self.free.push(index as u32);
        }
        true
    }

    /// How many slots there are.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.slots.len()
    }
}
