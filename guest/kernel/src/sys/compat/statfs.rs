//! statfs(2) in i386's two structures.

use crate::sys::define::compat_define;
use crate::sys::statfs::{of_file, of_path};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::statfs::{CompatStatfs, STATFS64_SIZES, Statfs64};

compat_define! {
    /// statfs(2)
    fn statfs(path: UserPtr<u8>, buffer: UserPtr<CompatStatfs>) {
        buffer.write(CompatStatfs::try_from(&of_path(path)?)?).map(|()| 0)
    }
}
compat_define! {
    /// fstatfs(2)
    fn fstatfs(fd: u32, buffer: UserPtr<CompatStatfs>) {
        buffer.write(CompatStatfs::try_from(&of_file(fd)?)?).map(|()| 0)
    }
}
compat_define! {
    /// statfs64(2): the structure's size, with or without padding, comes with it.
    fn statfs64(path: UserPtr<u8>, size: u32, buffer: UserPtr<Statfs64>) {
        check(size)?;
        buffer.write(Statfs64::from(&of_path(path)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstatfs64(2): the same.
    fn fstatfs64(fd: u32, size: u32, buffer: UserPtr<Statfs64>) {
        check(size)?;
        buffer.write(Statfs64::from(&of_file(fd)?)).map(|()| 0)
    }
}

fn check(size: u32) -> Result<(), Errno> {
    if STATFS64_SIZES.contains(&size) { Ok(()) } else { Err(Errno::EINVAL) }
}
