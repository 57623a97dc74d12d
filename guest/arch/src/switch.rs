//! What a thread is while no CPU has it: a stack pointer, with the registers that a
//! call keeps above it; and the switch from one to another.
//!
//! A [`Context`] that runs has none. So there is exactly one without on a CPU, and
//! [`Context::switch`] holds its callers to that.
#![allow(unsafe_code, reason = "exchanges the stack pointer, and makes a thread's first frame")]

use crate::paging::{AtomicCr3, Cr3};
use crate::percpu;
use crate::stack::KernelStack;
use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::PtRegs;
use trapgate_abi::layout::Cpu;

/// What a thread begins with.
pub enum Start {
    /// A function of the kernel's.
    Kernel(fn() -> !),
    /// Ring 3, with these registers, by the way that [`init`] was told.
    User(PtRegs),
}

/// Where the roof goes on with a new thread of ring 3. On arrival: rsp = its complete
/// PtRegs, with room below.
pub type FirstReturn = unsafe extern "C" fn() -> !;

static FIRST_RETURN: AtomicU64 = AtomicU64::new(0);

/// Says where new threads of ring 3 go on.
///
/// # Safety
/// It must be what [`FirstReturn`] says.
pub unsafe fn init(first_return: FirstReturn) {
    FIRST_RETURN.store(first_return as usize as u64, Ordering::Relaxed);
}

/// A thread's place in the kernel.
pub struct Context {
    /// Its stack pointer; 0 while it runs.
    saved: AtomicU64,
    /// The end of its stack.
    top: u64,
    /// The page tables that it runs on: what CR3 holds.
    cr3: AtomicCr3,
    /// Its stack, if it is not the CPU's first.
    _stack: Option<KernelStack>,
}

/// What [`switch_stacks`] finds at a stack pointer: registers that a call keeps, and
/// where it returns to.
#[repr(C)]
struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbx: u64,
    rbp: u64,
    rip: u64,
}

/// Bytes at a stack's end that keep calls aligned behind a frame of 21 words.
const ALIGNMENT: u64 = 8;

impl Context {
    /// That of who runs when the kernel begins: on the CPU's own stack, and on these page
    /// tables, which are loaded.
    pub const fn first(cr3: Cr3) -> Context {
        Context {
            saved: AtomicU64::new(0),
            top: Cpu::FIRST.stack_top(),
            cr3: AtomicCr3::new(cr3),
            _stack: None,
        }
    }

    /// One that has not run yet. The tables are there for as long as it may run.
    pub fn new(stack: KernelStack, start: Start, cr3: Cr3) -> Context {
        let top = stack.top();
        let (rest, frame) = match start {
            Start::Kernel(function) => {
                let rip = begin as unsafe extern "C" fn() -> ! as usize as u64;
                // So that the function is called with an aligned stack.
                (top, Frame { rbx: function as usize as u64, rip, ..ZERO })
            }
            Start::User(regs) => {
                let place = top - ALIGNMENT - size_of::<PtRegs>() as u64;
                // SAFETY: the stack is mapped, nobody else's, and larger.
                unsafe { (place as *mut PtRegs).write(regs) };
                (place, Frame { rip: FIRST_RETURN.load(Ordering::Relaxed), ..ZERO })
            }
        };
        assert!(frame.rip != 0, "nobody has said where threads begin");
        let saved = rest - size_of::<Frame>() as u64;
        // SAFETY: as above.
        unsafe { (saved as *mut Frame).write(frame) };
        Context { saved: AtomicU64::new(saved), top, cr3: AtomicCr3::new(cr3), _stack: Some(stack) }
    }

    /// The page tables that it runs on.
    pub fn cr3(&self) -> Cr3 {
        self.cr3.get()
    }

    /// This one runs, and goes on on other page tables.
    ///
    /// # Panics
    /// If it does not run.
    pub fn change_tables(&self, cr3: Cr3) {
        assert!(self.saved.load(Ordering::Relaxed) == 0, "other tables for who does not run");
        self.cr3.set(cr3);
        cr3.load();
    }

    /// Goes on there, until somebody switches back.
    ///
    /// # Panics
    /// If this one does not run, or the other one does.
    pub fn switch(&self, to: &Context) {
        let saved = to.saved.swap(0, Ordering::Relaxed);
        assert!(saved != 0, "a switch to who runs");
        assert!(self.saved.load(Ordering::Relaxed) == 0, "a switch from who does not run");
        if to.cr3() != self.cr3() {
            // All tables have all kernel stacks.
            to.cr3().load();
        }
        // SAFETY: it is the end of that thread's stack, and whoever goes to ring 3 has
        // left nothing on it but what is above the frame.
        unsafe { percpu::set_stack(to.top) };
        // SAFETY: this one runs, so it is its stack that RSP is in; the other does not,
        // so that what it saved is still there, on a stack that it owns.
        unsafe { switch_stacks(self.saved.as_ptr(), saved) };
    }
}

const ZERO: Frame = Frame { r15: 0, r14: 0, r13: 0, r12: 0, rbx: 0, rbp: 0, rip: 0 };

/// The registers that a call keeps go onto the stack, RSP goes to `save`, and all of
/// them come from where `load` points to.
///
/// ```text
///   +48  │ where it returns to    │ pushed by the call; of a new thread: `begin`, or
///   +32  │ rbp rbx                │   the roof's way to ring 3
///    +0  │ r12 r13 r14 r15        │ ← what is saved
/// ```
///
/// RFLAGS need not be kept: ring 0 runs with interrupts off and, by the ABI, the
/// direction flag clear; nobody switches between STAC and CLAC.
///
/// # Safety
/// `load` must be what this function has saved, or a [`Frame`]; `save` must be
/// writable until somebody loads what is there.
#[unsafe(naked)]
unsafe extern "C" fn switch_stacks(save: *mut u64, load: u64) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp", // this thread can be gone on with
        "mov rsp, rsi",   // the other's stack from here on
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

const _: () = assert!(offset_of!(Frame, rip) == 48 && size_of::<Frame>() == 56);

/// Where a thread of the kernel's begins: rbx = its function, rsp = the end of its
/// stack.
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        "call rbx", // does not return
        "ud2",
    )
}
