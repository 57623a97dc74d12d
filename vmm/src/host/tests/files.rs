//! Requests for the host's directories, as messages.

mod hostile;

use super::*;
use crate::host::directories::{Server, Shared};
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use trapgate_abi::hypercall::files::{
    Access, Found, Handle, MAX_RELEASED, WALK_OPENED, push_handle,
};
use trapgate_abi::hypercall::{FileRequest, MAX_SEGMENTS_BESIDE_NAMES, put_names};

/// Services with a directory that holds `file`, `sub/file` and a link to the latter's.
fn with_directory() -> (TempDir, Services, Handle) {
    with_directory_that(false)
}

/// The same; whether it can be changed.
fn with_directory_that(is_writable: bool) -> (TempDir, Services, Handle) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("sub", directory.path().join("link")).unwrap();
    for name in ["file", "sub/file"] {
        fs::write(directory.path().join(name), "0123456789").unwrap();
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(CWD, directory.path(), flags, Mode::empty()).unwrap();
    let (server, handles) = Server::new(vec![Shared { fd, is_writable }]).unwrap();
    let services = services([None, None, None]).with_directories(Directories::new(server));
    (directory, services, handles[0])
}

fn named(request: FileRequest, names: &[&[u8]], segments: &[(u64, u64)]) -> Message {
    let mut message = message(Request::File(request), segments);
    assert!(put_names(&mut message, names));
    message
}

fn found(reply: &Message, index: usize) -> Found {
    let (words, _) = reply[1..].as_chunks();
    Found::from_words(&words[index])
}

#[test]
fn a_walk_opens_and_reads_the_file_at_its_end_in_one_request() {
    let (_directory, mut services, directory) = with_directory();
    let walk = FileRequest::Walk { directory };
    let answer =
        reply(&mut services, &named(walk, &[b"sub", b"file"], &[(0x1000, 4), (0x3000, 9)]));
    assert_eq!((answer[0], answer[WALK_OPENED]), (2, 10));
    assert_eq!(services.ram.read_words::<1>(0x1000).unwrap()[0].to_le_bytes(), *b"0123\0\0\0\0");
    assert_eq!(services.ram.read_words::<1>(0x3000).unwrap()[0].to_le_bytes(), *b"456789\0\0");
    let get = FileRequest::Get { file: found(&answer, 1).handle, offset: 8 };
    let answer = reply(&mut services, &message(Request::File(get), &[(0x5000, 8)]));
    assert_eq!(answer[0], 2);
    // What is no file, or was not reached, is not opened; nor is it where nobody asks.
    for (names, found) in [(&[&b"sub"[..]][..], 1), (&[b"sub", b"none"], 1), (&[b"link"], 1)] {
        let answer = reply(&mut services, &named(walk, names, &[(0, 8)]));
        assert_eq!((answer[0], answer[WALK_OPENED]), (found, u64::MAX));
    }
    let answer = reply(&mut services, &named(walk, &[b"file"], &[]));
    let get = FileRequest::Get { file: found(&answer, 0).handle, offset: 0 };
    let answer = reply(&mut services, &message(Request::File(get), &[(0, 8)]));
    assert_eq!(answer[0], errno(Errno::EBADF));
}

#[test]
fn bytes_of_files_go_where_there_is_ram_and_nowhere_else() {
    let (_directory, mut services, directory) = with_directory();
    let answer = reply(&mut services, &named(FileRequest::Walk { directory }, &[b"file"], &[]));
    let file = found(&answer, 0).handle;
    let open = FileRequest::Open { file, access: Access::Read };
    assert_eq!(reply(&mut services, &message(Request::File(open), &[(0x1000, 100)]))[0], 10);
    let requests = [
        open,
        FileRequest::Get { file, offset: 0 },
        FileRequest::List { directory, cookie: 0 },
        FileRequest::ReadLink { link: file },
    ];
    for request in requests {
        for piece in [(RAM, 8), (RAM - 4, 8), (0, u64::MAX), (u64::MAX, 1)] {
            let answer = reply(&mut services, &message(Request::File(request), &[(0, 8), piece]));
            assert_eq!(answer[0], errno(Errno::EFAULT), "{request:?}");
        }
    }
}

#[test]
fn what_is_no_name_and_what_does_not_fit_is_malformed() {
    let (_directory, mut services, directory) = with_directory();
    let walk = FileRequest::Walk { directory };
    for name in [&b".."[..], b".", b"", b"sub/file", b"/etc"] {
        let request = named(walk, &[b"sub", name], &[]);
        assert_eq!(services.serve(&request).err(), Some(Malformed::Names), "{name:?}");
    }
    let many = [(0x1000, 1), (0x3000, 1), (0x5000, 1), (0x7000, 1), (0x9000, 1), (0xb000, 1)];
    let request = named(walk, &[b"sub"], &many[..MAX_SEGMENTS_BESIDE_NAMES]);
    assert_eq!(reply(&mut services, &request)[0], 1);
    let mut request = named(walk, &[b"sub"], &[]);
    request[4] = MAX_SEGMENTS_BESIDE_NAMES as u64 + 1;
    assert!(matches!(services.serve(&request), Err(Malformed::Count(_))));
    let mut request = message(Request::File(FileRequest::Release { keep: false }), &[]);
    assert!(push_handle(&mut request, directory));
    request[4] = MAX_RELEASED as u64 + 1;
    assert!(matches!(services.serve(&request), Err(Malformed::Count(_))));
}

#[test]
fn forged_handles_and_what_would_change_something_are_refused_and_counted() {
    let (_directory, mut services, directory) = with_directory();
    let answer = reply(&mut services, &named(FileRequest::Walk { directory }, &[b"file"], &[]));
    let file = found(&answer, 0).handle;
    let refused = [
        (FileRequest::Look { file: Handle(file.0 + 1) }, Errno::EBADF),
        (FileRequest::Allocate { file, mode: 0, offset: 0, length: 1 }, Errno::EROFS),
        (FileRequest::Change { file: directory }, Errno::EROFS),
    ];
    for (request, expected) in refused {
        assert_eq!(reply(&mut services, &message(Request::File(request), &[]))[0], errno(expected));
    }
    let make = FileRequest::Make { directory, mode: 0o100_644 };
    assert_eq!(reply(&mut services, &named(make, &[b"new"], &[]))[0], errno(Errno::EROFS));
    assert_eq!(services.stats.refused, 4);
    // A sandbox without such directories has no handle at all.
    let mut services = super::services([None, None, None]);
    let look = message(Request::File(FileRequest::Look { file: directory }), &[]);
    assert_eq!(reply(&mut services, &look)[0], errno(Errno::EBADF));
}

/// All that is in a directory: kinds, modes, bytes.
fn all_of(directory: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let bytes = if data.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if data.is_dir() {
            all.extend(all_of(&path));
        }
        all.insert(path.to_str().unwrap().to_owned(), (data.mode(), bytes));
    }
    all
}

proptest! {
    #[test]
    fn whatever_is_asked_of_a_directory_it_is_as_it_was(
        requests in prop::collection::vec(
            (32u64..51, 0u64..6, any::<u64>(), 0u64..4, prop::option::of("[a-z./]{0,5}|file|sub|link")),
            1..40,
        ),
    ) {
        let (directory, mut services, root) = with_directory();
        let before = all_of(directory.path());
        for (operation, handle, second, third, name) in requests {
            let mut message = [0; MESSAGE_WORDS];
            if let Some(name) = &name {
                prop_assert!(put_names(&mut message, &[name.as_bytes()]));
            }
            // Handles are those of the first places.
            message[..4].copy_from_slice(&[operation, root.0 + handle, second, third]);
            message[4..8].copy_from_slice(&[1, 0x1000, 512, second % 7]);
            if let Ok(Served::Reply(reply)) = services.serve(&message)
                && operation == 32
                && (reply[0] as i64) > 0
            {
                let open = FileRequest::Open { file: found(&reply, 0).handle, access: Access::Both };
                let answer = self::reply(&mut services, &self::message(Request::File(open), &[]));
                prop_assert!((answer[0] as i64) < 0, "it is read-only");
            }
        }
        prop_assert_eq!(all_of(directory.path()), before);
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_of_a_directory_that_is_written_what_is_beside_it_is_as_it_was(
        requests in prop::collection::vec(
            (
                32u64..51,
                0u64..8,
                any::<u64>(),
                0u64..8,
                prop::collection::vec("[a-z./]{0,5}|file|sub|out|\\.\\.", 0..3),
            ),
            1..60,
        ),
    ) {
        let (above, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inside = above.path().join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        for name in ["file", "sub/file"] {
            fs::write(inside.join(name), "0123456789").unwrap();
        }
        let beside = outside.path().join("beside");
        fs::write(&beside, "0123456789").unwrap();
        for (name, target) in [("out", &*beside), ("sub/out", outside.path())] {
            std::os::unix::fs::symlink(target, inside.join(name)).unwrap();
        }
        let before = all_of(outside.path());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, &inside, flags, Mode::empty()).unwrap();
        let (server, handles) = Server::new(vec![Shared { fd, is_writable: true }]).unwrap();
        let mut services = services([None, None, None]).with_directories(Directories::new(server));
        for (operation, handle, second, third, names) in requests {
            let mut message = [0; MESSAGE_WORDS];
            let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            if !names.is_empty() && !put_names(&mut message, &names) {
                continue;
            }
            // Where a handle is asked for there are some of the first places, else any mode
            // of any type.
            let second = if second & 1 == 0 { handles[0].0 + second % 8 } else { second >> 47 };
            message[..4].copy_from_slice(&[operation, handles[0].0 + handle, second, third]);
            message[4..8].copy_from_slice(&[1, 0x1000, 512, second % 7]);
            let _ = services.serve(&message);
        }
        prop_assert_eq!(all_of(outside.path()), before);
        prop_assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1);
        let mut directories = vec![inside];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let data = entry.metadata().unwrap();
                prop_assert!(data.is_dir() || data.mode() & 0o6000 == 0, "{entry:?}");
                if data.is_dir() {
                    directories.push(entry.path());
                }
            }
        }
    }
}
