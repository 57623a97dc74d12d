//! The machine as the program sees it: uname(2), sysinfo(2), getrusage(2).

use crate::mm::frames::FRAMES;
use crate::process::task::current;
use crate::process::utsname::{UTSNAME, UTSNAME32};
use crate::sys::define::syscall_define;
use crate::user::UserPtr;
use core::slice;
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::personality::{PER_LINUX32, PER_MASK};
use trapgate_uapi::resource::{RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, Rusage};
use trapgate_uapi::sysinfo::Sysinfo;
use trapgate_uapi::time::{NSEC_PER_SEC, Timeval};
use trapgate_uapi::utsname::NewUtsname;

/// What uname(2) tells the running task.
pub(super) fn names() -> &'static NewUtsname {
    match current().personality.load(Ordering::Relaxed) & PER_MASK {
        PER_LINUX32 => &UTSNAME32,
        _ => &UTSNAME,
    }
}

syscall_define! {
    /// uname(2)
    fn newuname(buffer: UserPtr<NewUtsname>) {
        buffer.write_slice(slice::from_ref(names())).map(|()| 0)
    }
}
syscall_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<Sysinfo>) { buffer.write(system_info()).map(|()| 0) }
}

/// What sysinfo(2) tells.
pub(super) fn system_info() -> Sysinfo {
    let process = &current().process;
    let freeram = FRAMES.lock().available() * PAGE_SIZE;
    Sysinfo {
        uptime: (process.clock.elapsed() / NSEC_PER_SEC) as i64,
        totalram: process.ram_size,
        freeram,
        procs: 1,
        mem_unit: 1,
        ..Sysinfo::default()
    }
}
syscall_define! {
    /// getrusage(2): all faults are those of the one process.
    fn getrusage(who: i32, usage: UserPtr<Rusage>) {
        usage.write(resource_usage(who)?).map(|()| 0)
    }
}

/// What getrusage(2) tells.
pub(super) fn resource_usage(who: i32) -> Result<Rusage, Errno> {
    let process = &current().process;
    let time = match who {
        RUSAGE_SELF => process.cpu_time(),
        RUSAGE_THREAD => current().cpu_time(),
        RUSAGE_CHILDREN => return Ok(Rusage::default()),
        _ => return Err(Errno::EINVAL),
    };
    // The most that the sandbox has taken of its memory.
    let untouched = FRAMES.lock().untouched() * PAGE_SIZE;
    Ok(Rusage {
        ru_utime: Timeval::from_ns(time.user()),
        ru_stime: Timeval::from_ns(time.system),
        ru_nvcsw: time.waited as i64,
        ru_nivcsw: time.preempted as i64,
        ru_maxrss: (process.ram_size.saturating_sub(untouched) / 1024) as i64,
        ru_minflt: percpu::page_faults() as i64,
        ..Rusage::default()
    })
}
