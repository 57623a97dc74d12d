//! Extended attributes (xattr(7)): no file system here has any. The path or descriptor is
//! looked at first, then the name, as Linux does.

use crate::fs::file::Kind;
use crate::fs::walk::Last;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::path::named;
use crate::user::{UserPtr, read_string};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::AT_FDCWD;
use trapgate_uapi::stat::{S_IFDIR, S_IFREG};
use trapgate_uapi::xattr::{
    XATTR_CREATE, XATTR_NAME_MAX, XATTR_REPLACE, XATTR_SIZE_MAX, XATTR_USER_PREFIX,
};

/// The type of what a path names.
fn of_path(path: UserPtr<u8>, last: Last) -> Result<u32, Errno> {
    Ok(named(AT_FDCWD, path, last)?.inode.file_type())
}

fn of_file(fd: u32) -> Result<u32, Errno> {
    Ok(match &opened(fd)?.kind {
        Kind::Inode(file) => file.dentry.inode.file_type(),
        Kind::Standard(standard) => standard.file_type(),
    })
}

/// What becomes of an attribute of a file of this type: `others` where only regular files
/// and directories could have it.
fn absent(file_type: u32, name: UserPtr<u8>, others: Errno) -> SysResult {
    let name = read_string(name, XATTR_NAME_MAX + 1)?;
    if name.bytes.is_empty() || !name.terminated {
        return Err(Errno::ERANGE);
    }
    let is_users = name.bytes.starts_with(XATTR_USER_PREFIX);
    let can_have_some = matches!(file_type, S_IFREG | S_IFDIR);
    Err(if is_users && !can_have_some { others } else { Errno::EOPNOTSUPP })
}

fn set(file_type: u32, name: UserPtr<u8>, size: u64, flags: u32) -> SysResult {
    if flags & !(XATTR_CREATE | XATTR_REPLACE) != 0 {
        return Err(Errno::EINVAL);
    }
    match absent(file_type, name, Errno::EPERM) {
        Err(Errno::EPERM | Errno::EOPNOTSUPP) if size > XATTR_SIZE_MAX as u64 => Err(Errno::E2BIG),
        absent => absent,
    }
}

syscall_define! {
    /// setxattr(2)
    fn setxattr(path: UserPtr<u8>, name: UserPtr<u8>, _value: u64, size: u64, flags: u32) {
        set(of_path(path, Last::Follow)?, name, size, flags)
    }
}
syscall_define! {
    /// lsetxattr(2)
    fn lsetxattr(path: UserPtr<u8>, name: UserPtr<u8>, _value: u64, size: u64, flags: u32) {
        set(of_path(path, Last::Keep)?, name, size, flags)
    }
}
syscall_define! {
    /// fsetxattr(2)
    fn fsetxattr(fd: u32, name: UserPtr<u8>, _value: u64, size: u64, flags: u32) {
        set(of_file(fd)?, name, size, flags)
    }
}
syscall_define! {
    /// getxattr(2)
    fn getxattr(path: UserPtr<u8>, name: UserPtr<u8>) {
        absent(of_path(path, Last::Follow)?, name, Errno::ENODATA)
    }
}
syscall_define! {
    /// lgetxattr(2)
    fn lgetxattr(path: UserPtr<u8>, name: UserPtr<u8>) {
        absent(of_path(path, Last::Keep)?, name, Errno::ENODATA)
    }
}
syscall_define! {
    /// fgetxattr(2)
    fn fgetxattr(fd: u32, name: UserPtr<u8>) { absent(of_file(fd)?, name, Errno::ENODATA) }
}
syscall_define! {
    /// listxattr(2): there are none.
    fn listxattr(path: UserPtr<u8>) { of_path(path, Last::Follow).map(|_| 0) }
}
syscall_define! {
    /// llistxattr(2)
    fn llistxattr(path: UserPtr<u8>) { of_path(path, Last::Keep).map(|_| 0) }
}
syscall_define! {
    /// flistxattr(2)
    fn flistxattr(fd: u32) { of_file(fd).map(|_| 0) }
}
syscall_define! {
    /// removexattr(2)
    fn removexattr(path: UserPtr<u8>, name: UserPtr<u8>) {
        absent(of_path(path, Last::Follow)?, name, Errno::EPERM)
    }
}
syscall_define! {
    /// lremovexattr(2)
    fn lremovexattr(path: UserPtr<u8>, name: UserPtr<u8>) {
        absent(of_path(path, Last::Keep)?, name, Errno::EPERM)
    }
}
syscall_define! {
    /// fremovexattr(2)
    fn fremovexattr(fd: u32, name: UserPtr<u8>) { absent(of_file(fd)?, name, Errno::EPERM) }
}
