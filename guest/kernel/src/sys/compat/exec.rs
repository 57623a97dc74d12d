//! execve(2), execveat(2): arrays of 32-bit pointers.

use crate::process::exec::Pointers;
use crate::sys::define::compat_define;
use crate::sys::exec::exec;
use crate::user::UserPtr;
use trapgate_uapi::fcntl::AT_FDCWD;

compat_define! {
    /// execve(2)
    fn execve(path: UserPtr<u8>, argv: u32, envp: u32) {
        exec(AT_FDCWD, path, compat(argv), compat(envp), 0)
    }
}
compat_define! {
    /// execveat(2)
    fn execveat(directory: i32, path: UserPtr<u8>, argv: u32, envp: u32, flags: u32) {
        exec(directory, path, compat(argv), compat(envp), flags)
    }
}

fn compat(address: u32) -> Pointers {
    Pointers { address: address.into(), compat: true }
}
