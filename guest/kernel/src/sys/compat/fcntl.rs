//! fcntl(2): the commands about locks have three structures.

use crate::sys::define::{SysResult, compat_define};
use crate::sys::fcntl::{control, control_rarely};
use crate::sys::lock::control_lock;
use crate::user::UserPtr;
use trapgate_uapi::fcntl::{
    CompatFlock, F_GETLK, F_GETLK64, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLK, F_SETLK64,
    F_SETLKW, F_SETLKW64, Flock, Flock64,
};

compat_define! {
    /// fcntl(2) and fcntl64(2): some commands are for 64-bit offsets.
    fn fcntl64(fd: u32, command: u32, argument: u64) {
        let command = match command {
            F_GETLK64 => F_GETLK,
            F_SETLK64 => F_SETLK,
            F_SETLKW64 => F_SETLKW,
            F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => command,
            _ => return control_narrow(fd, command, argument),
        };
        let lock = UserPtr::<Flock64>::new(argument);
        match control_lock(fd, command, || lock.read().map(Flock::from))? {
            Some(found) => lock.write(found.into()).map(|()| 0),
            None => Ok(0),
        }
    }
}
fn control_narrow(fd: u32, command: u32, argument: u64) -> SysResult {
    control(fd, command, argument, || {
        if !matches!(command, F_GETLK | F_SETLK | F_SETLKW) {
            return control_rarely(fd, command, argument);
        }
        let lock = UserPtr::<CompatFlock>::new(argument);
        match control_lock(fd, command, || lock.read().map(Flock::from))? {
            Some(found) => lock.write(found.try_into()?).map(|()| 0),
            None => Ok(0),
        }
    })
}
