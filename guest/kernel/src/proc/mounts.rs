//! /proc/PID/mountinfo and mounts: what is mounted where.

use crate::fs::dentry::Dentry;
use crate::fs::place::{self, Held, Path, path_of, top_of};
use crate::fs::tree::MOUNT_POINTS;
use crate::memory::Text;
use crate::proc::subject::Subject;
use alloc::sync::Arc;
use trapgate_uapi::Errno;

/// Calls `each` with the root of each file system, `mounts` among them, and with the number
/// of the one that it is mounted in.
pub fn each_mount(
    top: &Arc<Dentry>,
    mounts: &[Arc<Dentry>],
    mut each: impl FnMut(&Arc<Dentry>, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    each(top, top.inode.filesystem.device)?;
    for path in MOUNT_POINTS {
        let mut at = top.clone();
        let mut above = top.inode.filesystem.device;
        let mut found = true;
        for name in path {
            above = at.inode.filesystem.device;
            match at.child(name) {
                Ok(Some(child)) => at = child,
                Ok(None) | Err(Errno::ENOENT | Errno::ENOTDIR) => {
                    found = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if found && at.is_mount() {
            each(&at, above)?;
        }
    }
    for mounted in mounts {
        let above = mounted.parent();
        each(mounted, above.map_or(0, |above| above.inode.filesystem.device))?;
    }
    Ok(())
}

/// Calls `each` with those that the process's root has, their paths from there, and the
/// number of what they are mounted in.
fn each_visible(
    about: Subject,
    mut each: impl FnMut(&Dentry, &[u8], u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let Held { root, mounts, .. } = place::with(&about.process()?.places, |held| held.clone())?;
    each_mount(&top_of(&root), &mounts, |mounted, above| match path_of(mounted, &root)? {
        Path::Within(path) => each(mounted, &path, above),
        Path::Outside(_) | Path::Deleted(_) => Ok(()),
    })
}

fn options(dentry: &Dentry) -> &'static str {
    if dentry.inode.filesystem.is_read_only() { "ro" } else { "rw" }
}

/// /proc/PID/mounts.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn mounts(about: Subject, text: &mut Text) -> Result<(), Errno> {
    each_visible(about, |mounted, path, _| {
        let (name, options) = (mounted.inode.filesystem.kind.name, options(mounted));
        write!(text, "{name} ")?;
        text.add(path)?;
        writeln!(text, " {name} {options},relatime 0 0")
    })
}

/// /proc/PID/mountinfo. A mount's number is its file system's.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn mountinfo(about: Subject, text: &mut Text) -> Result<(), Errno> {
    each_visible(about, |mounted, path, above| {
        let filesystem = &mounted.inode.filesystem;
        let (name, options, device) = (filesystem.kind.name, options(mounted), filesystem.device);
        write!(text, "{device} {above} {}:{} / ", device >> 8, device & 0xff)?;
        text.add(path)?;
        writeln!(text, " {options},relatime - {name} {name} {options}")
    })
}
