//! epoll_pwait2(2), whose time has padding on i386.

use super::time::{read_if, read_time64};
use crate::sys::define::compat_define;
use crate::sys::epoll::wait_within;
use crate::user::UserPtr;
use trapgate_uapi::epoll::EpollEvent;
use trapgate_uapi::time::Timespec;

compat_define! {
    /// epoll_pwait2(2)
    fn epoll_pwait2(
        epfd: u32,
        events: UserPtr<EpollEvent>,
        most: i32,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<u64>,
        mask_size: u32,
    ) {
        let time = read_if(timeout, read_time64)?;
        wait_within(epfd, events, most, time, (mask, mask_size.into()))
    }
}
