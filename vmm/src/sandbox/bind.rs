//! Directories and files of the host's in a program's tree.

use super::config::quoted;
use crate::Error;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use trapgate_abi::boot_info::{MAX_MOUNTS, MOUNT_READ_ONLY, MOUNT_READ_WRITE, MOUNT_SHARED};
use trapgate_abi::hypercall::NAME_MAX;

/// Whether a program may change what is in a directory of the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// It may not: the default.
    #[default]
    ReadOnly,
    /// It may, as far as this process may.
    ReadWrite,
}

/// Whether others may change it on the host while the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// They may, and the program sees it: the host is asked for a name each time that one is
    /// walked. The default.
    #[default]
    Shared,
    /// Nobody does: what was asked for once is kept, names and bytes, as it is of a root.
    Exclusive,
}

/// A directory of the host's, or one regular file, and where the program finds it:
/// [`crate::Builder::bind`].
///
/// As text it is `HOST:GUEST`, with `:` and options behind it, separated by commas: `ro` (as
/// without it) or `rw`, `cache=shared` (as without it) or `cache=exclusive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The directory or the file.
    pub host: PathBuf,
    /// The program's name for it: an absolute path, not the root's.
    pub guest: PathBuf,
    /// What the program may do there.
    pub access: Access,
    /// Whether others change it.
    pub cache: CacheMode,
}

/// Why a text is no [`Bind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBind {
    /// It has not both paths.
    #[error("write HOST:GUEST or HOST:GUEST:rw, where GUEST is an absolute path in the sandbox")]
    Paths,
    /// This is behind them.
    #[error("{} is no option of a bind: there are ro, rw, cache=shared, cache=exclusive", quoted(.0.as_bytes()))]
    Option(String),
    /// This contradicts what is before it.
    #[error("{} says again how it is to be: give one of each pair of options", quoted(.0.as_bytes()))]
    Twice(String),
}

impl FromStr for Bind {
    type Err = NoBind;

    fn from_str(text: &str) -> Result<Bind, NoBind> {
        // A path of the host's may have colons, so options are what is behind the last one
        // and can be no path.
        let (paths, options) = match text.rsplit_once(':') {
            Some((paths, options)) if !options.contains('/') => (paths, options),
            _ => (text, ""),
        };
        let (host, guest) = paths.rsplit_once(":/").ok_or(NoBind::Paths)?;
        if host.is_empty() {
            return Err(NoBind::Paths);
        }
        let (mut access, mut cache) = (None, None);
        let has_options = paths.len() < text.len();
        for option in has_options.then(|| options.split(',')).into_iter().flatten() {
            let again = match option {
                "ro" => access.replace(Access::ReadOnly).is_some(),
                "rw" => access.replace(Access::ReadWrite).is_some(),
                "cache=shared" => cache.replace(CacheMode::Shared).is_some(),
                "cache=exclusive" => cache.replace(CacheMode::Exclusive).is_some(),
                _ => return Err(NoBind::Option(option.to_owned())),
            };
            if again {
                return Err(NoBind::Twice(option.to_owned()));
            }
        }
        let (access, cache) = (access.unwrap_or_default(), cache.unwrap_or_default());
        Ok(Bind { host: host.into(), guest: format!("/{guest}").into(), access, cache })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = match (self.access, self.cache) {
            // Of a path with a colon in its last name, that would be taken for an option.
            (Access::ReadOnly, CacheMode::Shared) => ":ro",
            (Access::ReadWrite, CacheMode::Shared) => ":rw",
            (Access::ReadOnly, CacheMode::Exclusive) => ":ro,cache=exclusive",
            (Access::ReadWrite, CacheMode::Exclusive) => ":rw,cache=exclusive",
        };
        write!(f, "{}:{}{options}", self.host.display(), self.guest.display())
    }
}

impl Bind {
    /// `access` of [`trapgate_abi::boot_info::Mount`].
    pub(super) fn word(&self) -> u64 {
        let access = match self.access {
            Access::ReadOnly => MOUNT_READ_ONLY,
            Access::ReadWrite => MOUNT_READ_WRITE,
        };
        access | if self.cache == CacheMode::Shared { MOUNT_SHARED } else { 0 }
    }

    /// The program's name for it, of single slashes and without one at its end.
    ///
    /// # Errors
    /// [`Error::Input`], if it can be none.
    pub(super) fn path(&self) -> Result<Vec<u8>, Error> {
        let given = self.guest.as_os_str().as_bytes();
        let wrong = |reason| {
            Err(Error::Input { what: format!("the bind's path {}", quoted(given)), reason })
        };
        if !given.starts_with(b"/") {
            return wrong("is relative: in the sandbox it must be absolute");
        }
        let mut path = Vec::with_capacity(given.len());
        for name in given.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            match name {
                b"." | b".." => return wrong("has '.' or '..' in it: write it without"),
                name if name.contains(&0) => return wrong("has a NUL byte in it"),
                name if name.len() > NAME_MAX => return wrong("has a name of over 255 bytes"),
                name => path.extend([b"/", name].concat()),
            }
        }
        match path.len() {
            0 => wrong("is the root: give that by --root"),
            4096.. => wrong("is longer than 4095 bytes"),
            _ => Ok(path),
        }
    }

    /// Each with its path, those that are below others behind these.
    ///
    /// # Errors
    /// [`Error::Input`], if they cannot be.
    pub(super) fn in_order(binds: &[Bind]) -> Result<Vec<(&Bind, Vec<u8>)>, Error> {
        // One is the root's.
        if binds.len() >= MAX_MOUNTS {
            let what = format!("{} binds", binds.len());
            return Err(Error::Input { what, reason: "are too many: there can be 15" });
        }
        let mut all = Vec::with_capacity(binds.len());
        for bind in binds {
            all.push((bind, bind.path()?));
        }
        all.sort_by(|(_, one), (_, other)| one.cmp(other));
        for pair in all.windows(2) {
            if pair[0].1 == pair[1].1 {
                let what = format!("the bind's path {}", quoted(&pair[0].1));
                return Err(Error::Input { what, reason: "is given twice" });
            }
        }
        Ok(all)
    }
}

/// The rest of a path that leads into the directory at `guest`, if it does so by its names
/// alone.
pub(super) fn below<'a>(path: &'a [u8], guest: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(guest).filter(|rest| rest.starts_with(b"/"))
}

/// A relative path of the host's, as seen from a directory.
pub(super) fn from_directory(bind: Bind, directory: &Path) -> Bind {
    Bind { host: directory.join(bind.host), ..bind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_read_from_its_end() {
        for (text, host, guest, access, cache) in [
            ("a:/b", "a", "/b", Access::ReadOnly, CacheMode::Shared),
            ("a:/b:ro", "a", "/b", Access::ReadOnly, CacheMode::Shared),
            ("a:/b:rw", "a", "/b", Access::ReadWrite, CacheMode::Shared),
            ("a:/b:rw,cache=shared", "a", "/b", Access::ReadWrite, CacheMode::Shared),
            ("a:/b:cache=exclusive,rw", "a", "/b", Access::ReadWrite, CacheMode::Exclusive),
            ("a,x:/b,ro:cache=exclusive", "a,x", "/b,ro", Access::ReadOnly, CacheMode::Exclusive),
            ("/x:/y:/z", "/x:/y", "/z", Access::ReadOnly, CacheMode::Shared),
            ("c:d:/z:w:ro", "c:d", "/z:w", Access::ReadOnly, CacheMode::Shared),
            (".:/", ".", "/", Access::ReadOnly, CacheMode::Shared),
        ] {
            let bind: Bind = text.parse().unwrap();
            let expected = Bind { host: host.into(), guest: guest.into(), access, cache };
            assert_eq!(bind, expected, "{text}");
            assert_eq!(bind.to_string().parse(), Ok(expected), "{text}");
        }
        for text in ["", "a", "/a", ":/a", "a:b", "a:b:rw", ":/", "rw", "a:rw"] {
            assert_eq!(text.parse::<Bind>(), Err(NoBind::Paths), "{text}");
        }
        for (text, option) in
            [("a:/b:w", "w"), ("a:/b:rw,", ""), ("a:/b:rw,cache=no", "cache=no"), ("a:/b:", "")]
        {
            assert_eq!(text.parse::<Bind>(), Err(NoBind::Option(option.to_owned())), "{text}");
        }
        for (text, option) in [("a:/b:rw,ro", "ro"), ("a:/b:rw,rw", "rw")] {
            assert_eq!(text.parse::<Bind>(), Err(NoBind::Twice(option.to_owned())), "{text}");
        }
        let error = "a:/b:\u{1b}[31m".parse::<Bind>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }

    #[test]
    fn the_kernel_is_told_what_may_be_done_and_whether_others_change_it() {
        for (text, word) in [
            ("a:/b", MOUNT_READ_ONLY | MOUNT_SHARED),
            ("a:/b:rw", MOUNT_READ_WRITE | MOUNT_SHARED),
            ("a:/b:cache=exclusive", MOUNT_READ_ONLY),
            ("a:/b:rw,cache=exclusive", MOUNT_READ_WRITE),
        ] {
            assert_eq!(text.parse::<Bind>().unwrap().word(), word, "{text}");
        }
    }

    fn bind(guest: &str) -> Bind {
        let (access, cache) = Default::default();
        Bind { host: ".".into(), guest: guest.into(), access, cache }
    }

    #[test]
    fn paths_that_no_directory_can_have_are_said() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/x".repeat(2048);
        for (guest, part) in [
            ("a", "is relative"),
            ("", "is relative"),
            ("/", "is the root"),
            ("//", "is the root"),
            ("/a/../b", "'..'"),
            ("/a/.", "'.'"),
            ("/a\0b", "NUL"),
            (&long, "255"),
            (&deep, "4095"),
        ] {
            let error = bind(guest).path().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
        assert_eq!(bind("//a///b/").path().unwrap(), b"/a/b");
    }

    #[test]
    fn they_are_in_order_each_once_and_not_too_many() {
        let binds = [bind("/b/c"), bind("/b"), bind("/a"), bind("/b-c")];
        let in_order = Bind::in_order(&binds).unwrap();
        let paths: Vec<_> = in_order.into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, [&b"/a"[..], b"/b", b"/b-c", b"/b/c"]);
        let error = Bind::in_order(&[bind("/a"), bind("/a/")]).unwrap_err().to_string();
        assert_eq!(error, "the bind's path '/a' is given twice");
        let many: Vec<_> = (0..MAX_MOUNTS).map(|at| bind(&format!("/{at}"))).collect();
        assert!(Bind::in_order(&many[1..]).is_ok());
        assert!(Bind::in_order(&many).is_err());
    }

    #[test]
    fn a_path_is_below_another_by_its_names() {
        assert_eq!(below(b"/a/b", b"/a"), Some(&b"/b"[..]));
        for (path, guest) in [("/a", "/a"), ("/ab", "/a"), ("/b", "/a")] {
            assert_eq!(below(path.as_bytes(), guest.as_bytes()), None);
        }
    }
}
