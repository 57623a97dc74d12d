//! System V's shared memory as i386 has it: structures of 32-bit words; and ipc(2), one
//! call for all of it.

use crate::mm::space::map::Window;
use crate::sys::define::{SysResult, compat_define};
use crate::sys::shm::{Answer, Owner, attach, control, detach, get};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::ipc::{CompatIpc64Perm, IPC_64, SHMAT, SHMCTL, SHMDT, SHMGET};
use trapgate_uapi::shm::{CompatShmid64, ShmInfo, Shminfo64};

/// A number that 32 bits may not hold: the most that they do.
fn cut(number: u64) -> u32 {
    number.min(i32::MAX as u64) as u32
}

/// shmctl(2) with the later structures.
fn shm_control(id: i32, command: u32, buffer: UserPtr<CompatShmid64>) -> SysResult {
    let owner = || {
        let CompatIpc64Perm { uid, gid, mode, .. } = buffer.read()?.shm_perm;
        Ok(Owner { uid, gid, mode: mode.into() })
    };
    match control(id, command, owner)? {
        Answer::Done(result) => Ok(result),
        Answer::Segment(segment, result) => buffer.write(segment.into()).map(|()| result),
        Answer::Limits(limits, result) => {
            let Shminfo64 { shmmax, shmmin, shmmni, shmseg, shmall, .. } = limits;
            let [first, rest @ ..] = [shmmax, shmmin, shmmni, shmseg, shmall];
            let [min, mni, seg, all] = rest.map(|number| number as u32);
            buffer.cast().write([cut(first), min, mni, seg, all, 0, 0, 0, 0]).map(|()| result)
        }
        Answer::All(info, result) => {
            let ShmInfo { used_ids, shm_tot, shm_rss, .. } = info;
            let [ids, all, resident] = [used_ids, shm_tot, shm_rss].map(|number| number as u32);
            buffer.cast().write([ids, all, resident, 0, 0, 0]).map(|()| result)
        }
    }
}

compat_define! {
    /// shmctl(2): by its own number always with the later structures.
    fn shmctl(id: i32, command: u32, buffer: UserPtr<CompatShmid64>) {
        shm_control(id, command, buffer)
    }
}
compat_define! {
    /// shmat(2): a place below 4 GiB.
    fn shmat(id: i32, address: u64, flags: u32) { attach(id, address, flags, Window::COMPAT) }
}
compat_define! {
    /// ipc(2): shared memory, with the later structures; there are no queues and
    /// semaphores.
    fn ipc(call: u32, first: i32, second: u32, third: u32, pointer: u64) {
        let (version, call) = (call >> 16, call & 0xffff);
        match call {
            SHMAT if version == 1 => Err(Errno::EINVAL),
            SHMAT => {
                let at = attach(first, pointer, second, Window::COMPAT)?;
                UserPtr::new(third.into()).write(at as u32).map(|()| 0)
            }
            SHMDT => detach(pointer),
            SHMGET => get(first, second.into(), third),
            SHMCTL if second & IPC_64 != 0 => {
                shm_control(first, second & !IPC_64, UserPtr::new(pointer))
            }
            SHMCTL => Err(Errno::EINVAL),
            _ => Err(Errno::ENOSYS),
        }
    }
}
