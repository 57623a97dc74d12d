//! The rig's whole file system: one cpio archive (newc), unpacked by the kernel.
//!
//! Called by `rig::run`. It holds busybox, the KVM modules, the user's files, the
//! command as a shell script, and `/init`, which does everything in the guest.
//! Nothing in it depends on time or place: the same input gives the same bytes,
//! and with that the same run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cpio::newc;

use super::Config;
use super::kernel::Kernel;
use crate::needs;

/// What `/init` prints on the log port before and after the command.
pub(crate) const MARK_START: &str = "RIG-START ";
pub(crate) const MARK_EXIT: &str = "RIG-EXIT ";

const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The guest's first process. ttyS0 takes the kernel log and our marks, ttyS1 the
/// command's output alone. `stty` is also a flush: it waits until all is sent.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
ln -s /proc/self/fd /dev/fd
for file in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${file%:*} /dev/${file#*:}; done
exec </dev/null >/dev/ttyS0 2>&1
load() { insmod "$@" || { echo "rig: cannot load $1"; stty -F /dev/ttyS0 115200; poweroff -f; } }
@LOAD@
stty -F /dev/ttyS1 115200 raw -echo
echo "@START@$(cut -d' ' -f1 /proc/uptime)"
sh /.cmd >/dev/ttyS1 2>&1
rc=$?
stty -F /dev/ttyS1 115200
echo "@EXIT@$rc $(cut -d' ' -f1 /proc/uptime)"
stty -F /dev/ttyS0 115200
poweroff -f
"#;

/// Linux measures the emulator's frequency twice, and on a busy machine the two
/// differ by more than KVM tolerates by itself: then it reads 0 for a guest's
/// time-stamp counter.
const KVM_PARAMETERS: &str = "tsc_tolerance_ppm=10000";

/// Writes the archive for this run to `path`.
pub(crate) fn write(config: &Config, kernel: &Kernel, path: &Path) -> Result<()> {
    let modules = kernel.modules(config.vendor.unwrap_or(config.cpu))?;
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut archive = Archive::new(io::BufWriter::new(file));

    let mut load = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(module, &format!(".ko/{name}"))?;
        // The maker's own module comes last; the parameters asked for are for it.
        let is_last = index + 1 == modules.len();
        let args = match name.ends_with("-kvm.ko") {
            true => KVM_PARAMETERS,
            false if is_last => config.modargs.as_str(),
            false => "",
        };
        load.push(format!("load /.ko/{name} {args}"));
    }
    archive.add("init", REGULAR | 0o755, init(&load).as_bytes())?;
    archive.add(".cmd", REGULAR | 0o755, script(&config.command)?.as_bytes())?;
    archive.device("dev/console", 5, 1)?;
    let busybox = needs::static_busybox().context("there is no static busybox")?;
    archive.copy(&busybox, "bin/busybox")?;
    for file in &config.files {
        archive.copy(&file.source, &file.target)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

fn init(load: &[String]) -> String {
    INIT.replace("@LOAD@", &load.join("\n"))
        .replace("@START@", MARK_START)
        .replace("@EXIT@", MARK_EXIT)
}

/// The command as a shell script of one line.
fn script(command: &[String]) -> Result<String> {
    let line = shlex::try_join(command.iter().map(String::as_str))
        .context("the command holds a NUL character")?;
    Ok(line + "\n")
}

/// A newc archive being written. Directories appear by themselves.
struct Archive<W> {
    out: W,
    directories: BTreeSet<String>,
    inodes: u32,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> Self {
        Self { out, directories: BTreeSet::new(), inodes: 0 }
    }

    /// A header with everything but the device numbers.
    fn header(&mut self, name: &str, mode: u32) -> newc::Builder {
        self.inodes += 1;
        newc::Builder::new(name).ino(self.inodes).mode(mode).nlink(1)
    }

    /// The directories above `name`, each once, outermost first.
    fn parents(&mut self, name: &str) -> io::Result<()> {
        for (end, _) in name.match_indices('/') {
            let directory = &name[..end];
            if self.directories.insert(directory.to_owned()) {
                self.header(directory, DIRECTORY | 0o755).write(&mut self.out, 0).finish()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        self.parents(name)?;
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut entry = self.header(name, mode).write(&mut self.out, size);
        entry.write_all(data)?;
        entry.finish()?;
        Ok(())
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.parents(name)?;
        let header = self.header(name, CHARACTER_DEVICE | 0o600);
        header.rdev_major(major).rdev_minor(minor).write(&mut self.out, 0).finish()?;
        Ok(())
    }

    /// A file of the host, with its mode bits; of a directory all that is in it, its
    /// links as links.
    fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let name = to.trim_start_matches('/');
        if name.is_empty() || name.ends_with('/') {
            bail!("{to:?} is no place for a file in the rig");
        }
        let failed = || format!("cannot take {} into the rig", from.display());
        let metadata = fs::metadata(from).with_context(failed)?;
        if metadata.is_dir() {
            let entries = fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let mut entries = entries.with_context(failed)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
                match entry.file_type().with_context(failed)?.is_symlink() {
                    true => self.link(&entry.path(), &inner).with_context(failed)?,
                    false => self.copy(&entry.path(), &inner)?,
                }
            }
            return Ok(());
        }
        if !metadata.is_file() {
            bail!("{}: it is no regular file", failed());
        }
        let size = u32::try_from(metadata.len()).with_context(failed)?;
        self.parents(name)?;
        let mode = REGULAR | (metadata.permissions().mode() & 0o7777);
        let mut entry = self.header(name, mode).write(&mut self.out, size);
        let mut file = BufReader::new(File::open(from).with_context(failed)?);
        io::copy(&mut file, &mut entry).with_context(failed)?;
        entry.finish().with_context(failed)?;
        Ok(())
    }

    /// A symbolic link of the host, as it is.
    fn link(&mut self, from: &Path, name: &str) -> io::Result<()> {
        let target = fs::read_link(from)?;
        self.add(name, SYMLINK | 0o777, target.as_os_str().as_bytes())
    }

    fn finish(self) -> io::Result<W> {
        newc::trailer(self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Name, mode, device, content.
    type Entry = (String, u32, (u32, u32), Vec<u8>);

    fn entries(archive: &[u8]) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut rest = archive;
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                return found;
            }
            let device = (entry.rdev_major(), entry.rdev_minor());
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            found.push((name, mode, device, content));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn directories_appear_once_before_what_is_in_them() {
        let mut archive = Archive::new(Vec::new());
        archive.add("a/b/one", REGULAR | 0o755, b"1").unwrap();
        archive.add("a/b/two", REGULAR | 0o644, b"").unwrap();
        let entries = entries(&archive.finish().unwrap());
        let names: Vec<_> = entries.iter().map(|entry| entry.0.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two"]);
        assert_eq!(entries[0].1, 0o040_755);
        assert_eq!(entries[2].1, 0o100_755);
        assert_eq!(entries[2].3, b"1");
    }

    #[test]
    fn a_device_keeps_its_numbers() {
        let mut archive = Archive::new(Vec::new());
        archive.device("dev/console", 5, 1).unwrap();
        let entries = entries(&archive.finish().unwrap());
        assert_eq!(entries[1], ("dev/console".into(), 0o020_600, (5, 1), vec![]));
    }

    #[test]
    fn a_directory_is_taken_whole_with_its_links() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("b")).unwrap();
        fs::write(tree.path().join("b/file"), "content").unwrap();
        std::os::unix::fs::symlink("b/file", tree.path().join("a")).unwrap();
        let mut archive = Archive::new(Vec::new());
        archive.copy(tree.path(), "/at").unwrap();
        let entries = entries(&archive.finish().unwrap());
        let names: Vec<_> = entries.iter().map(|entry| entry.0.as_str()).collect();
        assert_eq!(names, ["at", "at/a", "at/b", "at/b/file"]);
        assert_eq!((entries[1].1, &entries[1].3[..]), (0o120_777, &b"b/file"[..]));
        assert_eq!(entries[3].3, b"content");
    }

    #[test]
    fn a_file_keeps_its_mode_bits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "content").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o4751)).unwrap();
        let mut archive = Archive::new(Vec::new());
        archive.copy(file.path(), "/x").unwrap();
        let entries = entries(&archive.finish().unwrap());
        assert_eq!(entries, [("x".into(), 0o104_751, (0, 0), b"content".to_vec())]);
    }

    #[test]
    fn a_device_or_a_missing_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::new(Vec::new());
        let error = archive.copy(Path::new("/dev/null"), "/x").unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
        let missing = dir.path().join("missing");
        let error = archive.copy(&missing, "/x").unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
        assert!(archive.copy(&missing, "/").is_err());
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let make = || {
            let mut archive = Archive::new(Vec::new());
            archive.add("a/b", REGULAR | 0o644, b"data").unwrap();
            archive.finish().unwrap()
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn the_command_is_quoted_for_the_shell() {
        let words = ["sh", "-c", "echo \"$1\"; it's", "", "a b"].map(str::to_owned);
        let line = script(&words).unwrap();
        assert_eq!(shlex::split(&line).unwrap(), words);
        assert!(script(&["\0".to_owned()]).is_err());
    }

    #[test]
    fn init_loads_the_modules_in_order_and_prints_the_marks() {
        let text = init(&["load /.ko/00-a.ko ".into(), "load /.ko/01-b.ko x=1".into()]);
        assert!(text.contains("load /.ko/00-a.ko \nload /.ko/01-b.ko x=1\n"));
        assert!(text.contains("echo \"RIG-EXIT $rc "));
        for placeholder in ["@LOAD@", "@START@", "@EXIT@"] {
            assert!(!text.contains(placeholder), "{placeholder}");
        }
    }
}
