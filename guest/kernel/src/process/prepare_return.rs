//! What is done before ring 3 goes on. Every way there ends in [`prepare_return`]:
//! from the doors, from exceptions, from the start.

use crate::log::log;
use crate::process::exit;
use crate::process::task::current;
use crate::sched::thread::work;
use crate::signal::decide::{Decision, decide};
use crate::signal::exception::describe;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::NO_VECTOR;
use trapgate_abi::log::{Event, Level};
use trapgate_arch::percpu;

/// Does it; nothing, nearly always.
#[inline(always)]
pub fn prepare_return(regs: &mut PtRegs) {
    if percpu::has_work() {
        do_work(regs);
    }
}

/// What it is.
#[cold]
#[inline(never)]
fn do_work(regs: &mut PtRegs) {
    loop {
        let bits = percpu::work();
        percpu::clear_work(bits);
        if bits & work::LANDING_PAD != 0 {
            follow_landing_pad(regs);
        }
        if bits & work::SIGNAL != 0 {
            act_on_signals(regs);
        }
        if bits == 0 {
            return;
        }
    }
}

/// A call through the vDSO that has moved the vDSO comes back where that is now
/// (Linux: `vdso_fix_landing`).
fn follow_landing_pad(regs: &mut PtRegs) {
    let left = current().left_landing_pad.swap(0, Ordering::Relaxed);
    if left != 0 && regs.rip == left {
        regs.rip = percpu::landing_pad();
    }
}

/// Acts on pending signals that are not blocked.
fn act_on_signals(regs: &PtRegs) {
    let task = current();
    while let Some(signal) = task.signals.take() {
        match decide(signal, &task.process.actions.get(signal)) {
            Decision::Ignore => continue,
            Decision::Terminate => {}
            Decision::Handle(handler) => {
                log(Level::Error, Event::HandlerNotCalled, [signal.into(), handler, 0, 0]);
            }
        }
        exit::killed(signal, &describe(regs, NO_VECTOR, 0), regs);
    }
}
