//! The frame that a handler of x86-64's finds on its stack, and the way back from it
//! (sigreturn(2); System V ABI for x86-64, 3.2.2).
//!
//! ```text
//! the interrupted stack   │ 128 bytes that the program may use below it │
//! at a multiple of 64     │ x87 and vector registers                    │
//! at a multiple of 16,    │ siginfo_t                                   │
//! less 8, as after a call │ struct ucontext                             │
//!                         │ where the handler returns to                │ ← rsp
//! ```

use super::context::{Call, OFF_IN_HANDLER, Place, is_64_bit, restored_flags};
use super::exception::NO_CALL;
use crate::user::UserPtr;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::x86::selector;
use trapgate_uapi::Errno;
use trapgate_uapi::sigcontext::{
    RtSigframe, Sigcontext, UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS, Ucontext,
};
use trapgate_uapi::signal::SA_RESTORER;

/// Below its stack pointer a function may use so many bytes.
pub const RED_ZONE: u64 = 128;

/// Where the frame lies below this address, with `state` bytes of registers.
pub fn place(start: u64, state: u64) -> Place {
    let state = start.wrapping_sub(state) & !63;
    let frame = (state.wrapping_sub(size_of::<RtSigframe>() as u64) & !15).wrapping_sub(8);
    Place { frame, state }
}

/// Writes the frame, and has the handler begin.
///
/// # Errors
/// EFAULT: there is no room, or nobody has said where the handler returns to.
pub fn push(regs: &mut PtRegs, call: &Call, place: Place, has_xstate: bool) -> Result<(), Errno> {
    if call.action.sa_flags & SA_RESTORER == 0 {
        return Err(Errno::EFAULT);
    }
    let xstate = if has_xstate { UC_FP_XSTATE } else { 0 };
    let strict = if is_64_bit(regs.cs) { UC_STRICT_RESTORE_SS } else { 0 };
    let frame = RtSigframe {
        pretcode: call.action.sa_restorer,
        uc: Ucontext {
            uc_flags: xstate | UC_SIGCONTEXT_SS | strict,
            uc_link: 0,
            uc_stack: call.stack,
            uc_mcontext: context(regs, call, place.state),
            uc_sigmask: call.mask,
        },
        info: call.info.native(),
    };
    UserPtr::new(place.frame).write(frame)?;
    *regs = PtRegs {
        rdi: call.info.signal.into(),
        rsi: place.frame + offset_of!(RtSigframe, info) as u64,
        rdx: place.frame + offset_of!(RtSigframe, uc) as u64,
        rax: 0,
        rip: call.action.sa_handler,
        rsp: place.frame,
        cs: selector::USER_CS.into(),
        ss: selector::USER_DS.into(),
        rflags: regs.rflags & !OFF_IN_HANDLER,
        ..*regs
    };
    Ok(())
}

fn context(regs: &PtRegs, call: &Call, fpstate: u64) -> Sigcontext {
    Sigcontext {
        r8: regs.r8,
        r9: regs.r9,
        r10: regs.r10,
        r11: regs.r11,
        r12: regs.r12,
        r13: regs.r13,
        r14: regs.r14,
        r15: regs.r15,
        di: regs.rdi,
        si: regs.rsi,
        bp: regs.rbp,
        bx: regs.rbx,
        dx: regs.rdx,
        ax: regs.rax,
        cx: regs.rcx,
        sp: regs.rsp,
        ip: regs.rip,
        flags: regs.rflags,
        cs: regs.cs as u16,
        gs: 0,
        fs: 0,
        ss: regs.ss as u16,
        err: call.fault.err,
        trapno: call.fault.trapno,
        oldmask: call.mask,
        cr2: call.fault.cr2,
        fpstate,
        reserved1: [0; 8],
    }
}

/// rt_sigreturn(2): what the handler, whose stack pointer this is, goes back to.
///
/// # Errors
/// EFAULT.
pub fn read(stack_pointer: u64) -> Result<Ucontext, Errno> {
    // The handler's return has taken the first word.
    let frame = UserPtr::<RtSigframe>::new(stack_pointer.wrapping_sub(8));
    let context = offset_of!(RtSigframe, uc) as u64;
    UserPtr::new(frame.address().wrapping_add(context)).read()
}

/// The registers that it goes back with. What selectors and flags may be is not the
/// program's to say; an instruction that is nowhere is found by the CPU.
pub fn registers(now: &PtRegs, context: &Ucontext) -> PtRegs {
    let from = &context.uc_mcontext;
    let mut regs = PtRegs {
        r8: from.r8,
        r9: from.r9,
        r10: from.r10,
        r11: from.r11,
        r12: from.r12,
        r13: from.r13,
        r14: from.r14,
        r15: from.r15,
        rdi: from.di,
        rsi: from.si,
        rbp: from.bp,
        rbx: from.bx,
        rdx: from.dx,
        rax: from.ax,
        rcx: from.cx,
        rsp: from.sp,
        rip: from.ip,
        rflags: restored_flags(now.rflags, from.flags),
        cs: u64::from(from.cs | 3),
        ss: u64::from(from.ss | 3),
        orig_rax: NO_CALL,
    };
    // Programs from before SS was in the frame may have anything there.
    if context.uc_flags & UC_STRICT_RESTORE_SS == 0 && is_64_bit(regs.cs) {
        regs.ss = selector::USER_DS.into();
    }
    regs
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::x86::rflags;

    #[test]
    fn a_frame_lies_as_after_a_call_and_its_registers_at_a_multiple_of_64() {
        for start in 0x7000_0000..0x7000_0100 {
            let Place { frame, state } = place(start, 836);
            assert_eq!((frame % 16, state % 64), (8, 0));
            assert!(state + 836 <= start && frame + 440 <= state);
        }
    }

    #[test]
    fn ring_0_cannot_be_returned_to() {
        let mcontext = Sigcontext { cs: 0x10, ss: 0x18, flags: u64::MAX, ..Sigcontext::default() };
        let context = Ucontext {
            uc_flags: UC_STRICT_RESTORE_SS,
            uc_link: 0,
            uc_stack: trapgate_uapi::signal::Sigaltstack::default(),
            uc_mcontext: mcontext,
            uc_sigmask: 0,
        };
        let now = PtRegs { rflags: rflags::FIXED | rflags::IF, ..PtRegs::default() };
        let regs = registers(&now, &context);
        assert_eq!((regs.cs, regs.ss), (0x13, 0x1b));
        assert_eq!(regs.rflags & (rflags::IOPL | rflags::NT | rflags::ID), 0);
        assert_ne!(regs.rflags & rflags::IF, 0);
    }
}
