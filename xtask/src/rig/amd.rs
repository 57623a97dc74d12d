//! The rig with kvm_amd: QEMU's software CPU, which emulates SVM.
//!
//! Called by `rig::run`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Config;
use super::emulator::{ERRORS, Emulator, LOG, OUT};
use super::kernel::Kernel;
use crate::sh;

const MODEL: &str = "EPYC-v1,+svm";

/// The command that boots `initrd` of the work directory.
pub(crate) fn command(
    config: &Config,
    kernel: &Kernel,
    dir: &Path,
    append: &str,
) -> Result<Command> {
    let qemu = std::env::var_os("QEMU").map_or_else(|| "qemu-system-x86_64".into(), PathBuf::from);
    let qemu = sh::which(&qemu.to_string_lossy())
        .with_context(|| format!("there is no {}", qemu.display()))?;
    let mut command = Emulator::command(&qemu, dir);
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-accel", "tcg"])
        .args(["-cpu", config.model.as_deref().unwrap_or(MODEL)])
        .args(["-m", &config.mem_mib.to_string()])
        .arg("-kernel")
        .arg(kernel.image())
        .args(["-initrd", "initrd", "-append", append])
        .args(["-serial", &format!("file:{LOG}")])
        .args(["-serial", &format!("file:{OUT}")]);
    if config.icount {
        // One instruction is one nanosecond; no clock of the host is left in.
        command.args(["-icount", "shift=0,sleep=off"]).args([
            "-rtc",
            "base=2024-01-01,clock=vm",
            "-seed",
            "1",
        ]);
    }
    let errors = File::create(dir.join(ERRORS))?;
    command.stdin(Stdio::null()).stdout(errors.try_clone()?).stderr(errors);
    Ok(command)
}
