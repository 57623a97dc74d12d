//! clone(2), clone3(2): threads. What would be a new process is not there yet.

use crate::process::clone::{Tls, Wanted, thread};
use crate::process::task::current;
use crate::sys::absent;
use crate::sys::define::{SysResult, with_registers};
use crate::sys::open::only_zeroes;
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use trapgate_uapi::resource::RLIMIT_NPROC;
use trapgate_uapi::sched::{
    CLONE_ARGS_SIZE_VER0, CLONE_ARGS_SIZE_VER2, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID,
    CLONE_CLEAR_SIGHAND, CLONE_DETACHED, CLONE_FILES, CLONE_FS, CLONE_INTO_CGROUP, CLONE_NEWCGROUP,
    CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER,
    CLONE_NEWUTS, CLONE_PARENT, CLONE_PARENT_SETTID, CLONE_PIDFD, CLONE_SETTLS, CLONE_SIGHAND,
    CLONE_THREAD, CLONE_VFORK, CLONE_VM, CSIGNAL, CloneArgs, MAX_PID_NS_LEVEL,
};
use trapgate_uapi::signal::NSIG;

/// What clone(2) and clone3(2) ask for.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    /// `CLONE_*`, without a signal.
    pub flags: u64,
    /// For `CLONE_PARENT_SETTID`.
    pub parent_tid: u64,
    /// For `CLONE_CHILD_SETTID` and `CLONE_CHILD_CLEARTID`.
    pub child_tid: u64,
    /// The new stack pointer; 0 for the caller's.
    pub stack: u64,
    /// For `CLONE_SETTLS`.
    pub tls: u64,
    /// The number is to be a certain one.
    pub with_number: bool,
}

/// What is the caller's convention's.
pub(super) struct Convention {
    /// How the argument for thread-local storage is meant.
    pub read_tls: fn(u64) -> Result<Tls, Errno>,
    /// Notes that a call was not answered.
    pub note: fn(&PtRegs),
}

/// x86-64's: a base of FS.
const X86_64: Convention =
    Convention { read_tls: |address| Ok(Tls::Base(address)), note: absent::note_of_x86_64 };

/// Namespaces.
const NAMESPACES: u64 = CLONE_NEWNS
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
    | CLONE_NEWCGROUP
    | CLONE_NEWTIME;
/// What a thread shares here whether it asks for it or not.
const SHARED: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND;

/// Combinations that make no sense (Linux: `copy_process`).
fn check(asked: &Asked) -> Result<(), Errno> {
    let flags = asked.flags;
    let both = |one, other| flags & one != 0 && flags & other != 0;
    let without = |one, needed| flags & one != 0 && flags & needed == 0;
    if both(CLONE_NEWNS | CLONE_NEWUSER, CLONE_FS)
        || without(CLONE_THREAD, CLONE_SIGHAND)
        || without(CLONE_SIGHAND, CLONE_VM)
        || both(CLONE_THREAD, CLONE_NEWUSER | CLONE_NEWPID)
        || both(CLONE_PIDFD, CLONE_DETACHED | CLONE_THREAD)
        || both(CLONE_SIGHAND, CLONE_CLEAR_SIGHAND)
    {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Whether the user may have one more.
fn check_limit() -> Result<(), Errno> {
    let task = current();
    let limit = task.process.limits.get(RLIMIT_NPROC)?.rlim_cur;
    let is_over = u64::from(task.process.tasks.load(Ordering::Relaxed)) >= limit;
    let may = || task.credentials.can(CAP_SYS_RESOURCE) || task.credentials.can(CAP_SYS_ADMIN);
    if is_over && !may() { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// Makes what is asked for. ENOSYS for what is not there.
pub(super) fn clone(regs: &PtRegs, asked: &Asked, by: &Convention) -> SysResult {
    check(asked)?;
    let flags = asked.flags;
    if flags & NAMESPACES != 0 || asked.with_number {
        return Err(Errno::EPERM);
    }
    let is_thread = flags & CLONE_THREAD != 0 && flags & SHARED == SHARED;
    if !is_thread || flags & (CLONE_VFORK | CLONE_INTO_CGROUP) != 0 {
        (by.note)(regs);
        return Err(Errno::ENOSYS);
    }
    check_limit()?;
    let if_asked = |flag, address| if flags & flag != 0 { address } else { 0 };
    let tls = if flags & CLONE_SETTLS != 0 { (by.read_tls)(asked.tls)? } else { Tls::Same };
    thread(
        regs,
        &Wanted {
            stack: asked.stack,
            tls,
            tell: [
                if_asked(CLONE_PARENT_SETTID, asked.parent_tid),
                if_asked(CLONE_CHILD_SETTID, asked.child_tid),
            ],
            clear: if_asked(CLONE_CHILD_CLEARTID, asked.child_tid),
        },
    )
}

/// clone(2) for either width. The place for a descriptor is that for the number.
pub(super) fn clone_by(
    regs: &PtRegs,
    flags: u32,
    [stack, parent_tid, child_tid, tls]: [u64; 4],
    by: &Convention,
) -> SysResult {
    let flags = u64::from(flags) & !CSIGNAL;
    if flags & CLONE_PIDFD != 0 && flags & CLONE_PARENT_SETTID != 0 {
        return Err(Errno::EINVAL);
    }
    let asked = Asked { flags, parent_tid, child_tid, stack, tls, with_number: false };
    clone(regs, &asked, by)
}

/// Reads clone3(2)'s arguments, of a program of whatever header (Linux:
/// `copy_clone_args_from_user`).
fn read_arguments(from: UserPtr<CloneArgs>, size: u64) -> Result<CloneArgs, Errno> {
    const SIZE: u64 = size_of::<CloneArgs>() as u64;
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(Errno::EINVAL);
    }
    let mut words = [0u64; SIZE as usize / 8];
    let whole = (size.min(SIZE) / 8) as usize;
    for (index, word) in (0..).zip(&mut words[..whole]) {
        *word = from.cast::<u64>().offset(index).read()?;
    }
    // A part of a word is a part of what nobody has.
    if size < SIZE && !size.is_multiple_of(8) {
        let mut bytes = [0; 8];
        for (index, byte) in (8 * whole as u64..size).zip(&mut bytes) {
            *byte = from.cast::<u8>().offset(index).read()?;
        }
        words[whole] = u64::from_le_bytes(bytes);
    }
    only_zeroes(from.offset(1).cast(), size.saturating_sub(SIZE))?;
    Ok(CloneArgs::of_words(words))
}

/// Whether they are such as Linux takes (`clone3_args_valid`).
fn check_arguments(args: &CloneArgs, size: u64) -> Result<(), Errno> {
    let CloneArgs { flags, exit_signal, stack, stack_size, .. } = *args;
    let known = u64::from(u32::MAX) | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
    let stack_is_good = match (stack, stack_size) {
        (0, size) => size == 0,
        (_, 0) => false,
        (stack, size) => access_ok(stack, size),
    };
    let is_good = args.set_tid_size <= MAX_PID_NS_LEVEL
        && (args.set_tid == 0) == (args.set_tid_size == 0)
        && exit_signal <= NSIG as u64
        && (flags & CLONE_INTO_CGROUP == 0
            || args.cgroup <= i32::MAX as u64 && size >= CLONE_ARGS_SIZE_VER2)
        && flags & !known == 0
        && flags & (CLONE_DETACHED | CSIGNAL & !CLONE_NEWTIME) == 0
        && (flags & (CLONE_THREAD | CLONE_PARENT) == 0 || exit_signal == 0)
        && stack_is_good;
    if is_good { Ok(()) } else { Err(Errno::EINVAL) }
}

/// clone3(2) for either width.
pub(super) fn clone3_by(
    regs: &PtRegs,
    args: UserPtr<CloneArgs>,
    size: u64,
    by: &Convention,
) -> SysResult {
    let args = read_arguments(args, size)?;
    check_arguments(&args, size)?;
    let CloneArgs { flags, pidfd, parent_tid, child_tid, tls, .. } = args;
    if flags & CLONE_PIDFD != 0 && flags & CLONE_PARENT_SETTID != 0 && pidfd == parent_tid {
        return Err(Errno::EINVAL);
    }
    let stack = args.stack + args.stack_size;
    let with_number = args.set_tid_size > 0;
    let asked = Asked { flags, parent_tid, child_tid, stack, tls, with_number };
    clone(regs, &asked, by)
}

with_registers! {
    /// clone(2)
    fn __x64_sys_clone by x64(regs; flags: u32, stack: u64, parent: u64, child: u64, tls: u64) {
        clone_by(regs, flags, [stack, parent, child, tls], &X86_64)
    }
}
with_registers! {
    /// clone3(2)
    fn __x64_sys_clone3 by x64(regs; args: UserPtr<CloneArgs>, size: u64) {
        clone3_by(regs, args, size, &X86_64)
    }
}
