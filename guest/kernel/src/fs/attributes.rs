//! What of a file can be set: its permissions, its owner, its times (chmod(2), chown(2),
//! utimensat(2)).

use crate::fs::access::{Credentials, WRITE};
use crate::fs::inode::{Inode, Kind, without_set_id};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_CHOWN, CAP_FSETID};
use trapgate_uapi::stat::{S_IALLUGO, S_ISGID};
use trapgate_uapi::time::Timespec;

fn may_change(inode: &Inode) -> Result<(), Errno> {
    if inode.filesystem.read_only { Err(Errno::EROFS) } else { Ok(()) }
}

/// chmod(2)
///
/// # Errors
/// EPERM, EROFS; EOPNOTSUPP of a symbolic link.
pub fn set_permissions(who: Credentials, inode: &Inode, permissions: u32) -> Result<(), Errno> {
    may_change(inode)?;
    if matches!(inode.kind, Kind::Symlink(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    if !who.owns(inode) {
        return Err(Errno::EPERM);
    }
    inode.change(|meta| {
        let foreign = !who.can(CAP_FSETID) && !who.is_in(meta.gid);
        let kept = if foreign { S_IALLUGO & !S_ISGID } else { S_IALLUGO };
        meta.permissions = permissions & kept;
    });
    Ok(())
}

/// chown(2): `None` stays as it is.
///
/// # Errors
/// EPERM, EROFS.
pub fn set_owner(
    who: Credentials,
    inode: &Inode,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), Errno> {
    may_change(inode)?;
    let meta = inode.meta();
    let owns = meta.uid == who.uid();
    let keeps_user = uid.is_none_or(|uid| owns && uid == meta.uid);
    let own_group = gid.is_none_or(|gid| owns && (gid == meta.gid || who.is_in(gid)));
    if !(who.can(CAP_CHOWN) || keeps_user && own_group) {
        return Err(Errno::EPERM);
    }
    inode.change(|meta| {
        meta.uid = uid.unwrap_or(meta.uid);
        meta.gid = gid.unwrap_or(meta.gid);
        if !inode.is_directory() {
            meta.permissions = without_set_id(meta.permissions);
        }
    });
    Ok(())
}

/// What a time of a file is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// What it is now: `UTIME_NOW`.
    Now,
    /// It stays as it is: `UTIME_OMIT`.
    Omit,
    /// This.
    At(Timespec),
}

/// utimensat(2): when it was read, and when it was modified.
///
/// # Errors
/// EPERM, EACCES, EROFS.
pub fn set_times(who: Credentials, inode: &Inode, times: [NewTime; 2]) -> Result<(), Errno> {
    if times == [NewTime::Omit; 2] {
        return Ok(());
    }
    may_change(inode)?;
    if !who.owns(inode) {
        // Who may write may say that it was now.
        if times != [NewTime::Now; 2] {
            return Err(Errno::EPERM);
        }
        who.may(inode, WRITE)?;
    }
    inode.change(|meta| {
        let now = meta.changed;
        let set = |time: &mut Timespec, new| match new {
            NewTime::Omit => {}
            NewTime::Now => *time = now,
            NewTime::At(at) => *time = at,
        };
        set(&mut meta.accessed, times[0]);
        set(&mut meta.modified, times[1]);
    });
    Ok(())
}
