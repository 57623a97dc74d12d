//! Bytes in and out: read(2), write(2), pread(2), their vectors, lseek(2).

use crate::fs::file::{Kind, OpenFile};
use crate::fs::inode;
use crate::fs::inode_file::{At, InodeFile};
use crate::fs::standard::Standard;
use crate::fs::transfer::{MAX_RW_COUNT, Until, transfer};
use crate::host::call;
use crate::memory::try_push_small;
use crate::mm::space::AddressSpace;
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sched::watch;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::{file, opened};
use crate::sys::write_limit::allowed;
use crate::user::{IoVecs, UserPtr, read_iovecs};
use spin::Mutex;
use trapgate_abi::hypercall::Request;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::fs::SEEK_HOLE;
use trapgate_uapi::poll::{POLLIN, POLLOUT};
use trapgate_uapi::signal::{SIGPIPE, SIGXFSZ};
use trapgate_uapi::stat::{S_IFIFO, S_IFREG};
use trapgate_uapi::uio::Iovec;

/// A buffer as readv(2) has it.
fn one(address: u64, length: u64) -> [Iovec; 1] {
    [Iovec { iov_base: address, iov_len: length }]
}

fn memory() -> &'static Mutex<AddressSpace> {
    &current().process.memory
}

/// readv(2) and its kin.
pub(super) fn input(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    match &file.kind {
        Kind::Standard(standard) => from_standard(standard, file.transfer_flags(), ranges),
        Kind::Inode(inode) => inode.read_pieces(memory(), ranges, At::Position),
    }
}

fn from_standard(file: &Standard, flags: u32, ranges: &[Iovec]) -> SysResult {
    let until = if file.is(S_IFREG) { Until::Short } else { Until::Once };
    let request = Request::Read { file: file.host, flags };
    let wait = waits(file, flags).then_some((file.host, POLLIN));
    let moved = transfer(memory(), ranges, Prot::WRITE, until, wait, &mut |_| request);
    watch::has_moved(file.host);
    moved.result()
}

/// writev(2) and its kin.
pub(super) fn output(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    match &file.kind {
        Kind::Standard(standard) => to_standard(standard, file.transfer_flags(), ranges),
        Kind::Inode(inode) => write_pieces(inode, ranges, At::Position, inode.appends()),
    }
}

/// writev(2) and its kin to a file of a file system.
pub(super) fn write_pieces(inode: &InodeFile, ranges: &[Iovec], at: At, append: bool) -> SysResult {
    let all = ranges.iter().fold(0, |all: u64, piece| all.saturating_add(piece.iov_len));
    let mut left = allowed(inode, at, all.min(MAX_RW_COUNT), append)?;
    if left == all {
        let written = inode.write_pieces(memory(), ranges, at, append);
        return or_broken(inode, all, written);
    }
    // What is left out is at an address of the program's, too.
    if !ranges.iter().all(|piece| access_ok(piece.iov_base, piece.iov_len)) {
        return Err(Errno::EFAULT);
    }
    let mut pieces = IoVecs::new();
    for piece in ranges {
        let iov_len = piece.iov_len.min(left);
        left -= iov_len;
        try_push_small(&mut pieces, Iovec { iov_len, ..*piece })?;
    }
    let written = inode.write_pieces(memory(), &pieces, at, append);
    or_broken(inode, all, written)
}

/// What a write of so many bytes has answered, after the signal for whoever writes to a
/// pipe that nobody reads, which comes also after a part (pipe(7)).
#[inline(always)]
pub(super) fn or_broken(inode: &InodeFile, all: u64, written: SysResult) -> SysResult {
    if written != Ok(all) {
        tell_if_broken(inode, &written);
    }
    written
}

#[cold]
fn tell_if_broken(inode: &InodeFile, written: &SysResult) {
    if let inode::Kind::Fifo(pipe) = &inode.dentry.inode.kind
        && (*written == Err(Errno::EPIPE) || written.is_ok() && !pipe.has_readers())
    {
        current().send(SIGPIPE);
    }
}

fn to_standard(file: &Standard, flags: u32, ranges: &[Iovec]) -> SysResult {
    // A pipe takes all, if its writer may wait: the host takes a part at a time.
    let waits = waits(file, flags);
    let until = if waits && !file.is(S_IFREG) { Until::Done } else { Until::Short };
    let request = Request::Write { file: file.host, flags };
    let wait = waits.then_some((file.host, POLLOUT));
    let moved = transfer(memory(), ranges, Prot::READ, until, wait, &mut |_| request);
    watch::has_moved(file.host);
    match moved.error {
        // A pipe without readers kills also after a part; a socket then does not.
        Some(Errno::EPIPE) if moved.bytes == 0 || file.is(S_IFIFO) => {
            current().send(SIGPIPE);
        }
        // The host's limit.
        Some(Errno::EFBIG) if moved.bytes == 0 => current().send(SIGXFSZ),
        _ => {}
    }
    moved.result()
}

/// Whether a transfer waits: Linux ignores `O_NONBLOCK` of a regular file.
fn waits(file: &Standard, flags: u32) -> bool {
    file.is(S_IFREG) || flags & O_NONBLOCK == 0
}

/// pread(2)'s offset, which is checked before the descriptor.
pub(super) fn position(offset: i64) -> Result<u64, Errno> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

/// preadv(2): only of what has positions.
pub(super) fn input_at(file: &OpenFile, ranges: &[Iovec], offset: u64) -> SysResult {
    if file.as_standard().is_some_and(Standard::is_stream) {
        return Err(Errno::ESPIPE);
    }
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    match &file.kind {
        Kind::Inode(inode) => inode.read_pieces(memory(), ranges, At::Offset(offset)),
        Kind::Standard(standard) => {
            let request = &mut |done| Request::ReadAt {
                file: standard.host,
                offset: offset.saturating_add(done),
            };
            // Of others, what has positions does not wait.
            let wait = standard.is(S_IFREG).then_some((standard.host, POLLIN));
            transfer(memory(), ranges, Prot::WRITE, Until::Short, wait, request).result()
        }
    }
}

/// pwritev(2): only of what has positions. The VMM writes none of its files at an offset.
pub(super) fn output_at(file: &OpenFile, ranges: &[Iovec], offset: u64) -> SysResult {
    match &file.kind {
        Kind::Standard(standard) if standard.is_stream() => Err(Errno::ESPIPE),
        _ if !file.writable() => Err(Errno::EBADF),
        Kind::Standard(_) => Err(Errno::EOPNOTSUPP),
        Kind::Inode(inode) => write_pieces(inode, ranges, At::Offset(offset), inode.appends()),
    }
}

syscall_define! {
    /// read(2)
    fn read(fd: u32, buffer: UserPtr<u8>, count: u64) {
        let file = file(fd)?;
        match &file.kind {
            Kind::Inode(inode) if file.readable() => {
                inode.read_on(memory(), buffer.address(), count)
            }
            _ => input(&file, &one(buffer.address(), count)),
        }
    }
}
syscall_define! {
    /// write(2)
    fn write(fd: u32, buffer: UserPtr<u8>, count: u64) {
        let file = file(fd)?;
        match &file.kind {
            Kind::Inode(inode) if file.writable() => {
                let append = inode.appends();
                let count = allowed(inode, At::Position, count, append)?;
                let written = inode.write_on(memory(), buffer.address(), count, append);
                or_broken(inode, count, written)
            }
            _ => output(&file, &one(buffer.address(), count)),
        }
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

/// pread(2) for either width.
pub(super) fn read_at(fd: u32, buffer: UserPtr<u8>, count: u64, offset: i64) -> SysResult {
    let offset = position(offset)?;
    let file = file(fd)?;
    match &file.kind {
        Kind::Inode(inode) if file.readable() => {
            inode.read(memory(), buffer.address(), count, At::Offset(offset))
        }
        _ => input_at(&file, &one(buffer.address(), count), offset),
    }
}

/// pwrite(2) for either width.
pub(super) fn write_at(fd: u32, buffer: UserPtr<u8>, count: u64, offset: i64) -> SysResult {
    let offset = position(offset)?;
    let file = file(fd)?;
    match &file.kind {
        Kind::Inode(inode) if file.writable() => {
            let (at, append) = (At::Offset(offset), inode.appends());
            let count = allowed(inode, at, count, append)?;
            inode.write(memory(), buffer.address(), count, at, append)
        }
        _ => output_at(&file, &one(buffer.address(), count), offset),
    }
}

syscall_define! {
    /// pread(2)
    fn pread64(fd: u32, buffer: UserPtr<u8>, count: u64, offset: i64) {
        read_at(fd, buffer, count, offset)
    }
}
syscall_define! {
    /// pwrite(2)
    fn pwrite64(fd: u32, buffer: UserPtr<u8>, count: u64, offset: i64) {
        write_at(fd, buffer, count, offset)
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
    /// pwritev(2)
    fn pwritev(fd: u32, vectors: UserPtr<Iovec>, count: u64, offset: i64) {
        let offset = position(offset)?;
        output_at(&*file(fd)?, &read_iovecs(vectors, count)?, offset)
    }
}
syscall_define! {
    /// lseek(2)
    fn lseek(fd: u32, offset: i64, whence: u32) { seek(fd, offset, whence) }
}

/// lseek(2) for either width.
pub(super) fn seek(fd: u32, offset: i64, whence: u32) -> SysResult {
    let file = opened(fd)?;
    if whence > SEEK_HOLE {
        return Err(Errno::EINVAL);
    }
    match &file.kind {
        Kind::Inode(inode) => inode.seek(offset, whence),
        Kind::Standard(standard) if standard.is_stream() => Err(Errno::ESPIPE),
        Kind::Standard(standard) => call(Request::Seek { file: standard.host, offset, whence }),
    }
}
