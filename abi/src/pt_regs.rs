//! The user's registers as the entry code saves them: Linux's `pt_regs`.
//!
//! The kernel's doors build one on the kernel stack; crash reports carry one
//! to the VMM.

use crate::wire::wire_struct;

wire_struct! {
    /// `struct pt_regs` of x86-64 (arch/x86/include/asm/ptrace.h), lowest
    /// address first. The last five words are the frame that IRETQ takes
    /// (Intel SDM vol. 3, 6.14.2).
    pub struct PtRegs {
        /// R15
        pub r15: u64,
        /// R14
        pub r14: u64,
        /// R13
        pub r13: u64,
        /// R12
        pub r12: u64,
        /// RBP
        pub rbp: u64,
        /// RBX
        pub rbx: u64,
        /// R11; after SYSCALL, the caller's RFLAGS.
        pub r11: u64,
        /// R10
        pub r10: u64,
        /// R9
        pub r9: u64,
        /// R8
        pub r8: u64,
        /// RAX; on the way out, the call's result.
        pub rax: u64,
        /// RCX; after SYSCALL, the caller's return address.
        pub rcx: u64,
        /// RDX
        pub rdx: u64,
        /// RSI
        pub rsi: u64,
        /// RDI
        pub rdi: u64,
        /// The system-call number as it came in RAX, or an exception's error
        /// code, or all ones.
        pub orig_rax: u64,
        /// RIP to return to.
        pub rip: u64,
        /// CS; its low two bits are the privilege level interrupted.
        pub cs: u64,
        /// RFLAGS
        pub rflags: u64,
        /// RSP
        pub rsp: u64,
        /// SS
        pub ss: u64,
    }
}

impl PtRegs {
    /// Whether these registers were saved from ring 3.
    #[inline(always)]
    pub const fn from_user(&self) -> bool {
        self.cs & 3 == 3
    }
}

const _: () = assert!(PtRegs::WORDS == 21);
const _: () = assert!(core::mem::offset_of!(PtRegs, orig_rax) == 15 * 8);
const _: () = assert!(core::mem::offset_of!(PtRegs, rip) == 16 * 8);
