//! ioctl(2): what a terminal is asked, and what every file is.

use crate::host::Call;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::pipe::pipe_of;
use crate::user::UserPtr;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::ioctl::{
    FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, TCGETS, TCSETS, TCSETSF, TIOCGPGRP, TIOCGWINSZ, Termios,
    Winsize,
};
use zerocopy::{IntoBytes, transmute};

/// Bytes of [`Termios`].
const TERMIOS: usize = size_of::<Termios>();

/// ioctl(2) for either width: what a terminal is asked, and two flags. Their
/// structures have no pointers and no `long`.
pub(super) fn control_device(fd: u32, request: u32, argument: u64) -> SysResult {
    let file = opened(fd)?;
    match request {
        FIONBIO => {
            let on = UserPtr::<i32>::new(argument).read()? != 0;
            file.set_flags(O_NONBLOCK, if on { O_NONBLOCK } else { 0 });
            Ok(0)
        }
        FIOCLEX | FIONCLEX => {
            let mut files = current().process.files.lock();
            files.descriptor(fd)?.close_on_exec = request == FIOCLEX;
            Ok(0)
        }
        FIONREAD if let Some(pipe) = pipe_of(&file) => {
            UserPtr::new(argument).write(pipe.bytes() as u32).map(|()| 0)
        }
        _ => match file.as_standard() {
            Some(standard) if standard.is_terminal() => terminal(standard.host, request, argument),
            _ => Err(Errno::ENOTTY),
        },
    }
}

/// What a terminal of the host's is asked.
fn terminal(file: u32, request: u32, argument: u64) -> SysResult {
    match request {
        TCGETS => {
            let mut call = Call::new(Request::TerminalAttributes { file });
            call.submit()?;
            let words: [u64; TERMIOS.div_ceil(8)] = call.data();
            UserPtr::new(argument).write_slice(&words.as_bytes()[..TERMIOS]).map(|()| 0)
        }
        TIOCGWINSZ => {
            let mut call = Call::new(Request::WindowSize { file });
            call.submit()?;
            let size: Winsize = transmute!(call.data::<1>());
            UserPtr::new(argument).write(size).map(|()| 0)
        }
        TIOCGPGRP => UserPtr::new(argument).write(current().process.pid).map(|()| 0),
        // The terminal is the host's; a sandbox does not change it.
        TCSETS..=TCSETSF => Err(Errno::EPERM),
        _ => Err(Errno::ENOTTY),
    }
}
syscall_define! {
    /// ioctl(2)
    fn ioctl(fd: u32, request: u32, argument: u64) { control_device(fd, request, argument) }
}
