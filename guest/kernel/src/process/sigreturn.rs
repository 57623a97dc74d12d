//! sigreturn(2): the way back from a handler. The frame is the program's to write, so each
//! of its words is a claim.

use crate::process::send;
use crate::process::task::{Task, current};
use crate::process::user_state;
use crate::sched::registers;
use crate::sched::thread::work;
use crate::signal::exception::describe;
use crate::signal::frame32::{self, FREGS};
use crate::signal::frame64;
use crate::signal::info::Info;
use crate::signal::signals::Forced;
use crate::signal::xstate;
use crate::user::UserPtr;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::NO_VECTOR;
use trapgate_arch::percpu;
use trapgate_arch::user_state::set_selectors;
use trapgate_uapi::Errno;
use trapgate_uapi::sigcontext::{CompatSigcontext, FregsState};
use trapgate_uapi::signal::{MINSIGSTKSZ, SIGSEGV, Sigaltstack};

/// rt_sigreturn(2) of x86-64. Answers what is in RAX behind it.
pub fn rt64(regs: &PtRegs) -> u64 {
    come_back(regs, |task| {
        let context = frame64::read(regs.rsp)?;
        send::set_blocked(task, context.uc_sigmask);
        let back = frame64::registers(regs, &context);
        restore_state(context.uc_mcontext.fpstate, false)?;
        restore_stack(task, context.uc_stack, back.rsp);
        Ok(back)
    })
}

/// sigreturn(2) of i386.
pub fn plain32(regs: &PtRegs) -> u64 {
    come_back(regs, |task| {
        let (context, mask) = frame32::read(u64::from(regs.rsp as u32))?;
        send::set_blocked(task, mask);
        restore32(regs, &context)
    })
}

/// rt_sigreturn(2) of i386.
pub fn rt32(regs: &PtRegs) -> u64 {
    come_back(regs, |task| {
        let context = frame32::read_rt(u64::from(regs.rsp as u32))?;
        let [low, high] = context.uc_sigmask.map(u64::from);
        send::set_blocked(task, high << 32 | low);
        let back = restore32(regs, &context.uc_mcontext)?;
        restore_stack(task, context.uc_stack.into(), back.rsp);
        Ok(back)
    })
}

/// Goes back with what `read` finds; where that is no good, the task has caused SIGSEGV.
fn come_back(regs: &PtRegs, read: impl FnOnce(&Task) -> Result<PtRegs, Errno>) -> u64 {
    let task = current();
    *task.restart.lock() = None;
    match read(task) {
        Ok(back) => {
            let rax = back.rax;
            *task.begins.lock() = Some(back);
            percpu::raise_work(work::REGISTERS);
            rax
        }
        Err(_) => {
            let fault = describe(regs, NO_VECTOR, 0);
            let info = Info::of_kernel(SIGSEGV);
            task.signals.force(Forced { info, fault, is_fatal: false });
            0
        }
    }
}

fn restore32(regs: &PtRegs, context: &CompatSigcontext) -> Result<PtRegs, Errno> {
    let back = frame32::registers(regs, context);
    restore_state(context.fpstate.into(), true)?;
    set_selectors(frame32::selectors(context));
    Ok(back)
}

/// x87 and vector registers from there; from nowhere, as after a reset.
fn restore_state(at: u64, is_i386s: bool) -> Result<(), Errno> {
    if at == 0 {
        user_state::claim();
        registers::reset()?;
        return Ok(());
    }
    let fregs: Option<FregsState> = if is_i386s { Some(UserPtr::new(at).read()?) } else { None };
    let state = if is_i386s { at.wrapping_add(FREGS) } else { at };
    let found = xstate::find(state)?;
    let adapt = |area: &mut _| found.adapt(area, fregs.as_ref());
    registers::copy_in(state, found.size, user_state::claim, adapt)?;
    user_state::claim();
    Ok(())
}

/// The alternate stack as the frame has it, if that makes sense.
fn restore_stack(task: &Task, stack: Sigaltstack, stack_pointer: u64) {
    let mut held = task.alternate_stack.lock();
    if let Ok(changed) = held.changed(stack, stack_pointer, MINSIGSTKSZ) {
        *held = changed;
    }
}
