//! A jump from 32-bit into 64-bit code and back, as any program may make it.
//! SYSCALL there is the 64-bit door, with the 64-bit table; INT 0x80 is i386's
//! everywhere.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "jumps into another mode")]

use core::arch::naked_asm;
use trapgate_programs32::{Door, Report};
use trapgate_rt::Args;
use trapgate_uapi::syscall::{nr32, nr64};

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    let pid = Door::Int80.call(nr32::GETPID, &[]).expect("getpid answers");
    // SAFETY: getpid touches no memory, and all registers are kept.
    let (by_syscall, by_int80, wide) = unsafe { (syscall_64(), int80_64(), wide()) };
    report.holds("getpid by SYSCALL in 64-bit code", u64::from(by_syscall) == pid);
    report.holds("getpid by INT 0x80 in 64-bit code", u64::from(by_int80) == pid);
    report.equals("a register of 64 bits, its upper half", wide.into(), 0x1234_5678);
    report.status()
}

/// Defines a function that runs `$code` in 64-bit code.
macro_rules! in_64_bit_code {
    ($name:ident, $($code:literal),+ $(; $number:path)?) => {
        /// On arrival: the C ABI.
        #[unsafe(naked)]
        unsafe extern "C" fn $name() -> u32 {
            naked_asm!(
                "push ebx",
                "push esi",
                "push edi",
                ".byte 0xea",           // JMP 0x33:2f
                ".long 2f",
                ".short 0x33",
                ".code64",
                "2:",                   // 64-bit code
                $($code,)+
                "sub rsp, 16",
                "mov dword ptr [rsp + 4], 0x23",
                "lea ecx, [rip + 3f]",
                "mov [rsp], ecx",
                ".byte 0xff, 0x2c, 0x24", // JMP FAR [RSP]
                ".code32",
                "3: add esp, 16",       // 32-bit code
                "pop edi",
                "pop esi",
                "pop ebx",
                "ret",
                $(number = const $number,)?
            )
        }
    };
}

in_64_bit_code!(syscall_64, "mov eax, {number}", "syscall"; nr64::GETPID);
in_64_bit_code!(int80_64, "mov eax, {number}", "int 0x80"; nr32::GETPID);
in_64_bit_code!(wide, "movabs rax, 0x1234567800000000", "shr rax, 32");
