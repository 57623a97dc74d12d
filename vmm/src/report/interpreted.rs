//! Why an instruction was illegal on a software KVM that the CPU has: such a KVM
//! interprets compatibility mode, and its interpreter knows little beyond integer
//! instructions.

use iced_x86::{CpuidFeature, Instruction, Mnemonic};
use std::arch::is_x86_feature_detected as detected;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::Fault;
use trapgate_abi::x86::vector;

/// Whether it was the interpreter of a software KVM that did not know the
/// instruction, not the CPU.
pub(crate) fn is_uninterpreted(software: bool, fault: &Fault, regs: &PtRegs) -> bool {
    let illegal = fault.vector == u64::from(vector::UD);
    let interpreted = software && super::bits(regs) == 32;
    illegal && interpreted && super::decoded(fault, regs).is_some_and(|code| cpu_has(&code))
}

/// Whether this CPU executes it in ring 3: some are meant to be illegal.
fn cpu_has(instruction: &Instruction) -> bool {
    let undefined = matches!(instruction.mnemonic(), Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2);
    let known = !instruction.is_invalid() && !undefined;
    known && instruction.cpuid_features().iter().all(|feature| has(*feature))
}

/// Whether this CPU has a feature, as the host's kernel has enabled it. Of those
/// that programs have no use for, none.
fn has(feature: CpuidFeature) -> bool {
    use CpuidFeature as F;
    match feature {
        // What every CPU with long mode has.
        F::INTEL8086 | F::INTEL186 | F::INTEL286 | F::INTEL386 | F::INTEL486 => true,
        F::FPU | F::FPU287 | F::FPU387 | F::MMX | F::SSE | F::SSE2 | F::FXSR => true,
        F::CMOV | F::CX8 | F::CPUID | F::TSC | F::CLFSH | F::PAUSE | F::MULTIBYTENOP => true,
        F::SSE3 => detected!("sse3"),
        F::SSSE3 => detected!("ssse3"),
        F::SSE4_1 => detected!("sse4.1"),
        F::SSE4_2 => detected!("sse4.2"),
        F::SSE4A => detected!("sse4a"),
        F::POPCNT => detected!("popcnt"),
        F::LZCNT => detected!("lzcnt"),
        F::MOVBE => detected!("movbe"),
        F::BMI1 => detected!("bmi1"),
        F::BMI2 => detected!("bmi2"),
        F::ADX => detected!("adx"),
        F::AES => detected!("aes"),
        F::PCLMULQDQ => detected!("pclmulqdq"),
        F::SHA => detected!("sha"),
        F::RDRAND => detected!("rdrand"),
        F::RDSEED => detected!("rdseed"),
        F::XSAVE => detected!("xsave"),
        F::XSAVEC => detected!("xsavec"),
        F::XSAVEOPT => detected!("xsaveopt"),
        F::AVX => detected!("avx"),
        F::AVX2 => detected!("avx2"),
        F::F16C => detected!("f16c"),
        F::FMA => detected!("fma"),
        F::AVX512F => detected!("avx512f"),
        F::AVX512VL => detected!("avx512vl"),
        F::AVX512BW => detected!("avx512bw"),
        F::AVX512DQ => detected!("avx512dq"),
        F::AVX512CD => detected!("avx512cd"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::x86::selector;

    /// A death in 32-bit code by these bytes.
    fn of(software: bool, code: &[u8], change: impl Fn(&mut Fault, &mut PtRegs)) -> bool {
        let mut low = [0; 8];
        low[..code.len()].copy_from_slice(code);
        let mut fault = Fault {
            vector: vector::UD.into(),
            code_low: u64::from_le_bytes(low),
            code_len: code.len() as u64,
            ..Fault::default()
        };
        let mut regs = PtRegs { cs: selector::USER32_CS.into(), ..PtRegs::default() };
        change(&mut fault, &mut regs);
        is_uninterpreted(software, &fault, &regs)
    }

    const ADDPS: [u8; 3] = [0x0f, 0x58, 0xc1];

    #[test]
    fn what_the_cpu_has_is_the_interpreters_lack() {
        assert!(of(true, &ADDPS, |_, _| {}));
        assert_eq!(of(true, &[0x0f, 0x01, 0xd0], |_, _| {}), detected!("xsave"));
        assert!(!of(false, &ADDPS, |_, _| {}));
        assert!(!of(true, &ADDPS, |_, regs| regs.cs = selector::USER_CS.into()));
        assert!(!of(true, &ADDPS, |fault, _| fault.vector = vector::GP.into()));
        assert!(!of(true, &ADDPS, |fault, _| fault.code_len = 0));
    }

    #[test]
    fn what_no_cpu_has_is_the_programs_doing() {
        // UD2, LOCK before what takes none, a hole in the map, VMMCALL.
        let codes: [&[u8]; 4] = [&[0x0f, 0x0b], &[0xf0, 0x90], &[0x0f, 0x04], &[0x0f, 0x01, 0xd9]];
        for code in codes {
            assert!(!of(true, code, |_, _| {}), "{code:x?}");
        }
    }
}
