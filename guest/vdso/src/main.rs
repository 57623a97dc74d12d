//! The vDSOs: code that the kernel's side lends to every program. For
//! `x86_64-unknown-none` this is `linux-vdso.so.1`, the clocks without a
//! call; for `i686-unknown-linux-musl` it is `linux-gate.so.1`, which also knows
//! the fastest door. vdso(7) says what is in them.
//!
//! vmm/build.rs builds both, `trapgate::vdso` embeds them and `trapgate::boot`
//! maps one of them into the program, behind its data page. Nothing here may
//! need a relocation: the linker refuses them (`-z text`).
#![no_std]
#![no_main]

mod clock;
#[cfg(target_arch = "x86")]
mod gate;
#[cfg(target_arch = "x86_64")]
mod time;
#[cfg(target_arch = "x86")]
mod time32;

/// Nothing here panics; the linker drops it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
