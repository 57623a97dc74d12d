//! What is done before ring 3 goes on. Every way there ends in [`prepare_return`]:
//! from the doors, from exceptions and interrupts, from the start of a thread. A test
//! looks at the image for another.

use crate::process::task::current;
use crate::process::{signals, user_state};
use crate::sched::thread::work;
use crate::sched::{preempt, switch};
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
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
        if bits == 0 {
            return;
        }
        percpu::clear_work(bits);
        if bits & work::REGISTERS != 0
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
        if bits & work::STORED != 0 {
            let stored = current().process.memory.lock().take_stored();
            stored.iter().filter_map(|mapped| mapped.file.as_ref()).for_each(|file| file.stored());
        }
        if bits & work::SIGNAL != 0 {
            signals::act(regs);
        }
        if bits & work::RESCHEDULE != 0 {
            percpu::raise_work(bits & (work::USER_STATE | work::TICK));
            switch::preempt();
            continue;
        }
        if bits & work::TICK != 0 {
            preempt::before_ring_3();
        }
        if bits & work::USER_STATE != 0 {
            user_state::claim();
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
