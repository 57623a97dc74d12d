//! ioctls.h and termbits.h: requests of ioctl(2) for terminals and for every
//! file, with their structures. The same for both widths.

use crate::macros::{constants, same_layout, structure};

constants! { "ioctl_tty(2)", ioctl as u32:
    TCGETS TCSETS TCSETSW TCSETSF TIOCGPGRP TIOCSPGRP TIOCGWINSZ TIOCSWINSZ FIONREAD
}
constants! { "ioctl(2)", ioctl as u32: FIONBIO FIONCLEX FIOCLEX }

structure! {
    /// The kernel's `struct termios`.
    #[derive(Default)]
    pub struct Termios: 36 {
        pub c_iflag: u32,
        pub c_oflag: u32,
        pub c_cflag: u32,
        pub c_lflag: u32,
        pub c_line: u8,
        pub c_cc: [u8; 19],
    }
}
same_layout!(Termios = general::termios { c_iflag c_oflag c_cflag c_lflag c_line c_cc });

structure! {
    /// `struct winsize`.
    #[derive(Default)]
    pub struct Winsize: 8 {
        pub ws_row: u16,
        pub ws_col: u16,
        pub ws_xpixel: u16,
        pub ws_ypixel: u16,
    }
}
same_layout!(Winsize = general::winsize { ws_row ws_col ws_xpixel ws_ypixel });
