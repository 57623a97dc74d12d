//! The areas that hold x87, SSE, AVX and AVX-512 registers of threads which no CPU
//! has: as XSAVE writes them, in the standard format (Intel SDM vol. 1, 13.4).
//!
//! Where the CPU has no XSAVE, FXSAVE's 512 bytes. Where ring 0 is interpreted, it
//! cannot save them: the VMM does, on the areas' memory, and the kernel asks it to
//! (`Request::SwapFpu`).
#![allow(unsafe_code, reason = "an area is reached by its address")]

use crate::cpu;
use alloc::alloc::{Layout, alloc, dealloc};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::boot_info::feature;
use trapgate_abi::layout::DIRECT_MAP;

#[cfg(not(target_os = "none"))]
use crate::fake::fpu as registers;

/// Bytes of an area.
static SIZE: AtomicU64 = AtomicU64::new(HEADER_END as u64);
/// XCR0: what is saved.
static MASK: AtomicU64 = AtomicU64::new(0);
/// A [`way`].
static WAY: AtomicU64 = AtomicU64::new(way::FXSAVE);

/// How registers get into an area and out of it.
mod way {
    pub(super) const FXSAVE: u64 = 0;
    pub(super) const XSAVE: u64 = 1;
    pub(super) const XSAVEOPT: u64 = 2;
    /// The VMM does it.
    pub(super) const HOST: u64 = 3;
}

/// Where the header ends that follows these in XSAVE's areas.
const HEADER_END: usize = 576;
/// XSAVE's areas want it.
const ALIGN: usize = 64;
/// Where MXCSR is, and what it is at a reset; FCW is at 0.
const MXCSR: usize = 24;
const MXCSR_RESET: u32 = 0x1f80;
const FCW_RESET: u32 = 0x37f;

/// Says what there is to save: `features` of the boot information, XCR0, 0 without
/// XSAVE, and the bytes of an area.
pub fn init(features: u64, xcr0: u64, size: u64) {
    let way = match xcr0 {
        _ if features & feature::INTERPRETED != 0 => way::HOST,
        0 => way::FXSAVE,
        _ if features & feature::XSAVEOPT != 0 => way::XSAVEOPT,
        _ => way::XSAVE,
    };
    SIZE.store(size.max(HEADER_END as u64), Ordering::Relaxed);
    MASK.store(xcr0, Ordering::Relaxed);
    WAY.store(way, Ordering::Relaxed);
}

/// Whether the VMM exchanges the registers, because ring 0 cannot.
pub fn by_host() -> bool {
    WAY.load(Ordering::Relaxed) == way::HOST
}

/// A thread's registers.
pub struct Area(NonNull<u8>);

// SAFETY: it owns its memory.
unsafe impl Send for Area {}
// SAFETY: as above; what changes it wants it whole.
unsafe impl Sync for Area {}

impl Area {
    /// As after a reset; `None` if there is no memory.
    pub fn new() -> Option<Area> {
        let layout = layout()?;
        // What lies behind the header is written before it is read; but where that is
        // quick, the area holds nothing of anybody's even before.
        let cleared = if by_host() { HEADER_END } else { layout.size() };
        // SAFETY: the layout is not empty.
        let area = Area(NonNull::new(unsafe { alloc(layout) })?);
        // SAFETY: all is inside it. All components are as at a reset by an empty
        // XSTATE_BV; MXCSR is taken from here anyway, and FCW by FXRSTOR.
        unsafe {
            cpu::zero_words(area.0.as_ptr().cast(), cleared / 8);
            area.0.cast::<u32>().write(FCW_RESET);
            area.0.byte_add(MXCSR).cast::<u32>().write(MXCSR_RESET);
        }
        Some(area)
    }

    /// Where it is, for the VMM: it does not cross what is contiguous.
    pub fn physical(&self) -> u64 {
        self.0.as_ptr() as u64 - DIRECT_MAP
    }

    /// Puts the CPU's registers into it.
    pub fn save(&mut self) {
        let (way, mask) = (WAY.load(Ordering::Relaxed), MASK.load(Ordering::Relaxed));
        // SAFETY: the area is as large and aligned as the CPU wants it.
        unsafe { registers::save(self.0.as_ptr(), way, mask) };
    }

    /// Puts it into the CPU's registers.
    pub fn load(&self) {
        let (way, mask) = (WAY.load(Ordering::Relaxed), MASK.load(Ordering::Relaxed));
        // SAFETY: as above, and what is in it was saved by the CPU, or is as at a reset.
        unsafe { registers::load(self.0.as_ptr(), way, mask) };
    }
}

/// `None` for a size that nothing has.
fn layout() -> Option<Layout> {
    let size = SIZE.load(Ordering::Relaxed) as usize;
    // The heap's blocks are as aligned as they are large, so none crosses a page that
    // is not larger than one.
    Layout::from_size_align(size.next_power_of_two(), ALIGN).ok()
}

impl Drop for Area {
    fn drop(&mut self) {
        if let Some(layout) = layout() {
            // SAFETY: it was made with this layout: the size does not change once
            // there are areas.
            unsafe { dealloc(self.0.as_ptr(), layout) };
        }
    }
}

/// The CPU's instructions, each in a routine of its own, which a test knows: nothing
/// else in the kernel touches those registers.
#[cfg(target_os = "none")]
mod registers {
    use super::way;
    use core::arch::naked_asm;

    /// # Safety
    /// An area for this way, and the CPU has it.
    pub(super) unsafe fn save(area: *mut u8, way: u64, mask: u64) {
        // SAFETY: the caller vouches for the area and for the way.
        unsafe {
            match way {
                way::XSAVEOPT => save_xsaveopt(area, mask, mask >> 32),
                way::XSAVE => save_xsave(area, mask, mask >> 32),
                _ => save_fxsave(area),
            }
        }
    }

    /// # Safety
    /// As for [`save`], with a state that the CPU takes.
    pub(super) unsafe fn load(area: *const u8, way: u64, mask: u64) {
        // SAFETY: the caller vouches for the area and for the way.
        unsafe {
            match way {
                way::XSAVEOPT | way::XSAVE => load_xrstor(area, mask, mask >> 32),
                _ => load_fxrstor(area),
            }
        }
    }

    // rdi = area, esi and edx = mask.
    #[unsafe(naked)]
    unsafe extern "C" fn save_xsaveopt(area: *mut u8, low: u64, high: u64) {
        naked_asm!("mov eax, esi", "xsaveopt64 [rdi]", "ret")
    }

    #[unsafe(naked)]
    unsafe extern "C" fn save_xsave(area: *mut u8, low: u64, high: u64) {
        naked_asm!("mov eax, esi", "xsave64 [rdi]", "ret")
    }

    #[unsafe(naked)]
    unsafe extern "C" fn load_xrstor(area: *const u8, low: u64, high: u64) {
        naked_asm!("mov eax, esi", "xrstor64 [rdi]", "ret")
    }

    #[unsafe(naked)]
    unsafe extern "C" fn save_fxsave(area: *mut u8) {
        naked_asm!("fxsave64 [rdi]", "ret")
    }

    #[unsafe(naked)]
    unsafe extern "C" fn load_fxrstor(area: *const u8) {
        naked_asm!("fxrstor64 [rdi]", "ret")
    }
}
