//! Acting on signals before ring 3 goes on (Linux: `get_signal`, `handle_signal`).

use crate::log::log;
use crate::process::exit;
use crate::process::send;
use crate::process::task::{Task, current};
use crate::process::user_state;
use crate::sched::registers;
use crate::signal::action::SA_IA32_ABI;
use crate::signal::context::{Call, Place};
use crate::signal::decide::{Decision, decide};
use crate::signal::exception::describe;
use crate::signal::frame32::{self, Returns};
use crate::signal::frame64;
use crate::signal::fregs;
use crate::signal::info::Info;
use crate::signal::number::bit;
use crate::signal::restart;
use crate::signal::signals::Forced;
use crate::signal::xstate;
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, NO_VECTOR};
use trapgate_abi::log::{Event, Level};
use trapgate_abi::x86::selector;
use trapgate_arch::fpu;
use trapgate_arch::user_state::{selectors, set_selectors};
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTORER, SIG_IGN, SIGSEGV, Sigaction,
};

/// Acts on what the task caused itself, then on those that were sent and are not blocked:
/// frames of several handlers lie on each other.
pub(super) fn act(regs: &mut PtRegs) {
    let task = current();
    if task.signals.is_killed() {
        exit::exit_task(0);
    }
    while let Some((info, fault)) = next(task) {
        let signal = info.signal;
        let action = task.process.actions.get(signal);
        let described = |regs: &PtRegs| fault.unwrap_or_else(|| describe(regs, NO_VECTOR, 0));
        match decide(signal, &action) {
            // Nobody is there who would have it go on.
            Decision::Ignore | Decision::Stop => {}
            Decision::Terminate => exit::killed(signal, &described(regs), regs),
            Decision::Handle => {
                if action.sa_flags & SA_RESETHAND != 0 {
                    task.process.actions.reset(signal);
                }
                handle(task, regs, &action, &info);
            }
        }
    }
    restart::without_handler(regs);
    if let Some(mask) = task.signals.take_blocked_after() {
        send::set_blocked(task, mask);
    }
}

/// What acts next; of what an exception caused, the circumstances.
fn next(task: &Task) -> Option<(Info, Option<Fault>)> {
    let Some(Forced { info, fault, is_fatal }) = task.signals.take_forced() else {
        return send::take(task, !task.signals.blocked()).map(|info| (info, None));
    };
    // Nobody can have it wait, or have it be nothing.
    let signal = info.signal;
    let is_ignored = task.process.actions.get(signal).sa_handler == SIG_IGN;
    if is_fatal || is_ignored || task.signals.blocks(signal) {
        task.process.actions.reset(signal);
        task.signals.set_blocked(task.signals.blocked() & !bit(signal));
    }
    Some((info, Some(fault)))
}

/// Calls a handler: it begins when the task goes back to ring 3. Where its frame cannot be
/// written, the task has caused SIGSEGV.
fn handle(task: &Task, regs: &mut PtRegs, action: &Sigaction, info: &Info) {
    restart::before_handler(regs, action.sa_flags);
    let pushed = push_frame(task, regs, action, info);
    let signal = info.signal;
    if pushed.is_err() {
        let words = [signal.into(), action.sa_handler, regs.rsp, 0];
        log(Level::Debug, Event::HandlerNotCalled, words);
        let (fault, info) = (describe(regs, NO_VECTOR, 0), Info::of_kernel(SIGSEGV));
        task.signals.force(Forced { info, fault, is_fatal: signal == SIGSEGV });
        return;
    }
    let itself = if action.sa_flags & SA_NODEFER == 0 { bit(signal) } else { 0 };
    send::set_blocked(task, task.signals.blocked() | action.sa_mask | itself);
}

fn push_frame(
    task: &Task,
    regs: &mut PtRegs,
    action: &Sigaction,
    info: &Info,
) -> Result<(), Errno> {
    let stack = *task.alternate_stack.lock();
    let call = Call {
        action,
        info,
        mask: task.signals.take_blocked_after().unwrap_or(task.signals.blocked()),
        stack: stack.kept(),
        fault: task.signals.last_fault(),
    };
    let is_i386s = action.sa_flags & SA_IA32_ABI != 0;
    let below = if is_i386s { regs.rsp } else { regs.rsp.wrapping_sub(frame64::RED_ZONE) };
    let enters = action.sa_flags & SA_ONSTACK != 0 && !stack.is_in_use(below);
    let start = match stack.top() {
        Some(top) if enters => top,
        _ if is_i386s => i386s_stack(regs, action),
        _ => below,
    };
    let size = xstate::size();
    let place = match is_i386s {
        true => frame32::place(start, action.sa_flags, size),
        false => frame64::place(start, size),
    };
    // One that does not fit there is not written below it.
    let is_on_it = stack.is_in_use(below) || start != below && stack.top() == Some(start);
    if is_on_it && !stack.has(place.frame) {
        return Err(Errno::EFAULT);
    }
    // What the CPU has may be another's until here.
    user_state::claim();
    let held = selectors();
    push_state(regs, place, is_i386s, held)?;
    let has_xstate = fpu::xfeatures() != 0;
    if is_i386s {
        let [plain, rt] = task.process.boot.sigreturns;
        let landing_pad = task.process.landing_pad.load(Ordering::Relaxed);
        let returns = Returns { sigreturn: landing_pad + plain, rt_sigreturn: landing_pad + rt };
        frame32::push(regs, &call, place, has_xstate, held, returns)?;
    } else {
        frame64::push(regs, &call, place, has_xstate)?;
    }
    *task.alternate_stack.lock() = stack.while_handling();
    // Whoever ran meanwhile may have the CPU.
    user_state::claim();
    registers::reset()?;
    if is_i386s {
        let [_, _, fs, gs] = held;
        set_selectors([selector::USER_DS, selector::USER_DS, fs, gs]);
    }
    Ok(())
}

/// Where a frame of i386's goes without an alternate stack: programs from before there were
/// such say it otherwise (Linux: `get_sigframe`, "legacy stack switching").
fn i386s_stack(regs: &PtRegs, action: &Sigaction) -> u64 {
    let is_odd = regs.ss != u64::from(selector::USER_DS);
    if is_odd && action.sa_flags & SA_RESTORER == 0 && action.sa_restorer != 0 {
        action.sa_restorer
    } else {
        regs.rsp
    }
}

/// Writes the x87 and vector registers, which the CPU has. In front of i386's are those of
/// x87 once more.
fn push_state(
    regs: &PtRegs,
    place: Place,
    is_i386s: bool,
    [ds, ..]: [u16; 4],
) -> Result<(), Errno> {
    let mut state = place.state;
    if is_i386s {
        let fxsave = registers::save(|area| {
            xstate::mark(area);
            area.get(0)
        })?;
        UserPtr::new(state).write(fregs::from_fxsave(&fxsave, regs.cs as u16, ds))?;
        state = state.wrapping_add(frame32::FREGS);
    } else {
        registers::save(xstate::mark)?;
    }
    registers::copy_out(state)?;
    xstate::write_end(state)
}
