//! The rig with kvm_intel: Bochs, whose software CPU emulates VMX.
//!
//! Called by `rig::run`; calls grub-mkimage and xorriso. Bochs boots like a PC of
//! its time, so kernel and initramfs go onto a CD with GRUB on it. All times are
//! fixed, so that two runs of the same thing are the same run.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};

use super::Config;
use super::emulator::{ERRORS, Emulator, LOG, OUT};
use super::kernel::Kernel;
use crate::needs::{BOCHS_BIOS, BOCHS_VGABIOS};
use crate::sh;

/// 2024-01-01, in seconds.
const EPOCH: u64 = 1_704_067_200;
const MODEL: &str = "corei7_sandy_bridge_2600k";

/// Where Bochs writes its own log.
pub(crate) const BOCHS_LOG: &str = "bochs.log";

/// The command that boots `initrd` of the work directory. What Bochs draws on its
/// terminal is collected by a thread that ends with it.
pub(crate) fn command(
    config: &Config,
    kernel: &Kernel,
    dir: &Path,
    append: &str,
) -> Result<Command> {
    let own = std::env::var_os("BOCHS").map(PathBuf::from);
    let program = own.clone().unwrap_or_else(|| "bochs-bin".into());
    let program = sh::which(&program.to_string_lossy())
        .with_context(|| format!("there is no {}", program.display()))?;
    let is_debian = own.is_none();

    // Debian's build really sleeps in HLT, so its guest had better not halt.
    let idle = if is_debian { " idle=poll" } else { "" };
    make_cd(kernel, dir, &format!("{append}{idle}"))?;
    fs::write(dir.join("bochsrc"), bochsrc(config, is_debian))?;

    let mut command = Emulator::command(&program, dir);
    command.args(["-q", "-f", "bochsrc"]).env("TERM", "vt100");
    if is_debian {
        // That build starts in its debugger: "continue".
        fs::write(dir.join("debugger"), "c\n")?;
        command.args(["-rc", "debugger"]);
    }
    let (master, terminal) = open_terminal()?;
    command
        .stdin(terminal.try_clone()?)
        .stdout(terminal.try_clone()?)
        .stderr(Stdio::from(terminal));
    let errors = File::create(dir.join(ERRORS))?;
    thread::spawn(move || drain(master, errors));
    Ok(command)
}

/// `display_library: term` wants a terminal, and one that somebody reads.
fn open_terminal() -> Result<(PtyMaster, OwnedFd)> {
    // Close-on-exec, or a rig beside this one would keep it open.
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let mut options = File::options();
    let terminal = std::os::unix::fs::OpenOptionsExt::custom_flags(
        options.read(true).write(true),
        OFlag::O_NOCTTY.bits(),
    )
    .open(ptsname_r(&master)?)
    .context("cannot open a pseudo terminal")?;
    Ok((master, terminal.into()))
}

/// Copies until the last holder of the other side is gone (EIO) or nobody can
/// take it any more.
fn drain(mut master: PtyMaster, mut to: File) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
}

/// `cd.iso` in the work directory: GRUB, kernel, initramfs.
fn make_cd(kernel: &Kernel, dir: &Path, append: &str) -> Result<()> {
    let tree = dir.join("cd");
    fs::create_dir(&tree)?;
    fs::copy(kernel.image(), tree.join("vmlinuz"))?;
    fs::rename(dir.join("initrd"), tree.join("initrd"))?;
    let menu = format!("linux (cd)/vmlinuz {append}\ninitrd (cd)/initrd\nboot\n");
    fs::write(dir.join("grub.cfg"), menu)?;
    quiet(
        tool("grub-mkimage", dir)?
            .args(["-O", "i386-pc-eltorito", "-p", "/", "-c", "grub.cfg"])
            .args(["-o", "cd/grub", "biosdisk", "iso9660", "linux", "boot"]),
    )?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH);
    for name in ["vmlinuz", "initrd", "grub", "."] {
        File::open(tree.join(name))?.set_modified(time)?;
    }
    quiet(
        tool("xorriso", dir)?
            .args(["-as", "mkisofs", "-quiet", "-o", "cd.iso", "-b", "grub"])
            .args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "cd"])
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string()),
    )
}

fn tool(name: &str, dir: &Path) -> Result<Command> {
    let path = sh::which(name).with_context(|| format!("there is no {name}"))?;
    let mut command = Command::new(path);
    command.current_dir(dir);
    Ok(command)
}

/// Runs a chatty tool; what it says matters only if it fails.
fn quiet(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        io::stderr().write_all(&output.stderr)?;
        bail!("`{}` failed: {}", sh::display(command), output.status);
    }
    Ok(())
}

fn bochsrc(config: &Config, is_debian: bool) -> String {
    let model = config.model.as_deref().unwrap_or(MODEL);
    let display = if is_debian { "term" } else { "nogui" };
    // That build has sound, which would look for the host's.
    let sound = if is_debian { "sound: driver=dummy" } else { "" };
    let Config { ips, mem_mib, .. } = config;
    format!(
        "\
display_library: {display}
cpu: model={model}, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={mem_mib}, host={mem_mib}
romimage: file={BOCHS_BIOS}
vgaromimage: file={BOCHS_VGABIOS}
vga: extension=vbe, update_freq=1, realtime=0
ata0-master: type=cdrom, path=cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={LOG}
com2: enabled=1, mode=file, dev={OUT}
{sound}
log: {BOCHS_LOG}
panic: action=fatal
error: action=ignore
info: action=report
clock: sync=none, time0={EPOCH}
"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Cpu;
    use super::*;

    #[test]
    fn bochs_is_told_the_memory_the_ports_and_no_clock_of_the_host() {
        let config = Config::new(Cpu::Intel, ["true"]);
        let text = bochsrc(&config, true);
        assert!(text.contains("memory: guest=512, host=512\n"));
        assert!(text.contains("com2: enabled=1, mode=file, dev=out\n"));
        assert!(text.contains("sync=none, time0=1704067200\n"));
        assert!(text.contains("display_library: term\n"));
        assert!(bochsrc(&config, false).contains("display_library: nogui\n"));
    }

    #[test]
    fn a_terminal_is_drained_until_nobody_holds_it() {
        let (master, terminal) = open_terminal().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        File::from(terminal).write_all(b"drawn").unwrap();
        drain(master, file.reopen().unwrap());
        assert_eq!(fs::read(file.path()).unwrap(), b"drawn");
    }
}
