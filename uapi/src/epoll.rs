//! linux/eventpoll.h. `struct epoll_event` is packed on x86-64, so both widths have the
//! same.

use crate::macros::{constants, same_layout, structure};

constants! { "epoll_ctl(2)", general as u32:
    EPOLL_CLOEXEC EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD
    EPOLLIN EPOLLOUT EPOLLERR EPOLLHUP EPOLLEXCLUSIVE EPOLLWAKEUP EPOLLONESHOT EPOLLET
}

/// The most events that one call gives: `EP_MAX_EVENTS`.
pub const EP_MAX_EVENTS: i32 = i32::MAX / size_of::<EpollEvent>() as i32;

structure! {
    /// `struct epoll_event`; the two halves of its data.
    #[derive(Default)]
    pub struct EpollEvent: 12 {
        pub events: u32,
        pub data: [u32; 2],
    }
}
same_layout!(EpollEvent = general::epoll_event { events data });
