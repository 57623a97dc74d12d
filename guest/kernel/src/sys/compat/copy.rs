//! sendfile(2) with a 32-bit offset.

use crate::sys::copy::send;
use crate::sys::define::compat_define;
use crate::user::UserPtr;
use trapgate_uapi::Errno;

compat_define! {
    /// sendfile(2)
    fn sendfile(to: u32, from: u32, offset: UserPtr<i32>, count: u32) {
        let given = if offset.is_null() { None } else { Some(offset.read()?) };
        let given = given.map(u64::try_from).transpose().map_err(|_| Errno::EINVAL)?;
        let (done, at) = send(to, from, given, count.into())?;
        offset.write_if(at as i32)?;
        Ok(done)
    }
}
