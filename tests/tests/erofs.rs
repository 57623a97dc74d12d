//! Images of files, held against those who know them: what `mkfs.erofs` writes is
//! read, and what we write is what `fsck.erofs` and `dump.erofs` take it for.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use trapgate_erofs::write::{Attributes, Body, Settings, Tree, write};
use trapgate_erofs::{Device, Error, Feature, FileType, Image, Inode, LINK_MAX, Time};
use trapgate_tests::tools::erofs_utils;
use trapgate_tests::trapgate;

/// What is in a file, as far as both sides know it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    kind: FileType,
    permissions: u32,
    owner: (u32, u32),
    /// Not of directories: file systems count those in ways of their own.
    links: Option<u64>,
    modified: Time,
    /// Bytes, or a link's target.
    content: Vec<u8>,
}

type Files = BTreeMap<PathBuf, Known>;

/// Runs a tool, which must succeed; what it said.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

/// Everything in an image.
fn files_of_image(image: &Image<&[u8]>) -> Files {
    let mut files = Files::new();
    let mut ahead = vec![(PathBuf::new(), image.root())];
    while let Some((path, nid)) = ahead.pop() {
        let inode = image.inode(nid).unwrap();
        let mut content = vec![0; inode.size as usize];
        match inode.file_type {
            FileType::Directory => {
                content.clear();
                image
                    .list(&inode, 0, &mut |entry| {
                        let name = std::ffi::OsStr::from_bytes(entry.name);
                        assert_eq!(
                            image.lookup(&inode, entry.name),
                            Ok(Some(entry.nid)),
                            "{name:?}"
                        );
                        if name != "." && name != ".." {
                            ahead.push((path.join(name), entry.nid));
                        }
                        ControlFlow::Continue(())
                    })
                    .unwrap();
            }
            FileType::Symlink => {
                content = image.read_link(&inode, &mut [0; LINK_MAX]).unwrap().to_vec();
            }
            _ => assert_eq!(image.read(&inode, 0, &mut content), Ok(content.len())),
        }
        let is_directory = inode.file_type == FileType::Directory;
        let known = Known {
            kind: inode.file_type,
            permissions: inode.permissions.into(),
            owner: (inode.uid, inode.gid),
            links: (!is_directory).then_some(inode.links.into()),
            modified: inode.modified,
            content,
        };
        files.insert(path, known);
    }
    files
}

/// Everything in a directory of this machine's.
fn files_of_directory(root: &Path) -> Files {
    let mut files = Files::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(path) = ahead.pop() {
        // A path with a slash at its end would be the directory of a link.
        let own = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
        let metadata = fs::symlink_metadata(&own).unwrap();
        let (kind, content) = match metadata.file_type() {
            kind if kind.is_dir() => {
                let entries = fs::read_dir(&own).unwrap();
                ahead.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
                (FileType::Directory, Vec::new())
            }
            kind if kind.is_file() => (FileType::Regular, fs::read(&own).unwrap()),
            kind if kind.is_symlink() => {
                let target = fs::read_link(&own).unwrap();
                (FileType::Symlink, target.as_os_str().as_bytes().to_vec())
            }
            kind if kind.is_fifo() => (FileType::Fifo, Vec::new()),
            kind if kind.is_socket() => (FileType::Socket, Vec::new()),
            other => panic!("{own:?} is {other:?}"),
        };
        let known = Known {
            kind,
            permissions: metadata.permissions().mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            links: (!metadata.is_dir()).then_some(metadata.nlink()),
            modified: Time { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() as u32 },
            content,
        };
        files.insert(path, known);
    }
    files
}

/// Something of every kind that one can make without being root.
fn make_directory() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for directory in ["empty", "many", "long", "deep"] {
        fs::create_dir(path(directory)).unwrap();
    }
    for size in [0, 1, 100, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 20_000] {
        let content: Vec<_> = (0..size).map(|at| (at % 251) as u8).collect();
        fs::write(path(&format!("file-{size}")), content).unwrap();
    }
    for number in 0..1000 {
        fs::write(path(&format!("many/{number}")), number.to_string()).unwrap();
    }
    for byte in b'a'..=b'z' {
        // mkfs.erofs 1.5 takes none of 255 bytes.
        fs::write(path("long").join((byte as char).to_string().repeat(254)), [byte]).unwrap();
    }
    let mut sparse = File::create(path("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(100_000)).unwrap();
    sparse.write_all(b"end").unwrap();
    fs::hard_link(path("file-100"), path("many/link")).unwrap();
    symlink("file-1", path("short-link")).unwrap();
    symlink("x/".repeat(2000), path("long-link")).unwrap();
    nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    drop(UnixListener::bind(path("socket")).unwrap());
    fs::set_permissions(path("file-1"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(path("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    let mut below = path("deep");
    for _ in 0..20 {
        below.push("d");
        fs::create_dir(&below).unwrap();
    }
    root
}

/// An image of the directory, by mkfs.erofs.
fn by_mkfs(directory: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let mut mkfs = erofs_utils("mkfs.erofs")?;
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    run(mkfs.args(options).arg(&image).arg(directory));
    Some(fs::read(image).unwrap())
}

#[test]
fn what_mkfs_erofs_writes_is_read_as_the_directory_is() {
    let directory = make_directory();
    let expected = files_of_directory(directory.path());
    let all: [&[&str]; 5] =
        [&[], &["-x-1"], &["-Enoinline_data"], &["-Eforce-inode-extended"], &["-Enosbcrc"]];
    for options in all {
        let Some(image) = by_mkfs(directory.path(), options) else { return };
        let image = Image::open(&image[..]).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let mut files = files_of_image(&image);
        // Files whose inodes have no room for a time have the image's.
        for (path, known) in &mut files {
            if known.modified == image.build_time() {
                known.modified = expected[path].modified;
            }
        }
        assert!(files == expected, "{options:?}: {}", difference(&files, &expected));
        image.check().unwrap_or_else(|error| panic!("{options:?}: {error}"));
    }
}

#[test]
fn inodes_of_32_bytes_are_read_as_the_directory_is() {
    let directory = make_directory();
    let mut expected = files_of_directory(directory.path());
    let options = ["-Eforce-inode-compact", "-T1000"];
    let Some(image) = by_mkfs(directory.path(), &options) else { return };
    let image = Image::open(&image[..]).unwrap();
    for known in expected.values_mut() {
        known.modified = Time { seconds: 1000, nanoseconds: 0 };
    }
    let files = files_of_image(&image);
    assert!(files == expected, "{}", difference(&files, &expected));
}

#[test]
fn chunks_and_compression_of_mkfs_erofs_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), vec![b'x'; 100_000]).unwrap();
    // Either the whole image says that it has them, or a file does.
    let refusal = |options: &[&str]| {
        let image = by_mkfs(directory.path(), options)?;
        let file = Image::open(&image[..]).and_then(|image| {
            let root = image.inode(image.root())?;
            image.inode(image.lookup(&root, b"file")?.expect("a file"))
        });
        Some(file.unwrap_err())
    };
    let Some(error) = refusal(&["--chunksize=4096"]) else { return };
    assert_eq!(error, Error::Unsupported(Feature::Chunks));
    let Some(error) = refusal(&["-zlz4"]) else { return };
    assert_eq!(error, Error::Unsupported(Feature::Compression));
}

/// The first file in which two differ.
fn difference(a: &Files, b: &Files) -> String {
    let paths = a.keys().chain(b.keys());
    let differs = |path: &&PathBuf| a.get(*path) != b.get(*path);
    let Some(path) = paths.into_iter().find(differs) else { return String::new() };
    let show = |files: &Files| match files.get(path) {
        Some(known) => {
            let Known { content, .. } = known;
            let head = content[..content.len().min(40)].escape_ascii();
            let rest = Known { content: Vec::new(), ..*known };
            format!("{rest:?}, {} bytes: {head}", content.len())
        }
        None => "nothing".to_owned(),
    };
    format!("{path:?}:\n{}\n{}", show(a), show(b))
}

#[test]
fn what_tar_packs_is_in_the_image_that_trapgate_makes_of_it() {
    let (root, place) = (make_directory(), tempfile::tempdir().unwrap());
    let (archive, path) = (place.path().join("root"), place.path().join("root.erofs"));
    // GNU's format has whole seconds.
    for (options, has_nanoseconds) in [
        (["--format=gnu", "-S"], false),
        (["--format=posix", "-S"], true),
        (["--format=posix", "-z"], true),
    ] {
        let mut tar = Command::new("tar");
        run(tar.args(options).arg("-cf").arg(&archive).arg("-C").arg(root.path()).arg("."));
        let mut build = Command::new(trapgate());
        run(build.args(["image", "build"]).arg(&archive).arg("-o").arg(&path));
        let Some(mut fsck) = erofs_utils("fsck.erofs") else { return };
        run(fsck.arg(&path));
        let bytes = fs::read(&path).unwrap();
        let mut files = files_of_image(&Image::open(&bytes[..]).unwrap());
        let mut expected = files_of_directory(root.path());
        // tar leaves them out.
        expected.retain(|_, known| known.kind != FileType::Socket);
        if !has_nanoseconds {
            for known in files.values_mut().chain(expected.values_mut()) {
                known.modified.nanoseconds = 0;
            }
        }
        assert!(files == expected, "{options:?}: {}", difference(&files, &expected));
    }
}

/// The directory as a tree to write; files with several names are one.
fn tree_of(root: &Path) -> Tree<Vec<u8>> {
    let files = files_of_directory(root);
    let attributes = |known: &Known| Attributes {
        permissions: known.permissions as u16,
        uid: known.owner.0,
        gid: known.owner.1,
        modified: known.modified,
    };
    let mut tree = Tree::new(attributes(&files[Path::new("")]));
    let mut inodes = BTreeMap::new();
    for (path, known) in &files {
        let own = path.as_os_str().as_bytes();
        if own.is_empty() {
            continue;
        }
        let body = match known.kind {
            FileType::Directory => Body::Directory,
            FileType::Symlink => Body::Symlink(known.content.clone()),
            FileType::Fifo => Body::Fifo,
            FileType::Socket => Body::Socket,
            _ => Body::Regular { size: known.content.len() as u64, content: known.content.clone() },
        };
        let metadata = fs::symlink_metadata(root.join(path)).unwrap();
        let first = inodes.entry(metadata.ino()).or_insert(own);
        if *first == own {
            tree.add(own, attributes(known), body).unwrap();
        } else {
            tree.link(own, first).unwrap();
        }
    }
    tree
}

/// The image of a tree, as a file.
fn written(tree: &Tree<Vec<u8>>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let build_time = Time { seconds: 1_700_000_000, nanoseconds: 5 };
    write(tree, &Settings { uuid: [0xab; 16], build_time }, file.as_file_mut()).unwrap();
    file
}

#[test]
fn fsck_erofs_takes_our_images_and_extracts_what_was_in_them() {
    let directory = make_directory();
    // It leaves them out, or cannot make them.
    for special in ["socket", "fifo"] {
        fs::remove_file(directory.path().join(special)).unwrap();
    }
    let image = written(&tree_of(directory.path()));
    let Some(mut fsck) = erofs_utils("fsck.erofs") else { return };
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("out");
    let extract = format!("--extract={}", out.display());
    run(fsck.args([&extract, "--preserve-perms"]).arg(image.path()));
    let mut expected = files_of_directory(directory.path());
    let mut files = files_of_directory(&out);
    // It makes files of links, gives them away after their permissions, which takes
    // set-user-ID from them, and directories' times are those of now.
    for (path, known) in expected.iter_mut().chain(files.iter_mut()) {
        known.links = None;
        known.permissions &= 0o1777;
        if known.kind == FileType::Directory || path.as_os_str().is_empty() {
            known.modified = Time::default();
        }
    }
    assert!(files == expected, "{}", difference(&files, &expected));
}

/// Trees at their ends: nothing in it; names by the ten thousand; every kind of file.
fn trees() -> Vec<Tree<Vec<u8>>> {
    let attributes = Attributes {
        permissions: 0o755,
        uid: u32::MAX,
        gid: 65_536,
        modified: Time { seconds: 1_600_000_000, nanoseconds: 999_999_999 },
    };
    let new = || Tree::new(attributes);
    let mut many = new();
    for number in 0..10_000 {
        let name = format!("{number:05}");
        many.add(name.as_bytes(), attributes, Body::Symlink(b"x".to_vec())).unwrap();
    }
    let mut kinds = new();
    let device = Device { major: 0xabc, minor: 0xf_edcb };
    let all = [
        (&b"block"[..], Body::Block(device)),
        (b"character", Body::Character(device)),
        (b"directory", Body::Directory),
        (b"fifo", Body::Fifo),
        (b"file", Body::Regular { size: 5000, content: vec![b'f'; 5000] }),
        (b"link", Body::Symlink(b"target".to_vec())),
        (b"socket", Body::Socket),
        (&[b'x'; 255], Body::Fifo),
    ];
    for (name, body) in all {
        kinds.add(name, attributes, body).unwrap();
    }
    kinds.link(b"directory/again", b"file").unwrap();
    vec![new(), many, kinds]
}

#[test]
fn fsck_erofs_takes_images_at_their_ends() {
    for tree in trees() {
        let Some(mut fsck) = erofs_utils("fsck.erofs") else { return };
        run(fsck.arg(written(&tree).path()));
    }
}

/// The number behind a word in what dump.erofs says.
fn number_behind(said: &str, word: &str) -> u64 {
    let (_, rest) = said.split_once(word).unwrap_or_else(|| panic!("no {word} in {said}"));
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("{word} {rest}"))
}

#[test]
fn dump_erofs_says_of_our_files_what_we_say() {
    let file = written(&trees()[2]);
    let bytes = fs::read(file.path()).unwrap();
    let image = Image::open(&bytes[..]).unwrap();
    let root = image.inode(image.root()).unwrap();
    let inode = |name: &str| -> Inode {
        image.inode(image.lookup(&root, name.as_bytes()).unwrap().unwrap()).unwrap()
    };
    let mut files = vec![("/".to_owned(), root)];
    files.extend(
        ["directory", "file", "link", "fifo"].map(|name| (format!("/{name}"), inode(name))),
    );
    for (path, inode) in files {
        let Some(mut dump) = erofs_utils("dump.erofs") else { return };
        let said = run(dump.arg(format!("--path={path}")).arg(file.path()));
        // An owner of 32 bits is -1 to it; a group of more than 16 is what it is.
        let words = ["NID:", "Links:", "Size:", "Gid:"];
        let numbers = words.map(|word| number_behind(&said, word));
        let expected = [inode.nid.0, inode.links.into(), inode.size, inode.gid.into()];
        assert_eq!(numbers, expected, "{path}\n{said}");
        let access = format!("Access: {:04o}/", inode.permissions);
        assert!(said.contains(&access), "{access}\n{said}");
        assert!(said.contains(".999999999"), "{said}");
    }
    let Some(mut dump) = erofs_utils("dump.erofs") else { return };
    let said = run(dump.arg("-s").arg(file.path()));
    assert_eq!(number_behind(&said, "root nid:"), image.root().0);
    assert_eq!(number_behind(&said, "inode count:"), image.inode_count());
    assert_eq!(number_behind(&said, "Filesystem blocks:"), image.size() / 4096);
    assert!(said.contains("abababab-abab-abab-abab-abababababab"), "{said}");
}
