//! The rig with kvm_intel: Bochs, whose software CPU emulates VMX.
//!
//! Called by `rig::run`; calls grub-mkimage and xorriso. Bochs boots like a PC of
//! its time, so kernel and initramfs go onto a CD with GRUB on it. All times are
//! fixed, so that two runs of the same thing are the same run.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Config;
use super::emulator::{ERRORS, Emulator, LOG, OUT};
use super::kernel::Kernel;
use crate::debian::Program;
use crate::needs::{BOCHS, BOCHS_BIOS, BOCHS_VGABIOS, GRUB, GRUB_MODULES, Origin, XORRISO};
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
    let place = BOCHS.get()?;
    let own = std::env::var_os("BOCHS");
    let is_debian = own.is_none();
    let program = match own {
        Some(own) => {
            let own = own.to_string_lossy();
            let file = sh::which(&own).with_context(|| format!("there is no {own}"))?;
            Program::of_system(file)
        }
        None => debians_bochs(&place)?,
    };

    // Debian's build really sleeps in HLT, so its guest had better not halt.
    let idle = if is_debian { " idle=poll" } else { "" };
    make_cd(kernel, dir, &format!("{append}{idle}"))?;
    fs::write(dir.join("bochsrc"), bochsrc(config, is_debian, &place))?;

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

/// Debian's build, knowing where its plugins and other files are.
fn debians_bochs(place: &Origin) -> Result<Program> {
    let program = place.program("usr/bin/bochs-bin")?;
    Ok(match place {
        Origin::System => program,
        Origin::Tree(_) => program
            .env("LTDL_LIBRARY_PATH", place.file("usr/lib/x86_64-linux-gnu/bochs/plugins"))
            .env("BXSHARE", place.file("usr/share/bochs")),
    })
}

/// `display_library: term` wants a terminal, and one that somebody reads.
fn open_terminal() -> Result<(File, OwnedFd)> {
    // Close-on-exec, or a rig beside this one would keep it open.
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(ptsname(&master, Vec::new())?, flags, Mode::empty())
        .context("cannot open a pseudo terminal")?;
    Ok((master.into(), terminal))
}

/// Copies until the last holder of the other side is gone (EIO) or nobody can
/// take it any more.
fn drain(mut master: File, mut to: File) {
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
    let grub = GRUB.get()?;
    quiet(
        tool(&grub.program("usr/bin/grub-mkimage")?, dir)
            .arg("-d")
            .arg(grub.file(GRUB_MODULES))
            .args(["-O", "i386-pc-eltorito", "-p", "/", "-c", "grub.cfg"])
            .args(["-o", "cd/grub", "biosdisk", "iso9660", "linux", "boot"]),
    )?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH);
    for name in ["vmlinuz", "initrd", "grub", "."] {
        File::open(tree.join(name))?.set_modified(time)?;
    }
    quiet(
        tool(&XORRISO.get()?.program("usr/bin/xorriso")?, dir)
            .args(["-as", "mkisofs", "-quiet", "-o", "cd.iso", "-b", "grub"])
            .args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "cd"])
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string()),
    )
}

fn tool(program: &Program, dir: &Path) -> Command {
    let mut command = program.command();
    command.current_dir(dir);
    command
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

fn bochsrc(config: &Config, is_debian: bool, place: &Origin) -> String {
    let [bios, vgabios] = [BOCHS_BIOS, BOCHS_VGABIOS].map(|file| place.file(file));
    let (bios, vgabios) = (bios.display(), vgabios.display());
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
romimage: file=\"{bios}\"
vgaromimage: file=\"{vgabios}\"
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
    use crate::debian::program::{assert_names_only, fake_tree};

    #[test]
    fn bochs_is_told_the_memory_the_ports_and_no_clock_of_the_host() {
        let config = Config::new(Cpu::Intel, ["true"]);
        let place = Origin::Tree("/a tree".into());
        let text = bochsrc(&config, true, &place);
        assert!(text.contains("memory: guest=512, host=512\n"));
        assert!(text.contains("com2: enabled=1, mode=file, dev=out\n"));
        assert!(text.contains("sync=none, time0=1704067200\n"));
        assert!(text.contains("display_library: term\n"));
        assert!(text.contains("romimage: file=\"/a tree/usr/share/bochs/BIOS-bochs-latest\"\n"));
        assert!(bochsrc(&config, false, &Origin::System).contains("display_library: nogui\n"));
    }

    #[test]
    fn an_unpacked_bochs_finds_its_plugins_in_its_tree() {
        let tree = fake_tree();
        let place = Origin::Tree(tree.path().to_owned());
        let command = debians_bochs(&place).unwrap().command();
        let plugins = place.file("usr/lib/x86_64-linux-gnu/bochs/plugins");
        let plugins = ("LTDL_LIBRARY_PATH".as_ref(), Some(plugins.as_os_str()));
        assert!(command.get_envs().any(|variable| variable == plugins));
        assert_names_only(tree.path(), &command);
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
