//! One crossing of a door with every register under control: all general
//! registers and EFLAGS are loaded from a [`State`], the door is taken, and what
//! the kernel (and the vDSO, where it is on the way) left is stored to another
//! one.

use crate::Door;
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// What the program's side of a crossing consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI: the CPU's own order.
    pub general: [u32; 8],
    /// EFLAGS.
    pub eflags: u32,
    /// CS, SS, DS, ES, FS, GS.
    pub selectors: [u32; 6],
}

/// Names of [`State::general`].
pub const NAMES: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
/// Index of EAX.
pub const EAX: usize = 0;
/// Index of ECX.
pub const ECX: usize = 1;
/// Index of EDX.
pub const EDX: usize = 2;
/// Index of EBX.
pub const EBX: usize = 3;
/// Index of EBP.
pub const EBP: usize = 5;
/// Index of ESI.
pub const ESI: usize = 6;
/// Index of EDI.
pub const EDI: usize = 7;

/// EFLAGS of a program that has set nothing: IF, and the bit that is always 1.
pub const PLAIN_FLAGS: u32 = 0x202;

impl State {
    const ZERO: State = State { general: [0; 8], eflags: PLAIN_FLAGS, selectors: [0; 6] };

    /// Every register holds another value.
    pub fn poison() -> State {
        let mut state = State::ZERO;
        for (index, register) in state.general.iter_mut().enumerate() {
            *register = 0xf00d_0000 | (0x0101 * (index as u32 + 1));
        }
        state
    }
}

/// What the assembly reads and writes.
#[repr(C)]
struct Exchange {
    before: State,
    after: State,
    stack: u32,
}

struct Shared(UnsafeCell<Exchange>);
// SAFETY: these programs have one thread.
unsafe impl Sync for Shared {}

static EXCHANGE: Shared =
    Shared(UnsafeCell::new(Exchange { before: State::ZERO, after: State::ZERO, stack: 0 }));

/// Crosses by this door. Answers the state before, with what the crossing
/// itself has set in it (ESP, the selectors), and the state after.
pub fn cross(door: Door, before: &State) -> (State, State) {
    let exchange = EXCHANGE.0.get();
    // SAFETY: one thread, and the assembly keeps what the ABI wants kept; the
    // call it makes is the caller's to answer for, as with `Door::call`.
    unsafe {
        (*exchange).before = *before;
        match door {
            Door::Int80 => by_int80(),
            Door::Syscall => by_syscall(),
            Door::Sysenter => by_sysenter(),
            Door::Vsyscall => {
                VSYSCALL = trapgate_rt::vsyscall::address().unwrap_or(0);
                by_vsyscall();
            }
        }
        ((*exchange).before, (*exchange).after)
    }
}

/// The address of `__kernel_vsyscall`.
static mut VSYSCALL: u32 = 0;

/// Stores the selectors at `$state`, through EAX.
macro_rules! selectors {
    ($state:literal) => {
        concat!(
            "xor eax, eax\n",
            "mov ax, cs\n mov [{exchange} + {selectors} + ",
            $state,
            "], eax\n",
            "mov ax, ss\n mov [{exchange} + {selectors} + 4 + ",
            $state,
            "], eax\n",
            "mov ax, ds\n mov [{exchange} + {selectors} + 8 + ",
            $state,
            "], eax\n",
            "mov ax, es\n mov [{exchange} + {selectors} + 12 + ",
            $state,
            "], eax\n",
            "mov ax, fs\n mov [{exchange} + {selectors} + 16 + ",
            $state,
            "], eax\n",
            "mov ax, gs\n mov [{exchange} + {selectors} + 20 + ",
            $state,
            "], eax\n",
        )
    };
}

macro_rules! crossing {
    ($function:ident, $($door:literal),+ $(; $name:ident = sym $symbol:path)?) => {
        /// On arrival: the C ABI. All that it lets a caller keep is saved on
        /// the stack; the stack pointer is saved in `exchange.stack`, in case
        /// the kernel changes it.
        #[unsafe(naked)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "push ebx",
                "push ebp",
                "push esi",
                "push edi",
                "mov [{exchange} + {stack}], esp",
                "mov [{exchange} + {general} + 4*4], esp",
                selectors!("0"),
                "push dword ptr [{exchange} + {eflags}]",
                "popfd",                         // from here on no arithmetic
                "mov ecx, [{exchange} + {general} + 4*1]",
                "mov edx, [{exchange} + {general} + 4*2]",
                "mov ebx, [{exchange} + {general} + 4*3]",
                "mov ebp, [{exchange} + {general} + 4*5]",
                "mov esi, [{exchange} + {general} + 4*6]",
                "mov edi, [{exchange} + {general} + 4*7]",
                "mov eax, [{exchange} + {general} + 4*0]",
                $($door,)+                       // registers = the kernel's
                "mov [{exchange} + {after} + {general} + 4*0], eax",
                "mov [{exchange} + {after} + {general} + 4*1], ecx",
                "mov [{exchange} + {after} + {general} + 4*2], edx",
                "mov [{exchange} + {after} + {general} + 4*3], ebx",
                "mov [{exchange} + {after} + {general} + 4*4], esp",
                "mov [{exchange} + {after} + {general} + 4*5], ebp",
                "mov [{exchange} + {after} + {general} + 4*6], esi",
                "mov [{exchange} + {after} + {general} + 4*7], edi",
                "mov esp, [{exchange} + {stack}]",
                "pushfd",
                "pop dword ptr [{exchange} + {after} + {eflags}]",
                "push {plain}",
                "popfd",                         // the ABI's flags again
                selectors!("{after}"),
                "pop edi",
                "pop esi",
                "pop ebp",
                "pop ebx",
                "ret",
                exchange = sym EXCHANGE,
                $($name = sym $symbol,)?
                stack = const offset_of!(Exchange, stack),
                after = const offset_of!(Exchange, after),
                general = const offset_of!(State, general),
                eflags = const offset_of!(State, eflags),
                selectors = const offset_of!(State, selectors),
                plain = const PLAIN_FLAGS,
            )
        }
    };
}

const _: () = assert!(offset_of!(Exchange, before) == 0);

crossing!(by_int80, "int 0x80");
crossing!(by_vsyscall, "call dword ptr [{vsyscall}]"; vsyscall = sym VSYSCALL);
// As `__kernel_vsyscall` has it: the kernel returns into that, behind its own
// door, and that pops what was pushed here.
crossing!(
    by_sysenter,
    "call 2f",
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",
    "mov ebp, esp",
    "sysenter",
    "ud2",
    "3:"
);
crossing!(
    by_syscall,
    "call 2f",
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",
    "mov ebp, ecx",
    "syscall",
    "ud2",
    "3:"
);
