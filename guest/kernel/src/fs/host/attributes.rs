//! What is said of a file that is written on the host: it is set there.

use super::ask;
use super::names::find_node;
use super::told::told;
use crate::fs::dentry::Dentry;
use trapgate_abi::hypercall::files::Change;
use trapgate_uapi::Errno;

/// Changes it.
///
/// # Errors
/// Those of chmod(2), chown(2) and utimensat(2), as the host has them.
pub fn change(dentry: &Dentry, change: &Change) -> Result<(), Errno> {
    let node = find_node(dentry)?;
    let status = node.ask(|handle| ask::change(handle, change))?;
    told(&dentry.inode, &status);
    Ok(())
}
