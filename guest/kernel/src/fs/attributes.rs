//! What of a file can be set: its permissions, its owner, its times (chmod(2), chown(2),
//! utimensat(2)).

use crate::fs::access::{Credentials, WRITE};
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host::attributes::change;
use crate::fs::inode::{Inode, Kind, without_set_id};
use trapgate_abi::hypercall::files::Change;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_CHOWN, CAP_FSETID};
use trapgate_uapi::stat::{S_IALLUGO, S_ISGID};
use trapgate_uapi::time::Timespec;

/// Whether it is changed on the host.
///
/// # Errors
/// EROFS.
fn is_there(inode: &Inode) -> Result<bool, Errno> {
    match inode.filesystem.may_change() {
        Err(ASK_THE_HOST) => Ok(true),
        may => may.map(|()| false),
    }
}

/// chmod(2)
///
/// # Errors
/// EPERM, EROFS; EOPNOTSUPP of a symbolic link.
pub fn set_permissions(who: Credentials, file: &Dentry, permissions: u32) -> Result<(), Errno> {
    let inode = &*file.inode;
    let is_there = is_there(inode)?;
    if matches!(inode.kind, Kind::Symlink(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    if !who.owns(inode) {
        return Err(Errno::EPERM);
    }
    let foreign = !who.can(CAP_FSETID) && !who.is_in(inode.meta().gid);
    let permissions = permissions & if foreign { S_IALLUGO & !S_ISGID } else { S_IALLUGO };
    if is_there {
        let mode = permissions.into();
        return change(file, &Change { which: Change::MODE, mode, ..Change::ZERO });
    }
    inode.change(|meta| meta.permissions = permissions);
    Ok(())
}

/// chown(2): `None` stays as it is.
///
/// # Errors
/// EPERM, EROFS.
pub fn set_owner(
    who: Credentials,
    file: &Dentry,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), Errno> {
    let inode = &*file.inode;
    let is_there = is_there(inode)?;
    let meta = inode.meta();
    let owns = meta.uid == who.uid();
    let keeps_user = uid.is_none_or(|uid| owns && uid == meta.uid);
    let own_group = gid.is_none_or(|gid| owns && (gid == meta.gid || who.is_in(gid)));
    if !(who.can(CAP_CHOWN) || keeps_user && own_group) {
        return Err(Errno::EPERM);
    }
    if is_there {
        // Both, whatever stays: so it is chown(2) there, too, which has its effects.
        let [uid, gid] = [uid, gid].map(|id| id.unwrap_or(u32::MAX).into());
        let which = Change::UID | Change::GID;
        return change(file, &Change { which, uid, gid, ..Change::ZERO });
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
pub fn set_times(who: Credentials, file: &Dentry, times: [NewTime; 2]) -> Result<(), Errno> {
    let inode = &*file.inode;
    if times == [NewTime::Omit; 2] {
        return Ok(());
    }
    let is_there = is_there(inode)?;
    if !who.owns(inode) {
        // Who may write may say that it was now.
        if times != [NewTime::Now; 2] {
            return Err(Errno::EPERM);
        }
        who.may(inode, WRITE)?;
    }
    if is_there {
        return set_times_there(file, times);
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

#[cold]
fn set_times_there(file: &Dentry, times: [NewTime; 2]) -> Result<(), Errno> {
    let now = file.inode.filesystem.now();
    let [atime, mtime] = times.map(|time| match time {
        NewTime::Omit => None,
        NewTime::Now => Some(now),
        NewTime::At(at) => Some(at),
    });
    let which = |time: Option<Timespec>, which| if time.is_some() { which } else { 0 };
    let words = |time: Option<Timespec>| {
        time.map_or((0, 0), |time| (time.tv_sec as u64, time.tv_nsec as u64))
    };
    let which = which(atime, Change::ATIME) | which(mtime, Change::MTIME);
    let ((atime, atime_nsec), (mtime, mtime_nsec)) = (words(atime), words(mtime));
    change(file, &Change { which, atime, atime_nsec, mtime, mtime_nsec, ..Change::ZERO })
}
