//! Who hears of an open file: fcntl(2) `F_SETOWN`, `F_SETOWN_EX`, `F_SETSIG`, and what
//! tells of them.

use crate::fs::file::{OpenFile, Owner};
use crate::process::task::{current, find};
use crate::sys::define::SysResult;
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_GETOWN, F_GETOWN_EX, F_GETSIG, F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, F_SETOWN, F_SETOWN_EX,
    FOwnerEx,
};
use trapgate_uapi::signal::NSIG;

/// One of these commands.
pub(super) fn control(file: &OpenFile, command: u32, argument: u64) -> SysResult {
    match command {
        F_GETOWN => Ok(told(file) as u64),
        F_SETOWN => {
            let (kind, number) = match argument as i32 {
                i32::MIN => return Err(Errno::EINVAL),
                group @ ..0 => (F_OWNER_PGRP, -group),
                process => (F_OWNER_PID, process),
            };
            set(file, kind, number)
        }
        F_GETOWN_EX => {
            let Owner { kind, number, .. } = *file.owner.lock();
            UserPtr::new(argument).write(FOwnerEx { kind, pid: number }).map(|()| 0)
        }
        F_SETOWN_EX => {
            let FOwnerEx { kind, pid } = UserPtr::new(argument).read()?;
            match kind {
                F_OWNER_TID | F_OWNER_PID | F_OWNER_PGRP => set(file, kind, pid),
                _ => Err(Errno::EINVAL),
            }
        }
        F_GETSIG => Ok(file.owner.lock().signal as u64),
        _ if argument > NSIG as u64 => Err(Errno::EINVAL),
        _ => {
            file.owner.lock().signal = argument as i32;
            Ok(0)
        }
    }
}

fn told(file: &OpenFile) -> i64 {
    let Owner { kind, number, .. } = *file.owner.lock();
    i64::from(if kind == F_OWNER_PGRP { -number } else { number })
}

fn set(file: &OpenFile, kind: i32, number: i32) -> SysResult {
    let exists = match kind {
        _ if number == 0 => true,
        // There is the program's own.
        F_OWNER_PGRP => number as u32 == current().pid,
        _ => find(number as u32).is_some(),
    };
    if !exists {
        return Err(Errno::ESRCH);
    }
    let mut owner = file.owner.lock();
    *owner = Owner { kind, number, ..*owner };
    Ok(0)
}
