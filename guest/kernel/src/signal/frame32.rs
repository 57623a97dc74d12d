//! The two frames that a handler of i386's finds on its stack, and the ways back from them:
//! the one with `siginfo_t`, and the one from before it.
//!
//! ```text
//! at a multiple of 64, less 112 │ the x87 registers as FSAVE has them         │
//! at that multiple              │ x87 and vector registers                    │
//! at a multiple of 16, less 4,  │ struct rt_sigframe_ia32 or sigframe_ia32:   │
//! as after a call               │ where the handler returns to, the signal, … │ ← esp
//! ```

use super::context::{Call, OFF_IN_HANDLER, Place, restored_flags};
use super::exception::NO_CALL;
use crate::user::UserPtr;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::x86::selector;
use trapgate_uapi::Errno;
use trapgate_uapi::sigcontext::{
    CompatRtSigframe, CompatSigcontext, CompatSigframe, CompatUcontext, FregsState, UC_FP_XSTATE,
};
use trapgate_uapi::signal::{SA_RESTORER, SA_SIGINFO};
use trapgate_uapi::syscall::nr32;

/// Where a handler returns to that did not say where: in the vDSO.
#[derive(Clone, Copy, Debug, Default)]
pub struct Returns {
    /// `__kernel_sigreturn`.
    pub sigreturn: u64,
    /// `__kernel_rt_sigreturn`.
    pub rt_sigreturn: u64,
}

/// Whether a handler that was set with these flags finds `siginfo_t`.
const fn has_info(flags: u64) -> bool {
    flags & SA_SIGINFO != 0
}

/// Where the frame for a handler with these flags lies below this stack pointer, with
/// `state` bytes of registers.
pub fn place(stack_pointer: u64, flags: u64, state: u64) -> Place {
    let size =
        if has_info(flags) { size_of::<CompatRtSigframe>() } else { size_of::<CompatSigframe>() };
    let state = (stack_pointer.wrapping_sub(state) & !63).wrapping_sub(FREGS);
    let frame = (state.wrapping_sub(size as u64).wrapping_add(4) & !15).wrapping_sub(4);
    Place { frame, state }
}

/// Bytes of what FSAVE has.
pub const FREGS: u64 = size_of::<FregsState>() as u64;

/// Writes the frame, and has the handler begin. `selectors`: DS, ES, FS and GS.
///
/// # Errors
/// EFAULT: there is no room.
pub fn push(
    regs: &mut PtRegs,
    call: &Call,
    place: Place,
    has_xstate: bool,
    selectors: [u16; 4],
    returns: Returns,
) -> Result<(), Errno> {
    let flags = call.action.sa_flags;
    let returns = match (flags & SA_RESTORER != 0, has_info(flags)) {
        (true, _) => call.action.sa_restorer,
        (false, true) => returns.rt_sigreturn,
        (false, false) => returns.sigreturn,
    } as u32;
    let context = context(regs, call, place.state, selectors);
    let (frame, sig) = (place.frame, i32::from(call.info.signal));
    let mask = [call.mask as u32, (call.mask >> 32) as u32];
    let arguments = if has_info(flags) {
        let info = frame + offset_of!(CompatRtSigframe, info) as u64;
        let uc = frame + offset_of!(CompatRtSigframe, uc) as u64;
        UserPtr::new(frame).write(CompatRtSigframe {
            pretcode: returns,
            sig,
            pinfo: info as u32,
            puc: uc as u32,
            info: call.info.compat(),
            uc: CompatUcontext {
                uc_flags: if has_xstate { UC_FP_XSTATE as u32 } else { 0 },
                uc_link: 0,
                uc_stack: call.stack.into(),
                uc_mcontext: context,
                uc_sigmask: mask,
            },
            retcode: RT_RETCODE,
        })?;
        [info, uc]
    } else {
        UserPtr::new(frame).write(CompatSigframe {
            pretcode: returns,
            sig,
            sc: context,
            fpstate_unused: [0; 156],
            extramask: mask[1],
            retcode: RETCODE,
            __pad: 0,
        })?;
        [0, 0]
    };
    *regs = PtRegs {
        rax: sig as u64,
        rdx: arguments[0],
        rcx: arguments[1],
        rip: u64::from(call.action.sa_handler as u32),
        rsp: frame,
        cs: selector::USER32_CS.into(),
        ss: selector::USER_DS.into(),
        rflags: regs.rflags & !OFF_IN_HANDLER,
        ..*regs
    };
    Ok(())
}

/// Debuggers know a frame by these bytes: `pop eax; mov eax, SIGRETURN; int 0x80`.
const RETCODE: [u8; 8] = {
    let [number, ..] = nr32::SIGRETURN.to_le_bytes();
    [0x58, 0xb8, number, 0, 0, 0, 0xcd, 0x80]
};
/// `mov eax, RT_SIGRETURN; int 0x80`
const RT_RETCODE: [u8; 8] = {
    let [number, ..] = nr32::RT_SIGRETURN.to_le_bytes();
    [0xb8, number, 0, 0, 0, 0xcd, 0x80, 0]
};

fn context(regs: &PtRegs, call: &Call, fpstate: u64, selectors: [u16; 4]) -> CompatSigcontext {
    let [ds, es, fs, gs] = selectors.map(u32::from);
    CompatSigcontext {
        gs,
        fs,
        es,
        ds,
        di: regs.rdi as u32,
        si: regs.rsi as u32,
        bp: regs.rbp as u32,
        sp: regs.rsp as u32,
        bx: regs.rbx as u32,
        dx: regs.rdx as u32,
        cx: regs.rcx as u32,
        ax: regs.rax as u32,
        trapno: call.fault.trapno as u32,
        err: call.fault.err as u32,
        ip: regs.rip as u32,
        cs: regs.cs as u32,
        flags: regs.rflags as u32,
        sp_at_signal: regs.rsp as u32,
        ss: regs.ss as u32,
        fpstate: fpstate as u32,
        oldmask: call.mask as u32,
        cr2: call.fault.cr2 as u32,
    }
}

/// sigreturn(2): the registers and the mask that the handler, whose stack pointer this
/// is, goes back to.
///
/// # Errors
/// EFAULT.
pub fn read(stack_pointer: u64) -> Result<(CompatSigcontext, u64), Errno> {
    // The handler's return has taken one word, the vDSO the next.
    let frame = stack_pointer.wrapping_sub(8);
    let at = |offset: usize| frame.wrapping_add(offset as u64);
    let context: CompatSigcontext = UserPtr::new(at(offset_of!(CompatSigframe, sc))).read()?;
    let high: u32 = UserPtr::new(at(offset_of!(CompatSigframe, extramask))).read()?;
    Ok((context, u64::from(high) << 32 | u64::from(context.oldmask)))
}

/// rt_sigreturn(2): the same, with the alternate stack.
///
/// # Errors
/// EFAULT.
pub fn read_rt(stack_pointer: u64) -> Result<CompatUcontext, Errno> {
    // The handler's return has taken one word.
    let frame = stack_pointer.wrapping_sub(4);
    UserPtr::new(frame.wrapping_add(offset_of!(CompatRtSigframe, uc) as u64)).read()
}

/// The registers that it goes back with.
pub fn registers(now: &PtRegs, from: &CompatSigcontext) -> PtRegs {
    PtRegs {
        rdi: from.di.into(),
        rsi: from.si.into(),
        rbp: from.bp.into(),
        rbx: from.bx.into(),
        rdx: from.dx.into(),
        rax: from.ax.into(),
        rcx: from.cx.into(),
        rsp: from.sp.into(),
        rip: from.ip.into(),
        rflags: restored_flags(now.rflags, from.flags.into()),
        cs: u64::from(from.cs as u16 | 3),
        ss: u64::from(from.ss as u16 | 3),
        orig_rax: NO_CALL,
        ..*now
    }
}

/// Its selectors: DS, ES, FS and GS.
pub const fn selectors(from: &CompatSigcontext) -> [u16; 4] {
    [from.ds as u16, from.es as u16, from.fs as u16, from.gs as u16]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lies_as_after_a_call_and_its_registers_at_a_multiple_of_64() {
        for sp in 0xff00_0000..0xff00_0100 {
            for (flags, size) in [(0, 736), (SA_SIGINFO, 268)] {
                let Place { frame, state } = place(sp, flags, 836);
                assert_eq!((frame % 16, (state + 112) % 64), (12, 0));
                assert!(state + 112 + 836 <= sp && frame + size <= state);
            }
        }
    }

    #[test]
    fn the_vdsos_unwind_information_finds_the_registers() {
        // guest/vdso/src/gate.rs: behind what the handler's return has taken.
        assert_eq!(offset_of!(CompatSigframe, sc) - 4, 4);
        let uc = offset_of!(CompatRtSigframe, uc);
        assert_eq!(uc + offset_of!(CompatUcontext, uc_mcontext) - 4, 160);
    }
}
