//! What becomes of a call that a signal has interrupted (signal(7), "Interruption of system
//! calls and library functions by signal handlers").

use super::exception::{NO_CALL, call_of};
use trapgate_abi::PtRegs;
use trapgate_abi::crash::call;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::signal::SA_RESTART;
use trapgate_uapi::syscall::{nr32, nr64};

/// Bytes of the instruction that makes a call, whatever the door: SYSCALL, INT 0x80; in
/// front of where the fast 32-bit doors return to there is an INT 0x80 of the vDSO's.
const INSTRUCTION: u64 = 2;

/// Whether these registers are those of a call that has such a result.
fn interrupted(regs: &PtRegs) -> Option<Errno> {
    if regs.orig_rax == NO_CALL { None } else { from_return(regs.rax).err() }
}

/// The call is made again.
fn again(regs: &mut PtRegs, number: u64) {
    regs.rax = number;
    regs.rip = regs.rip.wrapping_sub(INSTRUCTION);
}

/// A handler is called that was set with these flags.
pub fn before_handler(regs: &mut PtRegs, flags: u64) {
    match interrupted(regs) {
        Some(Errno::ERESTART_RESTARTBLOCK | Errno::ERESTARTNOHAND) => fails(regs),
        Some(Errno::ERESTARTSYS) if flags & SA_RESTART == 0 => fails(regs),
        Some(Errno::ERESTARTSYS | Errno::ERESTARTNOINTR) => again(regs, regs.orig_rax),
        _ => {}
    }
}

/// None is called.
pub fn without_handler(regs: &mut PtRegs) {
    match interrupted(regs) {
        Some(Errno::ERESTARTNOHAND | Errno::ERESTARTSYS | Errno::ERESTARTNOINTR) => {
            again(regs, regs.orig_rax);
        }
        Some(Errno::ERESTART_RESTARTBLOCK) => {
            let is_i386s = call_of(regs) == call::I386;
            let number = if is_i386s { nr32::RESTART_SYSCALL } else { nr64::RESTART_SYSCALL };
            again(regs, number.into());
        }
        _ => {}
    }
}

fn fails(regs: &mut PtRegs) {
    regs.rax = Errno::EINTR.number().wrapping_neg();
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::x86::selector;
    use trapgate_uapi::errno::to_return;

    const NUMBER: u64 = 7;

    fn after(errno: Errno) -> PtRegs {
        PtRegs {
            orig_rax: NUMBER,
            rax: to_return(Err(errno)),
            rip: 0x1002,
            cs: selector::USER32_CS.into(),
            ..PtRegs::default()
        }
    }

    /// What a handler finds behind it: the call made again, or its result.
    fn with_handler(errno: Errno, flags: u64) -> Result<u64, u64> {
        let mut regs = after(errno);
        before_handler(&mut regs, flags);
        if regs.rip == 0x1000 { Ok(regs.rax) } else { Err(regs.rax.wrapping_neg()) }
    }

    #[test]
    fn a_handler_and_its_flags_decide() {
        for flags in [0, SA_RESTART] {
            assert_eq!(with_handler(Errno::ERESTARTNOHAND, flags), Err(4));
            assert_eq!(with_handler(Errno::ERESTART_RESTARTBLOCK, flags), Err(4));
            assert_eq!(with_handler(Errno::ERESTARTNOINTR, flags), Ok(NUMBER));
            assert_eq!(with_handler(Errno::EAGAIN, flags), Err(11));
        }
        assert_eq!(with_handler(Errno::ERESTARTSYS, 0), Err(4));
        assert_eq!(with_handler(Errno::ERESTARTSYS, SA_RESTART), Ok(NUMBER));
    }

    #[test]
    fn without_a_handler_the_call_goes_on() {
        for errno in [Errno::ERESTARTNOHAND, Errno::ERESTARTSYS, Errno::ERESTARTNOINTR] {
            let mut regs = after(errno);
            without_handler(&mut regs);
            assert_eq!((regs.rip, regs.rax), (0x1000, NUMBER));
        }
        let mut regs = after(Errno::ERESTART_RESTARTBLOCK);
        without_handler(&mut regs);
        assert_eq!((regs.rip, regs.rax), (0x1000, 0));
    }

    #[test]
    fn what_was_no_call_is_not_made_again() {
        let no_call = PtRegs { orig_rax: NO_CALL, ..after(Errno::ERESTARTSYS) };
        let mut regs = no_call;
        before_handler(&mut regs, SA_RESTART);
        without_handler(&mut regs);
        assert_eq!(regs, no_call);
    }
}
