//! The areas that hold x87, SSE, AVX and AVX-512 registers of threads which no CPU
//! has: as XSAVE writes them, in the standard format (Intel SDM vol. 1, 13.4).
//!
//! Where the CPU has no XSAVE, FXSAVE's 512 bytes. Where ring 0 is interpreted, it
//! cannot save them: the VMM does, on the areas' memory, and the kernel asks it to
//! (`Request::SwapFpu`).
#![allow(unsafe_code, reason = "an area is reached by its address")]

use crate::{cpu, usercopy};
use alloc::alloc::{Layout, alloc, dealloc};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use trapgate_abi::boot_info::feature;
use trapgate_abi::layout::DIRECT_MAP;
use zerocopy::{FromBytes, Immutable, IntoBytes};

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

/// What FXSAVE writes, and where XSAVE's areas have a header: XSTATE_BV, XCOMP_BV, and
/// what has to be 0.
const FXSAVE_SIZE: usize = 512;
/// Where the header ends.
const HEADER_END: usize = 576;
/// XSAVE's areas want it.
const ALIGN: usize = 64;
/// Where MXCSR is, and what it is at a reset; FCW is at 0.
const MXCSR: usize = 24;
/// Where the CPU says which bits MXCSR has.
const MXCSR_MASK: usize = 28;
/// Those: at first the ones that each CPU of 64 bits has.
static MXCSR_BITS: AtomicU32 = AtomicU32::new(0xffff);
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

/// How many bytes of an area a signal's frame has: all that the CPU saves.
pub fn saved_size() -> u64 {
    if xfeatures() == 0 { FXSAVE_SIZE as u64 } else { SIZE.load(Ordering::Relaxed) }
}

/// The states that are saved: XCR0; 0 without XSAVE.
pub fn xfeatures() -> u64 {
    MASK.load(Ordering::Relaxed)
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
        let mut area = Area(NonNull::new(unsafe { alloc(layout) })?);
        area.reset_bytes(cleared);
        Some(area)
    }

    /// As after a reset.
    pub fn reset(&mut self) {
        self.reset_bytes(HEADER_END);
    }

    fn reset_bytes(&mut self, cleared: usize) {
        // SAFETY: all is inside it. All components are as at a reset by an empty
        // XSTATE_BV; MXCSR is taken from here anyway, and FCW by FXRSTOR.
        unsafe {
            cpu::zero_words(self.0.as_ptr().cast(), cleared / 8);
            self.0.cast::<u32>().write(FCW_RESET);
            self.0.byte_add(MXCSR).cast::<u32>().write(MXCSR_RESET);
        }
    }

    /// A value that is in it, at an offset in bytes.
    pub fn get<T: FromBytes>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= HEADER_END, "a value outside of what all areas have");
        // SAFETY: it is inside, and any bytes are one.
        unsafe { self.0.byte_add(offset).cast::<T>().read_unaligned() }
    }

    /// Puts a value into it, at an offset in bytes. Before it is loaded again, somebody has
    /// to ask whether it [can be](Area::is_loadable).
    pub fn put<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= HEADER_END, "a value outside of what all areas have");
        // SAFETY: it is inside.
        unsafe { self.0.byte_add(offset).cast::<T>().write_unaligned(value) };
    }

    /// Copies `length` bytes of it, from `offset` on, to the program, as far as the pages are
    /// there. How many bytes it copied.
    pub fn copy_out(&self, offset: u64, to: u64, length: u64) -> u64 {
        let from = self.at(offset, length);
        // SAFETY: they are inside.
        unsafe { usercopy::from_kernel(to, from, length) }
    }

    /// The same from the program. As for [`Area::put`], what is there then is to be looked at.
    pub fn copy_in(&mut self, offset: u64, from: u64, length: u64) -> u64 {
        let to = self.at(offset, length);
        // SAFETY: they are inside.
        unsafe { usercopy::to_kernel(to, from, length) }
    }

    /// Where bytes of it are, from `offset` on.
    fn at(&self, offset: u64, length: u64) -> *mut u8 {
        assert!(offset + length <= SIZE.load(Ordering::Relaxed), "bytes outside of the area");
        self.0.as_ptr().wrapping_add(offset as usize)
    }

    /// Whether the CPU takes it (Intel SDM vol. 1, 13.8.3; vol. 2, "FXRSTOR"): what a
    /// program has written may be anything.
    pub fn is_loadable(&self) -> bool {
        let has_header = xfeatures() != 0;
        let [held, rest @ ..]: [u64; 8] = self.get(FXSAVE_SIZE);
        let mxcsr: u32 = self.get(MXCSR);
        mxcsr & !MXCSR_BITS.load(Ordering::Relaxed) == 0
            && (!has_header || held & !xfeatures() == 0 && rest == [0; 7])
    }

    /// Puts the CPU's registers into it, also those that are as after a reset.
    pub fn save_all(&mut self) {
        let (way, mask) = (WAY.load(Ordering::Relaxed), MASK.load(Ordering::Relaxed));
        let way = if way == way::XSAVEOPT { way::XSAVE } else { way };
        // SAFETY: as for `save`; a CPU with XSAVEOPT has XSAVE.
        unsafe { registers::save(self.0.as_ptr(), way, mask) };
        let bits: u32 = self.get(MXCSR_MASK);
        if bits != 0 {
            MXCSR_BITS.store(bits, Ordering::Relaxed);
        }
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
        // SAFETY: as above, and what is in it was saved by the CPU, is as at a reset, or
        // was looked at.
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
