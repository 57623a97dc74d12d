//! What a machine must have beside a Rust toolchain, and where it is.
//!
//! One table (`table`). What the system has is used if it is there and new enough, whoever
//! put it there; what it lacks, `debian` fetches and unpacks below the target
//! directory. Called by `setup` for everything, by the rig for its part (where it
//! also asks for places and programs), by `demo` for the static busybox.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

pub(crate) use self::table::{
    BOCHS, BOCHS_BIOS, BOCHS_VGABIOS, BUSYBOX, GRUB, GRUB_MODULES, QEMU, XORRISO, XZ,
};
use self::table::{GCC, NEEDS, NO_AMD_RIG, NO_INTEL_RIG, NO_RIGS, PROGRAMS};
use crate::debian::{self, Bundle, Compiler, Program, With, libraries};
use crate::sh;

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Test programs in C.
    C,
    /// Real programs in a root directory of their own, and others' tools for images.
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

/// The root directory of real programs, if it is there.
pub(crate) fn programs() -> Option<PathBuf> {
    PROGRAMS.tree()
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
    use super::table::{GCC_32, MUSL};
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
