//! Files: vectors, offsets and statuses in i386's form.
//!
//! An `off_t` is 32 bits and signed; a `loff_t` comes as two registers, or goes
//! through memory (`_llseek`).

use super::join;
use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::file::{
    control, control_device, file, input, input_at, no_such_file, output, position, seek, status,
    status_at,
};
use crate::sys::poll::poll_within;
use crate::user::{UserPtr, read_compat_iovecs};
use trapgate_uapi::poll::Pollfd;
use trapgate_uapi::stat::{CompatStat, Stat64};
use trapgate_uapi::time::{OldTimespec32, Timespec};
use trapgate_uapi::uio::{CompatIovec, Iovec};

ia32_define! {
    /// readv(2)
    fn readv(fd: u32, vectors: UserPtr<CompatIovec>, count: u64) {
        input(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// writev(2)
    fn writev(fd: u32, vectors: UserPtr<CompatIovec>, count: u64) {
        output(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// pread(2): the offset in two registers.
    fn ia32_pread64(fd: u32, buffer: UserPtr<u8>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        input_at(&*file(fd)?, &[Iovec { iov_base: buffer.address(), iov_len: count }], offset)
    }
}
compat_define! {
    /// preadv(2): the offset in two registers.
    fn preadv(fd: u32, vectors: UserPtr<CompatIovec>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        input_at(&*file(fd)?, &read_compat_iovecs(vectors, count)?, offset)
    }
}
compat_define! {
    /// lseek(2). A position of more than 32 bits is cut by the caller's
    /// register, as with Linux.
    fn lseek(fd: u32, offset: i32, whence: u32) { seek(fd, offset.into(), whence) }
}
ia32_define! {
    /// _llseek(2): the offset in two registers, the new position in memory.
    fn llseek(fd: u32, high: u32, low: u32, result: UserPtr<u64>, whence: u32) {
        result.write(seek(fd, join(low, high) as i64, whence)?).map(|()| 0)
    }
}
compat_define! {
    /// fcntl(2) and fcntl64(2)
    fn fcntl64(fd: u32, command: u32, argument: u64) { control(fd, command, argument) }
}
compat_define! {
    /// ioctl(2)
    fn ioctl(fd: u32, request: u32, argument: u64) { control_device(fd, request, argument) }
}
compat_define! {
    /// open(2): without `O_LARGEFILE` implied.
    fn open(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// openat(2): without `O_LARGEFILE` implied.
    fn openat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// ppoll(2) with a 32-bit time.
    fn ppoll_time32(entries: UserPtr<Pollfd>, count: u32, timeout: UserPtr<OldTimespec32>) {
        poll_within(entries, count, read_if(timeout, read_time32)?)
    }
}
compat_define! {
    /// ppoll(2) with a 64-bit time.
    fn ppoll_time64(entries: UserPtr<Pollfd>, count: u32, timeout: UserPtr<Timespec>) {
        poll_within(entries, count, read_if(timeout, read_time64)?)
    }
}

compat_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::try_from(&status(fd)?)?).map(|()| 0)
    }
}
compat_define! {
    /// stat64(2)
    fn ia32_stat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat64(2)
    fn ia32_lstat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat64(2)
    fn ia32_fstat64(fd: u32, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::from(&status(fd)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstatat64(2)
    fn ia32_fstatat64(fd: u32, path: UserPtr<u8>, buffer: UserPtr<Stat64>, flags: u32) {
        buffer.write(Stat64::from(&status_at(fd, path, flags)?)).map(|()| 0)
    }
}
