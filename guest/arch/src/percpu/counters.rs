//! This CPU's counters, at a fixed distance from its block.
#![allow(unsafe_code, reason = "GS-relative access is inline assembly")]

#[cfg(not(target_os = "none"))]
use crate::fake::block_word;
use trapgate_abi::counters::Counters;
use trapgate_abi::layout;

/// The counters' distance from GS.
pub const COUNTERS: u64 = layout::percpu::COUNTERS - layout::percpu::BLOCK;

/// Adds to the counter of this CPU that is `OFFSET` bytes into `Counters`;
/// [`count!`] says it by its name.
#[inline(always)]
pub fn add_to_counter<const OFFSET: usize>(amount: u64) {
    const { assert!(OFFSET < size_of::<Counters>()) };
    #[cfg(not(target_os = "none"))]
    block_word(COUNTERS as usize + OFFSET).update(|count| count + amount);
    // SAFETY: GS points to this CPU's block in ring 0, and the counters lie at a
    // fixed distance from it.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("add gs:[{}], {}", const COUNTERS as usize + OFFSET,
            in(reg) amount, options(nostack));
    }
}

/// Sets a counter; [`set_counter!`] says it by its name.
#[inline(always)]
pub fn set_counter_at<const OFFSET: usize>(value: u64) {
    const { assert!(OFFSET < size_of::<Counters>()) };
    #[cfg(not(target_os = "none"))]
    block_word(COUNTERS as usize + OFFSET).set(value);
    // SAFETY: as for `add_to_counter`.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov gs:[{}], {}", const COUNTERS as usize + OFFSET,
            in(reg) value, options(nostack, preserves_flags));
    }
}

/// What a counter has; [`calls`] adds some up.
fn counter_at<const OFFSET: usize>() -> u64 {
    #[cfg(not(target_os = "none"))]
    return block_word(COUNTERS as usize + OFFSET).get();
    #[cfg(target_os = "none")]
    {
        let value;
        // SAFETY: as for `add_to_counter`.
        unsafe {
            core::arch::asm!("mov {}, gs:[{}]", out(reg) value, const COUNTERS as usize + OFFSET,
                options(nostack, preserves_flags, readonly));
        }
        value
    }
}

/// How many calls have come to this CPU, by all doors: what tells one call from the next.
pub fn calls() -> u64 {
    macro_rules! sum {
        ($($door:ident)*) => {
            0 $(+ counter_at::<{ core::mem::offset_of!(Counters, $door) }>())*
        };
    }
    sum!(syscall64_native syscall64_trapped int80_native int80_trapped
        int80_compat_native int80_compat_trapped syscall_compat_native
        syscall_compat_trapped sysenter_native sysenter_trapped)
}

/// How many page faults of ring 3 this CPU has had.
pub fn page_faults() -> u64 {
    counter_at::<{ core::mem::offset_of!(Counters, page_faults) }>()
}

/// Adds to one of this CPU's counters: `count!(page_faults, 1)`.
#[macro_export]
macro_rules! count {
    ($field:ident, $amount:expr) => {
        $crate::percpu::add_to_counter::<
            { core::mem::offset_of!(trapgate_abi::counters::Counters, $field) },
        >($amount)
    };
}

/// Sets one of this CPU's counters.
#[macro_export]
macro_rules! set_counter {
    ($field:ident, $value:expr) => {
        $crate::percpu::set_counter_at::<
            { core::mem::offset_of!(trapgate_abi::counters::Counters, $field) },
        >($value)
    };
}
pub use {count, set_counter};
