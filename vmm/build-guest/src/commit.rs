//! Which commit a build is made of.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The commit in seven digits: of a package, what cargo noted when it was made;
/// of a work tree, what git says. `None` if neither knows. A work tree's own
/// changes since are not seen.
///
/// A debug build has none: whoever makes one commits often, and would see
/// everything that depends on the crate built anew each time.
///
/// The crate whose build script this is lies `depth` directories below the work
/// tree.
pub fn commit(depth: usize) -> Option<String> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let whole = match fs::read_to_string(own.join(".cargo_vcs_info.json")) {
        // {"git":{"sha1":"…"},…}
        Ok(noted) => noted.split_once("\"sha1\"")?.1.split('"').nth(1)?.to_owned(),
        Err(_) if env::var("PROFILE").as_deref() != Ok("release") => return None,
        Err(_) => commit_of_work_tree(own.ancestors().nth(depth)?)?,
    };
    let short = whole.get(..7)?;
    short.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| short.to_owned())
}

/// HEAD, if `workspace` is the top of a work tree of git's: another project's,
/// in which it only lies, is not meant. Asks again when HEAD moves.
fn commit_of_work_tree(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(workspace).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(workspace).ok()? {
        return None;
    }
    // HEAD names a branch, whose commit is in a file of its own or packed; in a
    // linked work tree git knows where. What is not there must not be watched:
    // cargo would take it for changed each time.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = workspace.join(git(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "HEAD"])
}
