//! The table of what is needed: each with what is looked for, what is left out
//! without it, and the packages of Debian's that have it.

use std::path::Path;

use super::{Need, Use, gcc_makes_32_bit_programs, is_new_enough, system_busybox};
use crate::debian::{Compiler, With};
use crate::sh;

pub(super) const NO_RIGS: &str = "no rigs";
pub(super) const NO_AMD_RIG: &str = "no AMD rig";
pub(super) const NO_INTEL_RIG: &str = "no Intel rig";

pub(crate) static BUSYBOX: Need = Need {
    name: "busybox",
    what: "a static busybox",
    used_by: Use::Rig,
    left_out: NO_RIGS,
    packages: &["busybox-static"],
    files: &["bin/busybox"],
    with: With::Nothing,
    plugins: &[],
    compiler: None,
    of_system: || system_busybox().is_some(),
};

pub(crate) static XZ: Need = Need {
    name: "xz",
    what: "xz",
    used_by: Use::Rig,
    left_out: NO_RIGS,
    packages: &["xz-utils"],
    files: &["usr/bin/xz"],
    with: With::Libraries,
    plugins: &[],
    compiler: None,
    of_system: || sh::which("xz").is_some(),
};

pub(crate) static QEMU: Need = Need {
    name: "qemu",
    what: "QEMU (qemu-system-x86_64, 7.2 or newer)",
    used_by: Use::Amd,
    left_out: NO_AMD_RIG,
    packages: &["qemu-system-x86"],
    files: &[
        "usr/bin/qemu-system-x86_64",
        "usr/share/qemu/linuxboot_dma.bin",
        "usr/share/seabios/bios-256k.bin",
    ],
    with: With::Libraries,
    plugins: &["usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"],
    compiler: None,
    // QEMU names another emulator.
    of_system: || {
        std::env::var_os("QEMU").is_some()
            || is_new_enough("qemu-system-x86_64", "--version", "emulator version ", (7, 2))
    },
};

/// Debian's Bochs shows its screen by a plugin: the one for terminals.
const BOCHS_PLUGIN: &str = "usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so";
/// The BIOS and the video BIOS that Bochs starts with.
pub(crate) const BOCHS_BIOS: &str = "usr/share/bochs/BIOS-bochs-latest";
pub(crate) const BOCHS_VGABIOS: &str = "usr/share/bochs/VGABIOS-lgpl-latest";

pub(crate) static BOCHS: Need = Need {
    name: "bochs",
    what: "Bochs (bochs-bin, 2.7 or newer, with the plugin for terminals, BIOS and VGABIOS)",
    used_by: Use::Intel,
    left_out: NO_INTEL_RIG,
    packages: &["bochs", "bochs-term", "bochsbios", "vgabios"],
    files: &["usr/bin/bochs-bin", BOCHS_PLUGIN, BOCHS_BIOS, BOCHS_VGABIOS],
    with: With::Libraries,
    plugins: &[],
    compiler: None,
    // BOCHS names another emulator, which needs the BIOSes all the same.
    of_system: || {
        let is_here = |file: &str| Path::new("/").join(file).exists();
        let emulator = || {
            is_here(BOCHS_PLUGIN)
                && is_new_enough("bochs-bin", "--help", "Bochs x86 Emulator ", (2, 7))
        };
        is_here(BOCHS_BIOS)
            && is_here(BOCHS_VGABIOS)
            && (std::env::var_os("BOCHS").is_some() || emulator())
    },
};

/// GRUB's modules for a PC's BIOS.
pub(crate) const GRUB_MODULES: &str = "usr/lib/grub/i386-pc";

pub(crate) static GRUB: Need = Need {
    name: "grub",
    what: "GRUB (grub-mkimage, and its modules for i386-pc)",
    used_by: Use::Intel,
    left_out: NO_INTEL_RIG,
    packages: &["grub-common", "grub-pc-bin"],
    files: &["usr/bin/grub-mkimage", "usr/lib/grub/i386-pc/modinfo.sh"],
    with: With::Libraries,
    plugins: &[],
    compiler: None,
    of_system: || {
        sh::which("grub-mkimage").is_some()
            && Path::new("/").join(GRUB_MODULES).join("modinfo.sh").exists()
    },
};

pub(crate) static XORRISO: Need = Need {
    name: "xorriso",
    what: "xorriso",
    used_by: Use::Intel,
    left_out: NO_INTEL_RIG,
    packages: &["xorriso"],
    files: &["usr/bin/xorriso"],
    with: With::Libraries,
    plugins: &[],
    compiler: None,
    of_system: || sh::which("xorriso").is_some(),
};

pub(crate) static GCC: Need = Need {
    name: "gcc",
    what: "gcc, and the C library's headers (Debian: gcc libc6-dev)",
    used_by: Use::C,
    left_out: "no test programs in C",
    packages: &["gcc", "libc6-dev"],
    files: &[],
    with: With::Nothing,
    plugins: &[],
    compiler: None,
    of_system: || sh::which("gcc").is_some(),
};

pub(crate) static MUSL: Need = Need {
    name: "musl",
    what: "musl-gcc",
    used_by: Use::C,
    left_out: "no test programs with musl",
    // The latter is only of use if it is installed.
    packages: &["musl-dev", "musl-tools"],
    files: &["bin/musl-gcc", "usr/lib/x86_64-linux-musl/libc.a"],
    with: With::Nothing,
    plugins: &[],
    compiler: Some(Compiler::MUSL),
    of_system: || sh::which("musl-gcc").is_some(),
};

pub(crate) static GCC_32: Need = Need {
    name: "gcc32",
    what: "what `gcc -m32 -static` needs (Debian: gcc-multilib)",
    used_by: Use::C,
    left_out: "no 32-bit test programs in C",
    packages: &["libc6-dev-i386", "libc6-i386", "lib32gcc-GCC-dev"],
    files: &["bin/gcc-m32", "usr/lib32/libc.a", "lib32/libc.so.6"],
    with: With::Nothing,
    plugins: &[],
    compiler: Some(Compiler::GCC_32),
    of_system: gcc_makes_32_bit_programs,
};

/// Programs that nobody here wrote, with all that they need: tests run them in a root
/// directory of their own, natively and in a sandbox, whatever the system has.
pub(super) static PROGRAMS: Need = Need {
    name: "programs",
    what: "Debian's python3, perl and other programs, in a directory of their own",
    used_by: Use::Roots,
    left_out: "no real programs in roots",
    packages: &[
        // Interpreters.
        "bc",
        "dash",
        "gawk",
        "jq",
        "lua5.4",
        "m4",
        "mawk",
        "perl",
        "php-cli",
        "python3",
        "sqlite3",
        // Tools.
        "busybox",
        "coreutils",
        "cpp",
        "diffutils",
        "file",
        "findutils",
        "gettext",
        "git",
        "grep",
        "groff-base",
        "make",
        "openssl",
        "procps",
        "sed",
        "tar",
        "util-linux",
        // Compressors.
        "bzip2",
        "gzip",
        "xz-utils",
        "zstd",
        // The C library of 32-bit programs.
        "libc6-i386",
    ],
    files: &[
        "usr/bin/python3",
        "usr/bin/perl",
        "usr/bin/sqlite3",
        "usr/bin/jq",
        "usr/bin/bc",
        "usr/bin/git",
        "usr/bin/groff",
        "usr/bin/zstd",
        "lib32/libc.so.6",
    ],
    with: With::Everything,
    plugins: &[],
    compiler: None,
    of_system: || false,
};

/// What others make and check images of files with.
static EROFS: Need = Need {
    name: "erofs",
    what: "erofs-utils (mkfs.erofs, fsck.erofs, dump.erofs)",
    used_by: Use::Roots,
    left_out: "no comparison with other writers and readers of images",
    packages: &["erofs-utils"],
    files: &["usr/bin/mkfs.erofs", "usr/bin/fsck.erofs", "usr/bin/dump.erofs"],
    with: With::Libraries,
    plugins: &[],
    compiler: None,
    of_system: || {
        ["mkfs.erofs", "fsck.erofs", "dump.erofs"].iter().all(|name| sh::which(name).is_some())
    },
};

pub(super) static NEEDS: [&Need; 11] =
    [&BUSYBOX, &XZ, &QEMU, &BOCHS, &GRUB, &XORRISO, &GCC, &MUSL, &GCC_32, &PROGRAMS, &EROFS];
