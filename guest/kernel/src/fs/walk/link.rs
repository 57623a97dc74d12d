//! Symbolic links on a path's way (symlink(7)).

use super::{Start, check_device};
use crate::fs::dentry::Dentry;
use crate::fs::generated::Generated;
use crate::fs::inode::Kind;
use crate::fs::path::PathName;
use crate::memory::{try_extend, try_with_capacity};
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_uapi::Errno;
use trapgate_uapi::openat2::{
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
};

/// Where a link leads.
pub(super) struct Target {
    /// Where the walk goes on, if that is elsewhere.
    pub(super) directory: Option<Arc<Dentry>>,
    /// The path from there on; `None`: what is behind the link in the one there is.
    pub(super) text: Option<Vec<u8>>,
}

/// Where a link leads that ends at `end` in the path.
#[cold]
pub(super) fn follow(
    start: &Start,
    top: Option<&Arc<Dentry>>,
    directory: &Dentry,
    link: &Dentry,
    path: PathName,
    end: usize,
) -> Result<Target, Errno> {
    if start.resolve & RESOLVE_NO_SYMLINKS != 0 {
        return Err(Errno::ELOOP);
    }
    let Kind::Symlink(target) = &link.inode.kind else {
        let target = jump(start, link)?;
        check_device(start, directory, &target)?;
        return Ok(Target { directory: Some(target), text: None });
    };
    link.inode.accessed();
    let mut from = None;
    if target.first() == Some(&b'/') {
        if start.resolve & RESOLVE_BENEATH != 0 {
            return Err(Errno::EXDEV);
        }
        let top = match top {
            Some(top) => top.clone(),
            None => start.view.root()?,
        };
        check_device(start, directory, &top)?;
        from = Some(top);
    }
    let rest = &path.bytes()[end..];
    let mut text = try_with_capacity(target.len() + rest.len())?;
    try_extend(&mut text, target)?;
    try_extend(&mut text, rest)?;
    Ok(Target { directory: from, text: Some(text) })
}

/// The file that a link leads to that has no path.
fn jump(start: &Start, link: &Dentry) -> Result<Arc<Dentry>, Errno> {
    let link = link.made().and_then(Generated::as_link).ok_or(Errno::EINVAL)?;
    if start.resolve & RESOLVE_NO_MAGICLINKS != 0 {
        return Err(Errno::ELOOP);
    }
    if start.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
        return Err(Errno::EXDEV);
    }
    link.target()
}
