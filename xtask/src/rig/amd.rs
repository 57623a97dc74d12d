//! The rig with kvm_amd: QEMU's software CPU, which emulates SVM.
//!
//! Called by `rig::run`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Config;
use super::emulator::{ERRORS, Emulator, LOG, OUT};
use super::kernel::Kernel;
use crate::debian::Program;
use crate::needs::{Origin, QEMU};
use crate::sh;

const MODEL: &str = "EPYC-v1,+svm";

/// The command that boots `initrd` of the work directory.
pub(crate) fn command(
    config: &Config,
    kernel: &Kernel,
    dir: &Path,
    append: &str,
) -> Result<Command> {
    let mut command = qemu(dir)?;
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

/// QEMU, knowing where its modules and firmware are.
fn qemu(dir: &Path) -> Result<Command> {
    if let Some(own) = std::env::var_os("QEMU") {
        let own = own.to_string_lossy();
        let file = sh::which(&own).with_context(|| format!("there is no {own}"))?;
        return Ok(Emulator::command(&Program::of_system(file), dir));
    }
    debians_qemu(&QEMU.get()?, dir)
}

fn debians_qemu(place: &Origin, dir: &Path) -> Result<Command> {
    let program = place.program("usr/bin/qemu-system-x86_64")?;
    if *place == Origin::System {
        return Ok(Emulator::command(&program, dir));
    }
    let modules = place.file("usr/lib/x86_64-linux-gnu/qemu");
    let mut command = Emulator::command(&program.env("QEMU_MODULE_DIR", modules), dir);
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        command.arg("-L").arg(place.file(firmware));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::program::{assert_names_only, fake_tree};

    #[test]
    fn an_unpacked_qemu_finds_modules_and_firmware_in_its_tree() {
        let tree = fake_tree();
        let place = Origin::Tree(tree.path().to_owned());
        let command = debians_qemu(&place, tree.path()).unwrap();
        // Without what may start it.
        let words: Vec<_> = command.get_args().collect();
        let firmware = words.iter().position(|word| *word == "-L").unwrap();
        assert_eq!(words[firmware + 1], place.file("usr/share/qemu"));
        assert_eq!(words[firmware + 3], place.file("usr/share/seabios"));
        let modules = place.file("usr/lib/x86_64-linux-gnu/qemu");
        let modules = ("QEMU_MODULE_DIR".as_ref(), Some(modules.as_os_str()));
        assert!(command.get_envs().any(|variable| variable == modules));
        assert_names_only(tree.path(), &command);
    }
}
