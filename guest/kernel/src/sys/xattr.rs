//! Extended attributes (xattr(7)): no file system here has any. The path or descriptor is
//! looked at first, as Linux does.

use crate::fs::walk::Last;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::path::named;
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::AT_FDCWD;

fn of_path(path: UserPtr<u8>, last: Last) -> SysResult {
    named(AT_FDCWD, path, last)?;
    Err(Errno::EOPNOTSUPP)
}

fn of_file(fd: u32) -> SysResult {
    opened(fd)?;
    Err(Errno::EOPNOTSUPP)
}

syscall_define! {
    /// setxattr(2)
    fn setxattr(path: UserPtr<u8>) { of_path(path, Last::Follow) }
}
syscall_define! {
    /// lsetxattr(2)
    fn lsetxattr(path: UserPtr<u8>) { of_path(path, Last::Keep) }
}
syscall_define! {
    /// fsetxattr(2)
    fn fsetxattr(fd: u32) { of_file(fd) }
}
syscall_define! {
    /// getxattr(2)
    fn getxattr(path: UserPtr<u8>) { of_path(path, Last::Follow) }
}
syscall_define! {
    /// lgetxattr(2)
    fn lgetxattr(path: UserPtr<u8>) { of_path(path, Last::Keep) }
}
syscall_define! {
    /// fgetxattr(2)
    fn fgetxattr(fd: u32) { of_file(fd) }
}
syscall_define! {
    /// listxattr(2): there are none.
    fn listxattr(path: UserPtr<u8>) { named(AT_FDCWD, path, Last::Follow).map(|_| 0) }
}
syscall_define! {
    /// llistxattr(2)
    fn llistxattr(path: UserPtr<u8>) { named(AT_FDCWD, path, Last::Keep).map(|_| 0) }
}
syscall_define! {
    /// flistxattr(2)
    fn flistxattr(fd: u32) { opened(fd).map(|_| 0) }
}
syscall_define! {
    /// removexattr(2)
    fn removexattr(path: UserPtr<u8>) { of_path(path, Last::Follow) }
}
syscall_define! {
    /// lremovexattr(2)
    fn lremovexattr(path: UserPtr<u8>) { of_path(path, Last::Keep) }
}
syscall_define! {
    /// fremovexattr(2)
    fn fremovexattr(fd: u32) { of_file(fd) }
}
