//! An apt of our own: Debian's program and the system's sources, keys and
//! preferences, but lists, state and cache below the target directory.
//!
//! So it needs no root, waits for no other apt, and does not care what is
//! installed or in what state the system's lists are (a fresh container has
//! none). Used by `debian` and by the rig's kernel cache.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

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
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
Dir::State::lists "lists/";
Dir::Cache::archives "archives/";
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
    /// What the update complained of first: a source of the system's may be dead
    /// and not matter.
    complaint: Option<String>,
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
        Ok(Self { dir: dir.to_owned(), complaint: None, _lock: lock })
    }

    fn command(&self, program: &str, status: Status) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf"));
        let status = self.dir.join(status.file());
        command.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        // A user's APT_CONFIG is read before ours: a proxy of its stays.
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// Refreshes the lists; quick if they are fresh. A source that cannot be had
    /// does no harm while there are lists of others, or old ones.
    pub(crate) fn update(&mut self) -> Result<()> {
        let mut command = self.command("apt-get", Status::Empty);
        let said = watch(command.args(["-q", "update"]), || ())?;
        self.complaint = complaint(&said.errors).map(str::to_owned);
        if self.complaint.is_some() || !said.status.success() {
            let mut lists = fs::read_dir(self.dir.join("state/lists"))?.flatten();
            if !lists.any(|list| list.file_name().to_string_lossy().contains("_Packages")) {
                bail!("apt-get update: {}", reason(&said.errors));
            }
        }
        Ok(())
    }

    /// What such a command prints. Where it fails, the update's complaint may be
    /// why.
    fn output(&self, command: &mut Command) -> Result<String> {
        output(command).map_err(|error| self.with_complaint(error))
    }

    fn with_complaint(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.complaint {
            Some(complaint) if !sh::interrupted() => {
                anyhow!("{error:#} (apt-get update: {complaint})")
            }
            _ => error,
        }
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
        let uris = self.output(command.args(["-qq", "--print-uris", what]).args(names))?;
        parse_uris(&uris)
    }

    /// What `name` depends on, as `apt-cache depends` prints it.
    pub(crate) fn depends(&self, name: &str) -> Result<String> {
        let mut command = self.command("apt-cache", Status::Empty);
        self.output(command.args(["depends", "--important", name]))
    }

    /// Downloads these packages into `dir`, by the names that [`Package::file`]
    /// says; one line tells the user how much, and `what` for.
    pub(crate) fn download(&self, packages: &[Package], dir: &Path, what: &str) -> Result<()> {
        let packages: BTreeSet<_> = packages.iter().collect();
        let size: u64 = packages.iter().map(|package| package.size).sum();
        sh::step(&format!("fetching {} MiB {what}", mib(size)));
        let mut command = self.command("apt-get", Status::Empty);
        command.args(["-qq", "download"]).args(packages.iter().map(|package| &package.name));
        let shows = io::stderr().is_terminal();
        let progress = || {
            if shows {
                anstream::eprint!("\r    {} of {} MiB ", mib(size_of_files(dir)), mib(size));
            }
        };
        let said = watch(command.current_dir(dir), progress);
        if shows {
            anstream::eprint!("\r\x1b[K");
        }
        let said = said?;
        if !said.status.success() {
            return Err(self.with_complaint(anyhow!("apt-get: {}", reason(&said.errors))));
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
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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

/// How a program ended and what it printed.
struct Said {
    status: ExitStatus,
    output: String,
    errors: String,
}

/// Runs apt quietly to its end, or until we are asked to end; `tick` is called while
/// it runs.
fn watch(command: &mut Command, mut tick: impl FnMut()) -> Result<Said> {
    let (output, errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let mut child = command.spawn().context("cannot start apt")?;
    let status = loop {
        if sh::interrupted() {
            child.kill()?;
            child.wait()?;
            bail!("interrupted");
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tick();
        thread::sleep(sh::TICK);
    };
    Ok(Said { status, output: read_from_start(output)?, errors: read_from_start(errors)? })
}

/// Runs apt quietly and answers with what it prints; fails with its own reason.
fn output(command: &mut Command) -> Result<String> {
    let said = watch(command, || ())?;
    if !said.status.success() {
        let program = command.get_program().to_string_lossy().into_owned();
        bail!("{program}: {}", reason(&said.errors));
    }
    Ok(said.output)
}

/// The first warning or error among what apt says.
fn complaint(said: &str) -> Option<&str> {
    let mut lines = said.lines().map(str::trim);
    lines.find_map(|line| line.strip_prefix("W: ").or(line.strip_prefix("E: "))).map(str::trim)
}

/// The first thing that apt has to say against it. `E:` lines at the end often
/// only say that something above them failed.
fn reason(said: &str) -> String {
    let first = || said.lines().map(str::trim).find(|line| !line.is_empty());
    complaint(said).or_else(first).unwrap_or("it does not say why").to_owned()
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

    /// An apt whose sources are directories: a list that has one package, and what
    /// else is given. None where there is no apt.
    fn apt_with(dir: &Path, sources: &[&str]) -> Option<Apt> {
        let lock = File::create(dir.join("lock")).unwrap();
        let apt = Apt::open(&dir.join("apt"), lock).ok()?;
        fs::write(dir.join("sources.list"), sources.join("\n")).unwrap();
        let conf = fs::read_to_string(dir.join("apt/apt.conf")).unwrap();
        let list = dir.join("sources.list");
        let etc = format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n",
            list.display()
        );
        fs::write(dir.join("apt/apt.conf"), conf + &etc).unwrap();
        Some(apt)
    }

    #[test]
    fn a_dead_source_does_no_harm_and_is_named_when_something_cannot_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        fs::create_dir(dir.path().join("alive")).unwrap();
        let list = "Package: here\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\n\
                    Filename: ./here_1_amd64.deb\nSize: 8\nDescription: x\n\
                    SHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";
        fs::write(dir.path().join("alive/Packages"), list).unwrap();
        let dead = format!("deb [trusted=yes] file:{path}/dead ./");
        let alive = format!("deb [trusted=yes] file:{path}/alive ./");
        let sources = format!("deb-src [trusted=yes] file:{path}/alive ./");
        let Some(mut apt) = apt_with(dir.path(), &[&dead]) else { return };
        assert!(apt.update().unwrap_err().to_string().contains("/dead"), "nothing is to be had");
        let mut apt = apt_with(dir.path(), &[&dead, &alive, &sources]).unwrap();
        apt.update().unwrap();
        assert_eq!(apt.alone(&["here".to_owned()]).unwrap()[0].size, 8);
        let error = apt.alone(&["absent".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("absent") && error.contains("/dead"), "{error}");
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
