//! What is done before ring 3 goes on. Every way there ends in [`prepare_return`]:
//! from the doors, from exceptions and interrupts, from the start of a thread. A test
//! looks at the image for another.

use crate::log::log;
use crate::process::exit;
use crate::process::task::current;
use crate::sched::thread::work;
use crate::sched::{preempt, switch};
use crate::signal::decide::{Decision, decide};
use crate::signal::exception::describe;
use crate::signal::queue::Forced;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::NO_VECTOR;
use trapgate_abi::log::{Event, Level};
use trapgate_arch::percpu;
use trapgate_uapi::signal::SIG_IGN;

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
        if bits == 0 {
            return;
        }
        percpu::clear_work(bits);
        if bits & work::PROGRAM != 0
            && let Some(begins) = current().begins.lock().take()
        {
            *regs = begins;
        }
        if bits & work::LANDING_PAD != 0 {
            follow_landing_pad(regs);
        }
        if bits & work::WRITE_BACK != 0 {
            // Who unmaps is not told; what is left is tried again.
            let _ = current().process.write_back.all(false);
        }
        if bits & work::SIGNAL != 0 {
            act_on_signals(regs);
        }
        if bits & work::RESCHEDULE != 0 {
            percpu::raise_work(bits & (work::USER_STATE | work::TICK));
            switch::yield_now();
            continue;
        }
        if bits & work::TICK != 0 {
            preempt::before_ring_3();
        }
        if bits & work::USER_STATE != 0 {
            claim_user_state();
        }
    }
}

/// Gives the CPU what the running task has in ring 3, if that is not what it holds.
pub(super) fn claim_user_state() {
    if switch::claim_user_state() {
        let landing_pad = &current().process.landing_pad;
        percpu::set_landing_pad(landing_pad.load(Ordering::Relaxed));
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

/// Acts on what the task caused itself, then on pending signals that are not blocked.
fn act_on_signals(regs: &PtRegs) {
    let task = current();
    if task.signals.is_killed() {
        exit::exit_task(0);
    }
    if let Some(Forced { signal, fault }) = task.signals.take_forced() {
        let handler = task.process.actions.get(signal).sa_handler;
        if handler > SIG_IGN {
            log(Level::Warn, Event::HandlerNotCalled, [signal.into(), handler, 0, 0]);
        }
        exit::killed(signal, &fault, regs);
    }
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
    task.signals.have_acted();
}
