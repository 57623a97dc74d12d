//! Builds what this crate embeds: the two images of the ring-0 kernel, and the
//! vDSOs.

use trapgate_build_guest::{BARE, BARE_32, Built, embed};

/// Unwinders go through either vDSO.
const FLAGS_VDSO_32: &str = "-Cforce-unwind-tables=yes";
/// The 64-bit one may lie anywhere, unlike what else is built for that target.
const FLAGS_VDSO_64: &str = "-Crelocation-model=pic -Cforce-unwind-tables=yes";

/// What is built.
const BUILT: [Built; 4] = [
    Built::new("TRAPGATE_KERNEL_PLAIN", "trapgate-guest", "kernel", BARE).kept("plain"),
    Built::new("TRAPGATE_KERNEL_INSTRUMENTED", "trapgate-guest", "kernel", BARE)
        .feature("instrumented")
        .kept("instrumented"),
    Built::new("TRAPGATE_VDSO_64", "trapgate-vdso", "trapgate-vdso", BARE).flags(FLAGS_VDSO_64),
    Built::new("TRAPGATE_VDSO_32", "trapgate-vdso", "trapgate-vdso", BARE_32).flags(FLAGS_VDSO_32),
];

fn main() {
    embed(&BUILT, &["abi", "guest", "guest-rt/i386.flags", "uapi"], 1);
}
