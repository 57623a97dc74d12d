//! Locks on files: flock(2), and the commands of fcntl(2).

use crate::fs::file::{OpenFile, readable, writable};
use crate::fs::inode::Kind;
use crate::fs::inode_file::{InodeFile, LOCKED};
use crate::fs::lock::{Lock, Owner, TO_THE_END};
use crate::process::task::current;
use crate::sched::wait::wait;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK,
    Flock, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN,
};
use trapgate_uapi::fs::{SEEK_CUR, SEEK_END, SEEK_SET};

/// The file of a file system, of which alone there are locks here.
fn lockable(file: &OpenFile) -> Result<&InodeFile, Errno> {
    file.as_inode().ok_or(Errno::ENOLCK)
}

/// Sets a lock, after those that stand in its way if it may wait.
fn acquire(file: &InodeFile, lock: Lock, waits: bool) -> SysResult {
    let attempt = || {
        let mut locks = file.dentry.inode.locks.lock();
        match locks.conflict(&lock) {
            Some(_) => Ok(None),
            None => locks.set(lock).map(Some),
        }
    };
    let set = match attempt()? {
        None if waits => wait(&[&LOCKED], None, attempt)?,
        set => set,
    };
    // Another's lock may have become weaker.
    if set.ok_or(Errno::EAGAIN)? {
        LOCKED.wake_all();
    }
    Ok(0)
}

fn release(file: &InodeFile, lock: Lock) -> SysResult {
    let given_up = file.dentry.inode.locks.lock().clear(lock)?;
    if given_up {
        LOCKED.wake_all();
    }
    Ok(0)
}

syscall_define! {
    /// flock(2)
    fn flock(fd: u32, operation: u32) {
        let exclusive = match operation & !LOCK_NB {
            LOCK_SH => false,
            LOCK_EX => true,
            LOCK_UN => {
                let file = opened(fd)?;
                let file = lockable(&file)?;
                return release(file, whole(file, false));
            }
            _ => return Err(Errno::EINVAL),
        };
        let file = opened(fd)?;
        let file = lockable(&file)?;
        acquire(file, whole(file, exclusive), operation & LOCK_NB == 0)
    }
}

fn whole(file: &InodeFile, exclusive: bool) -> Lock {
    Lock { owner: Owner::Whole(file.owner()), exclusive, start: 0, end: TO_THE_END }
}

/// fcntl(2)'s commands about locks, for either width: the structure goes in, and comes out
/// again if the command tells something.
pub(super) fn control_lock(
    fd: u32,
    command: u32,
    read: impl FnOnce() -> Result<Flock, Errno>,
) -> Result<Option<Flock>, Errno> {
    let open = opened(fd)?;
    let mut flock = read()?;
    let file = lockable(&open)?;
    let of_file = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    if of_file && flock.l_pid != 0 {
        return Err(Errno::EINVAL);
    }
    let pid = current().process.pid;
    let owner = if of_file { Owner::File(file.owner()) } else { Owner::Process(pid) };
    let (start, end) = range(file, &flock)?;
    let lock = Lock { owner, exclusive: flock.l_type == F_WRLCK, start, end };
    let asks = matches!(command, F_GETLK | F_OFD_GETLK);
    match flock.l_type {
        F_RDLCK | F_WRLCK => {}
        F_UNLCK if asks => return Err(Errno::EINVAL),
        F_UNLCK => return release(file, lock).map(|_| None),
        _ => return Err(Errno::EINVAL),
    }
    if asks {
        let conflict = file.dentry.inode.locks.lock().conflict(&lock);
        match conflict {
            None => flock.l_type = F_UNLCK,
            Some(there) => flock = describe(&there),
        }
        return Ok(Some(flock));
    }
    let may = if lock.exclusive { writable(open.flags()) } else { readable(open.flags()) };
    if !may {
        return Err(Errno::EBADF);
    }
    acquire(file, lock, matches!(command, F_SETLKW | F_OFD_SETLKW)).map(|_| None)
}

/// Whether a command is about locks.
pub(super) const fn is_about_locks(command: u32) -> bool {
    matches!(command, F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW)
}

fn describe(lock: &Lock) -> Flock {
    Flock {
        l_type: if lock.exclusive { F_WRLCK } else { F_RDLCK },
        l_whence: SEEK_SET as i16,
        l_start: lock.start as i64,
        l_len: if lock.end == TO_THE_END { 0 } else { (lock.end - lock.start) as i64 },
        l_pid: match lock.owner {
            Owner::Process(pid) => pid as i32,
            Owner::File(_) | Owner::Whole(_) => -1,
        },
        ..Flock::default()
    }
}

/// The bytes that a structure means: a length of 0 is up to the end, a negative one is
/// what is before the start.
fn range(file: &InodeFile, flock: &Flock) -> Result<(u64, u64), Errno> {
    let base = match flock.l_whence as u32 {
        SEEK_SET => 0,
        SEEK_CUR => file.position.load(Ordering::Relaxed) as i64,
        SEEK_END => match &file.dentry.inode.kind {
            Kind::Regular(object) => object.size() as i64,
            _ => 0,
        },
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(flock.l_start).ok_or(Errno::EOVERFLOW)?;
    let (start, end) = match flock.l_len {
        0 => (start, None),
        length @ 1.. => {
            // The last byte is at most the last that there can be.
            let last = start.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?;
            (start, Some(last))
        }
        length => (start.checked_add(length).ok_or(Errno::EINVAL)?, Some(start - 1)),
    };
    let start = u64::try_from(start).map_err(|_| Errno::EINVAL)?;
    let end = match end {
        Some(i64::MAX) | None => TO_THE_END,
        Some(last) => last as u64 + 1,
    };
    Ok((start, end))
}
