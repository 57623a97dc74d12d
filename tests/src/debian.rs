//! Debian's programs in a root directory of their own: the same root for a native run
//! and for a sandbox.
//!
//! `cargo xtask setup` unpacks the packages; a rig has some of them in `/debian`. What
//! the tests' own cases need, `tests/debian`, is beside them in the root, in `/cases`.
//! Natively a process gets a mount namespace of its own and changes its root
//! ([`NATIVELY`]); for the sandbox all of it is an archive.

use crate::cli::trapgate;
use crate::place::{Place, place};
use crate::programs::bytes_if_compiled;
use crate::skip::missing;
use crate::tools::unpacked_tree;
use nix::unistd::geteuid;
use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs::{self, File, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};
use tar::{Builder, EntryType, Header};

/// The files in `/cases`, each of which may be executed.
const FILES: [(&str, &[u8]); 10] = [
    ("files.lua", include_bytes!("../debian/files.lua")),
    ("files.php", include_bytes!("../debian/files.php")),
    ("files.pl", include_bytes!("../debian/files.pl")),
    ("journals.py", include_bytes!("../debian/journals.py")),
    ("threads.py", include_bytes!("../debian/threads.py")),
    ("journals.sql", include_bytes!("../debian/journals.sql")),
    ("library.py", include_bytes!("../debian/library.py")),
    ("repository.sh", include_bytes!("../debian/repository.sh")),
    ("script.py", include_bytes!("../debian/script.py")),
    ("shapes.c", include_bytes!("../debian/shapes.c")),
];

/// A library that lists what its program leaves behind (tests/programs/preload).
const LEFT: &str = "left.so";
/// What is compiled for these tests, as far as there are compilers.
const COMPILED: [&str; 5] = ["files.gnu", "files.std", "library.dyn", "library.dyn32", "left.so32"];

/// What no program reads here, and half of all bytes.
const UNREAD: [&str; 4] = ["usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"];

/// Makes the root `$1` of the tree `$2`, the cases `$3` and this machine's devices, in a
/// mount namespace that nobody else sees, and becomes the other arguments there. What
/// is of the tree cannot be written, where that can be had.
const NATIVELY: &str = r#"
set -e
root=$1 tree=$2 cases=$3
shift 3
mount -t tmpfs -o mode=755 none "$root"
for entry in "$tree"/*; do
    place=$root/${entry##*/}
    if [ -L "$entry" ]; then
        ln -s "$(readlink "$entry")" "$place"
    else
        mkdir "$place"
        mount -o bind "$entry" "$place"
        mount -o remount,bind,ro "$place" 2>/dev/null || :
    fi
done
cd "$root"
mkdir cases dev proc sys tmp
chmod 1777 tmp
mount -o bind "$cases" cases
for kernel in dev proc sys; do mount -o rbind /$kernel $kernel; done
exec chroot . "$@"
"#;

/// The root, on this machine's disk.
#[derive(Debug)]
pub struct Root {
    tree: PathBuf,
    /// What is made of it: `cases`, `root.tar`, the empty directory `root` on which a
    /// native run mounts, and `cache`.
    made: PathBuf,
}

/// The root, or none with a loud skip. It is made when it is first asked for, and kept
/// beside the unpacked packages as long as they and the cases stay the same.
///
/// # Panics
/// If there is no room for it.
pub fn debian() -> Option<&'static Root> {
    static ROOT: OnceLock<Result<Root, &str>> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let tree = match place() {
            Place::Host => unpacked_tree("programs", "usr/bin/python3"),
            Place::Amd | Place::Intel => Some(PathBuf::from("/debian")).filter(|at| at.is_dir()),
        };
        let tree = tree.ok_or("Debian's programs")?;
        let left = bytes_if_compiled(LEFT).ok_or("gcc")?;
        run(unshare().args(["mount", "-t", "tmpfs", "none", "/tmp"]))
            .map_err(|_| "leave to mount in a namespace of one's own")?;
        Ok(Root::new(tree, left).expect("there is room for a root"))
    });
    root.as_ref().map_err(|what| missing(what)).ok()
}

impl Root {
    fn new(tree: PathBuf, left: &[u8]) -> io::Result<Root> {
        let compiled = COMPILED.iter().filter_map(|name| Some((*name, bytes_if_compiled(name)?)));
        let files = FILES.iter().copied().chain([(LEFT, left)]).chain(compiled);
        let mut hasher = DefaultHasher::new();
        let of = fs::metadata(&tree)?;
        (of.ino(), of.ctime(), of.ctime_nsec()).hash(&mut hasher);
        files.clone().for_each(|file| file.hash(&mut hasher));
        // How it is made.
        include_str!("debian.rs").hash(&mut hasher);
        let places = match place() {
            Place::Host => tree.ancestors().nth(2).expect("it is in xtask/packages").join("roots"),
            Place::Amd | Place::Intel => env::temp_dir().join("roots"),
        };
        fs::create_dir_all(&places)?;
        let made = places.join(format!("{:016x}", hasher.finish()));
        let root = Root { tree, made };
        if root.made.is_dir() {
            return Ok(root);
        }
        for older in fs::read_dir(&places)? {
            fs::remove_dir_all(older?.path())?;
        }
        let work = tempfile::Builder::new().prefix(".new.").tempdir_in(&places)?;
        fs::set_permissions(work.path(), Permissions::from_mode(0o755))?;
        for name in ["cases", "root", "cache"] {
            fs::create_dir(work.path().join(name))?;
        }
        for (name, bytes) in files {
            let path = work.path().join("cases").join(name);
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(0o755))?;
            // An archive has whole seconds.
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))?;
        }
        let repository = ["/bin/sh", "/cases/repository.sh"];
        run(enter(work.path(), &root.tree).args(repository))?;
        let mut archive = Builder::new(BufWriter::new(File::create(work.path().join("root.tar"))?));
        add(&mut archive, &root.tree, Path::new("."))?;
        add(&mut archive, &work.path().join("cases"), Path::new("cases"))?;
        archive.into_inner()?.into_inner()?;
        // By hand, so that no test's time is spent on it.
        let mut build = Command::new(trapgate());
        build.env("TRAPGATE_CACHE", work.path().join("cache"));
        run(build.args(["image", "build"]).arg(work.path().join("root.tar")))?;
        // Another test may have been faster, and made the same.
        if let Err(error) = fs::rename(work.keep(), &root.made)
            && !root.made.is_dir()
        {
            return Err(error);
        }
        Ok(root)
    }

    /// Whether it has this program, by its path or in its directories of programs. The
    /// rigs' roots have fewer.
    pub fn has(&self, program: &str) -> bool {
        let names = match program.strip_prefix('/') {
            Some(path) => vec![self.tree.join(path), self.made.join(path)],
            None => ["bin", "usr/bin"].map(|at| self.tree.join(at).join(program)).into(),
        };
        names.iter().any(|name| name.is_file())
    }

    /// The archive for `--root`.
    pub fn archive(&self) -> PathBuf {
        self.made.join("root.tar")
    }

    /// Where its image is cached.
    pub fn cache(&self) -> PathBuf {
        self.made.join("cache")
    }

    /// A command that becomes, in this root, what is added to its arguments.
    pub fn enter(&self) -> Command {
        enter(&self.made, &self.tree)
    }
}

/// The same of a root that is not whole yet.
fn enter(made: &Path, tree: &Path) -> Command {
    let mut command = unshare();
    command.args(["sh", "-c", NATIVELY, "sh"]);
    command.args([made.join("root"), tree.to_owned(), made.join("cases")]);
    command
}

/// The program that gives a process a mount namespace of its own; who is not root needs
/// a user namespace for that.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("-m").args((!geteuid().is_root()).then_some("-r"));
    command
}

/// Runs a command, which must succeed.
fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {}: {errors}", output.status)));
    }
    Ok(())
}

/// Adds what lies at `from` to an archive as `name`: all of it is root's, as in the
/// package.
fn add(archive: &mut Builder<impl Write>, from: &Path, name: &Path) -> io::Result<()> {
    if UNREAD.iter().any(|unread| name.strip_prefix(".").is_ok_and(|name| name.ends_with(unread))) {
        return Ok(());
    }
    let metadata = fs::symlink_metadata(from)?;
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(metadata.mtime().cast_unsigned());
    header.set_size(0);
    if metadata.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        return archive.append_link(&mut header, name, fs::read_link(from)?);
    }
    if metadata.is_file() {
        header.set_size(metadata.len());
        return archive.append_data(&mut header, name, File::open(from)?);
    }
    header.set_entry_type(EntryType::Directory);
    archive.append_data(&mut header, name, io::empty())?;
    let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        add(archive, &entry.path(), &name.join(entry.file_name()))?;
    }
    Ok(())
}
