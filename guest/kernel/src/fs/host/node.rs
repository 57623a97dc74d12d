//! A file of the host's: how to find it, and its handle as long as that is held.
//!
//! In a mount that can be written, a file is one node, however often it is found and
//! under whatever name: so what moves is found where it is.
//!
//! The VMM's table is small beside a tree of files, so only those that were found last
//! hold a handle. Whatever has none is found again by its name in the directory above,
//! and must be the same file then.

use super::ask::{Walked, open, walk};
use super::release::{close_for_writing, release};
use crate::fs::dentry::{Name, name as copy};
use crate::memory::{try_arc, try_insert, try_push};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::hypercall::files::{Access, Found, Handle, MAX_WALK};
use trapgate_uapi::Errno;

/// Files that hold their handles.
pub(super) const MOST_HELD: usize = 512;

/// Those that hold one, the oldest first; some may be gone.
static HELD: Mutex<VecDeque<Weak<Node>>> = Mutex::new(VecDeque::new());

/// A file of the host's.
#[derive(Debug)]
pub(super) struct Node {
    /// The directory that it was found in last, and its name there; `None`: it is a
    /// mount's root, whose handle stays.
    above: Mutex<Option<(Arc<Node>, Name)>>,
    /// Its device and its number on the host.
    identity: [u64; 2],
    state: Mutex<State>,
}

/// What the VMM has of it.
#[derive(Clone, Copy, Debug)]
struct State {
    handle: Option<Handle>,
    /// It is open for reading.
    reading: bool,
    /// It is open for writing.
    writing: bool,
    /// It has no name any more: without its handle it cannot be found again.
    stays: bool,
    /// How many have it open for writing.
    writers: u32,
}

/// Somebody who has a file open for writing. When the last one goes, the VMM closes it: on
/// the host a file is not executed while somebody may write it (ETXTBSY).
pub struct Writer(Arc<Node>);

impl Writer {
    /// One more.
    pub(super) fn of(node: &Arc<Node>) -> Writer {
        node.state.lock().writers += 1;
        Writer(node.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.state.lock().writers -= 1;
        self.0.close_if_unwritten();
    }
}

impl State {
    const fn is_open_for(&self, access: Access) -> bool {
        match access {
            Access::Read => self.reading,
            Access::Write => self.writing,
            Access::Both => self.reading && self.writing,
        }
    }
}

/// The files of a mount that can be written, by their devices and numbers.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    nodes: BTreeMap<[u64; 2], Weak<Node>>,
    /// When there are as many, those that have gone are taken out.
    full: usize,
}

/// Nodes of which it is worth looking which have gone.
const FULL: usize = 256;

/// What makes a file the same one.
fn identity_of(found: &Found) -> [u64; 2] {
    [found.status.dev, found.status.ino]
}

impl Node {
    /// The root of a mount.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn root(found: &Found) -> Result<Arc<Node>, Errno> {
        Node::with(None, found)
    }

    /// What was found in a directory; the same as before, if it is in `nodes`.
    ///
    /// # Errors
    /// ENOMEM; the handle goes back.
    pub(super) fn found(
        directory: &Arc<Node>,
        name: Name,
        found: &Found,
        nodes: Option<&Nodes>,
    ) -> Result<Arc<Node>, Errno> {
        if let Some(known) = nodes.and_then(|nodes| nodes.get(found))
            && known.may_be_in(directory)
        {
            known.is_now_at(directory, name);
            known.found_again(found.handle);
            return Ok(known);
        }
        let node = Node::with(Some((directory.clone(), name)), found)
            .and_then(|node| nodes.map_or(Ok(()), |nodes| nodes.put(&node)).map(|()| node));
        match &node {
            Ok(node) => note(node),
            Err(_) => release(found.handle),
        }
        node
    }

    /// Whether a directory is not below it, as a host may have it that mounts one in itself.
    pub(super) fn may_be_in(self: &Arc<Self>, directory: &Arc<Node>) -> bool {
        let mut at = Some(directory.clone());
        while let Some(node) = at {
            if Arc::ptr_eq(&node, self) {
                return false;
            }
            at = node.directory();
        }
        true
    }

    /// It has another place now, where it may be.
    pub(super) fn is_now_at(&self, directory: &Arc<Node>, name: Name) {
        let new = Some((directory.clone(), name));
        let old = core::mem::replace(&mut *self.above.lock(), new);
        drop(old);
    }

    /// Whether it is what was found.
    pub(super) fn is(&self, found: &Found) -> bool {
        self.identity == identity_of(found)
    }

    fn directory(&self) -> Option<Arc<Node>> {
        self.above.lock().as_ref().map(|(above, _)| above.clone())
    }

    /// It was found once more, by this handle: of one that is open the old one stays.
    pub(super) fn found_again(self: &Arc<Self>, handle: Handle) {
        let mut state = self.state.lock();
        let keeps = state.handle.is_some() && (state.reading || state.writing || state.stays);
        let old = if keeps { Some(handle) } else { state.handle.replace(handle) };
        let is_new = old.is_none();
        drop(state);
        old.into_iter().for_each(release);
        if is_new {
            note(self);
        }
    }

    fn with(above: Option<(Arc<Node>, Name)>, found: &Found) -> Result<Arc<Node>, Errno> {
        let (reading, writing, stays, writers) = (false, false, false, 0);
        let state = State { handle: Some(found.handle), reading, writing, stays, writers };
        let above = Mutex::new(above);
        try_arc(Node { above, identity: identity_of(found), state: Mutex::new(state) })
    }

    /// Asks something by its handle, which is found again, if that has gone.
    ///
    /// # Errors
    /// ESTALE, if the name is another file's now, or nobody's; what is answered.
    pub(super) fn ask<R>(
        self: &Arc<Self>,
        mut request: impl FnMut(Handle) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        match self.find().and_then(&mut request) {
            // Another file has its name, or had it.
            Err(Errno::ESTALE) if !self.stays_where_it_is() => {
                self.let_go();
                request(self.find()?)
            }
            // The VMM has forgotten it, or has no room.
            Err(Errno::EBADF | Errno::ENFILE | Errno::EMFILE) => {
                let_all_go();
                request(self.find()?)
            }
            answer => answer,
        }
    }

    /// The same where it has to be open.
    ///
    /// # Errors
    /// As [`Node::ask`]; those of open(2).
    pub(super) fn ask_open<R>(
        self: &Arc<Self>,
        access: Access,
        mut request: impl FnMut(Handle) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let answer = self.ask(|handle| {
            if !self.is_open(access) {
                open(handle, access, &[])?;
                self.opened(handle, access);
            }
            request(handle)
        });
        if access != Access::Read {
            self.close_if_unwritten();
        }
        answer
    }

    /// Has it closed, if it is open for writing and nobody has it open for that. One that
    /// has no name could not be opened again.
    pub(super) fn close_if_unwritten(&self) {
        let mut state = self.state.lock();
        if let (0, true, Some(handle)) = (state.writers, state.writing, state.handle)
            && !state.stays
        {
            state.writing = false;
            close_for_writing(handle);
        }
    }

    /// Whether it is open for this, as far as is known here.
    pub(super) fn is_open(&self, access: Access) -> bool {
        self.state.lock().is_open_for(access)
    }

    /// It was opened by this handle.
    pub(super) fn opened(&self, handle: Handle, access: Access) {
        let mut state = self.state.lock();
        if state.handle == Some(handle) {
            state.reading |= access != Access::Write;
            state.writing |= access != Access::Read;
        }
    }

    /// It is about to lose its last name and is used all the same: it is open from now on,
    /// as far as it can be.
    pub(super) fn stay(self: &Arc<Self>) {
        let writer = Writer::of(self);
        for access in [Access::Read, Access::Write] {
            let _ = self.ask_open(access, |_| Ok(()));
        }
        let mut state = self.state.lock();
        state.stays = state.reading || state.writing;
        drop(state);
        drop(writer);
    }

    /// Whether nothing can be found out by its name: it is a root, or has none.
    fn stays_where_it_is(&self) -> bool {
        self.state.lock().stays || self.above.lock().is_none()
    }

    /// Gives its handle back.
    fn let_go(&self) {
        if !self.stays_where_it_is() {
            self.release();
        }
    }

    fn release(&self) {
        let mut state = self.state.lock();
        (state.reading, state.writing) = (false, false);
        state.handle.take().into_iter().for_each(release);
    }

    /// Its handle, found again by the names from the nearest directory on that has one.
    fn find(self: &Arc<Self>) -> Result<Handle, Errno> {
        // Those without, the last one first.
        let mut missing: Vec<Arc<Node>> = Vec::new();
        let mut at = self.clone();
        let mut handle = loop {
            if let Some(handle) = at.state.lock().handle {
                break handle;
            }
            let above = at.directory().ok_or(Errno::ESTALE)?;
            try_push(&mut missing, at)?;
            at = above;
        };
        while !missing.is_empty() {
            let mut copies: [Name; MAX_WALK] = Default::default();
            let mut count = 0;
            for (to, node) in copies.iter_mut().zip(missing.iter().rev()) {
                if let Some((_, name)) = &*node.above.lock() {
                    *to = copy(name)?;
                }
                count += 1;
            }
            let names = copies.each_ref().map(|name| &name[..]);
            let (walked, _) = walk(handle, &names[..count], &[]).map_err(|error| match error {
                Errno::ENOENT | Errno::ENOTDIR => Errno::ESTALE,
                error => error,
            })?;
            let first = missing.len() - walked.len();
            handle = keep(missing[first..].iter().rev(), walked)?;
            missing.truncate(first);
        }
        Ok(handle)
    }
}

/// These files have been found again: the handle of the last one.
///
/// # Errors
/// ESTALE, if one is another.
fn keep<'a>(nodes: impl Iterator<Item = &'a Arc<Node>>, walked: Walked) -> Result<Handle, Errno> {
    let mut last = Err(Errno::ESTALE);
    let mut same = true;
    for (node, found) in nodes.zip(walked) {
        same &= node.identity == identity_of(&found);
        if !same {
            release(found.handle);
            last = Err(Errno::ESTALE);
            continue;
        }
        last = Ok(found.handle);
        let before = node.state.lock().handle.replace(found.handle);
        match before {
            Some(before) => release(before),
            None => note(node),
        }
    }
    last
}

/// Notes that a file holds a handle now; the oldest gives up its own.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
fn note(node: &Arc<Node>) {
    let mut held = HELD.lock();
    let oldest = if held.len() >= MOST_HELD { held.pop_front() } else { None };
    let noted = held.try_reserve(1).is_ok();
    if noted {
        held.push_back(Arc::downgrade(node));
    }
    drop(held);
    if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade())
        && !Arc::ptr_eq(&oldest, node)
    {
        oldest.let_go();
    }
    if !noted {
        node.let_go();
    }
}

impl Nodes {
    fn get(&self, found: &Found) -> Option<Arc<Node>> {
        self.0.lock().nodes.get(&identity_of(found))?.upgrade()
    }

    fn put(&self, node: &Arc<Node>) -> Result<(), Errno> {
        let mut known = self.0.lock();
        if known.nodes.len() >= known.full.max(FULL) {
            known.nodes.retain(|_, node| node.strong_count() > 0);
            known.full = 2 * known.nodes.len();
        }
        try_insert(&mut known.nodes, node.identity, Arc::downgrade(node)).map(drop)
    }
}

/// All files but the roots give up their handles.
fn let_all_go() {
    let held = core::mem::take(&mut *HELD.lock());
    held.iter().filter_map(Weak::upgrade).for_each(|node| node.let_go());
}

/// Directories that only this one kept go with it, one after the other: there may be
/// more than the stack has room for.
impl Drop for Node {
    fn drop(&mut self) {
        if self.above.get_mut().is_none() {
            return;
        }
        self.release();
        let mut next = self.above.get_mut().take();
        while let Some((above, _)) = next {
            next = Arc::into_inner(above).and_then(|mut last| {
                let above = last.above.get_mut().take();
                if above.is_some() {
                    last.release();
                }
                above
            });
        }
    }
}
