//! The registers that soft-float programs leave alone: x87's and the vectors,
//! loaded and stored as far as the CPU has them.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::cell::UnsafeCell;

/// Room for 32 registers of 64 bytes.
#[repr(C, align(64))]
pub struct Vectors(UnsafeCell<[u64; 32 * 8]>);
// SAFETY: this program has one thread.
unsafe impl Sync for Vectors {}

impl Vectors {
    const fn new() -> Vectors {
        Vectors(UnsafeCell::new([0; 32 * 8]))
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.0.get() as u64
    }

    /// What is in it.
    pub fn content(&self) -> [u64; 32 * 8] {
        // SAFETY: one thread, and no reference outlives a call.
        unsafe { self.0.get().read_volatile() }
    }

    /// Sets it.
    pub fn set(&self, content: [u64; 32 * 8]) {
        // SAFETY: as above.
        unsafe { self.0.get().write_volatile(content) };
    }
}

/// What [`load`] loads.
pub static BEFORE: Vectors = Vectors::new();
/// What [`store`] has stored.
pub static AFTER: Vectors = Vectors::new();

/// What the CPU has and the kernel has switched on.
#[derive(Clone, Copy)]
pub struct Features {
    /// AVX.
    pub avx: bool,
    /// AVX-512, with its 32 registers.
    pub avx512: bool,
}

impl Features {
    /// Asks the CPU.
    pub fn detect() -> Features {
        const OSXSAVE_AND_AVX: u32 = 1 << 27 | 1 << 28;
        let first = __cpuid(1).ecx;
        if first & OSXSAVE_AND_AVX != OSXSAVE_AND_AVX {
            return Features { avx: false, avx512: false };
        }
        let low: u32;
        // SAFETY: CPUID says that XGETBV exists and is switched on.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _) };
        let has_avx512f = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & 1 << 16 != 0;
        Features { avx: low & 6 == 6, avx512: low & 0xe6 == 0xe6 && has_avx512f }
    }

    /// How many vector registers there are, and their words of 64 bits.
    pub fn registers(self) -> (usize, usize) {
        match self {
            Features { avx512: true, .. } => (32, 8),
            Features { avx: true, .. } => (16, 4),
            _ => (16, 2),
        }
    }
}

/// Content that is like nothing else.
pub fn poison() -> [u64; 32 * 8] {
    let mut poison = [0; 32 * 8];
    for (index, word) in poison.iter_mut().enumerate() {
        *word = 0x5bd1_e995_0000_0000 | (index as u64 * 0x0101);
    }
    poison
}

/// The registers for control and status.
pub fn control() -> (u64, u64) {
    let (mut fcw, mut mxcsr) = (0u64, 0u64);
    // SAFETY: stores two registers into two words.
    unsafe {
        asm!("fnstcw [{}]", "stmxcsr [{}]", in(reg) &raw mut fcw, in(reg) &raw mut mxcsr,
             options(nostack));
    }
    (fcw & 0xffff, mxcsr & 0xffff_ffff)
}

/// Sets x87's and SSE's.
pub fn set_control(fcw: u64, mxcsr: u64) {
    // SAFETY: only rounding and masks change, which nothing else here uses.
    unsafe {
        asm!("fldcw [{}]", "ldmxcsr [{}]", in(reg) &raw const fcw, in(reg) &raw const mxcsr,
             options(nostack, readonly));
    }
}

/// Stores the XMM registers.
pub fn store_xmm() {
    // SAFETY: stores registers into the static.
    unsafe {
        asm!(
            ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "movaps [{at} + 64*\\i], xmm\\i",
            ".endr",
            at = in(reg) AFTER.address(),
            options(nostack),
        );
    }
}

/// Loads the widest vector registers.
pub fn load(features: Features) {
    let at = BEFORE.address();
    // SAFETY: the registers are nobody's in a soft-float program, and are
    // loaded from the static.
    unsafe {
        if features.avx512 {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 zmm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        } else if features.avx {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu ymm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        } else {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movaps xmm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        }
    }
}

/// Stores them.
pub fn store(features: Features) {
    let at = AFTER.address();
    // SAFETY: stores registers into the static.
    unsafe {
        if features.avx512 {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 [{at} + 64*\\i], zmm\\i",
                ".endr",
                at = in(reg) at, options(nostack),
            );
        } else if features.avx {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu [{at} + 64*\\i], ymm\\i",
                ".endr",
                at = in(reg) at, options(nostack),
            );
        } else {
            store_xmm();
        }
    }
}

/// Fills the x87 stack: 0 at the bottom, 7 on top.
pub fn load_x87() {
    for number in 0..8i64 {
        // SAFETY: the stack is empty before; `store_x87` empties it again.
        unsafe {
            asm!("fild qword ptr [{}]", in(reg) &raw const number, options(nostack, readonly));
        }
    }
}

/// Pops the x87 stack.
pub fn store_x87() -> [i64; 8] {
    let mut numbers = [-1; 8];
    for number in &mut numbers {
        // SAFETY: pops what `load_x87` has pushed.
        unsafe { asm!("fistp qword ptr [{}]", in(reg) &raw mut *number, options(nostack)) };
    }
    numbers
}
