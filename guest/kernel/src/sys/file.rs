//! Files, as far as they are open already: read(2), write(2) and their
//! vectors, close(2), dup(2), fcntl(2), ioctl(2), lseek(2), fstat(2).
//! There is no file system yet, so no path names anything.

use crate::fs::file::OpenFile;
use crate::fs::table::Descriptor;
use crate::fs::transfer::{Until, transfer};
use crate::host::{Call, call};
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::{UserPtr, UserString, read_iovecs, read_string};
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_abi::file::{FileStatus, TRANSFER_FLAGS};
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    AT_EMPTY_PATH, F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC,
    O_CLOEXEC, O_NONBLOCK,
};
use trapgate_uapi::fs::{PATH_MAX, SEEK_HOLE};
use trapgate_uapi::ioctl::{
    FIOCLEX, FIONBIO, FIONCLEX, TCGETS, TCSETS, TCSETSF, TIOCGPGRP, TIOCGWINSZ, Termios,
};
use trapgate_uapi::signal::{SIGPIPE, SIGXFSZ};
use trapgate_uapi::stat::{S_IFIFO, S_IFREG, Stat};
use trapgate_uapi::uio::Iovec;

pub(super) fn file(fd: u32) -> Result<Arc<OpenFile>, Errno> {
    current().process.files.lock().file(fd)
}

pub(super) fn input(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    let until = if file.is(S_IFREG) { Until::Short } else { Until::Once };
    let request = Request::Read { file: file.host, flags: file.transfer_flags() };
    transfer(&current().process.memory, ranges, Prot::WRITE, until, &mut |_| request).result()
}

pub(super) fn output(file: &OpenFile, ranges: &[Iovec]) -> SysResult {
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    let flags = file.transfer_flags();
    // A pipe takes all, if its writer may wait: also where the host's own
    // description does not wait and has taken a part.
    let waits = !file.is(S_IFREG) && flags & O_NONBLOCK == 0;
    let until = if waits { Until::Done } else { Until::Short };
    let request = Request::Write { file: file.host, flags };
    let moved = transfer(&current().process.memory, ranges, Prot::READ, until, &mut |_| request);
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
    transfer(&current().process.memory, ranges, Prot::WRITE, Until::Short, &mut |done| {
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
    /// close(2)
    fn close(fd: u32) { current().process.files.lock().close(fd).map(|()| 0) }
}
syscall_define! {
    /// dup(2)
    fn dup(fd: u32) { duplicate(fd, 0, false) }
}
syscall_define! {
    /// dup2(2)
    fn dup2(old: u32, new: u32) {
        if old == new {
            return file(old).map(|_| new.into());
        }
        duplicate_to(old, new, false)
    }
}
syscall_define! {
    /// dup3(2)
    fn dup3(old: u32, new: u32, flags: u32) {
        if flags & !O_CLOEXEC != 0 || old == new {
            return Err(Errno::EINVAL);
        }
        duplicate_to(old, new, flags & O_CLOEXEC != 0)
    }
}

fn duplicate(fd: u32, least: u32, close_on_exec: bool) -> SysResult {
    let mut files = current().process.files.lock();
    let file = files.file(fd)?;
    files
        .insert(least, current().process.limits.descriptors(), Descriptor { file, close_on_exec })
        .map(u64::from)
}

fn duplicate_to(old: u32, new: u32, close_on_exec: bool) -> SysResult {
    let mut files = current().process.files.lock();
    let file = files.file(old)?;
    files
        .replace(new, current().process.limits.descriptors(), Descriptor { file, close_on_exec })
        .map(|()| new.into())
}

/// fcntl(2) for either width: no command here has a structure of two forms.
pub(super) fn control(fd: u32, command: u32, argument: u64) -> SysResult {
    let file = file(fd)?;
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => duplicate(fd, argument as u32, command == F_DUPFD_CLOEXEC),
        F_GETFD => {
            let mut files = current().process.files.lock();
            Ok(files.descriptor(fd)?.close_on_exec.into())
        }
        F_SETFD => {
            let mut files = current().process.files.lock();
            files.descriptor(fd)?.close_on_exec = argument as u32 & FD_CLOEXEC != 0;
            Ok(0)
        }
        F_GETFL => Ok(file.flags().into()),
        F_SETFL => {
            file.set_flags(TRANSFER_FLAGS, argument as u32);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

syscall_define! {
    /// fcntl(2)
    fn fcntl(fd: u32, command: u32, argument: u64) { control(fd, command, argument) }
}

/// Bytes of [`Termios`].
const TERMIOS: usize = size_of::<Termios>();

/// ioctl(2) for either width: what a terminal is asked, and two flags. Their
/// structures have no pointers and no `long`.
pub(super) fn control_device(fd: u32, request: u32, argument: u64) -> SysResult {
    let file = file(fd)?;
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
        _ if !file.is_terminal() => Err(Errno::ENOTTY),
        TCGETS => {
            let mut call = Call::new(Request::TerminalAttributes { file: file.host });
            call.submit()?;
            let mut bytes = [0; TERMIOS];
            let words: [u64; TERMIOS.div_ceil(8)] = call.data();
            for (chunk, word) in bytes.chunks_mut(8).zip(words) {
                chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
            }
            UserPtr::new(argument).write(bytes).map(|()| 0)
        }
        TIOCGWINSZ => {
            let mut call = Call::new(Request::WindowSize { file: file.host });
            call.submit()?;
            let [size]: [u64; 1] = call.data();
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

/// The host's answer, as x86-64 has it.
fn stat(status: &FileStatus) -> Stat {
    Stat {
        st_dev: status.dev,
        st_ino: status.ino,
        st_nlink: status.nlink,
        st_mode: status.mode as u32,
        st_uid: status.uid as u32,
        st_gid: status.gid as u32,
        __pad0: 0,
        st_rdev: status.rdev,
        st_size: status.size as i64,
        st_blksize: status.blksize as i64,
        st_blocks: status.blocks as i64,
        st_atime: status.atime,
        st_atime_nsec: status.atime_nsec,
        st_mtime: status.mtime,
        st_mtime_nsec: status.mtime_nsec,
        st_ctime: status.ctime,
        st_ctime_nsec: status.ctime_nsec,
        __unused: [0; 3],
    }
}

/// What fstat(2) tells of a file, whichever structure it goes into.
pub(super) fn status(fd: u32) -> Result<Stat, Errno> {
    let file = file(fd)?;
    if file.is(S_IFREG) {
        let mut call = Call::new(Request::Status { file: file.host });
        call.submit()?;
        return Ok(stat(&FileStatus::from_words(&call.data())));
    }
    Ok(stat(file.status()))
}

/// What fstatat(2) tells: of an open file; no path names one.
pub(super) fn status_at(fd: u32, path: UserPtr<u8>, flags: u32) -> Result<Stat, Errno> {
    let path = read_path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return status(fd);
    }
    Err(Errno::ENOENT)
}

syscall_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<Stat>) {
        buffer.write(status(fd)?).map(|()| 0)
    }
}
syscall_define! {
    /// fstatat(2)
    fn newfstatat(fd: u32, path: UserPtr<u8>, buffer: UserPtr<Stat>, flags: u32) {
        buffer.write(status_at(fd, path, flags)?).map(|()| 0)
    }
}

/// Reads a path, for what it may say of the pointer.
fn read_path(path: UserPtr<u8>) -> Result<Vec<u8>, Errno> {
    let UserString { bytes, terminated } = read_string(path, PATH_MAX)?;
    if terminated { Ok(bytes) } else { Err(Errno::ENAMETOOLONG) }
}

/// What a call with a path answers while there are no files: the path is
/// read, so that a bad pointer is found.
pub(super) fn no_such_file(path: UserPtr<u8>) -> SysResult {
    read_path(path)?;
    Err(Errno::ENOENT)
}

syscall_define! {
    /// open(2)
    fn open(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// openat(2)
    fn openat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// access(2)
    fn access(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// faccessat(2)
    fn faccessat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// readlink(2)
    fn readlink(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// readlinkat(2)
    fn readlinkat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// chdir(2)
    fn chdir(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// getcwd(2): the root. Answers the length, as the system call does.
    fn getcwd(buffer: UserPtr<[u8; 2]>, size: u64) {
        if size < 2 {
            return Err(Errno::ERANGE);
        }
        buffer.write(*b"/\0").map(|()| 2)
    }
}
