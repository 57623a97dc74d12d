//! prctl(2).

use crate::fs::access::Capabilities;
use crate::process::credentials::Ids;
use crate::process::task::current;
use crate::sys::credentials::ids;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::{UserPtr, read_string};
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_LAST_CAP;
use trapgate_uapi::prctl::{
    PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_LOWER,
    PR_CAP_AMBIENT_RAISE, PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER,
    PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_MDWE, PR_GET_MEMORY_MERGE, PR_GET_NAME,
    PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP, PR_GET_SECUREBITS, PR_GET_THP_DISABLE,
    PR_GET_TID_ADDRESS, PR_GET_TIMERSLACK, PR_GET_TIMING, PR_GET_TSC, PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_MM, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG, PR_SET_THP_DISABLE, PR_SET_TIMERSLACK, PR_SET_TIMING, PR_SET_TSC,
    PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE, PR_TSC_ENABLE, TASK_COMM_LEN,
};
use trapgate_uapi::signal::NSIG;

/// A capability's number.
fn capability(number: u64) -> Result<u32, Errno> {
    u32::try_from(number).ok().filter(|&number| number <= CAP_LAST_CAP).ok_or(Errno::EINVAL)
}

/// Arguments that must not be there.
fn none<const N: usize>(arguments: [u64; N]) -> Result<(), Errno> {
    if arguments == [0; N] { Ok(()) } else { Err(Errno::EINVAL) }
}

syscall_define! {
    /// prctl(2): the task's name, its capabilities, and what is kept and told.
    fn prctl(option: i32, first: u64, second: u64, third: u64, fourth: u64) {
        let rest = [second, third, fourth];
        match option {
            PR_SET_NAME | PR_GET_NAME => name(option, UserPtr::new(first)),
            PR_GET_KEEPCAPS
            | PR_SET_KEEPCAPS
            | PR_CAPBSET_READ
            | PR_CAPBSET_DROP
            | PR_GET_SECUREBITS => capabilities(option, first),
            PR_CAP_AMBIENT => ambient(first, rest),
            PR_SET_DUMPABLE
            | PR_GET_DUMPABLE
            | PR_SET_CHILD_SUBREAPER
            | PR_GET_CHILD_SUBREAPER
            | PR_SET_THP_DISABLE
            | PR_GET_THP_DISABLE => of_process(option, first, rest),
            PR_SET_PDEATHSIG
            | PR_GET_PDEATHSIG
            | PR_SET_NO_NEW_PRIVS
            | PR_GET_NO_NEW_PRIVS
            | PR_SET_TIMERSLACK
            | PR_GET_TIMERSLACK
            | PR_GET_TID_ADDRESS => of_task(option, first, rest),
            _ => fixed(option, first, rest),
        }
    }
}

fn name(option: i32, name: UserPtr<[u8; TASK_COMM_LEN]>) -> SysResult {
    if option == PR_GET_NAME {
        let bytes = *current().name.lock();
        return name.write(bytes).map(|()| 0);
    }
    // A longer name is cut.
    let string = read_string(name.cast(), TASK_COMM_LEN - 1)?.bytes;
    let mut bytes = [0; TASK_COMM_LEN];
    bytes[..string.len()].copy_from_slice(&string);
    *current().name.lock() = bytes;
    Ok(0)
}

fn capabilities(option: i32, first: u64) -> SysResult {
    let credentials = &current().credentials;
    match option {
        PR_GET_KEEPCAPS => Ok(ids().keeps_capabilities.into()),
        PR_SET_KEEPCAPS if first > 1 => Err(Errno::EINVAL),
        PR_SET_KEEPCAPS => {
            let keep = |ids: &mut Ids| {
                ids.keeps_capabilities = first == 1;
                Ok(())
            };
            credentials.change(keep).map(|()| 0)
        }
        PR_CAPBSET_READ => Ok(ids().bounding.has(capability(first)?).into()),
        PR_CAPBSET_DROP => {
            let drop = |ids: &mut Ids| ids.drop_bounding(capability(first)?);
            credentials.change(drop).map(|()| 0)
        }
        // Nobody has set any, nor can.
        _ => Ok(0),
    }
}

/// `PR_CAP_AMBIENT`.
fn ambient(what: u64, [number, rest @ ..]: [u64; 3]) -> SysResult {
    let credentials = &current().credentials;
    none(rest)?;
    if what == PR_CAP_AMBIENT_CLEAR_ALL {
        none([number])?;
        let clear = |ids: &mut Ids| {
            ids.ambient = Capabilities::NONE;
            Ok(())
        };
        return credentials.change(clear).map(|()| 0);
    }
    let one = Capabilities::of(&[capability(number)?]);
    match what {
        PR_CAP_AMBIENT_IS_SET => Ok(one.are_in(ids().ambient).into()),
        PR_CAP_AMBIENT_RAISE | PR_CAP_AMBIENT_LOWER => {
            let change = |ids: &mut Ids| {
                if what == PR_CAP_AMBIENT_LOWER {
                    ids.ambient = ids.ambient.without(one);
                } else if one.are_in(ids.permitted.and(ids.inheritable)) {
                    ids.ambient = ids.ambient.or(one);
                } else {
                    return Err(Errno::EPERM);
                }
                Ok(())
            };
            credentials.change(change).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn of_process(option: i32, first: u64, rest: [u64; 3]) -> SysResult {
    let habits = &current().process.habits;
    match option {
        PR_SET_DUMPABLE if first > 1 => return Err(Errno::EINVAL),
        PR_SET_DUMPABLE => habits.dumpable.store(first == 1, Ordering::Relaxed),
        PR_GET_DUMPABLE => return Ok(habits.dumpable.load(Ordering::Relaxed).into()),
        PR_SET_CHILD_SUBREAPER => habits.child_subreaper.store(first != 0, Ordering::Relaxed),
        PR_GET_CHILD_SUBREAPER => {
            let is = habits.child_subreaper.load(Ordering::Relaxed);
            return UserPtr::<u32>::new(first).write(is.into()).map(|()| 0);
        }
        PR_SET_THP_DISABLE => {
            none(rest)?;
            habits.no_large_pages.store(first != 0, Ordering::Relaxed);
        }
        _ => {
            none([first])?;
            none(rest)?;
            return Ok(habits.no_large_pages.load(Ordering::Relaxed).into());
        }
    }
    Ok(0)
}

fn of_task(option: i32, first: u64, rest: [u64; 3]) -> SysResult {
    let task = current();
    let habits = &task.habits;
    match option {
        PR_SET_PDEATHSIG if first > NSIG as u64 => return Err(Errno::EINVAL),
        PR_SET_PDEATHSIG => habits.parent_death_signal.store(first as u8, Ordering::Relaxed),
        PR_GET_PDEATHSIG => {
            let signal = habits.parent_death_signal.load(Ordering::Relaxed);
            return UserPtr::<u32>::new(first).write(signal.into()).map(|()| 0);
        }
        PR_SET_NO_NEW_PRIVS => {
            none(rest)?;
            none([first ^ 1])?;
            habits.no_new_privileges.store(true, Ordering::Relaxed);
        }
        PR_GET_NO_NEW_PRIVS => {
            none(rest)?;
            none([first])?;
            return Ok(habits.no_new_privileges.load(Ordering::Relaxed).into());
        }
        PR_SET_TIMERSLACK => {
            let default = habits.default_timer_slack.load(Ordering::Relaxed);
            let slack = if first as i64 <= 0 { default } else { first };
            habits.timer_slack.store(slack, Ordering::Relaxed);
        }
        PR_GET_TIMERSLACK => return Ok(habits.timer_slack.load(Ordering::Relaxed)),
        _ => {
            let address = task.clear_child_tid.load(Ordering::Relaxed);
            return UserPtr::<u64>::new(first).write(address).map(|()| 0);
        }
    }
    Ok(0)
}

/// What is always so.
fn fixed(option: i32, first: u64, rest: [u64; 3]) -> SysResult {
    match option {
        PR_GET_TIMING | PR_GET_SECCOMP => Ok(0),
        PR_SET_TIMING => none([first]).map(|()| 0),
        PR_GET_TSC => UserPtr::<u32>::new(first).write(PR_TSC_ENABLE).map(|()| 0),
        PR_SET_TSC if first == u64::from(PR_TSC_ENABLE) => Ok(0),
        PR_TASK_PERF_EVENTS_DISABLE | PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        PR_GET_MDWE | PR_GET_MEMORY_MERGE => {
            none([first])?;
            none(rest)?;
            Ok(0)
        }
        // Only for who restores processes.
        PR_SET_MM => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}
