//! Counters that are files: eventfd(2).

use crate::fs::table::Descriptor;
use crate::fs::unnamed;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::view;
use trapgate_uapi::Errno;
use trapgate_uapi::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE};

fn make(count: u32, flags: u32) -> SysResult {
    if flags & !(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    let process = &current().process;
    let semaphore = flags & EFD_SEMAPHORE != 0;
    let (count, flags_of_file) = (count.into(), flags & EFD_NONBLOCK);
    let filesystem = &process.unnamed;
    let file = unnamed::event(filesystem, view().who, count, semaphore, flags_of_file)?;
    let descriptor = Descriptor { file, close_on_exec: flags & EFD_CLOEXEC != 0 };
    let limit = process.limits.descriptors();
    process.files.lock().insert(0, limit, descriptor).map(u64::from)
}

syscall_define! {
    /// eventfd(2)
    fn eventfd(count: u32) { make(count, 0) }
}
syscall_define! {
    /// eventfd2(2)
    fn eventfd2(count: u32, flags: u32) { make(count, flags) }
}
