//! clone(2): one more task of the running one's process.

use crate::process::task::current;
use crate::process::user_state;
use crate::sched::queue;
use crate::sched::switch;
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_arch::user_state::UserState;
use trapgate_uapi::Errno;
use trapgate_uapi::ldt::UserDesc;

/// Thread-local storage that a new task begins with.
#[derive(Clone, Copy, Default)]
pub enum Tls {
    /// Its maker's.
    #[default]
    Same,
    /// This base of FS.
    Base(u64),
    /// An entry of the descriptor table, by its number, and what it is.
    Segment(usize, UserDesc),
}

/// How the new task differs from its maker.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// Its stack pointer; 0: its maker's.
    pub stack: u64,
    /// Its thread-local storage.
    pub tls: Tls,
    /// Where its number is stored; 0 for nowhere: `CLONE_PARENT_SETTID`,
    /// `CLONE_CHILD_SETTID`.
    pub tell: [u64; 2],
    /// `CLONE_CHILD_CLEARTID`: where it is 0 when the task has ended, and somebody is
    /// woken.
    pub clear: u64,
}

/// What the CPU holds for the running task in ring 3, for one that begins with the same.
///
/// # Errors
/// ENOMEM.
pub(super) fn user_state() -> Result<UserState, Errno> {
    // A call that has waited may not have its own there.
    user_state::claim();
    switch::copy_user_state()
}

/// A thread that goes on where the caller does, whose registers these are, but with 0 as
/// the call's result. Answers its number.
///
/// # Errors
/// ENOMEM, EAGAIN for too many; EPERM, EINVAL for thread-local storage that is none.
pub fn thread(regs: &PtRegs, wanted: &Wanted) -> Result<u64, Errno> {
    let this = current();
    let mut state = user_state()?;
    match wanted.tls {
        Tls::Same => {}
        Tls::Base(base) if state.set_fs_base(base) => {}
        Tls::Base(_) => return Err(Errno::EPERM),
        Tls::Segment(number, desc) if state.set_segment(number, &desc) => {}
        Tls::Segment(..) => return Err(Errno::EINVAL),
    }
    let rsp = if wanted.stack == 0 { regs.rsp } else { wanted.stack };
    let task = this.within(this.process.clone(), PtRegs { rsp, rax: 0, ..*regs }, state)?;
    this.process.tasks.fetch_add(1, Ordering::Relaxed);
    task.clear_child_tid.store(wanted.clear, Ordering::Relaxed);
    let tid = task.tid();
    for address in wanted.tell {
        if address != 0 {
            // Linux does not say if it cannot.
            let _ = UserPtr::new(address).write(tid);
        }
    }
    queue::push(task.thread.clone());
    Ok(tid.into())
}
