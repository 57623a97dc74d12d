//! What calls with a path have in common; and where a process is: chdir(2), fchdir(2),
//! chroot(2), getcwd(2); and readlink(2).

use crate::fs::access::EXEC;
use crate::fs::dentry::Dentry;
use crate::fs::file::{Kind, OpenFile};
use crate::fs::generated::Generated;
use crate::fs::inode;
use crate::fs::path::PathName;
use crate::fs::place::{self, Path, path_of};
use crate::fs::walk::{Last, Start, View, look_up};
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::user::{StringBuffer, UserPtr};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_SYS_CHROOT;
use trapgate_uapi::fcntl::AT_FDCWD;
use trapgate_uapi::fs::PATH_MAX;

/// Reads a path, which may be empty.
#[inline(always)]
pub(super) fn read_path(
    path: UserPtr<u8>,
    buffer: &mut StringBuffer,
) -> Result<PathName<'_>, Errno> {
    let length = buffer.read(path, PATH_MAX)?.ok_or(Errno::ENAMETOOLONG)?;
    Ok(PathName::in_buffer(buffer.bytes(), length))
}

/// The running process's view of the file systems.
pub(super) fn view() -> View<'static> {
    let task = current();
    let process = &task.process;
    View {
        places: &process.places,
        who: task.credentials.for_files(),
        umask: process.umask.load(Ordering::Relaxed),
        memory: &process.memory,
    }
}

/// Where a path begins, of the calls that take a directory's descriptor, which only
/// matters if the path is relative. An empty one names nothing.
#[inline]
pub(super) fn start(directory: i32, path: PathName) -> Result<Start<'static>, Errno> {
    let directory = match directory {
        // Nobody looks at the descriptor then.
        _ if path.is_empty() => return Err(Errno::ENOENT),
        AT_FDCWD => None,
        _ if path.is_slash(0) => None,
        _ => Some(directory_of(&*file(directory as u32)?)?),
    };
    Ok(Start { directory, ..Start::new(view()) })
}

/// The directory that is open.
pub(super) fn directory_of(file: &OpenFile) -> Result<Arc<Dentry>, Errno> {
    let file = file.as_inode().ok_or(Errno::ENOTDIR)?;
    if !file.dentry.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    Ok(file.dentry.clone())
}

/// What a call is about.
pub(super) enum Target {
    /// A file by its name.
    Named(Arc<Dentry>),
    /// An open file: the path was empty.
    Open(Arc<OpenFile>),
}

/// The file that a path names; with `AT_EMPTY_PATH`, an empty one is the descriptor's own
/// file, or the working directory.
pub(super) fn target(
    directory: i32,
    path: UserPtr<u8>,
    last: Last,
    may_be_empty: bool,
) -> Result<Target, Errno> {
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    if path.is_empty() && may_be_empty {
        return no_path(directory);
    }
    let dentry = look_up(&start(directory, path)?, path, last)?;
    match &dentry.inode.kind {
        // A link has led to a file that is open, and has no name here.
        inode::Kind::Host(file) => OpenFile::of_standard(file).map(Target::Open),
        _ => Ok(Target::Named(dentry)),
    }
}

/// What is meant without a path: the descriptor's own file, or the working directory.
pub(super) fn no_path(directory: i32) -> Result<Target, Errno> {
    if directory == AT_FDCWD {
        return view().directory().map(Target::Named);
    }
    file(directory as u32).map(Target::Open)
}

/// The file that a path names.
pub(super) fn named(directory: i32, path: UserPtr<u8>, last: Last) -> Result<Arc<Dentry>, Errno> {
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    look_up(&start(directory, path)?, path, last)
}

/// The directory that a process may go to.
fn searched(dentry: Arc<Dentry>) -> Result<Arc<Dentry>, Errno> {
    if !dentry.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    view().who.may(&dentry.inode, EXEC)?;
    Ok(dentry)
}

fn go_to(directory: Arc<Dentry>) -> SysResult {
    let before =
        place::with(view().places, |held| core::mem::replace(&mut held.directory, directory))?;
    drop(before);
    Ok(0)
}

syscall_define! {
    /// chdir(2)
    fn chdir(path: UserPtr<u8>) {
        go_to(searched(named(AT_FDCWD, path, Last::Follow)?)?)
    }
}
syscall_define! {
    /// fchdir(2)
    fn fchdir(fd: u32) {
        go_to(searched(directory_of(&*file(fd)?)?)?)
    }
}
syscall_define! {
    /// chroot(2)
    fn chroot(path: UserPtr<u8>) {
        let root = searched(named(AT_FDCWD, path, Last::Follow)?)?;
        if !view().who.can(CAP_SYS_CHROOT) {
            return Err(Errno::EPERM);
        }
        let before = place::with(view().places, |held| core::mem::replace(&mut held.root, root))?;
        drop(before);
        Ok(0)
    }
}
syscall_define! {
    /// getcwd(2): answers the length, as the system call does.
    fn getcwd(buffer: UserPtr<u8>, size: u64) {
        let places = place::with(view().places, |held| held.clone())?;
        let (mut path, prefix): (_, &[u8]) = match path_of(&places.directory, &places.root)? {
            Path::Deleted(_) => return Err(Errno::ENOENT),
            Path::Within(path) => (path, b""),
            Path::Outside(path) => (path, b"(unreachable)"),
        };
        crate::memory::try_push(&mut path, 0)?;
        let length = (prefix.len() + path.len()) as u64;
        if length > size {
            return Err(Errno::ERANGE);
        }
        buffer.write_slice(prefix)?;
        buffer.offset(prefix.len() as u64).write_slice(&path)?;
        Ok(length)
    }
}

/// readlink(2) for all its forms.
fn read_link(directory: i32, path: UserPtr<u8>, buffer: UserPtr<u8>, size: i32) -> SysResult {
    let size = usize::try_from(size).ok().filter(|&size| size > 0).ok_or(Errno::EINVAL)?;
    let (dentry, by_path) = match target(directory, path, Last::Keep, true)? {
        Target::Named(dentry) => (dentry, true),
        Target::Open(file) => match &file.kind {
            Kind::Inode(file) => (file.dentry.clone(), false),
            Kind::Standard(_) => return Err(Errno::ENOENT),
        },
    };
    let made;
    let target = match (&dentry.inode.kind, dentry.made().and_then(Generated::as_link)) {
        (inode::Kind::Symlink(target), _) => target,
        (_, Some(link)) => {
            made = link.text()?;
            &made
        }
        // An empty path is no link's.
        _ if !by_path || path.read()? == 0 => return Err(Errno::ENOENT),
        _ => return Err(Errno::EINVAL),
    };
    dentry.inode.accessed();
    let length = target.len().min(size);
    buffer.write_slice(&target[..length]).map(|()| length as u64)
}
syscall_define! {
    /// readlink(2)
    fn readlink(path: UserPtr<u8>, buffer: UserPtr<u8>, size: i32) {
        read_link(AT_FDCWD, path, buffer, size)
    }
}
syscall_define! {
    /// readlinkat(2)
    fn readlinkat(directory: i32, path: UserPtr<u8>, buffer: UserPtr<u8>, size: i32) {
        read_link(directory, path, buffer, size)
    }
}
