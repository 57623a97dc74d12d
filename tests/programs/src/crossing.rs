//! One crossing of a door with every register under control: all general
//! registers, RFLAGS and XMM0 to XMM15 are loaded from a [`State`], the door is
//! taken, and what the kernel left is stored to another one.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// What the program's side of a crossing consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct State {
    /// XMM0 to XMM15.
    pub xmm: [[u64; 2]; 16],
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the CPU's own order.
    pub general: [u64; 16],
    /// RFLAGS.
    pub rflags: u64,
    /// CS, SS, DS, ES, FS, GS.
    pub selectors: [u64; 6],
    /// Address of the instruction behind the door's.
    pub behind: u64,
}

/// Names of [`State::general`].
pub const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
/// Index of RAX.
pub const RAX: usize = 0;
/// Index of RCX.
pub const RCX: usize = 1;
/// Index of RDX.
pub const RDX: usize = 2;
/// Index of RBX.
pub const RBX: usize = 3;
/// Index of RSP: set by the crossing itself.
pub const RSP: usize = 4;
/// Index of RBP.
pub const RBP: usize = 5;
/// Index of RSI.
pub const RSI: usize = 6;
/// Index of RDI.
pub const RDI: usize = 7;
/// Index of R8.
pub const R8: usize = 8;
/// Index of R9.
pub const R9: usize = 9;
/// Index of R10.
pub const R10: usize = 10;
/// Index of R11.
pub const R11: usize = 11;

/// RFLAGS of a program that has set nothing: IF, and the bit that is always 1.
pub const PLAIN_FLAGS: u64 = 0x202;

impl State {
    const ZERO: State = State {
        xmm: [[0; 2]; 16],
        general: [0; 16],
        rflags: PLAIN_FLAGS,
        selectors: [0; 6],
        behind: 0,
    };

    /// Every register holds another value, all halves of all words set.
    pub fn poison() -> State {
        let mut state = State::ZERO;
        for (index, register) in state.general.iter_mut().enumerate() {
            *register = 0x9e37_79b9_f00d_0000 | (0x0101 * (index as u64 + 1));
        }
        for (index, register) in state.xmm.iter_mut().enumerate() {
            let index = index as u64;
            *register = [0xaaaa_0000_5555_0000 | index, 0xcccc_0000_3333_0000 | index];
        }
        state
    }
}

/// What the assembly reads and writes.
#[repr(C, align(16))]
struct Exchange {
    before: State,
    after: State,
    stack: u64,
}

struct Shared(UnsafeCell<Exchange>);
// SAFETY: these programs have one thread.
unsafe impl Sync for Shared {}

static EXCHANGE: Shared =
    Shared(UnsafeCell::new(Exchange { before: State::ZERO, after: State::ZERO, stack: 0 }));

/// Stores the selectors at `$state`, through RAX.
macro_rules! selectors {
    ($state:literal) => {
        concat!(
            "xor eax, eax\n",
            "mov ax, cs\n mov [rip + {exchange} + ",
            $state,
            " + {selectors}], rax\n",
            "mov ax, ss\n mov [rip + {exchange} + ",
            $state,
            " + {selectors} + 8], rax\n",
            "mov ax, ds\n mov [rip + {exchange} + ",
            $state,
            " + {selectors} + 16], rax\n",
            "mov ax, es\n mov [rip + {exchange} + ",
            $state,
            " + {selectors} + 24], rax\n",
            "mov ax, fs\n mov [rip + {exchange} + ",
            $state,
            " + {selectors} + 32], rax\n",
            "mov ax, gs\n mov [rip + {exchange} + ",
            $state,
            " + {selectors} + 40], rax\n",
        )
    };
}

macro_rules! crossing {
    ($name:ident, $function:ident, $door:literal) => {
        /// Crosses by this door. Answers the state before, with what the
        /// crossing itself has set in it, and the state after.
        pub fn $name(before: &State) -> (State, State) {
            let exchange = EXCHANGE.0.get();
            // SAFETY: one thread, and the assembly keeps what the ABI wants
            // kept; the call it makes is the caller's to answer for, as with
            // `crate::call`.
            unsafe {
                (*exchange).before = *before;
                $function();
                ((*exchange).before, (*exchange).after)
            }
        }

        /// On arrival: the C ABI. All that it lets a caller keep is saved on
        /// the stack; the stack pointer is saved in `exchange.stack`, in case
        /// the kernel changes it.
        #[unsafe(naked)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "mov [rip + {exchange} + {stack}], rsp",
                "mov [rip + {exchange} + {general} + 8*4], rsp",
                "lea rax, [rip + 2f]",
                "mov [rip + {exchange} + {behind}], rax",
                selectors!("0"),
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movaps xmm\\i, [rip + {exchange} + {xmm} + 16*\\i]",
                ".endr",
                "push qword ptr [rip + {exchange} + {rflags}]",
                "popfq",                         // from here on no arithmetic
                "mov rax, [rip + {exchange} + {general} + 8*0]",
                "mov rcx, [rip + {exchange} + {general} + 8*1]",
                "mov rdx, [rip + {exchange} + {general} + 8*2]",
                "mov rbx, [rip + {exchange} + {general} + 8*3]",
                "mov rbp, [rip + {exchange} + {general} + 8*5]",
                "mov rsi, [rip + {exchange} + {general} + 8*6]",
                "mov rdi, [rip + {exchange} + {general} + 8*7]",
                "mov r8, [rip + {exchange} + {general} + 8*8]",
                "mov r9, [rip + {exchange} + {general} + 8*9]",
                "mov r10, [rip + {exchange} + {general} + 8*10]",
                "mov r11, [rip + {exchange} + {general} + 8*11]",
                "mov r12, [rip + {exchange} + {general} + 8*12]",
                "mov r13, [rip + {exchange} + {general} + 8*13]",
                "mov r14, [rip + {exchange} + {general} + 8*14]",
                "mov r15, [rip + {exchange} + {general} + 8*15]",
                $door,
                "2:",                            // registers = the kernel's
                "mov [rip + {exchange} + {after} + {general} + 8*0], rax",
                "mov [rip + {exchange} + {after} + {general} + 8*1], rcx",
                "mov [rip + {exchange} + {after} + {general} + 8*2], rdx",
                "mov [rip + {exchange} + {after} + {general} + 8*3], rbx",
                "mov [rip + {exchange} + {after} + {general} + 8*4], rsp",
                "mov [rip + {exchange} + {after} + {general} + 8*5], rbp",
                "mov [rip + {exchange} + {after} + {general} + 8*6], rsi",
                "mov [rip + {exchange} + {after} + {general} + 8*7], rdi",
                "mov [rip + {exchange} + {after} + {general} + 8*8], r8",
                "mov [rip + {exchange} + {after} + {general} + 8*9], r9",
                "mov [rip + {exchange} + {after} + {general} + 8*10], r10",
                "mov [rip + {exchange} + {after} + {general} + 8*11], r11",
                "mov [rip + {exchange} + {after} + {general} + 8*12], r12",
                "mov [rip + {exchange} + {after} + {general} + 8*13], r13",
                "mov [rip + {exchange} + {after} + {general} + 8*14], r14",
                "mov [rip + {exchange} + {after} + {general} + 8*15], r15",
                "mov rsp, [rip + {exchange} + {stack}]",
                "pushfq",
                "pop qword ptr [rip + {exchange} + {after} + {rflags}]",
                "push {plain}",
                "popfq",                         // the ABI's flags again
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movaps [rip + {exchange} + {after} + {xmm} + 16*\\i], xmm\\i",
                ".endr",
                selectors!("{after}"),
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                exchange = sym EXCHANGE,
                stack = const offset_of!(Exchange, stack),
                after = const offset_of!(Exchange, after),
                general = const offset_of!(State, general),
                rflags = const offset_of!(State, rflags),
                xmm = const offset_of!(State, xmm),
                selectors = const offset_of!(State, selectors),
                behind = const offset_of!(State, behind),
                plain = const PLAIN_FLAGS,
            )
        }
    };
}

const _: () = assert!(offset_of!(Exchange, before) == 0);

crossing!(by_syscall, cross_syscall, "syscall");
crossing!(by_int80, cross_int80, "int 0x80");
