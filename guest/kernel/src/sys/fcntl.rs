//! fcntl(2).

use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::{duplicate, file};
use crate::sys::lock::{control_lock, is_about_locks};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, Flock, O_PATH,
};

/// fcntl(2) for either width: no command here has a structure of two forms.
pub(super) fn control(fd: u32, command: u32, argument: u64) -> SysResult {
    let file = file(fd)?;
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => duplicate(fd, argument as u32, command == F_DUPFD_CLOEXEC),
        F_GETFD => {
            let mut files = current().process.files.lock();
            Ok(files.descriptor(fd)?.close_on_exec.into())
        }
        F_SETFD => {
            let mut files = current().process.files.lock();
            files.descriptor(fd)?.close_on_exec = argument as u32 & FD_CLOEXEC != 0;
            Ok(0)
        }
        F_GETFL => Ok(file.flags().into()),
        F_SETFL if file.flags() & O_PATH != 0 => Err(Errno::EBADF),
        F_SETFL => {
            file.set_flags(file.settable_flags(), argument as u32);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
syscall_define! {
    /// fcntl(2)
    fn fcntl(fd: u32, command: u32, argument: u64) {
        if is_about_locks(command) {
            let lock = UserPtr::<Flock>::new(argument);
            return match control_lock(fd, command, lock.read()?)? {
                Some(found) => lock.write(found).map(|()| 0),
                None => Ok(0),
            };
        }
        control(fd, command, argument)
    }
}
