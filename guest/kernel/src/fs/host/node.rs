//! A file of the host's: how to find it, and its handle as long as that is held.
//!
//! The VMM's table is small beside a tree of files, so only those that were found last
//! hold a handle. Whatever has none is found again by its name in the directory above,
//! and must be the same file then.

use super::ask::{Walked, walk};
use super::release::release;
use crate::fs::dentry::Name;
use crate::memory::{try_arc, try_push};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::hypercall::files::{Found, Handle, MAX_WALK};
use trapgate_uapi::Errno;

/// Files that hold their handles.
pub(super) const MOST_HELD: usize = 512;

/// Those that hold one, the oldest first; some may be gone.
static HELD: Mutex<VecDeque<Weak<Node>>> = Mutex::new(VecDeque::new());

/// A file of the host's.
#[derive(Debug)]
pub(super) struct Node {
    /// The directory that it was found in, and its name there; `None`: it is a mount's
    /// root, whose handle stays.
    above: Option<(Arc<Node>, Name)>,
    /// Its device and its number on the host.
    identity: [u64; 2],
    state: Mutex<State>,
}

/// What the VMM has of it.
#[derive(Clone, Copy, Debug)]
struct State {
    handle: Option<Handle>,
    /// It is open for reading.
    open: bool,
}

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

    /// What was found in a directory.
    ///
    /// # Errors
    /// ENOMEM; the handle goes back.
    pub(super) fn found(
        directory: &Arc<Node>,
        name: Name,
        found: &Found,
    ) -> Result<Arc<Node>, Errno> {
        let node = Node::with(Some((directory.clone(), name)), found);
        match &node {
            Ok(node) => note(node),
            Err(_) => release(found.handle),
        }
        node
    }

    fn with(above: Option<(Arc<Node>, Name)>, found: &Found) -> Result<Arc<Node>, Errno> {
        let state = State { handle: Some(found.handle), open: false };
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
            Err(Errno::ESTALE) if self.above.is_some() => {
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

    /// Whether it is open for reading, as far as is known here.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().open
    }

    /// It was opened by this handle.
    pub(super) fn opened(&self, handle: Handle) {
        let mut state = self.state.lock();
        state.open = state.handle == Some(handle);
    }

    /// Gives its handle back.
    fn let_go(&self) {
        if self.above.is_some() {
            let mut state = self.state.lock();
            state.open = false;
            state.handle.take().into_iter().for_each(release);
        }
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
            let above = at.above.as_ref().ok_or(Errno::ESTALE)?.0.clone();
            try_push(&mut missing, at)?;
            at = above;
        };
        while !missing.is_empty() {
            let mut names = [&[][..]; MAX_WALK];
            let mut count = 0;
            for (to, node) in names.iter_mut().zip(missing.iter().rev()) {
                *to = node.above.as_ref().map_or(&[][..], |(_, name)| name);
                count += 1;
            }
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

/// All files but the roots give up their handles.
fn let_all_go() {
    let held = core::mem::take(&mut *HELD.lock());
    held.iter().filter_map(Weak::upgrade).for_each(|node| node.let_go());
}

/// Directories that only this one kept go with it, one after the other: there may be
/// more than the stack has room for.
impl Drop for Node {
    fn drop(&mut self) {
        self.let_go();
        let mut next = self.above.take();
        while let Some((above, _)) = next {
            next = Arc::into_inner(above).and_then(|mut last| {
                last.let_go();
                last.above.take()
            });
        }
    }
}
