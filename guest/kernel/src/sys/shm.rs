//! System V's shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).

use crate::mm::backing::Part;
use crate::mm::space::map::{Place, Window};
use crate::mm::vma::{Marks, Prot, Vma};
use crate::process::segments::{Asking, Segment};
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::mm::{memory, memory_with_frames};
use crate::user::UserPtr;
use trapgate_abi::layout::{PAGE_SIZE, page_up};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_IPC_LOCK;
use trapgate_uapi::ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, Ipc64Perm};
use trapgate_uapi::shm::{
    SHM_EXEC, SHM_INFO, SHM_LOCK, SHM_RDONLY, SHM_REMAP, SHM_RND, SHM_STAT, SHM_STAT_ANY,
    SHM_UNLOCK, SHMALL, SHMMAX, SHMMIN, SHMMNI, ShmInfo, Shmid64, Shminfo64,
};
use trapgate_uapi::stat::{S_IRUGO, S_IRWXUGO, S_IWUGO, S_IXUGO};
use trapgate_uapi::time::NSEC_PER_SEC;

/// The running task, as segments know it.
fn asking() -> Asking<'static> {
    let task = current();
    let now = (task.process.clock.realtime() / NSEC_PER_SEC) as i64;
    Asking { who: task.credentials.for_files(), pid: task.pid, now }
}

/// Does something with the segment of this number.
fn with<T>(id: i32, run: impl FnOnce(&mut Segment) -> Result<T, Errno>) -> Result<T, Errno> {
    let id = u32::try_from(id).map_err(|_| Errno::EINVAL)?;
    run(current().process.segments.lock().find(id)?)
}

/// shmget(2), also by another name.
pub(super) fn get(key: i32, size: u64, flags: u32) -> SysResult {
    let (process, asking) = (&current().process, asking());
    let pages = process.ram_size / PAGE_SIZE;
    process.segments.lock().get(key, size, flags, asking, pages).map(u64::from)
}
syscall_define! {
    /// shmget(2)
    fn shmget(key: i32, size: u64, flags: u32) { get(key, size, flags) }
}

/// Where shmat(2) is to put a segment: `None` for anywhere.
fn place(address: u64, flags: u32) -> Result<Option<u64>, Errno> {
    let (rounds, replaces) = (flags & SHM_RND != 0, flags & SHM_REMAP != 0);
    match address {
        0 if replaces => Err(Errno::EINVAL),
        0 => Ok(None),
        _ if address.is_multiple_of(PAGE_SIZE) => Ok(Some(address)),
        1..PAGE_SIZE if rounds && replaces => Err(Errno::EINVAL),
        _ if rounds => Ok(Some(address - address % PAGE_SIZE)),
        _ => Err(Errno::EINVAL),
    }
}

/// shmat(2) for either width.
pub(super) fn attach(id: i32, address: u64, flags: u32, window: Window) -> SysResult {
    let id_is_number = id >= 0;
    let fixed = place(address, flags)?;
    if !id_is_number {
        return Err(Errno::EINVAL);
    }
    let writes = flags & SHM_RDONLY == 0;
    let executes = flags & SHM_EXEC != 0;
    let optional = |wanted: bool, bits: u32| if wanted { bits } else { 0 };
    let wanted = S_IRUGO | optional(writes, S_IWUGO) | optional(executes, S_IXUGO);
    let access = |wanted: bool, access| if wanted { access } else { Prot::NONE };
    let prot = Prot::READ.with(access(writes, Prot::WRITE)).with(access(executes, Prot::EXEC));
    let asking = asking();
    let (mapped, size) = with(id, |segment| {
        segment.check(wanted, asking.who)?;
        Ok((segment.mapped(writes)?, segment.size))
    })?;
    let place = Place {
        fixed: fixed.is_some(),
        replace: flags & SHM_REMAP != 0,
        window,
        shared: true,
        marks: Marks::NONE,
    };
    let part = Some(Part { mapped, first: 0 });
    let at = fixed.unwrap_or(0);
    let start = memory_with_frames().map(at, size, prot, place, part, false).map_err(|error| {
        // Linux looks for what is in its way itself.
        if error == Errno::EEXIST { Errno::EINVAL } else { error }
    })?;
    // It may have been removed meanwhile, and is there for those who have it.
    let _ = with(id, |segment| {
        segment.note_attach(asking);
        Ok(())
    });
    Ok(start)
}
syscall_define! {
    /// shmat(2)
    fn shmat(id: i32, address: u64, flags: u32) { attach(id, address, flags, Window::NATIVE) }
}

/// The segment of a mapping, if it would begin at `address` with its first page.
fn segment_at(vma: &Vma, address: u64) -> Option<u32> {
    let part = vma.backing.part()?;
    let id = part.mapped.file.as_ref()?.segment()?;
    (vma.start.checked_sub(part.first * PAGE_SIZE) == Some(address)).then_some(id)
}

/// shmdt(2): all that is left of what one shmat(2) has mapped there.
pub(super) fn detach(address: u64) -> SysResult {
    if !address.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let (mut at, mut end, mut found) = (address, u64::MAX, None);
    loop {
        let next = memory()
            .area_from(at)
            .filter(|vma| vma.start < end)
            .map(|vma| (vma.start, vma.end, segment_at(vma, address)));
        let Some((start, next, id)) = next else { break };
        at = next;
        let Some(id) = id.filter(|&id| found.is_none_or(|found| found == id)) else { continue };
        if found.is_none() {
            let size = with(id as i32, |segment| Ok(segment.size)).unwrap_or(u64::MAX);
            end = page_up(size).and_then(|size| address.checked_add(size)).unwrap_or(u64::MAX);
            found = Some(id);
        }
        memory().unmap(start, next - start)?;
    }
    let id = found.ok_or(Errno::EINVAL)?;
    let asking = asking();
    let _ = with(id as i32, |segment| {
        segment.note_detach(asking);
        Ok(())
    });
    Ok(0)
}
syscall_define! {
    /// shmdt(2)
    fn shmdt(address: u64) { detach(address) }
}

/// What shmctl(2) tells or takes, in the form of either width.
pub(super) enum Answer {
    /// Nothing but its result.
    Done(u64),
    /// One segment, and the result.
    Segment(Shmid64, u64),
    /// The limits.
    Limits(Shminfo64, u64),
    /// All segments.
    All(ShmInfo, u64),
}

/// A new owner, and permissions.
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

fn told(segment: &Segment) -> Shmid64 {
    Shmid64 {
        shm_perm: Ipc64Perm {
            key: segment.key,
            uid: segment.uid,
            gid: segment.gid,
            cuid: segment.creator_uid,
            cgid: segment.creator_gid,
            mode: segment.mode,
            seq: segment.sequence(),
            ..Ipc64Perm::default()
        },
        shm_segsz: segment.size,
        shm_atime: segment.attached,
        shm_dtime: segment.detached,
        shm_ctime: segment.changed,
        shm_cpid: segment.creator_pid,
        shm_lpid: segment.last_pid,
        shm_nattch: segment.attaches(),
        unused: [0; 2],
    }
}

fn all_segments() -> Answer {
    let mut segments = current().process.segments.lock();
    let last = segments.last_place();
    let mut info = ShmInfo::default();
    for segment in segments.iter() {
        info.used_ids += 1;
        info.shm_tot += segment.size.div_ceil(PAGE_SIZE);
        info.shm_rss += segment.resident();
    }
    Answer::All(info, last)
}

fn limits() -> Answer {
    let info = Shminfo64 {
        shmmax: SHMMAX,
        shmmin: SHMMIN,
        shmmni: SHMMNI as u64,
        shmseg: SHMMNI as u64,
        shmall: SHMALL,
        unused: [0; 4],
    };
    Answer::Limits(info, current().process.segments.lock().last_place())
}

/// shmctl(2) for either width; `owner` reads what `IPC_SET` takes.
pub(super) fn control(
    id: i32,
    command: u32,
    owner: impl FnOnce() -> Result<Owner, Errno>,
) -> Result<Answer, Errno> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let asking = asking();
    let done = || Answer::Done(0);
    match command {
        IPC_INFO => Ok(limits()),
        SHM_INFO => Ok(all_segments()),
        SHM_STAT | SHM_STAT_ANY => {
            let mut segments = current().process.segments.lock();
            let segment = segments.at(id as u32)?;
            if command == SHM_STAT {
                segment.check(S_IRUGO, asking.who)?;
            }
            Ok(Answer::Segment(told(segment), segment.id.into()))
        }
        IPC_STAT => with(id, |segment| {
            segment.check(S_IRUGO, asking.who)?;
            Ok(Answer::Segment(told(segment), 0))
        }),
        IPC_SET => {
            let Owner { uid, gid, mode } = owner()?;
            with(id, |segment| {
                segment.check_owner(asking.who)?;
                if uid == u32::MAX || gid == u32::MAX {
                    return Err(Errno::EINVAL);
                }
                (segment.uid, segment.gid, segment.changed) = (uid, gid, asking.now);
                segment.mode = segment.mode & !S_IRWXUGO | mode & S_IRWXUGO;
                Ok(done())
            })
        }
        IPC_RMID => with(id, |segment| {
            segment.check_owner(asking.who)?;
            segment.remove();
            Ok(done())
        }),
        SHM_LOCK | SHM_UNLOCK => with(id, |segment| {
            if !asking.who.can(CAP_IPC_LOCK) {
                segment.check_owner(asking.who)?;
            }
            segment.set_locked(command == SHM_LOCK);
            Ok(done())
        }),
        _ => Err(Errno::EINVAL),
    }
}

syscall_define! {
    /// shmctl(2)
    fn shmctl(id: i32, command: u32, buffer: UserPtr<Shmid64>) {
        let owner = || {
            let Ipc64Perm { uid, gid, mode, .. } = buffer.read()?.shm_perm;
            Ok(Owner { uid, gid, mode })
        };
        match control(id, command, owner)? {
            Answer::Done(result) => Ok(result),
            Answer::Segment(segment, result) => buffer.write(segment).map(|()| result),
            Answer::Limits(limits, result) => buffer.cast().write(limits).map(|()| result),
            Answer::All(info, result) => buffer.cast().write(info).map(|()| result),
        }
    }
}
