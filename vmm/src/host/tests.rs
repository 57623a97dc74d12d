//! The services, fed with messages directly: no VM.

mod files;
mod wait;

use super::*;
use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use trapgate_abi::event::WatchEntry;
use trapgate_abi::hypercall::{push_segment, push_watch};
use trapgate_uapi::fcntl::O_APPEND;

const RAM: u64 = 4 << 20;

fn services(files: [Option<File>; 3]) -> Services {
    let ram = Arc::new(GuestRam::new(RAM).unwrap());
    Services::new(ram, Policy::default(), files, Arc::default())
}

fn message(request: Request, segments: &[(u64, u64)]) -> Message {
    let mut message = [0; MESSAGE_WORDS];
    request.encode(&mut message);
    for &(address, length) in segments {
        assert!(push_segment(&mut message, Segment { address, length }));
    }
    message
}

fn reply(services: &mut Services, message: &Message) -> Message {
    match services.serve(message).unwrap() {
        Served::Reply(reply) => *reply,
        other => panic!("{other:?}"),
    }
}

fn errno(errno: Errno) -> u64 {
    to_return(Err(errno))
}

#[test]
fn writes_gather_and_reads_scatter() {
    let (mut out, output) = pipe().unwrap();
    let (input, mut inp) = pipe().unwrap();
    let files = [Some(OwnedFd::from(input).into()), Some(OwnedFd::from(output).into()), None];
    let mut services = services(files);
    services.ram.write(0x1000, b"hello ").unwrap();
    services.ram.write(0x3000, b"world").unwrap();
    let request = message(Request::Write { file: 1, flags: 0 }, &[(0x1000, 6), (0x3000, 5)]);
    assert_eq!(reply(&mut services, &request)[0], 11);
    let mut text = [0; 11];
    out.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello world");

    inp.write_all(b"abcdef").unwrap();
    let request = message(Request::Read { file: 0, flags: 0 }, &[(0x5000, 2), (0x7000, 100)]);
    assert_eq!(reply(&mut services, &request)[0], 6);
    assert_eq!(
        services.ram.read_words::<1>(0x7000).unwrap()[0],
        u64::from_le_bytes(*b"cdef\0\0\0\0")
    );
}

#[test]
fn a_full_pipe_is_eagain_and_so_is_an_empty_one() {
    let (_out, output) = pipe().unwrap();
    let (input, _inp) = pipe().unwrap();
    let files = [Some(OwnedFd::from(input).into()), Some(OwnedFd::from(output).into()), None];
    let mut services = services(files);
    let flags = 0;
    let write = message(Request::Write { file: 1, flags }, &[(0, 1 << 20)]);
    let some = reply(&mut services, &write)[0];
    assert!((1..1 << 20).contains(&some), "{some:#x}");
    assert_eq!(reply(&mut services, &write)[0], errno(Errno::EAGAIN));
    let read = message(Request::Read { file: 0, flags }, &[(0, 1)]);
    assert_eq!(reply(&mut services, &read)[0], errno(Errno::EAGAIN));
}

#[test]
fn writes_append_or_not_as_they_are_told() {
    for (opened_to_append, worked) in [(false, false), (false, true), (true, false), (true, true)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(b"0123456789").unwrap();
        let host = File::options().write(true).append(opened_to_append).open(file.path()).unwrap();
        let mut services = services([None, Some(host), None]);
        if worked {
            services.files[1].as_mut().unwrap().only_by_worker();
        }
        services.ram.write(0, b"abc").unwrap();
        for flags in [0, O_APPEND] {
            let seek = Request::Seek { file: 1, offset: 2, whence: libc::SEEK_SET as u32 };
            assert_eq!(reply(&mut services, &message(seek, &[]))[0], 2);
            let write = message(Request::Write { file: 1, flags }, &[(0, 3)]);
            assert_eq!(reply(&mut services, &write)[0], 3);
        }
        let position = Request::Seek { file: 1, offset: 0, whence: libc::SEEK_CUR as u32 };
        assert_eq!(reply(&mut services, &message(position, &[]))[0], 13);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"01abc56789abc");
    }
}

#[test]
fn a_regular_file_is_read_whole_and_where_it_is_whoever_reads_it() {
    for worked in [false, true] {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3u32 << 19).map(|at| (at % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mut services = services([Some(file), None, None]);
        if worked {
            services.files[0].as_mut().unwrap().only_by_worker();
        }
        let at = |services: &mut Services, offset, whence: i32| {
            let seek = Request::Seek { file: 0, offset, whence: whence.cast_unsigned() };
            reply(services, &message(seek, &[]))[0]
        };
        let read = message(Request::Read { file: 0, flags: 0 }, &[(0, 1), (1, (1 << 20) - 1)]);
        assert_eq!(at(&mut services, 5, libc::SEEK_SET), 5);
        assert_eq!(reply(&mut services, &read)[0], 1 << 20, "{worked}");
        let mut got = vec![0; 1 << 20];
        services.ram.read(0, &mut got).unwrap();
        assert!(got == bytes[5..][..1 << 20]);
        // Elsewhere, which moves nothing.
        let read_at = message(Request::ReadAt { file: 0, offset: 1000 }, &[(0x1000, 3)]);
        assert_eq!(reply(&mut services, &read_at)[0], 3);
        services.ram.read(0x1000, &mut got[..3]).unwrap();
        assert_eq!(got[..3], bytes[1000..1003]);
        assert_eq!(at(&mut services, 0, libc::SEEK_CUR), 5 + (1 << 20));
        assert_eq!(reply(&mut services, &read)[0], (1 << 19) - 5);
        assert_eq!(reply(&mut services, &read)[0], 0);
    }
}

#[test]
fn seeking_goes_by_all_of_linuxs_whences_and_no_others() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    let mut services = services([Some(file), None, None]);
    let end = errno(Errno::ENXIO);
    for (whence, offset, expected) in [
        (libc::SEEK_SET, 4, 4),
        (libc::SEEK_CUR, 2, 6),
        (libc::SEEK_END, -3, 7),
        (libc::SEEK_DATA, 5, 5),
        (libc::SEEK_HOLE, 5, 10),
        (libc::SEEK_DATA, -1, end),
        (libc::SEEK_DATA, 10, end),
        (libc::SEEK_SET, -1, errno(Errno::EINVAL)),
        (5, 0, errno(Errno::EINVAL)),
        (-1, 0, errno(Errno::EINVAL)),
    ] {
        let seek = Request::Seek { file: 0, offset, whence: whence.cast_unsigned() };
        assert_eq!(reply(&mut services, &message(seek, &[]))[0], expected, "{whence} {offset}");
    }
}

#[test]
fn a_files_status_is_what_stat_says() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(12_345).unwrap();
    let data = file.metadata().unwrap();
    let mut services = services([Some(file), None, None]);
    let answer = reply(&mut services, &message(Request::Status { file: 0 }, &[]));
    let times = [
        (data.atime(), data.atime_nsec()),
        (data.mtime(), data.mtime_nsec()),
        (data.ctime(), data.ctime_nsec()),
    ];
    let mut expected = vec![
        0,
        data.dev(),
        data.ino(),
        data.mode().into(),
        data.nlink(),
        data.uid().into(),
        data.gid().into(),
        data.rdev(),
        12_345,
        data.blksize(),
        data.blocks(),
    ];
    expected.extend(times.iter().flat_map(|(seconds, rest)| [*seconds as u64, *rest as u64]));
    assert_eq!(answer[..expected.len()], expected);
}

#[test]
fn segments_outside_ram_are_efault_and_touch_nothing() {
    let (_out, output) = pipe().unwrap();
    let mut services = services([None, Some(OwnedFd::from(output).into()), None]);
    for bad in [(RAM, 1), (RAM - 1, 2), (u64::MAX, u64::MAX), (0, u64::MAX), (1 << 63, 1 << 63)] {
        for request in [Request::Write { file: 1, flags: 0 }, Request::Discard, Request::Random] {
            let answer = reply(&mut services, &message(request, &[(0x1000, 1), bad]));
            assert_eq!(answer[0], errno(Errno::EFAULT), "{request:?} {bad:?}");
        }
    }
}

#[test]
fn files_that_are_not_there_are_ebadf() {
    let mut services = services([None, None, None]);
    for file in [0, 1, 2, 3, u32::MAX] {
        for request in [
            Request::Write { file, flags: 0 },
            Request::Read { file, flags: 0 },
            Request::Status { file },
            Request::Seek { file, offset: 0, whence: 0 },
        ] {
            assert_eq!(reply(&mut services, &message(request, &[]))[0], errno(Errno::EBADF));
        }
    }
}

#[test]
fn what_the_policy_refuses_is_counted() {
    let mut services = services([None, None, None]);
    services.policy = Policy::only([]);
    let mut watch = message(Request::Watch { arm: true }, &[]);
    assert!(push_watch(&mut watch, WatchEntry { file: 0, mask: 1, generation: 1 }));
    let requests = [
        Request::Random,
        Request::Wait { timeout_ns: 1 },
        Request::Read { file: 0, flags: 0 },
        Request::ReadAt { file: 0, offset: 0 },
        Request::Write { file: 1, flags: 0 },
        Request::Seek { file: 1, offset: 0, whence: 0 },
        Request::Status { file: 1 },
        Request::TerminalAttributes { file: 1 },
        Request::WindowSize { file: 1 },
    ];
    let messages = requests.map(|request| message(request, &[]));
    for (count, message) in (1..).zip(messages.iter().chain([&watch])) {
        assert_eq!(reply(&mut services, message)[0], errno(Errno::EPERM), "{message:?}");
        assert_eq!(services.stats.refused, count, "{message:?}");
    }
    let answer = reply(&mut services, &message(Request::Random, &[(0x1000, 8)]));
    assert_eq!(answer[0], errno(Errno::EPERM));
    assert_eq!(services.ram.read_words::<1>(0x1000).unwrap(), [0]);
}

#[test]
fn random_fills_what_it_says() {
    let mut services = services([None, None, None]);
    let answer = reply(&mut services, &message(Request::Random, &[(0x1000, 300), (0x3000, 8)]));
    assert_eq!(answer[0], 308);
    let words = services.ram.read_words::<32>(0x1000).unwrap();
    assert!(words.iter().filter(|word| **word == 0).count() < 3);
    // More than the limit is cut, not refused.
    let answer = reply(&mut services, &message(Request::Random, &[(0, RAM)]));
    assert_eq!(answer[0], MAX_RANDOM);
    let two = [(0, 1), (0x1000, MAX_RANDOM)];
    assert_eq!(reply(&mut services, &message(Request::Random, &two))[0], MAX_RANDOM);
}

#[test]
fn any_message_is_served_or_refused_without_a_panic() {
    use proptest::prelude::*;
    let mut services = services([None, None, None]);
    // No sleeping for what the strategy makes up.
    services.policy.deny(&[Grant::Clock]);
    let services = std::cell::RefCell::new(services);
    let word = prop_oneof![0..20u64, any::<u64>(), Just(RAM), Just(u64::MAX)];
    let words = prop::collection::vec(word, MESSAGE_WORDS);
    proptest!(|(words in words)| {
        let mut message = [0; MESSAGE_WORDS];
        message.copy_from_slice(&words);
        // Waiting is not what this is about.
        if let Ok(Request::Wait { .. }) = Request::decode(&message) {
            message[1] = 0;
        }
        let _ = services.borrow_mut().serve(&message);
    });
}

#[test]
fn how_long_it_is_needs_no_grant_and_counts_from_the_clocks_reading() {
    let ram = Arc::new(GuestRam::new(RAM).unwrap());
    let mut services = Services::new(ram, Policy::only([]), [None, None, None], Arc::default());
    services.begin(monotonic_ns() - 3_000_000_000);
    let request = message(Request::Elapsed, &[]);
    let first = reply(&mut services, &request)[0];
    assert!((3_000_000_000..4_000_000_000).contains(&first), "{first}");
    assert!(reply(&mut services, &request)[0] >= first);
    assert_eq!(services.stats.refused, 0);
    services.begin(u64::MAX);
    assert_eq!(reply(&mut services, &request)[0], 0, "a moment that is still to come");
}

#[test]
fn what_is_written_may_lie_in_the_image_and_what_is_read_may_not() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[&[b'x'; 4090][..], b"in the image"].concat()).unwrap();
    let (mut pipe, out) = std::io::pipe().unwrap();
    let by_worker = std::io::pipe().unwrap();
    let files = [None, Some(File::from(OwnedFd::from(out))), Some(tempfile::tempfile().unwrap())];
    let image = MappedImage::new("i".to_owned(), file, RAM).unwrap();
    let (start, end) = (image.range().start, image.range().end);
    let mut services = services(files).with_image(Some(Arc::new(image)));
    services.files[0] = Some(HostFile::new(File::from(OwnedFd::from(by_worker.1))));
    services.files[0].as_mut().unwrap().only_by_worker();
    let mut write = |file, pieces: &[(u64, u64)]| {
        reply(&mut services, &message(Request::Write { file, flags: 0 }, pieces))[0]
    };
    for (number, mut from) in [(1, pipe.try_clone().unwrap()), (0, by_worker.0)] {
        assert_eq!(write(number, &[(start + 4090, 12), (0, 1), (end - 1, 1)]), 14);
        let mut got = [1; 14];
        from.read_exact(&mut got).unwrap();
        assert_eq!(got, *b"in the image\0\0", "zeroes of RAM, and behind the file's end");
    }
    for piece in [(start - 1, 2), (end - 1, 2), (end, 1), (start, u64::MAX)] {
        for file in [0, 1] {
            assert_eq!(write(file, &[piece]), errno(Errno::EFAULT), "{piece:x?}");
        }
    }
    let read = message(Request::Read { file: 2, flags: 0 }, &[(start, 1)]);
    assert_eq!(reply(&mut services, &read)[0], errno(Errno::EFAULT));
    drop(services);
    assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "nothing of that was written");
}
