//! Descriptors: close(2), close_range(2), dup(2).

use crate::fs::file::OpenFile;
use crate::fs::lock::Owner;
use crate::fs::table::Descriptor;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::close_range::{CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE};
use trapgate_uapi::fcntl::{O_CLOEXEC, O_PATH};

/// The file behind a descriptor of the running task.
pub(super) fn file(fd: u32) -> Result<Arc<OpenFile>, Errno> {
    current().process.files.lock().file(fd)
}

/// The same of a file that is open for more than its place (`O_PATH`).
pub(super) fn opened(fd: u32) -> Result<Arc<OpenFile>, Errno> {
    let file = file(fd)?;
    if file.flags() & O_PATH != 0 { Err(Errno::EBADF) } else { Ok(file) }
}

syscall_define! {
    /// close(2)
    fn close(fd: u32) {
        // Closed without the table's lock: a file that ends with it may need others.
        let closed = current().process.files.lock().close(fd)?;
        closed_one(&closed);
        Ok(0)
    }
}
/// Whatever descriptor of a file a process closes, its own locks on the file go.
fn closed_one(descriptor: &Descriptor) {
    if let Some(file) = descriptor.file.as_inode() {
        file.unlock(&[Owner::Process(current().process.pid)]);
    }
}

syscall_define! {
    /// close_range(2)
    fn close_range(first: u32, last: u32, flags: u32) {
        if flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 || first > last {
            return Err(Errno::EINVAL);
        }
        // There is one process: its table is its own.
        let files = &current().process.files;
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            files.lock().close_on_exec(first, last);
            return Ok(0);
        }
        let mut next = first;
        loop {
            let closed = files.lock().close_next(next, last, false);
            let Some((number, closed)) = closed else { return Ok(0) };
            closed_one(&closed);
            next = number;
        }
    }
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

/// dup(2), and the command of fcntl(2): the lowest descriptor from `least` on.
pub(super) fn duplicate(fd: u32, least: u32, close_on_exec: bool) -> SysResult {
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
