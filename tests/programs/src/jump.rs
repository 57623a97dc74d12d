//! A jump to code that the program has put somewhere, with the registers that
//! a call has under control, and the stack pointer too; and the way back.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU64;

/// Registers, and where to go.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Jump {
    /// RAX.
    pub rax: u64,
    /// RBX.
    pub rbx: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// RBP.
    pub rbp: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// R10.
    pub r10: u64,
    /// R11.
    pub r11: u64,
    /// RSP.
    pub rsp: u64,
    /// RIP.
    pub rip: u64,
}

/// Where to go; the stack pointer to come back with.
static WAY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

impl Jump {
    /// Jumps, R12 to R15 zero. Answers RAX of whoever jumps or returns to
    /// [`back_address`].
    pub fn go(self) -> u64 {
        // SAFETY: what is there is the program's to answer for.
        unsafe { go(&self) }
    }
}

/// Where the code is to go, for example by a RET, to get back here.
pub fn back_address() -> u64 {
    back as *const () as u64
}

/// On arrival: the C ABI; rdi = the jump.
#[unsafe(naked)]
unsafe extern "C" fn go(jump: &Jump) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {way} + 8], rsp",
        "mov rax, [rdi + 8*12]",
        "mov [rip + {way}], rax",
        "push {plain}",
        "popfq",                   // no flag from whoever was here before
        "mov rax, [rdi]",
        "mov rbx, [rdi + 8*1]",
        "mov rcx, [rdi + 8*2]",
        "mov rdx, [rdi + 8*3]",
        "mov rsi, [rdi + 8*4]",
        "mov rbp, [rdi + 8*6]",
        "mov r8, [rdi + 8*7]",
        "mov r9, [rdi + 8*8]",
        "mov r10, [rdi + 8*9]",
        "mov r11, [rdi + 8*10]",
        "mov rsp, [rdi + 8*11]",
        "mov rdi, [rdi + 8*5]",
        "mov r12d, 0",
        "mov r13d, 0",
        "mov r14d, 0",
        "mov r15d, 0",
        "jmp [rip + {way}]",
        way = sym WAY,
        plain = const crate::crossing::PLAIN_FLAGS,
    )
}

/// Back in [`go`]: its caller gets RAX.
#[unsafe(naked)]
unsafe extern "C" fn back() {
    naked_asm!(
        "mov rsp, [rip + {way} + 8]",
        "cld",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        way = sym WAY,
    )
}
