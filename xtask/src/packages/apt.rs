//! An apt of our own: Debian's program and the system's sources, keys and
//! preferences, but lists, state and cache below the target directory.
//!
//! So it needs no root, waits for no other apt, and does not care what is
//! installed or in what state the system's lists are (a fresh container has
//! none). Used by `packages` and by the rig's kernel cache.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::sh;

/// Overrides the system's apt configuration: what it does after an update (often
/// something with the system's own cache) is not for us, and of the lists only
/// the packages are wanted.
const CONFIGURATION: &str = r#"
#clear APT::Update;
#clear DPkg;
#clear APT::Architectures;
APT::Architectures { "amd64"; };
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
"#;

/// What the programs' packages depend on for purposes that are not ours (desktops,
/// sound, USB, set-up of a system), and big or with a tail of dependencies. Apt is
/// told that these are installed. A name that a release does not have does no
/// harm, and a library that turns out to be needed is fetched after all.
const NOT_WANTED: &str = "\
    adduser adwaita-icon-theme base-passwd dbus dconf-gsettings-backend debconf dmsetup dpkg \
    fontconfig fontconfig-config fonts-dejavu-core gettext-base grub2-common \
    gtk-update-icon-cache hicolor-icon-theme init-system-helpers install-info ipxe-qemu \
    iso-codes libasound2 libasound2-data libasound2t64 libbrlapi0.8 libcacard0 libcolord2 \
    libcups2 libcups2t64 libefiboot1 libefiboot1t64 libefivar1 libefivar1t64 libfuse2 \
    libfuse2t64 libgbm1 libgdk-pixbuf2.0-common libgtk-3-common libsndio7.0 libspice-server1 \
    libusbredirparser1 libusbredirparser1t64 libx11-data lsb-base media-types passwd perl \
    perl-base qemu-system-modules-opengl qemu-system-modules-spice readline-common sed \
    sensible-utils shared-mime-info tar ucf xkb-data";

/// What apt takes for installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing.
    Empty,
    /// What is [`NOT_WANTED`].
    Lean,
}

impl Status {
    fn file(self) -> &'static str {
        match self {
            Self::Empty => "status",
            Self::Lean => "status-lean",
        }
    }
}

/// A package that can be had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// As `apt-get download` calls its file.
    pub(crate) file: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// The apt. While it lives it holds the lock, which keeps others away.
pub(crate) struct Apt {
    dir: PathBuf,
    _lock: File,
}

impl Apt {
    /// An apt that keeps everything in `dir`.
    pub(crate) fn open(dir: &Path, lock: File) -> Result<Self> {
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            if sh::which(tool).is_none() {
                bail!("this is no Debian: there is no {tool}");
            }
        }
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        fs::write(dir.join(Status::Empty.file()), "")?;
        fs::write(dir.join(Status::Lean.file()), lean_status())?;
        fs::write(dir.join("apt.conf"), configuration(dir)?)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    fn command(&self, program: &str, status: Status) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf"));
        let status = self.dir.join(status.file());
        command.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        command.env("LC_ALL", "C").env_remove("APT_CONFIG").stdin(Stdio::null());
        command
    }

    /// Refreshes the lists; quick if they are fresh.
    pub(crate) fn update(&self) -> Result<()> {
        let mut command = self.command("apt-get", Status::Empty);
        output(command.args(["-q", "update"])).map(drop)
    }

    /// These packages and what they depend on.
    pub(crate) fn with_dependencies(
        &self,
        names: &[String],
        status: Status,
    ) -> Result<Vec<Package>> {
        self.uris(status, "install", names)
    }

    /// These packages alone.
    pub(crate) fn alone(&self, names: &[String]) -> Result<Vec<Package>> {
        self.uris(Status::Empty, "download", names)
    }

    fn uris(&self, status: Status, what: &str, names: &[String]) -> Result<Vec<Package>> {
        let mut command = self.command("apt-get", status);
        let uris = output(command.args(["-qq", "--print-uris", what]).args(names))?;
        parse_uris(&uris)
    }

    /// What `name` depends on, as `apt-cache depends` prints it.
    pub(crate) fn depends(&self, name: &str) -> Result<String> {
        let mut command = self.command("apt-cache", Status::Empty);
        output(command.args(["depends", "--important", name]))
    }

    /// Downloads these packages into `dir`, by the names that [`Package::file`]
    /// says; one line tells the user how much, and `what` for.
    pub(crate) fn download(&self, packages: &[Package], dir: &Path, what: &str) -> Result<()> {
        let packages: BTreeSet<_> = packages.iter().collect();
        let size: u64 = packages.iter().map(|package| package.size).sum();
        sh::step(&format!("fetching {} MiB {what}", mib(size)));
        let mut command = self.command("apt-get", Status::Empty);
        command.args(["-qq", "download"]).args(packages.iter().map(|package| &package.name));
        let said = tempfile::tempfile()?;
        command.stdout(Stdio::null()).stderr(said.try_clone()?).current_dir(dir);
        let mut child = command.spawn().context("cannot start apt-get")?;
        let shows = io::stderr().is_terminal();
        let status = loop {
            if sh::interrupted() {
                child.kill()?;
                child.wait()?;
                bail!("interrupted");
            }
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if shows {
                anstream::eprint!("\r    {} of {} MiB ", mib(size_of_files(dir)), mib(size));
            }
            thread::sleep(Duration::from_millis(100));
        };
        if shows {
            anstream::eprint!("\r\x1b[K");
        }
        if !status.success() {
            bail!("apt-get: {}", reason(&read_from_start(said)?));
        }
        let absent = packages.iter().find(|package| !dir.join(&package.file).exists());
        absent.map_or(Ok(()), |package| bail!("apt-get download left no {}", package.file))
    }
}

/// Bytes as mebibytes, rounded up.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Of the files in this directory.
fn size_of_files(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

fn read_from_start(mut file: File) -> Result<String> {
    io::Seek::rewind(&mut file)?;
    Ok(io::read_to_string(file)?)
}

fn configuration(dir: &Path) -> Result<String> {
    let dir = dir.to_str().filter(|dir| !dir.contains('"'));
    let dir = dir.context("apt cannot work in a directory of this name")?;
    Ok(format!("{CONFIGURATION}Dir::State \"{dir}/state\";\nDir::Cache \"{dir}/cache\";\n"))
}

/// A status file of dpkg that has [`NOT_WANTED`] installed, in a version that is
/// new enough for everybody.
fn lean_status() -> String {
    let mut text = String::new();
    for name in NOT_WANTED.split_whitespace() {
        writeln!(
            text,
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n\
             Multi-Arch: foreign\nVersion: 9999:0\nMaintainer: nobody\n\
             Description: not wanted\n"
        )
        .expect("a String takes all");
    }
    text
}

/// Runs apt quietly and answers with what it prints; fails with its own reason.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot start apt")?;
    if !output.status.success() {
        if sh::interrupted() {
            bail!("interrupted");
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let program = command.get_program().to_string_lossy().into_owned();
        bail!("{program}: {}", reason(&said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first thing that apt has to say against it. `E:` lines at the end often
/// only say that something above them failed.
fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let failed = lines().find_map(|line| line.strip_prefix("W: ").or(line.strip_prefix("E: ")));
    failed.or(lines().next()).unwrap_or("it does not say why").trim().to_owned()
}

/// Reads what `--print-uris` prints: `'ADDRESS' NAME_VERSION_ARCH.deb SIZE HASH`.
fn parse_uris(text: &str) -> Result<Vec<Package>> {
    let lines = text.lines().filter(|line| line.starts_with('\''));
    let package = |line: &str| {
        let mut words = line.rsplit('\'').next()?.split_whitespace();
        let file = words.next()?.to_owned();
        let name = file.split('_').next()?.to_owned();
        Some(Package { name, file, size: words.next()?.parse().ok()? })
    };
    lines.map(|line| package(line).with_context(|| format!("apt-get printed: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_fetch_is_read_by_name_file_and_size() {
        let text = "\
            Reading package lists...\n\
            'http://example.org/pool/main/z/zlib1g_1.2_amd64.deb' zlib1g_1%3a1.2_amd64.deb 86720 SHA256:ab\n\
            'http://example.org/pool/q/qemu_7.2_all.deb' qemu_7.2_all.deb 12 MD5Sum:cd\n";
        let package = |name: &str, file: &str, size| Package {
            name: name.to_owned(),
            file: file.to_owned(),
            size,
        };
        assert_eq!(
            parse_uris(text).unwrap(),
            [
                package("zlib1g", "zlib1g_1%3a1.2_amd64.deb", 86720),
                package("qemu", "qemu_7.2_all.deb", 12)
            ]
        );
        assert!(parse_uris("'http://example.org/x.deb' x.deb\n").is_err());
    }

    #[test]
    fn the_reason_is_what_failed_first() {
        let said = "\
            W: Failed to fetch http://example.org/InRelease  Temporary failure resolving 'example.org'\n\
            E: Some index files failed to download.\n";
        assert_eq!(
            reason(said),
            "Failed to fetch http://example.org/InRelease  Temporary failure resolving 'example.org'"
        );
        assert_eq!(reason("E: Unable to locate package x\n"), "Unable to locate package x");
        assert_eq!(reason(""), "it does not say why");
    }

    #[test]
    fn nothing_of_the_systems_state_or_cache_is_used() {
        let text = configuration(Path::new("/t/apt")).unwrap();
        let words: Vec<_> = text.split('"').collect();
        let paths: Vec<_> = words.iter().filter(|word| word.starts_with('/')).collect();
        assert_eq!(paths, [&"/t/apt/state", &"/t/apt/cache"]);
        assert!(text.contains("#clear APT::Update;"), "no hook of the system's runs");
        assert!(configuration(Path::new("/t\"/apt")).is_err());
    }

    #[test]
    fn what_is_not_wanted_counts_as_installed() {
        let status = lean_status();
        assert!(status.contains("Package: iso-codes\nStatus: install ok installed\n"));
        assert_eq!(status.matches("Package: ").count(), NOT_WANTED.split_whitespace().count());
    }
}
