//! Files that are watched together: epoll_create(2), epoll_ctl(2), epoll_wait(2).

use crate::fs::epoll::Watched;
use crate::fs::pollable::{can_be_watched, epoll_of};
use crate::fs::table::Descriptor;
use crate::fs::unnamed;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::{file, opened};
use crate::sys::path::view;
use crate::sys::poll::{read_mask, with_mask};
use crate::user::UserPtr;
use alloc::sync::Arc;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_BLOCK_SUSPEND;
use trapgate_uapi::epoll::{
    EP_MAX_EVENTS, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET,
    EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLWAKEUP, EpollEvent,
};
use trapgate_uapi::time::Timespec;

/// What may be with `EPOLLEXCLUSIVE` (Linux: `EPOLLEXCLUSIVE_OK_BITS`).
const WITH_EXCLUSIVE: u32 =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

fn make(flags: u32) -> SysResult {
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let process = &current().process;
    let file = unnamed::epoll(&process.unnamed, view().who)?;
    let descriptor = Descriptor { file, close_on_exec: flags & EPOLL_CLOEXEC != 0 };
    let limit = process.limits.descriptors();
    process.files.lock().insert(0, limit, descriptor).map(u64::from)
}

syscall_define! {
    /// epoll_create(2): how many files is not asked any more.
    fn epoll_create(size: i32) { if size <= 0 { Err(Errno::EINVAL) } else { make(0) } }
}
syscall_define! {
    /// epoll_create1(2)
    fn epoll_create1(flags: u32) { make(flags) }
}

syscall_define! {
    /// epoll_ctl(2)
    fn epoll_ctl(epfd: u32, operation: u32, fd: u32, event: UserPtr<EpollEvent>) {
        let mut event = match operation {
            EPOLL_CTL_DEL => EpollEvent::default(),
            _ => event.read()?,
        };
        let (own, target) = (opened(epfd)?, opened(fd)?);
        if !can_be_watched(&target) {
            return Err(Errno::EPERM);
        }
        if event.events & EPOLLWAKEUP != 0 && !current().credentials.can(CAP_BLOCK_SUSPEND) {
            event.events &= !EPOLLWAKEUP;
        }
        let epoll = epoll_of(&own).filter(|_| !Arc::ptr_eq(&own, &target)).ok_or(Errno::EINVAL)?;
        if event.events & EPOLLEXCLUSIVE != 0 {
            let with = event.events & !WITH_EXCLUSIVE == 0 && epoll_of(&target).is_none();
            if operation == EPOLL_CTL_MOD || operation == EPOLL_CTL_ADD && !with {
                return Err(Errno::EINVAL);
            }
        }
        let target: Arc<dyn Watched> = target;
        match operation {
            EPOLL_CTL_ADD => epoll.add(fd, &target, event),
            EPOLL_CTL_MOD => epoll.change(fd, &target, event),
            EPOLL_CTL_DEL => epoll.remove(fd, &target),
            _ => Err(Errno::EINVAL),
        }.map(|()| 0)
    }
}

/// Waits: for ever without a time, which is in nanoseconds.
#[inline(always)]
fn wait(epfd: u32, events: UserPtr<EpollEvent>, most: i32, timeout_ns: Option<u64>) -> SysResult {
    let file = file(epfd)?;
    if most <= 0 || most > EP_MAX_EVENTS {
        return Err(Errno::EINVAL);
    }
    if !access_ok(events.address(), most as u64 * size_of::<EpollEvent>() as u64) {
        return Err(Errno::EFAULT);
    }
    let epoll = epoll_of(&file).ok_or(Errno::EINVAL)?;
    let deadline = || match timeout_ns {
        None => Some(None),
        Some(0) => None,
        Some(timeout) => Some(Some(current().process.clock.elapsed().saturating_add(timeout))),
    };
    epoll.wait(most as u64, deadline, |index, event| events.offset(index).write(event))
}

/// A wait that a signal has ended is never made again, whatever its handler wants.
#[inline(always)]
fn once(result: SysResult) -> SysResult {
    match result {
        Err(Errno::ERESTARTSYS | Errno::ERESTARTNOHAND) => Err(Errno::EINTR),
        result => result,
    }
}

/// A time in milliseconds, negative for ever.
#[inline(always)]
fn milliseconds(timeout_ms: i32) -> Option<u64> {
    u64::try_from(timeout_ms).ok().map(|timeout| timeout * 1_000_000)
}

syscall_define! {
    /// epoll_wait(2)
    fn epoll_wait(epfd: u32, events: UserPtr<EpollEvent>, most: i32, timeout_ms: i32) {
        once(wait(epfd, events, most, milliseconds(timeout_ms)))
    }
}
syscall_define! {
    /// epoll_pwait(2)
    fn epoll_pwait(
        epfd: u32,
        events: UserPtr<EpollEvent>,
        most: i32,
        timeout_ms: i32,
        mask: UserPtr<u64>,
        mask_size: u64,
    ) {
        let mask = read_mask((mask, mask_size))?;
        once(with_mask(mask, || wait(epfd, events, most, milliseconds(timeout_ms))))
    }
}
syscall_define! {
    /// epoll_pwait2(2)
    fn epoll_pwait2(
        epfd: u32,
        events: UserPtr<EpollEvent>,
        most: i32,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<u64>,
        mask_size: u64,
    ) {
        let time = if timeout.is_null() { None } else { Some(timeout.read()?) };
        wait_within(epfd, events, most, time, (mask, mask_size))
    }
}

/// epoll_pwait2(2) for either width; without a time, for ever.
pub(super) fn wait_within(
    epfd: u32,
    events: UserPtr<EpollEvent>,
    most: i32,
    timeout: Option<Timespec>,
    mask: (UserPtr<u64>, u64),
) -> SysResult {
    let timeout_ns = timeout.map(Timespec::to_ns).transpose()?;
    let mask = read_mask(mask)?;
    once(with_mask(mask, || wait(epfd, events, most, timeout_ns)))
}
