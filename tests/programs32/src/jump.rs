//! A jump to code that the program has put somewhere, with every register
//! under control, the stack pointer too; and the way back.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU32;

/// Registers as PUSHA has them on the stack, the last pushed first; and where
/// to go.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Jump {
    /// EDI.
    pub edi: u32,
    /// ESI.
    pub esi: u32,
    /// EBP.
    pub ebp: u32,
    /// ESP.
    pub esp: u32,
    /// EBX.
    pub ebx: u32,
    /// EDX.
    pub edx: u32,
    /// ECX.
    pub ecx: u32,
    /// EAX.
    pub eax: u32,
    /// EIP.
    pub eip: u32,
}

/// Where to go, with which stack pointer; the stack pointer to come back with.
static WAY: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

impl Jump {
    /// Jumps. Answers EAX of whoever jumps or returns to [`back_address`].
    pub fn go(self) -> u32 {
        // SAFETY: what is there is the program's to answer for.
        unsafe { go(&self) }
    }
}

/// Where the code is to go, for example by a RET, to get back here.
pub fn back_address() -> u32 {
    back as *const () as u32
}

/// On arrival: the C ABI.
#[unsafe(naked)]
unsafe extern "C" fn go(jump: &Jump) -> u32 {
    naked_asm!(
        "push ebx",
        "push ebp",
        "push esi",
        "push edi",
        "mov [{way} + 8], esp",
        "mov ebx, [esp + 20]",
        "mov eax, [ebx + 32]",
        "mov [{way}], eax",
        "mov eax, [ebx + 12]",
        "mov [{way} + 4], eax",
        "push {plain}",
        "popfd",                   // no flag from whoever was here before
        "mov esp, ebx",
        "popad",                   // all but esp = the jump's
        "mov esp, [{way} + 4]",
        "jmp dword ptr [{way}]",
        way = sym WAY,
        plain = const crate::crossing::PLAIN_FLAGS,
    )
}

/// Back in [`go`]: its caller gets EAX.
#[unsafe(naked)]
unsafe extern "C" fn back() {
    naked_asm!(
        "mov esp, [{way} + 8]",
        "pop edi",
        "pop esi",
        "pop ebp",
        "pop ebx",
        "ret",
        way = sym WAY,
    )
}
