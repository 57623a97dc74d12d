//! Pipes: pipe(2).

use crate::fs::file::OpenFile;
use crate::fs::inode::Kind;
use crate::fs::pipe::Pipe;
use crate::fs::table::Descriptor;
use crate::fs::unnamed;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::view;
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_SYS_RESOURCE;
use trapgate_uapi::fcntl::{O_CLOEXEC, O_DIRECT, O_NONBLOCK};

/// The longest pipe that everybody may make, in bytes: /proc/sys/fs/pipe-max-size.
const MAX_SIZE: u64 = 1 << 20;

/// pipe2(2)
fn make(descriptors: UserPtr<[u32; 2]>, flags: u32) -> SysResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    let process = &current().process;
    let ends = unnamed::pipe(&process.unnamed, view().who, flags & (O_NONBLOCK | O_DIRECT))?;
    let limit = process.limits.descriptors();
    let [read, write] = ends.map(|file| Descriptor { file, close_on_exec: flags & O_CLOEXEC != 0 });
    let insert = |descriptor| process.files.lock().insert(0, limit, descriptor);
    let close = |fd| drop(process.files.lock().close(fd));
    let read = insert(read)?;
    let write = insert(write).inspect_err(|_| close(read))?;
    descriptors.write([read, write]).map(|()| 0).inspect_err(|_| {
        close(read);
        close(write);
    })
}

syscall_define! {
    /// pipe(2)
    fn pipe(descriptors: UserPtr<[u32; 2]>) { make(descriptors, 0) }
}
syscall_define! {
    /// pipe2(2)
    fn pipe2(descriptors: UserPtr<[u32; 2]>, flags: u32) { make(descriptors, flags) }
}

/// The pipe that a file is.
pub(super) fn pipe_of(file: &OpenFile) -> Option<&Pipe> {
    match &file.as_inode()?.dentry.inode.kind {
        Kind::Fifo(pipe) => Some(pipe),
        _ => None,
    }
}

/// fcntl(2) `F_GETPIPE_SZ`
pub(super) fn size(file: &OpenFile) -> SysResult {
    pipe_of(file).map(Pipe::size).ok_or(Errno::EBADF)
}

/// fcntl(2) `F_SETPIPE_SZ`
pub(super) fn set_size(file: &OpenFile, size: u64) -> SysResult {
    let pipe = pipe_of(file).ok_or(Errno::EBADF)?;
    if size > MAX_SIZE && size > pipe.size() && !current().credentials.can(CAP_SYS_RESOURCE) {
        return Err(Errno::EPERM);
    }
    pipe.set_size(size)
}
