//! Trace records around a handler (`sys::traced`), in the instrumented image: a call
//! at a patch site before it and one behind it, which are NOPs unless the run is
//! traced. In the plain image there is nothing of it.
#![cfg_attr(
    feature = "instrumented",
    allow(unsafe_code, reason = "calls at patch sites are inline assembly")
)]

use trapgate_abi::PtRegs;
#[cfg(feature = "instrumented")]
use trapgate_abi::trace::RecordId;

/// The record of a call's beginning, for that of its end.
#[derive(Clone, Copy)]
pub(super) struct Entered(#[cfg(feature = "instrumented")] u64);

/// Calls `$function` at a patch site, if the run is traced: `(regs, $second)`. What
/// it answers; anything, if the run is not.
#[cfg(feature = "instrumented")]
macro_rules! at_site {
    ($function:path, $regs:expr, $second:expr) => {{
        let answer: u64;
        // SAFETY: the call of a function by its own convention, or NOPs.
        unsafe {
            core::arch::asm!(
                trapgate_arch::site::site!("trace", "call {function}"),
                trace = const trapgate_abi::mitigation::keep::TRACE,
                function = sym $function,
                in("rdi") $regs,
                in("rsi") $second,
                lateout("rax") answer,
                clobber_abi("C"),
            );
        }
        answer
    }};
}

/// The functions before and behind a handler of one ABI.
macro_rules! around {
    ($entered:ident, $left:ident) => {
        /// The call begins; `way` are the bits of a `trapgate_abi::trace::Way`.
        #[cfg(feature = "instrumented")]
        #[inline(always)]
        pub(super) fn $entered(regs: &PtRegs, way: u64) -> Entered {
            extern "C" fn write(regs: &PtRegs, way: u64) -> u64 {
                trapgate_kernel::sys::traced::$entered(regs, way).0
            }
            Entered(at_site!(write, regs, way))
        }

        /// The call ends, with its result in place.
        #[cfg(feature = "instrumented")]
        #[inline(always)]
        pub(super) fn $left(regs: &PtRegs, entered: Entered) {
            extern "C" fn write(regs: &PtRegs, entry: u64) {
                trapgate_kernel::sys::traced::$left(regs, RecordId(entry));
            }
            at_site!(write, regs, entered.0);
        }

        #[cfg(not(feature = "instrumented"))]
        #[inline(always)]
        pub(super) fn $entered(_: &PtRegs, _: u64) -> Entered {
            Entered()
        }

        #[cfg(not(feature = "instrumented"))]
        #[inline(always)]
        pub(super) fn $left(_: &PtRegs, _: Entered) {}
    };
}
around!(entered_64, left_64);
around!(entered_32, left_32);
