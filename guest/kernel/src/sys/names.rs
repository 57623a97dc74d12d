//! Names that come, go and move: mkdir(2), rmdir(2), unlink(2), rename(2), link(2),
//! symlink(2), mknod(2).

use crate::fs::create::{create, regular};
use crate::fs::file::Kind as FileKind;
use crate::fs::inode::Kind;
use crate::fs::link::link as add_link;
use crate::fs::path::PathName;
use crate::fs::pipe::Pipe;
use crate::fs::remove::{What, remove};
use crate::fs::rename::{Mode, rename as move_name};
use crate::fs::tree::symlink as link_to;
use crate::fs::walk::{Component, Found, Last, View, walk};
use crate::memory::try_arc;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::{Target, read_path, start, target, view};
use crate::user::{StringBuffer, UserPtr};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_MKNOD;
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW};
use trapgate_uapi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE};
use trapgate_uapi::stat::{
    S_IALLUGO, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK, S_IRWXUGO, S_ISVTX,
};

/// Whether a new name is a directory's, which slashes may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    Directory,
    Other,
}

/// A name that is free.
fn free<'a>(directory: i32, path: PathName<'a>, new: New) -> Result<Found<'a>, Errno> {
    let found = walk(&start(directory, path)?, path, Last::Name)?;
    if found.dentry.is_some() || found.component != Component::Name {
        return Err(Errno::EEXIST);
    }
    if found.slashes && new == New::Other {
        return Err(Errno::ENOENT);
    }
    Ok(found)
}

fn make_directory(directory: i32, path: UserPtr<u8>, mode: u32) -> SysResult {
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    let found = free(directory, path, New::Directory)?;
    let mode = mode & (S_IRWXUGO | S_ISVTX);
    create(&view(), &found.directory, found.name(), Kind::Directory(None), mode).map(|_| 0)
}
syscall_define! {
    /// mkdir(2)
    fn mkdir(path: UserPtr<u8>, mode: u32) { make_directory(AT_FDCWD, path, mode) }
}
syscall_define! {
    /// mkdirat(2)
    fn mkdirat(directory: i32, path: UserPtr<u8>, mode: u32) {
        make_directory(directory, path, mode)
    }
}

fn make_node(directory: i32, path: UserPtr<u8>, mode: u32, device: u32) -> SysResult {
    let kind = mode & S_IFMT;
    match kind {
        0 | S_IFREG | S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => {}
        S_IFDIR => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    }
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    let found = free(directory, path, New::Other)?;
    if matches!(kind, S_IFCHR | S_IFBLK) && !view().who.can(CAP_MKNOD) {
        return Err(Errno::EPERM);
    }
    let kind = match kind {
        S_IFCHR => Kind::Character(device.into()),
        S_IFBLK => Kind::Block(device.into()),
        S_IFIFO => Kind::Fifo(try_arc(Pipe::default())?),
        S_IFSOCK => Kind::Socket,
        _ => regular(&found.directory)?,
    };
    create(&view(), &found.directory, found.name(), kind, mode & S_IALLUGO).map(|_| 0)
}
syscall_define! {
    /// mknod(2)
    fn mknod(path: UserPtr<u8>, mode: u32, device: u32) {
        make_node(AT_FDCWD, path, mode, device)
    }
}
syscall_define! {
    /// mknodat(2)
    fn mknodat(directory: i32, path: UserPtr<u8>, mode: u32, device: u32) {
        make_node(directory, path, mode, device)
    }
}

fn make_symlink(to: UserPtr<u8>, directory: i32, path: UserPtr<u8>) -> SysResult {
    let (mut to_buffer, mut buffer) = (StringBuffer::default(), StringBuffer::default());
    let to = read_path(to, &mut to_buffer)?.bytes();
    if to.is_empty() {
        return Err(Errno::ENOENT);
    }
    let path = read_path(path, &mut buffer)?;
    let found = free(directory, path, New::Other)?;
    // Its permissions are nobody's to take away.
    let view = View { umask: 0, ..view() };
    create(&view, &found.directory, found.name(), link_to(to)?, S_IRWXUGO).map(|_| 0)
}
syscall_define! {
    /// symlink(2)
    fn symlink(to: UserPtr<u8>, path: UserPtr<u8>) { make_symlink(to, AT_FDCWD, path) }
}
syscall_define! {
    /// symlinkat(2)
    fn symlinkat(to: UserPtr<u8>, directory: i32, path: UserPtr<u8>) {
        make_symlink(to, directory, path)
    }
}

fn make_link(
    old_directory: i32,
    old: UserPtr<u8>,
    new_directory: i32,
    new: UserPtr<u8>,
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let last = if flags & AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Keep };
    let file = match target(old_directory, old, last, flags & AT_EMPTY_PATH != 0)? {
        Target::Named(dentry) => dentry,
        Target::Open(file) => match &file.kind {
            FileKind::Inode(file) => file.dentry.clone(),
            FileKind::Standard(_) => return Err(Errno::EXDEV),
        },
    };
    let mut buffer = StringBuffer::default();
    let path = read_path(new, &mut buffer)?;
    let found = free(new_directory, path, New::Other)?;
    add_link(&view(), &file, &found).map(|()| 0)
}
syscall_define! {
    /// link(2)
    fn link(old: UserPtr<u8>, new: UserPtr<u8>) { make_link(AT_FDCWD, old, AT_FDCWD, new, 0) }
}
syscall_define! {
    /// linkat(2)
    fn linkat(
        old_directory: i32,
        old: UserPtr<u8>,
        new_directory: i32,
        new: UserPtr<u8>,
        flags: u32,
    ) {
        make_link(old_directory, old, new_directory, new, flags)
    }
}

fn take_away(directory: i32, path: UserPtr<u8>, what: What) -> SysResult {
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    let found = walk(&start(directory, path)?, path, Last::Name)?;
    remove(&view(), &found, what).map(|()| 0)
}
syscall_define! {
    /// unlink(2)
    fn unlink(path: UserPtr<u8>) { take_away(AT_FDCWD, path, What::File) }
}
syscall_define! {
    /// unlinkat(2)
    fn unlinkat(directory: i32, path: UserPtr<u8>, flags: u32) {
        match flags {
            0 => take_away(directory, path, What::File),
            AT_REMOVEDIR => take_away(directory, path, What::Directory),
            _ => Err(Errno::EINVAL),
        }
    }
}
syscall_define! {
    /// rmdir(2)
    fn rmdir(path: UserPtr<u8>) { take_away(AT_FDCWD, path, What::Directory) }
}

fn rename_at(
    old_directory: i32,
    old: UserPtr<u8>,
    new_directory: i32,
    new: UserPtr<u8>,
    flags: u32,
) -> SysResult {
    let mode = match flags {
        0 => Mode::Replace,
        RENAME_NOREPLACE => Mode::Fresh,
        RENAME_EXCHANGE => Mode::Exchange,
        _ => return Err(Errno::EINVAL),
    };
    let (mut old_buffer, mut new_buffer) = (StringBuffer::default(), StringBuffer::default());
    let (old, new) = (read_path(old, &mut old_buffer)?, read_path(new, &mut new_buffer)?);
    let from = walk(&start(old_directory, old)?, old, Last::Name)?;
    let to = walk(&start(new_directory, new)?, new, Last::Name)?;
    move_name(&view(), &from, &to, mode).map(|()| 0)
}
syscall_define! {
    /// rename(2)
    fn rename(old: UserPtr<u8>, new: UserPtr<u8>) {
        rename_at(AT_FDCWD, old, AT_FDCWD, new, 0)
    }
}
syscall_define! {
    /// renameat(2)
    fn renameat(
        old_directory: i32,
        old: UserPtr<u8>,
        new_directory: i32,
        new: UserPtr<u8>,
    ) {
        rename_at(old_directory, old, new_directory, new, 0)
    }
}
syscall_define! {
    /// renameat2(2)
    fn renameat2(
        old_directory: i32,
        old: UserPtr<u8>,
        new_directory: i32,
        new: UserPtr<u8>,
        flags: u32,
    ) {
        rename_at(old_directory, old, new_directory, new, flags)
    }
}
