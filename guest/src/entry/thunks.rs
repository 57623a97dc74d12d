//! What the doors of the instrumented image call, beyond the few instructions of a
//! step.

use core::arch::{global_asm, naked_asm};

/// Rounds of the outer and of the inner loop in [`clear_branch_history`].
const ROUNDS: u32 = 5;

/// Fills the branch history with branches of its own, so that nothing that ring
/// 3 did selects a prediction (Intel, "Branch History Injection": a loop of
/// loops, each round with a call and a return). Loses rax and rcx.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn clear_branch_history() {
    naked_asm!(
        "mov ecx, {rounds}",
        "2: call 4f",
        "dec ecx",
        "jnz 2b",
        "lfence", // no branch is predicted before the history is full
        "ret",
        "4: mov eax, {rounds}",
        "5: jmp 6f",
        "6: dec eax",
        "jnz 5b",
        "ret",
        "int3",
        rounds = const ROUNDS,
    )
}

// untrain, for AMD families 17h and 18h (AMD, "Technical Guidance for Mitigating
// Branch Type Confusion"): the RET is the second byte of a MOV, at the start of
// a cache line. Decoding the MOV shows the CPU that no branch begins there, and
// whatever it was taught of one is gone; then the RET is executed. Loses rax.
global_asm!(
    ".pushsection .text.untrain, \"ax\"",
    ".balign 64, 0xcc",
    ".skip 63, 0xcc",
    ".globl trapgate_untrain_zen2",
    "trapgate_untrain_zen2:",
    ".byte 0xb8", // mov eax, imm32
    "2: ret",     // its four bytes
    ".byte 0xcc, 0xcc, 0xcc",
    "lfence", // the MOV is decoded
    "jmp 2b",
    "int3",
    ".popsection",
);

// untrain, for AMD family 19h and later (AMD, "Speculative Return Stack
// Overflow"): code at an address that the branch predictor takes for that of the
// kernel's return, because the two differ in bits 2, 8, 14 and 20 only, and no
// branch is there. The VMM maps this page a second time where bits 14 and 20 are
// the other way round; bits 2 and 8 are the place in the block. kernel.ld has
// the addresses. Then a return that trusts no prediction.
global_asm!(
    ".pushsection .text.untrain, \"ax\"",
    ".balign 512, 0xcc",
    ".globl trapgate_untrain_block",
    "trapgate_untrain_block:",
    "lea rsp, [rsp + 8]", // drops the address that the CALL below pushed
    "ret",                // to the door
    "int3",
    ".globl trapgate_safe_return",
    "trapgate_safe_return:",
    "call trapgate_untrain_block",
    "ud2", // only ever speculatively
    ".skip {alias} - (. - trapgate_untrain_block), 0xcc",
    "nop", // executed at its other address, which is __untrain_zen4
    "lfence",
    "jmp __safe_return_from_alias",
    "int3",
    ".popsection",
    alias = const 1 << 2 | 1 << 8,
);
