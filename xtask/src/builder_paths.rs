//! Directories of the machine that builds: none belongs into what is handed out.
//! A panic message names its source file, and that of a dependency lies in the
//! builder's home.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::sh;

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Flags for rustc, for CARGO_ENCODED_RUSTFLAGS: these directories get names that
/// are the same on every machine. (Cargo's own trim-paths is not stable yet.)
pub(crate) fn remap_flags() -> OsString {
    let mut flags = OsString::new();
    let mut remap = |from: &Path, to: &str| {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push(to);
    };
    // rustc takes the last that fits.
    remap(sh::root(), "=/trapgate");
    if let Some(home) = cargo_home() {
        remap(&home, "=/cargo");
    }
    flags
}

/// The first such directory that these bytes have in them.
pub(crate) fn found(bytes: &[u8]) -> Option<String> {
    let own = [Some(sh::root().to_owned()), cargo_home(), env::var_os("HOME").map(PathBuf::from)];
    first_of(own.into_iter().flatten(), bytes)
}

fn first_of(places: impl Iterator<Item = PathBuf>, bytes: &[u8]) -> Option<String> {
    let mut names = places.filter_map(|place| {
        let name = place.to_str()?.trim_end_matches('/');
        // The root itself is in every path.
        (!name.is_empty()).then(|| format!("{name}/"))
    });
    names.find(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_found_and_the_root_is_none() {
        let places = || [PathBuf::from("/"), PathBuf::from("/home/me/")].into_iter();
        assert_eq!(first_of(places(), b"a panic at /home/me/x.rs"), Some("/home/me/".to_owned()));
        assert_eq!(first_of(places(), b"/home/meadow/x.rs /cargo/y.rs"), None);
    }

    #[test]
    fn the_flags_name_the_workspace_and_nothing_twice() {
        let flags = remap_flags().into_string().unwrap();
        let expected = format!("--remap-path-prefix={}=/trapgate", sh::root().display());
        assert_eq!(flags.split('\u{1f}').filter(|flag| **flag == expected).count(), 1);
    }
}
