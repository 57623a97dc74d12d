//! Bytes in and out: read(2), write(2), pread(2), their vectors, lseek(2).

use crate::fs::file::OpenFile;
use crate::fs::transfer::{Until, transfer};
use crate::host::call;
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::user::{UserPtr, read_iovecs};
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::fs::SEEK_HOLE;
use trapgate_uapi::poll::{POLLIN, POLLOUT};
use trapgate_uapi::signal::{SIGPIPE, SIGXFSZ};
use trapgate_uapi::stat::{S_IFIFO, S_IFREG};
use trapgate_uapi::uio::Iovec;

pub(super) fn input(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    let until = if file.is(S_IFREG) { Until::Short } else { Until::Once };
    let flags = file.transfer_flags();
    let request = Request::Read { file: file.host, flags };
    let wait = (flags & O_NONBLOCK == 0).then_some((file.host, POLLIN));
    let memory = &current().process.memory;
    transfer(memory, ranges, Prot::WRITE, until, wait, &mut |_| request).result()
}

pub(super) fn output(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    let flags = file.transfer_flags();
    // A pipe takes all, if its writer may wait: the host takes a part at a time.
    let waits = !file.is(S_IFREG) && flags & O_NONBLOCK == 0;
    let until = if waits { Until::Done } else { Until::Short };
    let request = Request::Write { file: file.host, flags };
    let wait = waits.then_some((file.host, POLLOUT));
    let memory = &current().process.memory;
    let moved = transfer(memory, ranges, Prot::READ, until, wait, &mut |_| request);
    match moved.error {
        // A pipe without readers kills also after a part; a socket then does not.
        Some(Errno::EPIPE) if moved.bytes == 0 || file.is(S_IFIFO) => {
            current().signals.send(SIGPIPE);
        }
        // The host's limit.
        Some(Errno::EFBIG) if moved.bytes == 0 => current().signals.send(SIGXFSZ),
        _ => {}
    }
    moved.result()
}

/// pread(2)'s offset, which is checked before the descriptor.
pub(super) fn position(offset: i64) -> Result<u64, Errno> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

/// pread(2): only of what has positions.
pub(super) fn input_at(file: &OpenFile, ranges: &[Iovec], offset: u64) -> SysResult {
    if file.is_stream() {
        return Err(Errno::ESPIPE);
    }
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    transfer(&current().process.memory, ranges, Prot::WRITE, Until::Short, None, &mut |done| {
        Request::ReadAt { file: file.host, offset: offset.saturating_add(done) }
    })
    .result()
}
syscall_define! {
    /// read(2)
    fn read(fd: u32, buffer: UserPtr<u8>, count: u64) {
        input(&*file(fd)?, &[Iovec { iov_base: buffer.address(), iov_len: count }])
    }
}
syscall_define! {
    /// write(2)
    fn write(fd: u32, buffer: UserPtr<u8>, count: u64) {
        output(&*file(fd)?, &[Iovec { iov_base: buffer.address(), iov_len: count }])
    }
}
syscall_define! {
    /// readv(2)
    fn readv(fd: u32, vectors: UserPtr<Iovec>, count: u64) {
        input(&*file(fd)?, &read_iovecs(vectors, count)?)
    }
}
syscall_define! {
    /// writev(2)
    fn writev(fd: u32, vectors: UserPtr<Iovec>, count: u64) {
        output(&*file(fd)?, &read_iovecs(vectors, count)?)
    }
}
syscall_define! {
    /// pread(2)
    fn pread64(fd: u32, buffer: UserPtr<u8>, count: u64, offset: i64) {
        let offset = position(offset)?;
        input_at(&*file(fd)?, &[Iovec { iov_base: buffer.address(), iov_len: count }], offset)
    }
}
syscall_define! {
    /// preadv(2)
    fn preadv(fd: u32, vectors: UserPtr<Iovec>, count: u64, offset: i64) {
        let offset = position(offset)?;
        input_at(&*file(fd)?, &read_iovecs(vectors, count)?, offset)
    }
}
syscall_define! {
    /// lseek(2)
    fn lseek(fd: u32, offset: i64, whence: u32) { seek(fd, offset, whence) }
}

/// lseek(2) for either width.
pub(super) fn seek(fd: u32, offset: i64, whence: u32) -> SysResult {
    let file = file(fd)?;
    if whence > SEEK_HOLE {
        return Err(Errno::EINVAL);
    }
    if file.is_stream() {
        return Err(Errno::ESPIPE);
    }
    call(Request::Seek { file: file.host, offset, whence })
}
