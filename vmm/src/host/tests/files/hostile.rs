//! Requests that change something, of a kernel that has been taken over.

use super::*;
use trapgate_abi::hypercall::NAME_MAX;
use trapgate_abi::hypercall::files::{AT_END, Change, RENAME_FLAGS, put_change};

/// Where a name in a request begins: behind how many bytes all names have.
const NAMES: usize = 15;

/// Every request that changes something or is on what is open to be changed, on this file
/// and this directory; with the number of its names.
fn requests(file: Handle, directory: Handle) -> [(FileRequest, usize); 12] {
    let (mode, flags, offset, length) = (0o100_644, RENAME_FLAGS, 0, 1);
    [
        (FileRequest::Open { file, access: Access::Write }, 0),
        (FileRequest::Open { file, access: Access::Both }, 0),
        (FileRequest::Make { directory, mode }, 1),
        (FileRequest::Link { file, directory }, 1),
        (FileRequest::Unlink { directory, is_directory: false }, 1),
        (FileRequest::Unlink { directory, is_directory: true }, 1),
        (FileRequest::Rename { from: directory, to: directory, flags }, 2),
        (FileRequest::Change { file }, 0),
        (FileRequest::Put { file, offset }, 0),
        (FileRequest::Sync { file, data_only: false }, 0),
        (FileRequest::Allocate { file, mode: 0, offset, length }, 0),
        (FileRequest::Find { file, offset, hole: false }, 0),
    ]
}

/// A request with everything that belongs to it.
fn whole(request: FileRequest, names: usize) -> Message {
    let segments: &[_] =
        if matches!(request, FileRequest::Put { .. }) { &[(0x1000, 4)] } else { &[] };
    let given = [&b"file"[..], b"other"];
    let mut message = named(request, &given[..names.max(1)], segments);
    if let FileRequest::Change { .. } = request {
        put_change(&mut message, &Change { which: Change::MODE, mode: 0o600, ..Change::ZERO });
    }
    message
}

/// The file in the directory, open for both or not.
fn file(services: &mut Services, directory: Handle, is_open: bool) -> Handle {
    let answer = reply(services, &named(FileRequest::Walk { directory }, &[b"file"], &[]));
    let file = found(&answer, 0).handle;
    if is_open {
        let open = FileRequest::Open { file, access: Access::Both };
        assert_eq!(reply(services, &message(Request::File(open), &[]))[0], 0);
    }
    file
}

fn release(services: &mut Services, handle: Handle) {
    let mut request = message(Request::File(FileRequest::Release { keep: false }), &[]);
    assert!(push_handle(&mut request, handle));
    assert_eq!(reply(services, &request)[0], 1);
}

#[test]
fn nothing_is_changed_by_handles_that_are_none_or_of_the_wrong_kind() {
    let (place, mut services, root) = with_directory_that(true);
    let opened = file(&mut services, root, true);
    let released = file(&mut services, root, true);
    release(&mut services, released);
    let closed = file(&mut services, root, false);
    let before = all_of(place.path());
    let wild = [0, 1, opened.0 ^ 1 << 32, opened.0 + 7, opened.0 | 1 << 31, u64::MAX, released.0]
        .map(Handle)
        .into_iter()
        .chain([Handle(opened.0 | Handle::NOT_WRITTEN)]);
    for wild in wild {
        for (request, names) in requests(wild, wild) {
            let answer = reply(&mut services, &whole(request, names));
            assert_eq!(answer[0], errno(Errno::EBADF), "{wild:x?}: {request:?}");
        }
    }
    // A file for a directory, and the other way round.
    for (request, names) in requests(root, opened) {
        let answer = reply(&mut services, &whole(request, names));
        let expected = match request {
            FileRequest::Make { .. }
            | FileRequest::Unlink { .. }
            | FileRequest::Rename { .. }
            | FileRequest::Link { .. } => Errno::ENOTDIR,
            // What can be done to a directory.
            FileRequest::Sync { .. } | FileRequest::Change { .. } => continue,
            _ => Errno::EISDIR,
        };
        assert_eq!(answer[0], errno(expected), "{request:?}");
    }
    for (request, _) in requests(closed, root).into_iter().skip(8) {
        let answer = reply(&mut services, &whole(request, 0));
        assert_eq!(answer[0], errno(Errno::EBADF), "it is not open: {request:?}");
    }
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"0123456789");
    let after = all_of(place.path());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}

#[test]
fn what_is_no_name_of_what_is_to_be_changed_is_malformed() {
    let (place, mut services, root) = with_directory_that(true);
    let opened = file(&mut services, root, true);
    let before = all_of(place.path());
    let long = [b'x'; NAME_MAX + 1];
    let wrong: [&[u8]; 9] =
        [b"", b".", b"..", b"/", b"a/b", b"../file", b"/etc/passwd", b"sub/", &long];
    for (request, names) in requests(opened, root).into_iter().filter(|(_, names)| *names > 0) {
        for position in 0..names {
            for name in wrong {
                let mut all = [&b"file"[..], b"other"];
                all[position] = name;
                // As a kernel writes them that looks at nothing.
                let mut message = whole(request, names);
                let mut bytes = Vec::new();
                for name in &all[..names] {
                    bytes.extend_from_slice(name);
                    bytes.push(0);
                }
                message[NAMES] = bytes.len() as u64;
                for (word, piece) in message[NAMES + 1..].iter_mut().zip(bytes.chunks(8)) {
                    let mut eight = [0; 8];
                    eight[..piece.len()].copy_from_slice(piece);
                    *word = u64::from_le_bytes(eight);
                }
                let served = services.serve(&message);
                let text = String::from_utf8_lossy(name);
                assert_eq!(served.err(), Some(Malformed::Names), "{request:?} {text}");
            }
        }
        // Too few, too many, a NUL in one, and a length that is a lie.
        let all: [&[&[u8]]; 3] = [&[b"file"], &[b"file", b"other"], &[b"a", b"b", b"c"]];
        for given in all.into_iter().filter(|given| given.len() != names) {
            let served = services.serve(&named(request, given, &[]));
            assert_eq!(served.err(), Some(Malformed::Names), "{request:?} {given:?}");
        }
        for length in [0, 513, u64::MAX] {
            let mut message = whole(request, names);
            message[NAMES] = length;
            assert_eq!(services.serve(&message).err(), Some(Malformed::Names), "{length}");
        }
        let mut message = whole(request, names);
        message[NAMES] -= 1;
        assert_eq!(services.serve(&message).err(), Some(Malformed::Names), "no NUL at the end");
    }
    assert_eq!(all_of(place.path()), before);
}

#[test]
fn numbers_at_their_limits_are_answered_and_change_nothing_else() {
    let (place, mut services, root) = with_directory_that(true);
    let file = file(&mut services, root, true);
    let mut ask = |message: &Message| {
        services.serve(message).map(|served| match served {
            Served::Reply(reply) => reply[0] as i64,
            other => panic!("{other:?}"),
        })
    };
    let number = |errno: Errno| -(errno.number() as i64);
    // What is no RAM, and where no file has a byte.
    for piece in [(RAM, 1), (RAM - 1, 2), (0, u64::MAX), (u64::MAX, 1), (1, u64::MAX)] {
        let put = FileRequest::Put { file, offset: 0 };
        let answer = ask(&message(Request::File(put), &[(0x1000, 4), piece]));
        assert_eq!(answer, Ok(number(Errno::EFAULT)), "{piece:x?}");
    }
    for offset in [1 << 63, AT_END - 1, i64::MAX as u64] {
        let answer =
            ask(&message(Request::File(FileRequest::Put { file, offset }), &[(0x1000, 4)]));
        let errors = [Errno::EFBIG, Errno::EINVAL].map(|errno| Ok(number(errno)));
        assert!(errors.contains(&answer), "{offset:x}: {answer:?}");
    }
    for (offset, length) in [(0, 0), (u64::MAX, 1), (1, u64::MAX), (1 << 62, 1 << 62), (1 << 63, 1)]
    {
        for mode in [0, 1, 3, u32::MAX] {
            let allocate = FileRequest::Allocate { file, mode, offset, length };
            let answer = ask(&message(Request::File(allocate), &[])).unwrap();
            assert!(answer < 0, "{allocate:?}: {answer}");
        }
    }
    let mut change = |change: Change| {
        let mut message = message(Request::File(FileRequest::Change { file }), &[]);
        put_change(&mut message, &change);
        ask(&message)
    };
    for size in [1 << 63, u64::MAX, i64::MAX as u64] {
        let answer = change(Change { which: Change::SIZE, size, ..Change::ZERO });
        assert!(matches!(answer, Ok(..0)), "{size:x}: {answer:?}");
    }
    for nanoseconds in [1_000_000_000, u64::MAX, 1 << 32] {
        let which = Change::MTIME;
        let answer = change(Change { which, mtime_nsec: nanoseconds, ..Change::ZERO });
        assert_eq!(answer, Ok(number(Errno::EINVAL)), "{nanoseconds}");
    }
    for which in [Change::ALL + 1, u64::MAX] {
        assert!(change(Change { which, ..Change::ZERO }).is_err());
    }
    for mode in [0o10_000, u64::MAX] {
        assert!(change(Change { which: Change::MODE, mode, ..Change::ZERO }).is_err());
    }
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"0123456789");
    // Targets that are none, or too long; what is longer than all that a request moves.
    let link = FileRequest::Make { directory: root, mode: 0o120_777 };
    for (piece, expected) in
        [((0x1000, 0), Errno::ENOENT), ((0x2000, 1 << 20), Errno::ENAMETOOLONG)]
    {
        services.ram.write(0x2000, &[b'x'; 8192]).unwrap();
        let answer = reply(&mut services, &named(link, &[b"link2"], &[piece]));
        assert_eq!(answer[0], errno(expected), "{piece:x?}");
    }
    let put = FileRequest::Put { file, offset: 0 };
    let answer = reply(&mut services, &message(Request::File(put), &[(0, RAM)]));
    assert_eq!(answer[0], 1 << 20, "no more than a request moves");
}
