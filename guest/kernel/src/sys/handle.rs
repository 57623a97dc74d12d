//! Files by handles instead of names: name_to_handle_at(2). No file has one, as in a file
//! system that cannot be exported.

use crate::fs::walk::Last;
use crate::sys::define::syscall_define;
use crate::sys::path::target;
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    AT_EMPTY_PATH, AT_HANDLE_CONNECTABLE, AT_HANDLE_FID, AT_HANDLE_MNT_ID_UNIQUE, AT_SYMLINK_FOLLOW,
};

/// What may be asked for.
const KNOWN: u32 = AT_SYMLINK_FOLLOW
    | AT_EMPTY_PATH
    | AT_HANDLE_FID
    | AT_HANDLE_MNT_ID_UNIQUE
    | AT_HANDLE_CONNECTABLE;

syscall_define! {
    /// name_to_handle_at(2)
    fn name_to_handle_at(
        directory: i32,
        path: UserPtr<u8>,
        _handle: UserPtr<u8>,
        _mount: UserPtr<u8>,
        flags: u32,
    ) {
        if flags & !KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        let last = if flags & AT_SYMLINK_FOLLOW == 0 { Last::Keep } else { Last::Follow };
        target(directory, path, last, flags & AT_EMPTY_PATH != 0)?;
        Err(Errno::EOPNOTSUPP)
    }
}
