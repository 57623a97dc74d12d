//! Further names of a file: link(2).

use crate::fs::access::{EXEC, WRITE};
use crate::fs::create::{add, may_change};
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::inode::LINK_MAX;
use crate::fs::walk::{Found, View};
use alloc::sync::Arc;
use trapgate_uapi::Errno;

/// link(2): the file gets the name that was found to be free.
///
/// # Errors
/// Those of link(2).
pub fn link(view: &View, file: &Arc<Dentry>, to: &Found) -> Result<(), Errno> {
    let (inode, directory) = (&file.inode, &to.directory);
    if !Arc::ptr_eq(&inode.filesystem, &directory.inode.filesystem) {
        return Err(Errno::EXDEV);
    }
    // As with Linux's fs.protected_hardlinks.
    if !view.who.owns(inode) {
        return Err(Errno::EPERM);
    }
    let is_there = match may_change(view, directory) {
        Err(ASK_THE_HOST) => true,
        may => may.map(|()| false)?,
    };
    if inode.is_directory() {
        return Err(Errno::EPERM);
    }
    if is_there {
        view.who.may(&directory.inode, WRITE | EXEC)?;
        return host::names::link(file, directory, &to.name());
    }
    let dentry = Dentry::new(&to.name(), inode.clone())?;
    let _changes = inode.filesystem.changes.lock();
    let meta = inode.meta();
    if meta.links == 0 && !meta.linkable {
        return Err(Errno::ENOENT);
    }
    if meta.links >= LINK_MAX {
        return Err(Errno::EMLINK);
    }
    add(directory, to.name(), &dentry)?;
    inode.change(|meta| meta.links += 1);
    directory.inode.modify();
    Ok(())
}
