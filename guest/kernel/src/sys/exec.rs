//! execve(2), execveat(2).

use crate::memory::{try_extend, try_with_capacity};
use crate::process::exec::{Pointers, execute};
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::read_path;
use crate::user::{StringBuffer, UserPtr};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD};

syscall_define! {
    /// execve(2)
    fn execve(path: UserPtr<u8>, argv: u64, envp: u64) {
        exec(AT_FDCWD, path, native(argv), native(envp), 0)
    }
}
syscall_define! {
    /// execveat(2)
    fn execveat(directory: i32, path: UserPtr<u8>, argv: u64, envp: u64, flags: u32) {
        exec(directory, path, native(argv), native(envp), flags)
    }
}

fn native(address: u64) -> Pointers {
    Pointers { address, compat: false }
}

/// Both, for either width.
pub(super) fn exec(
    directory: i32,
    path: UserPtr<u8>,
    argv: Pointers,
    envp: Pointers,
    flags: u32,
) -> SysResult {
    let mut buffer = StringBuffer::default();
    let bytes = read_path(path, &mut buffer)?.bytes();
    let mut path = try_with_capacity(bytes.len())?;
    try_extend(&mut path, bytes)?;
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    execute(directory, path, argv, envp, flags).map(|()| 0)
}
