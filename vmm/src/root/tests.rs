use super::*;
use std::fs;
use std::io::Cursor;
use tempfile::TempDir;
use trapgate_erofs::Time;
use trapgate_erofs::write::{Attributes, Body, Settings, Tree, write};

fn attributes(permissions: u16) -> Attributes {
    Attributes { permissions, uid: 0, gid: 0, modified: Time::default() }
}

/// An image: directories end in `/`, links have ` -> ` in them, and what is in a
/// directory called `bin` can be executed.
pub(crate) fn image_of(entries: &[&str]) -> Vec<u8> {
    let mut tree = Tree::new(attributes(0o755));
    for entry in entries {
        let (path, body) = match (entry.split_once(" -> "), entry.strip_suffix('/')) {
            (Some((path, target)), _) => (path, Body::Symlink(target.into())),
            (None, Some(path)) => (path, Body::Directory),
            (None, None) => {
                let content = entry.as_bytes().to_vec();
                (*entry, Body::Regular { size: content.len() as u64, content })
            }
        };
        let mode = if path.contains("bin/") { 0o755 } else { 0o644 };
        tree.add(path.as_bytes(), attributes(mode), body).unwrap();
    }
    let mut bytes = Cursor::new(Vec::new());
    write(&tree, &Settings::default(), &mut bytes).unwrap();
    bytes.into_inner()
}

/// The same in a file, opened.
fn opened(entries: &[&str]) -> (TempDir, Image) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    fs::write(&path, image_of(entries)).unwrap();
    let image = Image::open(&path).unwrap();
    (directory, image)
}

#[test]
fn an_image_is_known_by_its_magic_number_and_not_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.tar");
    let bytes = image_of(&["a"]);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Image::open(&path).unwrap().path(), path);
    for (name, bytes) in [("a.erofs", &b""[..]), ("b.erofs", &[0; 8192]), ("c", &bytes[..1026])] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Image::open(&path), Err(Error::Root { .. })), "{name}");
    }
}

#[test]
fn what_is_no_file_is_said_and_does_not_block() {
    let directory = tempfile::tempdir().unwrap();
    let error = |path: &Path| Image::open(path).unwrap_err().to_string();
    assert!(error(&directory.path().join("none")).ends_with("none: no such file"));
    assert!(error(directory.path()).contains("cannot be read: is a directory"));
    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR).unwrap();
    assert!(error(&fifo).ends_with("it is no regular file"));
}

#[test]
fn a_good_image_passes_its_check_and_a_truncated_one_is_none() {
    let (directory, image) = opened(&["a", "d/", "d/b"]);
    assert_eq!(image.check().unwrap(), Contents { files: 4, bytes: 4 });
    let path = directory.path().join("image");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
    // The open one finds out.
    assert!(matches!(Image::open(&path), Err(Error::Root { .. })));
}

#[test]
fn a_program_is_found_as_a_shell_does_it() {
    let (_directory, image) = opened(&[
        "usr/",
        "usr/bin/",
        "usr/bin/prog",
        "usr/bin/both",
        "bin -> usr/bin",
        "opt/",
        "opt/both",
        "opt/data",
        "opt/bin/",
        "opt/bin/both",
        "usr/bin/link -> /opt/../opt/./bin/both",
        "usr/bin/out -> ../../../../opt/bin/both",
        "loop -> loop",
        "usr/bin/dangling -> none",
    ]);
    let find = |name: &str, path: &str| {
        let found = image.find_program(name.as_bytes(), path.as_bytes());
        found.map(|path| String::from_utf8(path).unwrap()).map_err(|error| error.to_string())
    };
    for (name, path, found) in [
        ("prog", "/bin", "/bin/prog"),
        ("prog", "/none::/usr/bin:/bin", "/usr/bin/prog"),
        ("prog", DEFAULT_PATH, "/usr/bin/prog"),
        ("both", "/opt:/opt/bin", "/opt/bin/both"),
        ("both", "opt/bin", "/opt/bin/both"),
        ("link", "/bin", "/bin/link"),
        ("out", "/bin", "/bin/out"),
        ("bin/prog", "", "/bin/prog"),
        ("./bin/../bin//prog", "", "/./bin/../bin//prog"),
        ("/bin/link", "", "/bin/link"),
    ] {
        assert_eq!(find(name, path).as_deref(), Ok(found), "{name} {path}");
    }
    for (name, path, part) in [
        ("none", "/bin:/usr/bin", "none: no such file in the root's PATH, /bin:/usr/bin"),
        ("none", "", "no such file in the root's PATH"),
        ("/bin/none", "", "/bin/none: no such file in the root"),
        ("/bin/prog/x", "", "no such file in the root"),
        ("/bin/dangling", "", "no such file in the root"),
        ("both", "/opt", "/opt/both: is not executable"),
        ("/opt/data", "", "is not executable"),
        ("/opt", "", "/opt: is a directory"),
        ("/", "", "/: is a directory"),
        ("/loop", "", "/loop: cannot be read: Too many levels of symbolic links"),
    ] {
        let error = find(name, path).unwrap_err();
        assert!(error.contains(part), "{name} {path}: {error}");
    }
}

#[test]
fn a_program_is_read_whole_behind_its_links() {
    let (_directory, image) = opened(&["bin/", "bin/prog", "link -> bin/prog"]);
    assert_eq!(image.read_file(b"/link").unwrap(), b"bin/prog");
}
