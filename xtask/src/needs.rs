//! What a machine must have beside a Rust toolchain, and where it is.
//!
//! One table. What the system has is used if it is there and new enough, whoever
//! put it there; what it lacks, `debian` fetches and unpacks below the target
//! directory. Called by `setup` for everything, by the rig for its part (where it
//! also asks for places and programs), by `demo` for the static busybox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::debian::{self, Bundle, Compiler, Program, With, libraries};
use crate::sh;

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Test programs in C.
    C,
    /// Real programs in a root directory of their own.
    Roots,
    /// Both rigs.
    Rig,
    /// The rig with kvm_amd.
    Amd,
    /// The rig with kvm_intel.
    Intel,
}

impl Use {
    pub(crate) const ALL: &[Self] = &[Self::C, Self::Roots, Self::Rig, Self::Amd, Self::Intel];
}

/// One thing needed.
pub(crate) struct Need {
    /// Its name among messages, and of its unpacked tree.
    pub(crate) name: &'static str,
    /// What is looked for, for people who install it themselves.
    pub(crate) what: &'static str,
    pub(crate) used_by: Use,
    /// What is left out without it.
    pub(crate) left_out: &'static str,
    /// Debian's packages. GCC stands for the version of the system's gcc.
    packages: &'static [&'static str],
    /// See [`Bundle`]: without files there is no use in unpacking.
    files: &'static [&'static str],
    with: With,
    plugins: &'static [&'static str],
    compiler: Option<Compiler>,
    /// Whether the system has it, new enough.
    of_system: fn() -> bool,
}

const NO_RIGS: &str = "no rigs";
const NO_AMD_RIG: &str = "no AMD rig";
const NO_INTEL_RIG: &str = "no Intel rig";

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
    packages: &["libc6-dev-i386", "lib32gcc-GCC-dev"],
    files: &["bin/gcc-m32", "usr/lib32/libc.a"],
    with: With::Nothing,
    plugins: &[],
    compiler: Some(Compiler::GCC_32),
    of_system: gcc_makes_32_bit_programs,
};

/// Programs that nobody here wrote, with all that they need: tests run them in a root
/// directory of their own, natively and in a sandbox, whatever the system has.
static PROGRAMS: Need = Need {
    name: "programs",
    what: "Debian's python3, perl and other programs, in a directory of their own",
    used_by: Use::Roots,
    left_out: "no real programs in roots",
    packages: &[
        "python3",
        "perl",
        "sqlite3",
        "jq",
        "bc",
        "lua5.4",
        "grep",
        "findutils",
        "tar",
        "gzip",
        "coreutils",
        "sed",
        "mawk",
        "openssl",
        "diffutils",
        "dash",
    ],
    files: &["usr/bin/python3", "usr/bin/perl", "usr/bin/sqlite3", "usr/bin/jq", "usr/bin/bc"],
    with: With::Everything,
    plugins: &[],
    compiler: None,
    of_system: || false,
};

static NEEDS: [&Need; 10] =
    [&BUSYBOX, &XZ, &QEMU, &BOCHS, &GRUB, &XORRISO, &GCC, &MUSL, &GCC_32, &PROGRAMS];

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    System,
    /// Unpacked in this directory.
    Tree(PathBuf),
}

impl Origin {
    /// A file by its path below the root.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        match self {
            Self::System => Path::new("/").join(path),
            Self::Tree(tree) => tree.join(path),
        }
    }

    /// A program by its path below the root; of the system, wherever it is.
    pub(crate) fn program(&self, path: &str) -> Result<Program> {
        match self {
            Self::System => {
                let name = path.rsplit('/').next().unwrap_or(path);
                let file = sh::which(name).with_context(|| format!("there is no {name}"))?;
                Ok(Program::of_system(file))
            }
            Self::Tree(tree) => Program::unpacked(tree, path),
        }
    }
}

impl Need {
    /// Where it is, if it is there: rather of the system.
    pub(crate) fn place(&self) -> Option<Origin> {
        choose((self.of_system)(), || self.tree())
    }

    fn tree(&self) -> Option<PathBuf> {
        let can_be = !self.files.is_empty();
        can_be.then(|| debian::tree(self.name, self.files)).flatten()
    }

    /// Where it is. The error says what to do.
    pub(crate) fn get(&self) -> Result<Origin> {
        self.place().with_context(|| format!("there is no {}: cargo xtask setup", self.what))
    }

    /// The names of Debian's packages.
    pub(crate) fn packages(&self) -> Vec<String> {
        let version = || {
            let version = answer("gcc", "-dumpversion").unwrap_or_default();
            version.trim().split('.').next().unwrap_or_default().to_owned()
        };
        let name = |name: &&str| match name.contains("GCC") {
            true => name.replace("GCC", &version()),
            false => (*name).to_owned(),
        };
        self.packages.iter().map(name).collect()
    }

    fn bundle(&self) -> Bundle {
        Bundle {
            name: self.name,
            packages: self.packages(),
            files: self.files,
            with: self.with,
            plugins: self.plugins,
            compiler: self.compiler,
        }
    }
}

/// The system's is preferred; the tree is not even looked for then.
fn choose(of_system: bool, tree: impl FnOnce() -> Option<PathBuf>) -> Option<Origin> {
    if of_system { Some(Origin::System) } else { tree().map(Origin::Tree) }
}

/// What is there neither in the system nor unpacked.
pub(crate) fn missing(uses: &[Use]) -> Vec<&'static Need> {
    let mut missing = NEEDS.to_vec();
    missing.retain(|need| uses.contains(&need.used_by) && need.place().is_none());
    missing
}

/// What the system does not have, and could.
pub(crate) fn missing_of_system() -> Vec<&'static Need> {
    let mut missing = NEEDS.to_vec();
    missing.retain(|need| need.with != With::Everything && !(need.of_system)());
    missing
}

/// What cannot be had, each with the reason in one line.
pub(crate) type Lacking = Vec<(&'static Need, String)>;

/// Fetches what is missing for these uses.
pub(crate) fn provide(uses: &[Use]) -> Lacking {
    let missing = missing(uses);
    if missing.is_empty() {
        return Vec::new();
    }
    let has_gcc = (GCC.of_system)();
    let (fetched, rest): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|need| !need.files.is_empty() && (has_gcc || need.compiler.is_none()));
    let failed = if fetched.is_empty() {
        BTreeMap::new()
    } else if sh::which("apt-get").is_none() {
        let reason = no_debian(&fetched);
        fetched.iter().map(|need| (need.name, reason.clone())).collect()
    } else {
        debian::get(fetched.iter().map(|need| need.bundle()).collect())
    };
    let fetched =
        fetched.into_iter().filter_map(|need| Some((need, failed.get(need.name)?.clone())));
    let no_gcc = format!("please install {}", GCC.what);
    let rest = rest.into_iter().map(|need| (need, no_gcc.clone()));
    fetched.chain(rest).collect()
}

/// Why these cannot be had where there is no apt.
fn no_debian(needs: &[&Need]) -> String {
    let what: Vec<_> = needs.iter().map(|need| need.what).collect();
    format!("this is no Debian, there is no apt-get; please install {}", what.join(", "))
}

/// Makes sure that everything for these uses is there, and fetches what is not.
pub(crate) fn require(uses: &[Use]) -> Result<()> {
    let lacking = provide(uses);
    if !lacking.is_empty() {
        let reasons = by_reason(&lacking).into_iter();
        let lines: Vec<_> =
            reasons.map(|(reason, names, _)| format!("no {names}: {reason}")).collect();
        bail!("{}", lines.join("; "));
    }
    Ok(())
}

/// One line for each reason: what is missing, what is left out, and why.
pub(crate) fn lines(lacking: &[(&'static Need, String)]) -> Vec<String> {
    let line = |(reason, names, left_out)| format!("{left_out}, for there is no {names}: {reason}");
    by_reason(lacking).into_iter().map(line).collect()
}

/// For each reason the names of what is missing and what is left out without it.
fn by_reason(lacking: &[(&'static Need, String)]) -> Vec<(String, String, String)> {
    let mut by_reason: BTreeMap<&str, Vec<&Need>> = BTreeMap::new();
    for (need, reason) in lacking {
        by_reason.entry(reason).or_default().push(need);
    }
    let words = |(reason, needs): (&str, Vec<&Need>)| {
        let names: Vec<_> = needs.iter().map(|need| need.name).collect();
        let mut left_out: Vec<_> = needs.iter().map(|need| need.left_out).collect();
        left_out.dedup();
        if left_out.contains(&NO_RIGS) {
            left_out.retain(|what| ![NO_AMD_RIG, NO_INTEL_RIG].contains(what));
        }
        (reason.to_owned(), names.join(", no "), left_out.join(", "))
    };
    by_reason.into_iter().map(words).collect()
}

/// A busybox that needs no libraries.
pub(crate) fn static_busybox() -> Option<PathBuf> {
    system_busybox().or_else(|| Some(BUSYBOX.tree()?.join("bin/busybox")))
}

fn system_busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| fs::read(path).is_ok_and(|elf| libraries::is_static(&elf)))
}

/// What the system's program of this name says when it gets this argument.
fn answer(program: &str, argument: &str) -> Option<String> {
    let mut command = Command::new(sh::which(program)?);
    let output = command.arg(argument).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Whether the system's program of this name is there, in this version or a newer
/// one. The version stands behind `before` in what it says.
fn is_new_enough(program: &str, argument: &str, before: &str, least: (u32, u32)) -> bool {
    answer(program, argument).and_then(|said| version(&said, before)) >= Some(least)
}

fn version(said: &str, before: &str) -> Option<(u32, u32)> {
    let (_, version) = said.split_once(before)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().unwrap_or(0)))
}

/// gcc prints a path for a library that it has, and a bare name for one that it
/// lacks.
fn gcc_makes_32_bit_programs() -> bool {
    let has = |file: &str| {
        let output =
            Command::new("gcc").args(["-m32", &format!("-print-file-name={file}")]).output();
        output.is_ok_and(|output| {
            let path = String::from_utf8_lossy(&output.stdout);
            path.starts_with('/') && Path::new(path.trim_end()).exists()
        })
    };
    ["libgcc.a", "libc.a"].into_iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_has_a_name_of_its_own() {
        let mut names: Vec<_> = NEEDS.iter().map(|need| need.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NEEDS.len());
    }

    #[test]
    fn what_is_unpacked_lies_below_its_tree() {
        for need in NEEDS {
            for file in need.files {
                assert!(!file.starts_with('/') && !file.contains(".."), "{file}");
                let file = Origin::Tree("/tree".into()).file(file);
                assert!(file.starts_with("/tree"));
            }
        }
        assert_eq!(
            Origin::System.file(BOCHS_BIOS),
            Path::new("/usr/share/bochs/BIOS-bochs-latest")
        );
    }

    #[test]
    fn the_systems_is_preferred_to_the_unpacked() {
        let tree = || Some(PathBuf::from("/tree"));
        assert_eq!(choose(true, || panic!("not looked for")), Some(Origin::System));
        assert_eq!(choose(false, tree), Some(Origin::Tree("/tree".into())));
        assert_eq!(choose(false, || None), None);
    }

    #[test]
    fn a_version_is_read_out_of_what_a_program_says() {
        let qemu = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright\n";
        assert_eq!(version(qemu, "emulator version "), Some((7, 2)));
        assert_eq!(version("Bochs x86 Emulator 2.7\n", "Emulator "), Some((2, 7)));
        assert_eq!(version("emulator version 10\n", "emulator version "), Some((10, 0)));
        assert!(version("no idea", "version ") < Some((0, 0)));
        assert!(!is_new_enough("a program that nobody has", "--version", "", (0, 0)));
    }

    #[test]
    fn what_is_missing_is_told_once_for_each_reason() {
        let no_network = "apt-get: no network".to_owned();
        let lacking =
            [(&BOCHS, no_network.clone()), (&XORRISO, no_network), (&MUSL, "no gcc".to_owned())];
        assert_eq!(
            lines(&lacking),
            [
                "no Intel rig, for there is no bochs, no xorriso: apt-get: no network",
                "no test programs with musl, for there is no musl: no gcc"
            ]
        );
        let lacking = [&XZ, &QEMU, &BOCHS].map(|need| (need, "no network".to_owned()));
        assert_eq!(
            lines(&lacking),
            ["no rigs, for there is no xz, no qemu, no bochs: no network"],
            "no rigs means neither rig"
        );
        assert!(lines(&[]).is_empty());
    }

    #[test]
    fn where_there_is_no_apt_it_is_said_which_programs_are_looked_for() {
        let reason = no_debian(&[&QEMU, &XORRISO]);
        assert!(reason.ends_with("install QEMU (qemu-system-x86_64, 7.2 or newer), xorriso"));
    }

    #[test]
    fn gccs_version_stands_in_a_packages_name() {
        let names = GCC_32.packages();
        assert_eq!(names[0], "libc6-dev-i386");
        assert!(!names[1].contains("GCC"), "{names:?}");
    }

    /// Only where something was unpacked: `cargo xtask setup` made it so.
    #[test]
    fn what_is_unpacked_here_has_all_its_libraries() {
        for need in NEEDS.iter().filter(|need| need.with == With::Libraries) {
            if let Some(tree) = need.tree() {
                let files = [need.files, need.plugins].concat();
                let missing = libraries::missing(&tree, &files).unwrap();
                assert!(missing.is_empty(), "{}: {missing:?}", need.name);
            }
        }
    }
}
