//! What this build is: for `trapgate --version` and `doctor`.

use std::sync::LazyLock;
use trapgate_abi::ABI_VERSION;

/// The release's number.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, in short: from git, or from what cargo
/// notes in a package. `None` in a build of neither, and in one without
/// optimisation: there each commit would be a reason to build anew.
pub const COMMIT: Option<&str> = option_env!("TRAPGATE_COMMIT");

/// All of it: `0.1.0 (0123abc, ABI 7)`.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let commit = COMMIT.unwrap_or(match cfg!(debug_assertions) {
            true => "debug build",
            false => "no commit known",
        });
        format!("{RELEASE} ({commit}, ABI {ABI_VERSION})")
    });
    &LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_release_commit_and_abi() {
        let text = long();
        assert!(text.starts_with(&format!("{RELEASE} (")), "{text}");
        assert!(text.ends_with(&format!(", ABI {ABI_VERSION})")), "{text}");
        assert!(!text.contains('/'), "{text}");
        if let Some(commit) = COMMIT {
            assert!(commit.len() == 7 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
        }
    }
}
