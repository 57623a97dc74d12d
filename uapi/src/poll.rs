//! poll.h: what poll(2) waits for. The same for both widths.

use crate::macros::{constants, same_layout, structure};

constants! { "poll(2)", general as u16:
    POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLWRNORM
}

structure! {
    /// `struct pollfd`; a negative descriptor is to be ignored.
    #[derive(Default)]
    pub struct Pollfd: 8 {
        pub fd: i32,
        pub events: u16,
        pub revents: u16,
    }
}
same_layout!(Pollfd = general::pollfd { fd events revents });
