//! The doors: where the CPU enters ring 0, and where it leaves.
//!
//! One file a door. Each opens with what is true on arrival and a picture of
//! the frame that it builds; the comment column says what is now true. All
//! doors build the same [`trapgate_abi::PtRegs`] and hand it to `dispatch` or
//! `exception`.
//!
//! A door's text also names the mitigation steps that Linux has in such places, a
//! line each (`steps`). In the plain image such a line is nothing; in the
//! instrumented one it is a patch site, which the VMM keeps or fills with NOPs.
//! Only the door of 64-bit SYSCALL is there a second time, with `stamps`.
#![allow(unsafe_code, reason = "the CPU's entry points are assembly")]

#[macro_use]
mod steps;

pub mod int80;
pub mod leave;
#[cfg(feature = "instrumented")]
mod stamps;
pub mod syscall32;
pub mod syscall64;
pub mod sysenter;
pub mod thread;
#[cfg(feature = "instrumented")]
mod thunks;
mod vectors;

/// Bytes of a frame that the CPU has begun, from the stack's end, that lie above what
/// a door loads into RSP: where such a frame has its place on a thread's stack is this
/// much below that.
const FRAME_ABOVE: usize = size_of::<trapgate_abi::PtRegs>() - 8;

/// Pushes the general registers below `orig_rax` as PtRegs wants them; RDI and
/// RSI have been pushed by the caller. `$rax` is what stands in for RAX.
macro_rules! push_registers {
    ($rax:literal) => {
        concat!(
            "push rdx\n",
            "push rcx\n",
            "push ",
            $rax,
            "\n",
            "push r8\n",
            "push r9\n",
            "push r10\n",
            "push r11\n",
            "push rbx\n",
            "push rbp\n",
            "push r12\n",
            "push r13\n",
            "push r14\n",
            "push r15\n",
        )
    };
}

/// The inverse, RDI and RSI included: rsp = `orig_rax` afterwards.
macro_rules! pop_registers {
    () => {
        "pop r15
         pop r14
         pop r13
         pop r12
         pop rbp
         pop rbx
         pop r11
         pop r10
         pop r9
         pop r8
         pop rax
         pop rcx
         pop rdx
         pop rsi
         pop rdi"
    };
}

/// For the fast 32-bit doors: the sixth argument, from where the user's ESP in
/// the complete frame points, into the frame's RBP. As a function of Rust it
/// would cost twice the instructions. Goes on at `$fault` if it cannot be read.
/// Loses rcx.
macro_rules! sixth_argument {
    ($fault:literal) => {
        concat!(
            "mov ecx, [rsp + {rsp_slot}]\n", // a 32-bit address: always the user's half
            "cmp qword ptr gs:[{smap}], 0\n",
            "je 32f\n",
            "stac\n",
            "31: mov ecx, [rcx]\n",
            "clac\n",
            "jmp 33f\n",
            "30: clac\n", // the fault's IRETQ has brought AC back
            "jmp ",
            $fault,
            "\n",
            "32: mov ecx, [rcx]\n",
            "33: mov [rsp + {rbp_slot}], rcx\n",
            ".pushsection .ex_table, \"a\"\n",
            ".quad 31b, 30b, 1\n",
            ".quad 32b, ",
            $fault,
            ", 1\n",
            ".popsection\n",
        )
    };
}

/// What the fast 32-bit doors do with a complete frame: the call with its sixth
/// argument, or the answer that there is none to be had; and the way back.
macro_rules! fast_call_32 {
    () => {
        concat!(
            sixth_argument!("4f"), // the frame's rbp = the sixth
            "mov rdi, rsp\n",
            before_call!(),
            "\ncall {dispatch}\n", // the frame = what the program gets
            after_call!(),
            "\njmp {leave}\n",
            "4: mov rdi, rsp\n", // there is no sixth to be had
            before_call!(),
            "\ncall {bad_stack}\n",
            after_call!(),
            "\njmp {leave}",
        )
    };
}
use {fast_call_32, pop_registers, push_registers, sixth_argument};
