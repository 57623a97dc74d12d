//! Which pages are in memory, and which shall be: madvise(2), mlock(2) and its kin,
//! mincore(2); msync(2).

use crate::mm::object::Object;
use crate::mm::space::FaultError;
use crate::mm::vma::{Marks, Prot};
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::lock_limit::lock_limit;
use crate::sys::mm::{memory, touch};
use crate::user::UserPtr;
use alloc::sync::Arc;
use trapgate_abi::layout::{PAGE_SIZE, page_up};
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::mman::{
    MADV_COLD, MADV_DODUMP, MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, MADV_DONTNEED_LOCKED,
    MADV_FREE, MADV_KEEPONFORK, MADV_MERGEABLE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ,
    MADV_POPULATE_WRITE, MADV_REMOVE, MADV_WILLNEED, MADV_WIPEONFORK, MCL_CURRENT, MCL_FUTURE,
    MCL_ONFAULT, MLOCK_ONFAULT, MS_ASYNC, MS_INVALIDATE, MS_SYNC,
};

syscall_define! {
    /// madvise(2): DONTNEED and FREE give memory back, REMOVE the object's, too; POPULATE
    /// touches; some is for fork(2). Other advice is accepted and has no effect.
    fn madvise(address: u64, length: u64, advice: u32) {
        match advice {
            MADV_DONTNEED => memory().discard(address, length, false, false)?,
            MADV_DONTNEED_LOCKED => memory().discard(address, length, false, true)?,
            MADV_FREE => memory().discard(address, length, true, false)?,
            MADV_REMOVE => remove(address, length)?,
            MADV_POPULATE_READ => populate(address, length, Prot::READ)?,
            MADV_POPULATE_WRITE => populate(address, length, Prot::WRITE)?,
            MADV_NORMAL..=MADV_WILLNEED
            | MADV_MERGEABLE..=MADV_DODUMP => {
                memory().check_mapped(address, length, Errno::EINVAL)?;
            }
            MADV_COLD | MADV_PAGEOUT => {
                let memory = memory();
                memory.check_mapped(address, length, Errno::EINVAL)?;
                if memory.has_locked(address, length) {
                    return Err(Errno::EINVAL);
                }
            }
            MADV_DONTFORK => mark(address, length, Marks::DONT_FORK, Marks::NONE)?,
            MADV_DOFORK => mark(address, length, Marks::NONE, Marks::DONT_FORK)?,
            MADV_WIPEONFORK => memory().wipe_on_fork(address, length)?,
            MADV_KEEPONFORK => mark(address, length, Marks::NONE, Marks::WIPE_ON_FORK)?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}

fn mark(address: u64, length: u64, set: Marks, clear: Marks) -> Result<(), Errno> {
    memory().mark(address, length, set, clear)
}

/// The pages that madvise(2) is about.
fn advised(address: u64, length: u64) -> Result<(u64, u64), Errno> {
    let end = page_up(length).and_then(|length| address.checked_add(length));
    match end {
        Some(end) if address.is_multiple_of(PAGE_SIZE) => Ok((address, end)),
        _ => Err(Errno::EINVAL),
    }
}

/// `MADV_POPULATE_READ`, `MADV_POPULATE_WRITE`
fn populate(address: u64, length: u64, access: Prot) -> Result<(), Errno> {
    let (start, end) = advised(address, length)?;
    touch(start, end, Some(access)).map_err(|error| match error {
        FaultError::Access => Errno::EINVAL,
        FaultError::Beyond => Errno::EFAULT,
        _ => Errno::ENOMEM,
    })
}

/// `MADV_REMOVE`: a hole in what is mapped.
fn remove(address: u64, length: u64) -> Result<(), Errno> {
    let (mut at, end) = advised(address, length)?;
    let mut covered = Ok(());
    while at < end {
        let (object, first, next) = {
            let memory = memory();
            let Some(vma) = memory.area_from(at).filter(|vma| vma.start < end) else {
                return Err(Errno::ENOMEM);
            };
            if vma.start > at {
                // What is mapped is done nevertheless.
                (covered, at) = (Err(Errno::ENOMEM), vma.start);
            }
            let part = vma.backing.part().ok_or(Errno::EINVAL)?;
            if vma.marks().has(Marks::LOCKED) {
                return Err(Errno::EINVAL);
            }
            if !vma.backing.is_shared() || !part.mapped.may_write {
                return Err(Errno::EACCES);
            }
            let first = part.first * PAGE_SIZE + (at - vma.start);
            (part.mapped.object.clone(), first, vma.end.min(end))
        };
        punch(&object, first, first + (next - at))?;
        at = next;
    }
    covered
}

/// Makes a hole of bytes in an object, which whoever has it mapped sees.
pub(super) fn punch(object: &Arc<Object>, start: u64, end: u64) -> Result<(), Errno> {
    if object.is_written_there() {
        return Err(Errno::EOPNOTSUPP);
    }
    memory().forget(object, start.div_ceil(PAGE_SIZE)..end / PAGE_SIZE);
    object.punch(start, end).map_err(Errno::from)
}

syscall_define! {
    /// msync(2): memory is never out of date, but files of the host's may be.
    fn msync(address: u64, length: u64, flags: u32) {
        let both = MS_ASYNC | MS_SYNC;
        if flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
            return Err(Errno::EINVAL);
        }
        // As in Linux: what is rounded up beyond all numbers is nothing.
        let length = if page_up(length).is_none() { 0 } else { length };
        memory().check_mapped(address, length, Errno::ENOMEM)?;
        current().process.write_back.all(flags & MS_SYNC != 0).map(|()| 0)
    }
}

/// The whole pages of a range for mlock(2): a length that wraps is a short one.
fn locked(address: u64, length: u64, set: Marks) -> Result<(u64, u64), Errno> {
    let start = address & !(PAGE_SIZE - 1);
    let length = length.wrapping_add(address - start).wrapping_add(PAGE_SIZE - 1);
    let end = start.checked_add(length & !(PAGE_SIZE - 1)).ok_or(Errno::EINVAL)?;
    memory().mark(start, end - start, set, Marks::LOCKED.without(set))?;
    Ok((start, end))
}

/// mlock(2): guest memory is never swapped out by the guest, so that it is touched, and
/// stays.
fn lock(address: u64, length: u64, on_fault: bool) -> SysResult {
    let limit = lock_limit();
    if limit == 0 {
        return Err(Errno::EPERM);
    }
    if limit != u64::MAX {
        let start = address & !(PAGE_SIZE - 1);
        let bytes = length.wrapping_add(address - start).wrapping_add(PAGE_SIZE - 1);
        let end = start.saturating_add(bytes & !(PAGE_SIZE - 1));
        let memory = memory();
        if memory.locked_pages() + memory.not_yet_locked(start, end) > limit {
            return Err(Errno::ENOMEM);
        }
    }
    let (start, end) = locked(address, length, Marks::LOCKED)?;
    if on_fault {
        return Ok(0);
    }
    touch(start, end, None).map(|()| 0).map_err(|error| match error {
        FaultError::OutOfMemory => Errno::EAGAIN,
        _ => Errno::ENOMEM,
    })
}
syscall_define! {
    /// mlock(2)
    fn mlock(address: u64, length: u64) { lock(address, length, false) }
}
syscall_define! {
    /// mlock2(2)
    fn mlock2(address: u64, length: u64, flags: u32) {
        if flags & !MLOCK_ONFAULT != 0 {
            return Err(Errno::EINVAL);
        }
        lock(address, length, flags & MLOCK_ONFAULT != 0)
    }
}
syscall_define! {
    /// munlock(2)
    fn munlock(address: u64, length: u64) { locked(address, length, Marks::NONE).map(|_| 0) }
}
syscall_define! {
    /// mlockall(2): what is mapped is touched, as far as that goes.
    fn mlockall(flags: u32) {
        let known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
        if flags & !known != 0 || flags & (MCL_CURRENT | MCL_FUTURE) == 0 {
            return Err(Errno::EINVAL);
        }
        let limit = lock_limit();
        if limit == 0 {
            return Err(Errno::EPERM);
        }
        if flags & MCL_CURRENT != 0 && memory().mapped_pages() > limit {
            return Err(Errno::ENOMEM);
        }
        let marks = |flag| if flags & flag != 0 { Marks::LOCKED } else { Marks::NONE };
        let future = marks(MCL_FUTURE);
        if flags & MCL_CURRENT != 0 {
            memory().mark_all(Marks::LOCKED, future)?;
        } else {
            memory().set_future(future);
        }
        if flags & (MCL_CURRENT | MCL_ONFAULT) == MCL_CURRENT {
            let mut at = 0;
            let next = |at| memory().area_from(at).map(|vma| (vma.start, vma.end));
            while let Some((start, end)) = next(at) {
                let _ = touch(start, end, None);
                at = end;
            }
        }
        Ok(0)
    }
}
syscall_define! {
    /// munlockall(2)
    fn munlockall() { memory().mark_all(Marks::NONE, Marks::NONE).map(|()| 0) }
}

syscall_define! {
    /// mincore(2)
    fn mincore(address: u64, length: u64, vector: UserPtr<u8>) {
        /// Pages at a time.
        const AT_ONCE: usize = 64;
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if !access_ok(address, length) {
            return Err(Errno::ENOMEM);
        }
        let pages = length.div_ceil(PAGE_SIZE);
        if !access_ok(vector.address(), pages) {
            return Err(Errno::EFAULT);
        }
        let mut done = 0;
        while done < pages {
            let mut states = [0; AT_ONCE];
            let count = (pages - done).min(AT_ONCE as u64) as usize;
            for (page, state) in (done..).zip(&mut states[..count]) {
                let there = memory().is_resident(address + page * PAGE_SIZE);
                *state = there.ok_or(Errno::ENOMEM)?.into();
            }
            vector.offset(done).write_slice(&states[..count])?;
            done += count as u64;
        }
        Ok(0)
    }
}
