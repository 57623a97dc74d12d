//! What is to be run, and why it is not.

use alloc::vec::Vec;
use trapgate_loader::image::{ImageError, Refusal};
use trapgate_loader::stack::Strings;
use trapgate_uapi::Errno;

/// What is to be run.
pub(super) struct Wanted {
    pub(super) directory: i32,
    pub(super) flags: u32,
    /// What the file is looked for by.
    pub(super) path: Vec<u8>,
    /// AT_EXECFN: the path, or one in /dev/fd.
    pub(super) execfn: Vec<u8>,
    /// The name goes with the old program: its descriptor is closed.
    pub(super) name_is_gone: bool,
    pub(super) strings: Strings,
    /// What strings and their pointers may take.
    pub(super) limit: usize,
}

/// Why there is no new program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// execve(2) answers this.
    Errno(Errno),
    /// Linux finds this out when the old program is gone: SIGSEGV.
    Damaged(Errno),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Errno(errno)
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Failure {
        match error.errno() {
            Errno::EINVAL => Failure::Damaged(Errno::EINVAL),
            errno => Failure::Errno(errno),
        }
    }
}

impl From<Refusal<Errno>> for Failure {
    fn from(refusal: Refusal<Errno>) -> Failure {
        match refusal {
            Refusal::File(errno) => errno.into(),
            Refusal::Image(error) => error.into(),
        }
    }
}
