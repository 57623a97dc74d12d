//! The x87 and vector registers in a frame: as FXSAVE has them, with words behind that say
//! what of XSAVE's is there (Linux: arch/x86/kernel/fpu/signal.c).

use super::fregs::{self, Fxsave};
use crate::user::UserPtr;
use trapgate_arch::fpu::{self, Area};
use trapgate_uapi::Errno;
use trapgate_uapi::sigcontext::{
    FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FpxSwBytes, FregsState, SW_RESERVED,
};

/// Where XSAVE's header is: first, which components are not as after a reset.
const HEADER: usize = 512;
/// Its end.
const HEADER_END: u64 = 576;
/// The components that FXSAVE has, too.
const X87_AND_SSE: u64 = 3;
/// Bytes of the word behind an extended state.
const MAGIC2_SIZE: u64 = size_of_val(&FP_XSTATE_MAGIC2) as u64;

/// Bytes that a frame has of them.
pub fn size() -> u64 {
    fpu::saved_size() + if fpu::xfeatures() == 0 { 0 } else { MAGIC2_SIZE }
}

/// Says in what was saved what of it is there.
pub fn mark(area: &mut Area) {
    let xfeatures = fpu::xfeatures();
    if xfeatures == 0 {
        return;
    }
    let words = FpxSwBytes {
        magic1: FP_XSTATE_MAGIC1,
        extended_size: size() as u32,
        xfeatures,
        xstate_size: fpu::saved_size() as u32,
        ..FpxSwBytes::default()
    };
    area.put(SW_RESERVED as usize, words);
    // Who looks for those of x87 and SSE finds them, as after a reset or not.
    let held: u64 = area.get(HEADER);
    area.put(HEADER, held | X87_AND_SSE);
}

/// Writes what is behind those at `state`.
///
/// # Errors
/// EFAULT.
pub fn write_end(state: u64) -> Result<(), Errno> {
    if fpu::xfeatures() == 0 {
        return Ok(());
    }
    UserPtr::new(state.wrapping_add(fpu::saved_size())).write(FP_XSTATE_MAGIC2)
}

/// What a frame has, by its own words, which a program may have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes of it.
    pub size: u64,
    /// Which components; those that are not there are as after a reset.
    xfeatures: u64,
}

/// What is there without an extended state.
const OLD: Found = Found { size: HEADER as u64, xfeatures: X87_AND_SSE };

/// What a frame has at `state`.
///
/// # Errors
/// EFAULT.
pub fn find(state: u64) -> Result<Found, Errno> {
    if fpu::xfeatures() == 0 {
        return Ok(OLD);
    }
    let words: FpxSwBytes = UserPtr::new(state.wrapping_add(SW_RESERVED)).read()?;
    let size = u64::from(words.xstate_size);
    let is_sound = words.magic1 == FP_XSTATE_MAGIC1
        && (HEADER_END..=fpu::saved_size()).contains(&size)
        && words.xstate_size <= words.extended_size;
    if !is_sound {
        return Ok(OLD);
    }
    let end: u32 = UserPtr::new(state.wrapping_add(size)).read()?;
    let extended = Found { size, xfeatures: words.xfeatures };
    Ok(if end == FP_XSTATE_MAGIC2 { extended } else { OLD })
}

impl Found {
    /// Makes of a copy what the CPU is to take: of i386's frame the x87 registers are those
    /// in front.
    pub fn adapt(&self, area: &mut Area, fregs: Option<&FregsState>) {
        if let Some(fregs) = fregs {
            let mut fxsave: Fxsave = area.get(0);
            fregs::into_fxsave(fregs, &mut fxsave);
            area.put(0, fxsave);
        }
        if fpu::xfeatures() == 0 {
            return;
        }
        if *self == OLD {
            area.put(HEADER, [X87_AND_SSE, 0, 0, 0, 0, 0, 0, 0]);
        } else {
            let held: u64 = area.get(HEADER);
            // What the CPU does not have is left for who loads it to refuse.
            area.put(HEADER, held & (self.xfeatures | !fpu::xfeatures()));
        }
    }
}
