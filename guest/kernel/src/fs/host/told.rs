//! What the host tells of a file that is written there, besides when it is found.

use super::directory::times;
use crate::fs::inode::{Inode, Kind};
use trapgate_abi::file::FileStatus;
use trapgate_uapi::stat::S_IALLUGO;

/// The host has told what a file is now. What is here of its bytes is as it is there.
pub(super) fn told(inode: &Inode, status: &FileStatus) {
    if let Kind::Regular(object) = &inode.kind
        && i64::try_from(status.size).is_ok()
    {
        object.resized(status.size);
    }
    let [accessed, modified, changed] = times(status);
    inode.built(|meta| {
        meta.permissions = status.mode as u32 & S_IALLUGO;
        (meta.uid, meta.gid) = (status.uid as u32, status.gid as u32);
        meta.links = u32::try_from(status.nlink).unwrap_or(u32::MAX);
        (meta.accessed, meta.modified, meta.changed) = (accessed, modified, changed);
    });
}
