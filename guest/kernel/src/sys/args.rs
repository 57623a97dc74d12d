//! How a register becomes a typed argument: the extension that C's conversion
//! to the parameter's type makes.

use crate::user::UserPtr;
use trapgate_abi::PtRegs;

/// The six argument registers of a call.
pub type Registers = [u64; 6];

/// The arguments of SYSCALL (System V ABI for x86-64, A.2.1).
#[inline(always)]
pub const fn x64(regs: &PtRegs) -> Registers {
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9]
}

/// The arguments of INT 0x80: the low halves of the i386 registers.
#[inline(always)]
pub const fn ia32(regs: &PtRegs) -> Registers {
    const fn low(register: u64) -> u64 {
        register as u32 as u64
    }
    [low(regs.rbx), low(regs.rcx), low(regs.rdx), low(regs.rsi), low(regs.rdi), low(regs.rbp)]
}

/// A type that a system call takes.
pub trait Argument: Sized {
    /// The register's value as this type: cut to its width, and extended by
    /// its sign when it is used as a wider one.
    fn from_register(value: u64) -> Self;
}

macro_rules! integers {
    ($($ty:ty),*) => {
        $(impl Argument for $ty {
            #[inline(always)]
            fn from_register(value: u64) -> Self {
                value as $ty
            }
        })*
    };
}
integers!(i32, u32, i64, u64);

impl<T> Argument for UserPtr<T> {
    #[inline(always)]
    fn from_register(value: u64) -> Self {
        UserPtr::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGS: PtRegs = PtRegs {
        rdi: 0xffff_ffff_0000_0001,
        rsi: 2,
        rdx: 0x1_ffff_ffff,
        r10: 4,
        r8: 5,
        r9: 6,
        rbx: 0xaaaa_aaaa_ffff_fff6,
        rcx: 0xbbbb_bbbb_0000_0022,
        rbp: u64::MAX,
        ..PtRegs::from_words(&[0; PtRegs::WORDS])
    };

    #[test]
    fn x64_takes_whole_registers_in_the_abis_order() {
        assert_eq!(x64(&REGS), [0xffff_ffff_0000_0001, 2, 0x1_ffff_ffff, 4, 5, 6]);
    }

    #[test]
    fn ia32_takes_low_halves_in_the_abis_order() {
        let expected = [0xffff_fff6, 0x22, 0xffff_ffff, 2, 1, 0xffff_ffff];
        assert_eq!(ia32(&REGS), expected);
    }

    #[test]
    fn extension_follows_the_type() {
        assert_eq!(i32::from_register(0x1_ffff_ffff), -1);
        assert_eq!(u32::from_register(0xffff_ffff_0000_0001), 1);
        assert_eq!(i64::from_register(u64::MAX), -1);
        assert_eq!(i64::from_register(0xffff_fff6), 0xffff_fff6);
        assert_eq!(UserPtr::<u8>::from_register(u64::MAX).address(), u64::MAX);
    }
}
