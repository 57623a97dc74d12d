//! The way that most transfers by a pipe go: a few bytes in one piece, which are in one
//! page of the pipe, or come into one. What is more, or has to wait, is not touched here.

use super::{Pipe, READ};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy;
use trapgate_uapi::fcntl::O_DIRECT;
use trapgate_uapi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

/// Whether it is less than a page, and not nothing.
#[inline(always)]
const fn is_few(length: u64) -> bool {
    length.wrapping_sub(1) < PAGE_SIZE - 1
}

impl Pipe {
    /// write(2) of a few bytes at an address of the program's, by an end with these flags:
    /// whether all of them are written. If not, none is, and it is for [`Pipe::write`] to
    /// say why.
    #[inline(always)]
    pub fn write_few(&self, from: u64, length: u64, flags: u32) -> bool {
        if !is_few(length) || flags & O_DIRECT != 0 {
            return false;
        }
        let mut held = self.held.lock();
        let done = held.ends.open[READ] > 0
            && held.pages.put_few(length, |frame| usercopy::to_frame(frame, from, length));
        drop(held);
        if done {
            self.readers.wake(POLLIN | POLLRDNORM);
        }
        done
    }

    /// read(2) of up to a few bytes to an address of the program's: how many were read. If
    /// none, it is for [`Pipe::read`] to say why.
    #[inline(always)]
    pub fn read_few(&self, to: u64, length: u64) -> u64 {
        if !is_few(length) {
            return 0;
        }
        let mut held = self.held.lock();
        let was_full = held.pages.is_full();
        let got =
            held.pages.take_few(length, |frame, length| usercopy::from_frame(to, frame, length));
        drop(held);
        if was_full {
            self.writers.wake(POLLOUT | POLLWRNORM);
        }
        got
    }
}
