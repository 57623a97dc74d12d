//! Kernel modules out of an unpacked kernel package.
//!
//! Called by `kernel` when it fills the cache; calls xz (or what else the package
//! compresses with).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::kernel::file_name;
use crate::needs::XZ;
use crate::sh;

/// Puts module `name` and before it all that it depends on into `dir`, with
/// numbers in front that tell the order.
pub(super) fn unpack(
    files: &[PathBuf],
    name: &str,
    dir: &Path,
    loaded: &mut Vec<String>,
) -> Result<()> {
    let file = files
        .iter()
        .find(|file| module_name(file).as_deref() == Some(name))
        .with_context(|| format!("the package holds no module {name}"))?;
    let unpacked = dir.join(format!("{name}.unpacking"));
    decompress(file, &unpacked)?;
    let module = fs::read(&unpacked)?;
    // The guest's kernel need not check it: in Bochs that takes four seconds.
    File::options()
        .write(true)
        .open(&unpacked)?
        .set_len(length_without_signature(&module) as u64)?;
    for needed in depends(&module) {
        if !loaded.contains(&needed) {
            unpack(files, &needed, dir, loaded)?;
        }
    }
    fs::rename(&unpacked, dir.join(format!("{:02}-{name}.ko", loaded.len())))?;
    loaded.push(name.to_owned());
    Ok(())
}

/// `…/kvm-amd.ko.xz` -> `kvm_amd`: the kernel takes `-` and `_` for the same.
fn module_name(file: &Path) -> Option<String> {
    let (name, _) = file_name(file).split_once(".ko")?;
    Some(name.replace('-', "_"))
}

/// The modules that this module's `.modinfo` says must be loaded first.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[start + KEY.len()..].split(|byte| *byte == 0).next();
    String::from_utf8_lossy(value.unwrap_or_default())
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// A signed module ends in the signature, a `struct module_signature` of 12 bytes
/// whose last four are the signature's length (big-endian), and a magic line.
fn length_without_signature(module: &[u8]) -> usize {
    const MAGIC: &[u8] = b"~Module signature appended~\n";
    let unsigned = || {
        let (rest, length) = module.strip_suffix(MAGIC)?.split_last_chunk::<4>()?;
        let appended = usize::try_from(u32::from_be_bytes(*length)).ok()? + 8;
        rest.len().checked_sub(appended)
    };
    unsigned().unwrap_or(module.len())
}

fn decompress(from: &Path, to: &Path) -> Result<()> {
    let mut command = match from.extension().and_then(OsStr::to_str) {
        Some("xz") => XZ.get()?.program("usr/bin/xz")?.command(),
        Some("zst") => Command::new("zstd"),
        Some("gz") => Command::new("gzip"),
        _ => {
            fs::copy(from, to)?;
            return Ok(());
        }
    };
    command.arg("-dc").arg(from).stdout(Stdio::from(File::create(to)?));
    sh::run_quietly(&mut command)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::kernel::files_below;
    use super::*;

    #[test]
    fn modinfo_names_what_a_module_depends_on() {
        let module = b"x\0license=GPL\0depends=kvm,crypto-x\0name=kvm_amd\0";
        assert_eq!(depends(module), ["kvm", "crypto_x"]);
        assert!(depends(b"\0depends=\0").is_empty());
        assert!(depends(b"").is_empty());
    }

    #[test]
    fn a_signature_is_cut_off_and_nothing_else() {
        let mut module = b"moduleSIGNATURE".to_vec();
        module.extend([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        module.extend(b"~Module signature appended~\n");
        assert_eq!(length_without_signature(&module), b"module".len());
        assert_eq!(length_without_signature(b"module"), 6);
        assert_eq!(length_without_signature(b"~Module signature appended~\n"), 28);
    }

    #[test]
    fn module_names_are_normalised() {
        assert_eq!(module_name(Path::new("/a/kvm-amd.ko.xz")).unwrap(), "kvm_amd");
        assert_eq!(module_name(Path::new("/a/System.map")), None);
    }

    #[test]
    fn modules_are_unpacked_in_loading_order() {
        let dir = tempfile::tempdir().unwrap();
        let [tree, out] = ["tree", "out"].map(|name| dir.path().join(name));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&out).unwrap();
        for (name, needs) in [("top", "mid,low"), ("mid", "low"), ("low", "")] {
            fs::write(tree.join(format!("{name}.ko")), format!("\0depends={needs}\0")).unwrap();
        }
        unpack(&files_below(&tree).unwrap(), "top", &out, &mut Vec::new()).unwrap();
        let mut names: Vec<_> =
            files_below(&out).unwrap().iter().map(|f| file_name(f).to_owned()).collect();
        names.sort();
        assert_eq!(names, ["00-low.ko", "01-mid.ko", "02-top.ko"]);
        assert_eq!(fs::read(out.join("02-top.ko")).unwrap(), b"\0depends=mid,low\0");
    }
}
