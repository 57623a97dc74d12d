//! The vDSOs: code that the kernel's side lends to every program. For
//! `x86_64-unknown-none` this is `linux-vdso.so.1`, the clocks without a
//! call; for `i686-unknown-linux-musl` it is `linux-gate.so.1`, which also knows
//! the fastest door. vdso(7) says what is in them.
//!
//! vmm/build.rs builds both, `trapgate::boot::vdso` embeds them and maps
//! one of them into the program, behind its data page. Nothing here may
//! need a relocation: the linker refuses them (`-z text`).
#![cfg_attr(any(target_os = "none", target_arch = "x86"), no_std, no_main)]

#[cfg(any(target_os = "none", target_arch = "x86"))]
mod clock;
#[cfg(target_arch = "x86")]
mod gate;
#[cfg(target_os = "none")]
mod time;
#[cfg(target_arch = "x86")]
mod time32;

/// Editors and `cargo build --workspace` compile the package for the host, too,
/// where its names are the C library's.
#[cfg(not(any(target_os = "none", target_arch = "x86")))]
fn main() {
    eprintln!(
        "trapgate's vDSOs are mapped into programs: vmm/build.rs makes them for bare targets"
    );
    std::process::exit(2);
}

/// Nothing here panics; the linker drops it.
#[cfg(any(target_os = "none", target_arch = "x86"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
