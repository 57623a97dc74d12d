//! What a machine must have beside a Rust toolchain, and how to tell.
//!
//! One table: `setup` installs what it finds missing, the rig refuses to start
//! without its rows, `demo` and the rig look here for the static busybox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

use crate::sh;

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Test programs in C.
    C,
    /// Both rigs.
    Rig,
    /// The rig with kvm_amd.
    Amd,
    /// The rig with kvm_intel.
    Intel,
}

/// How presence is recognised. Not by asking the package manager: what counts is
/// that the file is there, whoever put it there.
#[derive(Clone, Copy)]
enum Probe {
    Program(&'static str),
    File(&'static str),
    StaticBusybox,
    /// gcc can make 32-bit programs.
    Gcc32,
}

/// One thing needed: the Debian package that has it, and how to see that it is there.
pub(crate) struct Need {
    pub(crate) package: &'static str,
    pub(crate) used_by: Use,
    probe: Probe,
}

const fn need(package: &'static str, used_by: Use, probe: Probe) -> Need {
    Need { package, used_by, probe }
}

/// The BIOS and the video BIOS that Bochs starts with.
pub(crate) const BOCHS_BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
pub(crate) const BOCHS_VGABIOS: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";

/// Installed alone, after the others: it conflicts with Debian's cross compilers.
pub(crate) const GCC_MULTILIB: &str = "gcc-multilib";

const NEEDS: &[Need] = &[
    need("busybox-static", Use::Rig, Probe::StaticBusybox),
    need("xz-utils", Use::Rig, Probe::Program("xz")),
    need("gcc", Use::C, Probe::Program("gcc")),
    need("musl-tools", Use::C, Probe::Program("musl-gcc")),
    need(GCC_MULTILIB, Use::C, Probe::Gcc32),
    need("qemu-system-x86", Use::Amd, Probe::Program("qemu-system-x86_64")),
    need("bochs", Use::Intel, Probe::Program("bochs-bin")),
    need(
        "bochs-term",
        Use::Intel,
        Probe::File("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so"),
    ),
    need("bochsbios", Use::Intel, Probe::File(BOCHS_BIOS)),
    need("vgabios", Use::Intel, Probe::File(BOCHS_VGABIOS)),
    need("grub-common", Use::Intel, Probe::Program("grub-mkimage")),
    need("grub-pc-bin", Use::Intel, Probe::File("/usr/lib/grub/i386-pc/modinfo.sh")),
    need("xorriso", Use::Intel, Probe::Program("xorriso")),
];

impl Need {
    /// Whether this machine has it. An emulator named by QEMU or BOCHS counts.
    fn is_met(&self) -> bool {
        let own = |name| std::env::var_os(name).is_some();
        match (self.package, self.probe) {
            ("qemu-system-x86", _) if own("QEMU") => true,
            ("bochs" | "bochs-term", _) if own("BOCHS") => true,
            (_, Probe::Program(name)) => sh::which(name).is_some(),
            (_, Probe::File(path)) => Path::new(path).exists(),
            (_, Probe::StaticBusybox) => static_busybox().is_some(),
            (_, Probe::Gcc32) => gcc_makes_32_bit_programs(),
        }
    }
}

/// Everything that this machine lacks.
pub(crate) fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !need.is_met()).collect()
}

/// Fails, with the one thing to do, if something for these uses is missing.
pub(crate) fn require(uses: &[Use]) -> Result<()> {
    let mut missing = missing();
    missing.retain(|need| uses.contains(&need.used_by));
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
        bail!(
            "not installed: {}; `cargo xtask setup` installs what is missing",
            packages.join(", ")
        );
    }
    Ok(())
}

/// A busybox that needs no libraries.
pub(crate) fn static_busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| fs::read(path).is_ok_and(|elf| is_static(&elf)))
}

/// Whether these bytes are a 64-bit ELF program that asks for no interpreter.
fn is_static(elf: &[u8]) -> bool {
    let asks_for_interpreter = || {
        let header = FileHeader64::<Endianness>::parse(elf)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, elf)?;
        object::Result::Ok(segments.iter().any(|s| s.p_type(endian) == PT_INTERP))
    };
    matches!(FileKind::parse(elf), Ok(FileKind::Elf64)) && asks_for_interpreter() == Ok(false)
}

/// gcc prints a path for a support library that it has, and a bare name for one
/// that it lacks.
fn gcc_makes_32_bit_programs() -> bool {
    let output = Command::new("gcc").args(["-m32", "-print-libgcc-file-name"]).output();
    output.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        path.starts_with('/') && Path::new(path.trim_end()).exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_no_static_program() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b""));
        assert!(!is_static(b"\x7fELF\x02\x01\x01"));
    }

    #[test]
    fn this_dynamic_test_program_is_no_static_program() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
    }

    #[test]
    fn every_package_is_listed_once() {
        let mut names: Vec<_> = NEEDS.iter().map(|need| need.package).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NEEDS.len());
    }
}
