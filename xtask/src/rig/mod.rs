//! The rig: a throw-away Linux with a real kvm_amd or kvm_intel, anywhere.
//!
//! Called by `cargo xtask rig` (`cli`), `test` and `demo` through [`run`]. A run:
//! `kernel` gives Debian's cloud kernel from a cache, `initramfs` packs files and
//! command, `amd` (QEMU) or `intel` (Bochs) makes the emulator's command,
//! `emulator` runs it to its end. Nothing stays behind: the work directory and
//! the emulator go with the values that own them.

mod amd;
pub(crate) mod cli;
mod emulator;
mod initramfs;
mod intel;
pub(crate) mod kernel;
mod modules;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub(crate) use self::emulator::End;
use self::emulator::{ERRORS, Emulator};
use self::kernel::Kernel;
use crate::needs::{self, Use};
use crate::sh;

/// The maker of the emulated CPU, and with that of the KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Cpu {
    /// QEMU emulating SVM: kvm_amd.
    Amd,
    /// Bochs emulating VMX: kvm_intel. About 50 times slower than the host.
    Intel,
}

impl Cpu {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }

    /// The maker's KVM module.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Amd => "kvm_amd",
            Self::Intel => "kvm_intel",
        }
    }

    /// What this rig needs.
    pub(crate) fn uses(self) -> [Use; 2] {
        match self {
            Self::Amd => [Use::Rig, Use::Amd],
            Self::Intel => [Use::Rig, Use::Intel],
        }
    }
}

/// A file of the host and its place in the rig. Mode bits are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RigFile {
    pub(crate) source: PathBuf,
    pub(crate) target: String,
}

impl RigFile {
    /// The file `source`, to be found at `target` in the rig.
    pub(crate) fn new(source: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        Self { source: source.into(), target: target.into() }
    }
}

/// What to run, and in which rig.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) cpu: Cpu,
    /// AMD only: the TSC counts instructions, and the run is repeatable.
    pub(crate) icount: bool,
    pub(crate) mem_mib: u32,
    pub(crate) timeout: Duration,
    pub(crate) files: Vec<RigFile>,
    /// Parameters for kvm-amd or kvm-intel.
    pub(crate) modargs: String,
    /// Added to the guest kernel's command line.
    pub(crate) append: String,
    /// The emulator's name of a CPU model, if not the usual one.
    pub(crate) model: Option<String>,
    /// Whose KVM module to load, if not the CPU's maker's.
    pub(crate) vendor: Option<Cpu>,
    /// Intel only: guest instructions in an emulated second.
    pub(crate) ips: u32,
    /// Program and arguments, as the rig's shell finds them.
    pub(crate) command: Vec<String>,
}

impl Config {
    /// The usual rig for this command.
    pub(crate) fn new<S: Into<String>>(cpu: Cpu, command: impl IntoIterator<Item = S>) -> Self {
        Self {
            cpu,
            icount: false,
            mem_mib: 512,
            timeout: Duration::from_secs(300),
            files: Vec::new(),
            modargs: String::new(),
            append: String::new(),
            model: None,
            vendor: None,
            ips: 100_000_000,
            command: command.into_iter().map(Into::into).collect(),
        }
    }
}

/// How a run went.
pub(crate) struct Report {
    pub(crate) end: End,
    /// The guest's kernel log with the rig's marks.
    pub(crate) log: String,
    /// What the emulator itself said.
    pub(crate) emulator: String,
    /// Until the emulator was started.
    pub(crate) prepare: Duration,
    /// From there to the command's first output.
    pub(crate) first_output: Option<Duration>,
    pub(crate) total: Duration,
}

impl Report {
    /// The status for a shell: the command's, or 124, 125, 130.
    pub(crate) fn status(&self) -> u8 {
        match self.end {
            End::Exited(status) => status,
            End::TimedOut => 124,
            End::Broke => 125,
            End::Interrupted => sh::STATUS_INTERRUPTED,
        }
    }

    /// Everything that helps to see why a rig broke.
    pub(crate) fn diagnosis(&self) -> String {
        format!(
            "--- kernel log ---\n{}\n--- emulator ---\n{}",
            self.log.trim_end(),
            self.emulator.trim_end()
        )
    }
}

/// Makes sure that this machine has what the rig needs: fetches what is missing.
/// The error says what cannot be had, and why.
pub(crate) fn require(cpu: Cpu) -> Result<()> {
    needs::require(&cpu.uses()).with_context(|| format!("the {} rig cannot run", cpu.name()))
}

/// Runs the command in the rig and passes its output on to `out` as it comes. An
/// error means that the rig could not be started, or that `out` failed.
pub(crate) fn run(config: &Config, out: &mut dyn Write) -> Result<Report> {
    let start = Instant::now();
    require(config.cpu)?;
    let kernel = Kernel::get()?;
    let work = tempfile::Builder::new().prefix("trapgate-rig.").tempdir()?;
    let dir = work.path();
    initramfs::write(config, &kernel, &dir.join("initrd"))?;
    let append =
        format!("console=ttyS0 panic=-1 quiet nokaslr cryptomgr.notests {}", config.append);
    let command = match config.cpu {
        Cpu::Amd => amd::command(config, &kernel, dir, &append)?,
        Cpu::Intel => intel::command(config, &kernel, dir, &append)?,
    };
    let emulator = Emulator::start(command, dir)?;
    let started = Instant::now();
    let watched = emulator.watch(config.timeout, out)?;
    Ok(Report {
        end: watched.end,
        log: watched.log,
        emulator: emulators_words(dir),
        prepare: started - start,
        first_output: watched.first_output.map(|time| time - started),
        total: start.elapsed(),
    })
}

/// The emulator's standard error, and the end of its own log if it keeps one.
fn emulators_words(dir: &Path) -> String {
    let read = |name| {
        let bytes = fs::read(dir.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let own_log = read(intel::BOCHS_LOG);
    let lines: Vec<_> = own_log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(30)..];
    format!("{}\n{}", read(ERRORS), tail.join("\n"))
}
