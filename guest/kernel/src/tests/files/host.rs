//! Directories of the host's.

mod memory;
mod model;
mod program;
mod writing;

use super::*;
use crate::mm::frames::FRAMES;
use model::{What, sandbox, sandbox_with};
use trapgate_abi::boot_info::{MOUNT_IN_MEMORY, MOUNT_READ_ONLY, MOUNT_SHARED};
use trapgate_uapi::fcntl::{O_NONBLOCK, O_TRUNC, O_WRONLY};
use trapgate_uapi::mman::{MAP_PRIVATE, PROT_READ, PROT_WRITE};
use trapgate_uapi::statfs::Statfs;
use trapgate_uapi::syscall::nr64;

const KIB: u64 = 1024;
/// A mount whose host does not change it.
const KEPT: u64 = MOUNT_IN_MEMORY;
/// One whose host does.
const SHARED: u64 = MOUNT_READ_ONLY | MOUNT_SHARED;

/// Bytes that tell where they are.
fn bytes(length: u64) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at / PAGE_SIZE) as u8).collect()
}

impl Sandbox {
    /// All bytes of a file, read in pieces.
    fn bytes_of(&self, path: &str, piece: u64) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, O_RDONLY)?;
        let mut all = Vec::new();
        let end = loop {
            match self.call(nr64::READ, [fd, BUFFER, piece, 0, 0, 0]) {
                Ok(0) => break Ok(all),
                Ok(got) => all.extend((0..got).map(|at| self.load::<1>(BUFFER + at)[0])),
                Err(error) => break Err(error),
            }
        };
        self.close(fd);
        end
    }

    fn names_in(&self, path: &str) -> Vec<String> {
        let fd = self.open_directory(path);
        let names = super::directories::list(self, fd, 1000);
        self.close(fd);
        names
    }
}

#[test]
fn a_deep_path_takes_a_request_for_four_names_and_then_none() {
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("one/two/three/four/five", b"5");
    });
    let stat = sandbox.stat("/b/one/two/three/four").unwrap();
    assert_eq!(host.borrow_mut().asked(), ["look", "walk"]);
    assert_eq!((stat.st_ino, stat.st_mode, stat.st_uid), (1005, 0o40755, 5));
    assert_eq!((stat.st_atime, stat.st_mtime, stat.st_ctime), (1, 2, 3));
    assert_eq!(sandbox.stat("/b/one/./two//../two/three/four/five").unwrap().st_size, 1);
    assert_eq!(host.borrow_mut().asked(), ["walk"]);
    for path in ["/b/one/two", "/b/one/two/three/four/five"] {
        sandbox.stat(path).unwrap();
    }
    assert_eq!(sandbox.stat("/b/one/no/way").err(), Some(Errno::ENOENT));
    assert_eq!(sandbox.stat("/b/one/two/three/four/five/six").err(), Some(Errno::ENOTDIR));
    assert_eq!(host.borrow_mut().asked(), ["walk"]);
    // Up and out, and back.
    assert_ne!(stat.st_dev, sandbox.stat("/b/..").unwrap().st_dev);
    assert_eq!(sandbox.stat("/b/../b/one/two/three/four").unwrap().st_ino, 1005);
}

#[test]
fn a_file_of_64_kib_takes_one_request_and_a_long_one_fewer_the_longer_it_is() {
    let (small, large) = (bytes(64 * KIB), bytes(1024 * KIB + 5));
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("small", &small);
        host.file("large", &large);
    });
    assert!(sandbox.bytes_of("/b/small", 4096).unwrap() == small);
    assert_eq!(host.borrow_mut().asked(), ["look", "walk"]);
    assert!(sandbox.bytes_of("/b/small", 5000).unwrap() == small);
    assert!(host.borrow_mut().asked().is_empty());
    assert!(sandbox.bytes_of("/b/large", 30000).unwrap() == large);
    let asked = host.borrow_mut().asked();
    assert_eq!(asked, ["walk", "get", "get", "get"], "16 pages, and 64, 80, 97");
}

#[test]
fn who_reads_much_at_once_gets_it_straight_from_the_host_and_no_frame_is_kept() {
    let all = bytes(2048 * KIB + 5);
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("f", &all);
        host.file("cut", &all);
    });
    let rw = PROT_READ | PROT_WRITE;
    let flags = MAP_PRIVATE | trapgate_uapi::mman::MAP_ANONYMOUS;
    let to = sandbox.call(nr64::MMAP, [0, 3 << 20, rw, flags, u64::MAX, 0]).unwrap() + 3;
    let read = |fd, length| sandbox.call(nr64::READ, [fd, to, length, 0, 0, 0]);
    let is_at = |from: u64, to: u64, length: u64| {
        (0..length)
            .step_by(1000)
            .chain([length - 1])
            .all(|at| sandbox.load::<1>(to + at)[0] == all[(from + at) as usize])
    };
    let fd = sandbox.open("/b/f", O_RDONLY).unwrap();
    assert_eq!(read(fd, 64 * KIB), Ok(64 * KIB));
    // The program's memory is there, and what came with the name.
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, to, 2048 * KIB, 0, 0, 0]), Ok(2048 * KIB));
    let free = FRAMES.lock().available();
    host.borrow_mut().asked();
    assert_eq!(read(fd, 1024 * KIB), Ok(1024 * KIB));
    assert!(is_at(64 * KIB, to, 1024 * KIB));
    assert_eq!(host.borrow_mut().asked(), ["get"]);
    assert_eq!(FRAMES.lock().available(), free);
    // What is here in the middle is not asked for, and what is left is few: that is kept.
    let middle = 1500 * KIB;
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, to, 1, middle, 0, 0]), Ok(1));
    host.borrow_mut().asked();
    assert_eq!(read(fd, 2048 * KIB), Ok(960 * KIB + 5));
    assert!(is_at(1088 * KIB, to, 960 * KIB + 5));
    assert_eq!(host.borrow_mut().asked(), ["get", "get"]);
    assert!(FRAMES.lock().available() < free);
    // Neither a file that got shorter nor one that comes in pieces has bytes of another.
    host.borrow_mut().short = Some(300_001);
    host.borrow_mut().files[2].what = What::File(all[..1_400_000].to_vec());
    let fd = sandbox.open("/b/cut", O_RDONLY).unwrap();
    let mut got = 0;
    while let Ok(more @ 1..) = sandbox.call(nr64::READ, [fd, to + got, (2 << 20) - got, 0, 0, 0]) {
        got += more;
    }
    assert_eq!(got, 1_400_000);
    assert!(is_at(0, to, got));
    let fd = sandbox.open("/b/f", O_RDONLY).unwrap();
    let read = |to| sandbox.call(nr64::PREAD64, [fd, to, 1 << 20, 200 * KIB, 0, 0]);
    for error in [Errno::EIO, Errno::EACCES] {
        for name in ["open", "get"] {
            host.borrow_mut().fails.insert(name, error);
        }
        assert_eq!((read(to), read(0x10)), (Err(error), Err(error)));
    }
    host.borrow_mut().fails.clear();
    assert_eq!(read(0x10), Err(Errno::EFAULT));
}

#[test]
fn what_was_in_memory_before_is_behind_no_files_end() {
    let mut cut = 0;
    let (sandbox, host) = sandbox_with(4 << 20, &[("/", MOUNT_IN_MEMORY, "")], |host| {
        host.file("b/f", &bytes(70_001));
        cut = host.file("b/cut", &bytes(200_001));
    });
    let rw = PROT_READ | PROT_WRITE;
    let flags = MAP_PRIVATE | trapgate_uapi::mman::MAP_ANONYMOUS;
    // Whatever frame comes next, something has been in it.
    let pages = FRAMES.lock().spare() - 20;
    let at = sandbox.call(nr64::MMAP, [0, pages * PAGE_SIZE, rw, flags, u64::MAX, 0]).unwrap();
    for page in 0..pages {
        sandbox.store(at + page * PAGE_SIZE, &[0xa5; PAGE_SIZE as usize]);
    }
    assert_eq!(sandbox.call(nr64::MUNMAP, [at, pages * PAGE_SIZE, 0, 0, 0, 0]), Ok(0));
    let mapped = |path, length| {
        let fd = sandbox.open(path, O_RDWR).unwrap();
        sandbox.call(nr64::MMAP, [0, length, PROT_READ, MAP_PRIVATE, fd, 0]).unwrap()
    };
    let at = mapped("/b/f", 72 * KIB);
    assert_eq!(sandbox.load::<1>(at + 70_000)[0], bytes(70_001)[70_000]);
    assert!((70_001..72 * KIB).all(|behind| sandbox.load(at + behind) == [0]));
    // Shorter than it was, with something of ours behind.
    let fd = sandbox.open("/b/cut", O_RDWR).unwrap();
    sandbox.store(BUFFER, b"ours");
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 4, 199_000, 0, 0]), Ok(4));
    host.borrow_mut().files[cut].what = What::File(bytes(90_001));
    let at = mapped("/b/cut", 196 * KIB);
    assert_eq!(sandbox.load::<1>(at + 90_000)[0], bytes(90_001)[90_000]);
    assert!((90_001..190_000).all(|behind| sandbox.load(at + behind) == [0]));
    assert_eq!(sandbox.load(at + 199_000), *b"ours");
}

#[test]
fn a_host_that_reads_little_at_a_time_is_asked_on() {
    let all = bytes(100 * KIB + 1);
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("f", &all);
        host.short = Some(10_001);
    });
    assert!(sandbox.bytes_of("/b/f", 4096).unwrap() == all);
    assert!(host.borrow_mut().asked().len() > 10);
}

#[test]
fn many_names_are_listed_once_each_in_any_portions() {
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        for number in 0..3000 {
            host.file(&format!("d/name{number:04}"), b"");
        }
    });
    let mut expected = vec![".".to_owned(), "..".to_owned()];
    expected.extend((0..3000).map(|number| format!("name{number:04}")));
    assert_eq!(sandbox.names_in("/b/d"), expected);
    let lists = host.borrow_mut().asked().iter().filter(|&&name| name == "list").count();
    assert_eq!(lists, 4, "three with 32 KiB, and the end");
    // Where one was, one goes on.
    let fd = sandbox.open_directory("/b/d");
    sandbox.call(nr64::GETDENTS64, [fd, BUFFER, 64, 0, 0, 0]).unwrap();
    let at = sandbox.call(nr64::LSEEK, [fd, 0, 1, 0, 0, 0]).unwrap();
    let rest = super::directories::list(&sandbox, fd, 200);
    assert_eq!(rest, expected[2..]);
    sandbox.call(nr64::LSEEK, [fd, at, 0, 0, 0, 0]).unwrap();
    assert_eq!(super::directories::list(&sandbox, fd, 30_000), expected[2..]);
    assert!(host.borrow_mut().asked().iter().all(|&name| name != "list"), "they are known");
}

#[test]
fn links_lead_on_inside_of_the_guest_and_what_cannot_be_opened_is_not() {
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("d/f", b"content");
        host.put("d/relative", What::Link("../d/f".into()));
        host.put("absolute", What::Link("/b/d/relative".into()));
        host.put("out", What::Link("/tmp".into()));
        host.put("pipe", What::Fifo);
    });
    assert_eq!(sandbox.bytes_of("/b/absolute", 100), Ok(b"content".to_vec()));
    assert_eq!(sandbox.stat("/b/out/").unwrap().st_ino, sandbox.stat("/tmp").unwrap().st_ino);
    assert_eq!(sandbox.open("/b/pipe", O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    assert!(host.borrow_mut().asked().contains(&"read_link"));
}

#[test]
fn a_read_only_mount_is_a_file_system_of_its_own_that_nobody_changes() {
    let (sandbox, _host) =
        sandbox(&[("/b", MOUNT_READ_ONLY, "d"), ("/f", MOUNT_READ_ONLY, "d/f")], |host| {
            host.file("d/f", b"content");
        });
    for flags in [O_RDWR, O_WRONLY, O_TRUNC | O_WRONLY] {
        assert_eq!(sandbox.open("/b/f", flags), Err(Errno::EROFS));
    }
    assert_eq!(sandbox.open("/b/new", O_CREAT | O_RDWR), Err(Errno::EROFS));
    for (number, path) in [(nr64::UNLINK, "/b/f"), (nr64::MKDIR, "/b/d"), (nr64::RMDIR, "/b/f")] {
        assert_eq!(sandbox.with_path(number, path, [0o755]), Err(Errno::EROFS), "{path}");
    }
    assert_eq!(sandbox.with_path(nr64::CHMOD, "/b/f", [0o600]), Err(Errno::EROFS));
    assert_eq!(sandbox.with_path(nr64::RMDIR, "/b", []), Err(Errno::EBUSY));
    for number in [nr64::RENAME, nr64::LINK] {
        assert_eq!(sandbox.with_paths(number, ["/b/f", "/tmp/f"]), Err(Errno::EXDEV));
    }
    let devices = ["/", "/b", "/b/f", "/f"].map(|path| sandbox.stat(path).unwrap().st_dev);
    assert_eq!(devices, [1, 16, 16, 17]);
    sandbox.with_path(nr64::STATFS, "/b/f", [BUFFER]).unwrap();
    let statfs: Statfs = sandbox.structure(BUFFER);
    assert_eq!((statfs.f_type, statfs.f_blocks), (0xef53, 77));
    let mounts = sandbox.bytes_of("/proc/self/mountinfo", 4096).unwrap();
    let mounts = String::from_utf8(mounts).unwrap();
    assert!(mounts.contains("\n16 1 0:16 / /b ro,relatime - host host ro\n"), "{mounts}");
    assert!(mounts.contains("\n17 1 0:17 / /f ro,relatime - host host ro\n"), "{mounts}");
    assert_eq!(sandbox.bytes_of("/f", 100), Ok(b"content".to_vec()));
}

#[test]
fn a_root_of_the_hosts_is_changed_in_memory_and_its_mounts_are_where_they_belong() {
    let mounts = [("/", MOUNT_IN_MEMORY, ""), ("/usr/deep/er", MOUNT_READ_ONLY, "other")];
    let long = bytes(40 * KIB);
    let (sandbox, host) = sandbox(&mounts, |host| {
        host.file("real/here", b"here");
        host.put("usr", What::Link("real".into()));
        host.file("other/f", b"other");
        host.file("file", &long);
        host.put("tmp/x", What::Fifo);
    });
    assert_eq!(sandbox.names_in("/usr"), [".", "..", "deep", "here"]);
    assert_eq!(sandbox.names_in("/real/deep"), [".", "..", "er"]);
    assert_eq!(sandbox.bytes_of("/usr/deep/er/f", 10), Ok(b"other".to_vec()));
    assert_eq!(sandbox.stat("/usr/deep/er/../../here").unwrap().st_size, 4);
    assert!(sandbox.names_in("/").contains(&"proc".into()));
    let fd = sandbox.open("/file", O_RDWR).unwrap();
    sandbox.call(nr64::LSEEK, [fd, 5000, 0, 0, 0, 0]).unwrap();
    sandbox.write(fd, b"written").unwrap();
    let mut expected = long.clone();
    expected[5000..5007].copy_from_slice(b"written");
    assert!(sandbox.bytes_of("/file", 4096).unwrap() == expected);
    sandbox.with_path(nr64::TRUNCATE, "/file", [9000]).unwrap();
    assert!(sandbox.bytes_of("/file", 4096).unwrap() == expected[..9000]);
    sandbox.with_path(nr64::TRUNCATE, "/file", [20000]).unwrap();
    assert_eq!(sandbox.bytes_of("/file", 4096).unwrap()[9000..], [0; 11000]);
    sandbox.with_path(nr64::UNLINK, "/real/here", []).unwrap();
    assert_eq!(sandbox.names_in("/usr"), [".", "..", "deep"]);
    sandbox.file("/real/here", b"new");
    assert!(sandbox.stat("/real/here").unwrap().st_ino > 1 << 62);
    let changes = ["make", "link", "unlink", "rename", "change", "put"];
    assert!(host.borrow_mut().asked().iter().all(|name| !changes.contains(name)));
}

#[test]
fn pages_are_mapped_as_they_are_and_copied_when_they_are_written() {
    let all = bytes(300 * KIB + 10);
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("f", &all);
    });
    let fd = sandbox.open("/b/f", O_RDONLY).unwrap();
    let rw = PROT_READ | PROT_WRITE;
    let length = 304 * KIB;
    let at = sandbox.call(nr64::MMAP, [0, length, rw, MAP_PRIVATE, fd, 0]).unwrap();
    let far = 200 * KIB + 3;
    assert_eq!(sandbox.load(at + far), [all[far as usize]]);
    assert_eq!(host.borrow_mut().asked(), ["look", "walk", "get"]);
    sandbox.store(at + far, b"mine");
    assert_eq!(sandbox.load(at + far), *b"mine");
    sandbox.store(at + 100, b"before it was read");
    assert_eq!(sandbox.load(at + 99), [all[99]]);
    assert_eq!(sandbox.load(at + 300 * KIB + 9), [all[all.len() - 1], 0, 0]);
    assert!(sandbox.bytes_of("/b/f", 4096).unwrap() == all, "the file is as it was");
    // A buffer that is such memory, for the host and from it.
    let pid = sandbox.call(nr64::WRITE, [1, at + 120 * KIB, 10, 0, 0, 0]);
    assert_eq!(pid, Err(Errno::ENOSYS), "the request was made");
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 100, 0, 0, 0, 0]), Ok(100));
    let into = at + 260 * KIB;
    assert_eq!(sandbox.call(nr64::READ, [fd, into, 4, 0, 0, 0]), Ok(4));
    assert_eq!(sandbox.load::<4>(into)[..], all[100..104]);
}

#[test]
fn what_the_host_cuts_off_is_gone_here_and_what_it_cannot_read_is_eio() {
    let all = bytes(200 * KIB);
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        host.file("cut", &all);
        host.file("bad", &all);
    });
    sandbox.stat("/b/cut").unwrap();
    host.borrow_mut().files[1].what = What::File(all[..70_000].to_vec());
    assert!(sandbox.bytes_of("/b/cut", 4096).unwrap() == all[..70_000]);
    assert_eq!(sandbox.stat("/b/cut").unwrap().st_size, 70_000);
    for name in ["open", "get"] {
        host.borrow_mut().fails.insert(name, Errno::EIO);
    }
    let fd = sandbox.open("/b/bad", O_RDONLY).unwrap();
    assert_eq!(sandbox.read::<1>(fd).err(), Some(Errno::EIO));
    let at = sandbox.call(nr64::MMAP, [0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0]).unwrap();
    assert_eq!(sandbox.call(nr64::WRITE, [1, at, 1, 0, 0, 0]), Err(Errno::EFAULT));
    for name in ["open", "get"] {
        host.borrow_mut().fails.insert(name, Errno::EACCES);
    }
    assert_eq!(sandbox.read::<1>(fd).err(), Some(Errno::EACCES));
    host.borrow_mut().fails.clear();
    assert_eq!(sandbox.read(fd).map(|(byte, _)| byte), Ok([all[0]]), "it can be read again");
}

#[test]
fn attributes_that_no_file_has_are_eio() {
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        for name in ["a", "b", "c", "d"] {
            host.file(name, b"x");
        }
        host.put("long", What::Link(String::new()));
    });
    let set = |file: usize, mode: u64, size: u64| {
        let status = &mut host.borrow_mut().files[file].status;
        (status.mode, status.size) = (mode, size);
    };
    set(1, 0, 1);
    set(2, 0o170_644, 1);
    set(3, u64::MAX, 1);
    set(4, 0o100_644, u64::MAX);
    for path in ["/b/a", "/b/b", "/b/c", "/b/d", "/b/long"] {
        assert_eq!(sandbox.stat(path).err(), Some(Errno::EIO), "{path}");
    }
    set(1, 0o100_644, 1);
    host.borrow_mut().files[1].status.mtime_nsec = u64::MAX;
    host.borrow_mut().files[1].status.nlink = u64::MAX;
    let stat = sandbox.stat("/b/a").unwrap();
    assert!(stat.st_mtime_nsec < 1_000_000_000);
}

#[test]
fn handles_are_held_for_few_files_and_come_back_by_name() {
    let (sandbox, host) = sandbox(&[("/b", KEPT, "")], |host| {
        for number in 0..1500 {
            host.file(&format!("d{}/e/f{number}", number % 10), &[number as u8]);
        }
        host.most = 900;
    });
    let path = |number: usize| format!("/b/d{}/e/f{number}", number % 10);
    for number in 0..1500 {
        sandbox.stat(&path(number)).unwrap();
    }
    for number in [0, 700, 1499] {
        assert_eq!(sandbox.bytes_of(&path(number), 10), Ok(vec![number as u8]));
    }
    assert!(host.borrow().peak < 700, "{}", host.borrow().peak);
    // The VMM may forget all but the roots.
    host.borrow_mut().handles.retain(|&handle, _| handle <= 200);
    assert_eq!(sandbox.bytes_of(&path(1), 10), Ok(vec![1]));
    assert_eq!(sandbox.bytes_of(&path(1400), 10), Ok(vec![1400u64 as u8]));
    // A table that is smaller than what is wanted at once.
    let most = host.borrow().handles.len();
    host.borrow_mut().most = most;
    assert_eq!(sandbox.bytes_of(&path(2), 10), Ok(vec![2]));
    // Another file by that name is not this one.
    host.borrow_mut().most = 900;
    host.borrow_mut().handles.retain(|&handle, _| handle <= 200);
    host.borrow_mut().file("d3/e/f3", b"other");
    assert_eq!(sandbox.bytes_of(&path(3), 10), Err(Errno::EIO));
}

#[test]
fn more_than_memory_can_be_read_and_programs_have_memory_all_the_same() {
    const EACH: u64 = 1 << 20;
    let (sandbox, _host) = sandbox_with(8 << 20, &[("/b", KEPT, "")], |host| {
        for number in 0..12 {
            host.file(&format!("f{number}"), &vec![number; EACH as usize]);
        }
    });
    let free = || FRAMES.lock().available();
    let read = |number: u8| {
        let fd = sandbox.open(&format!("/b/f{number}"), O_RDONLY).unwrap();
        let mut got = 0;
        while let Ok(more @ 1..) = sandbox.call(nr64::READ, [fd, BUFFER, 16 * KIB, 0, 0, 0]) {
            got += more;
        }
        assert_eq!((got, sandbox.load(BUFFER)), (EACH, [number]));
        sandbox.close(fd);
    };
    let before = free();
    for number in 0..12 {
        read(number);
    }
    assert!(free() > before / 3, "{} of {before}", free());
    // All that is free, and what is given up for it.
    let length = (before - 100) * PAGE_SIZE;
    let rw = PROT_READ | PROT_WRITE;
    let flags = MAP_PRIVATE | trapgate_uapi::mman::MAP_ANONYMOUS;
    let at = sandbox.call(nr64::MMAP, [0, length, rw, flags, u64::MAX, 0]).unwrap();
    for page in 0..(before - before / 64 - 100) {
        sandbox.store(at + page * PAGE_SIZE, b"x");
    }
}

#[test]
fn what_others_change_is_asked_for_again_by_each_call() {
    let (sandbox, host) = sandbox(&[("/b", SHARED, "")], |host| {
        host.file("d/e/f", b"before");
        host.file("d/kept", b"kept");
    });
    let content = |path| sandbox.bytes_of(path, 100).map(|all| String::from_utf8(all).unwrap());
    assert_eq!(content("/b/d/e/f").unwrap(), "before");
    assert_eq!(host.borrow_mut().asked(), ["look", "walk"]);
    // What is as it was is asked for, and not read again.
    assert_eq!(content("/b/d/e/f").unwrap(), "before");
    assert_eq!(host.borrow_mut().asked(), ["walk"]);
    sandbox.stat("/b/d/e/f").unwrap();
    assert_eq!(host.borrow_mut().asked(), ["walk"]);
    let open = sandbox.open("/b/d/e/f", O_RDONLY).unwrap();
    // Written over, with another time.
    host.borrow_mut().files[1].what = What::File(b"after".to_vec());
    host.borrow_mut().files[1].status.size = 5;
    host.borrow_mut().files[1].status.mtime = 9;
    assert_eq!(content("/b/d/e/f").unwrap(), "after");
    assert_eq!(sandbox.stat("/b/d/e/f").unwrap().st_mtime, 9);
    assert_eq!(sandbox.read(open), Ok((*b"before", 6)), "who has it open has what was read");
    // Another file, a new one, and one that is gone.
    host.borrow_mut().file("d/e/f", b"another");
    assert_eq!(content("/b/d/e/f").unwrap(), "another");
    assert_eq!(content("/b/d/new"), Err(Errno::ENOENT));
    host.borrow_mut().file("d/new", b"new");
    assert_eq!(content("/b/d/new").unwrap(), "new");
    assert!(sandbox.names_in("/b/d").contains(&"new".into()));
    host.borrow_mut().remove("d", "new");
    assert_eq!(content("/b/d/new"), Err(Errno::ENOENT));
    assert!(!sandbox.names_in("/b/d").contains(&"new".into()));
    // A directory that was exchanged for another, and whoever is in the old one.
    assert_eq!(sandbox.with_path(nr64::CHDIR, "/b/d/e", []), Ok(0));
    host.borrow_mut().remove("d", "e");
    host.borrow_mut().file("d/e/f", b"elsewhere");
    assert_eq!(content("/b/d/e/f").unwrap(), "elsewhere");
    assert_eq!(content("f").unwrap(), "another");
    // Handles go back, though each walk gets new ones.
    for _ in 0..500 {
        sandbox.stat("/b/d/e/f").unwrap();
    }
    assert!(host.borrow().peak < 200, "{}", host.borrow().peak);
}

#[test]
fn mounts_inside_of_what_others_change_stay_where_they_are() {
    let mounts = [("/b", SHARED, "d"), ("/b/in/new", SHARED, "other")];
    let (sandbox, _host) = sandbox(&mounts, |host| {
        host.file("d/in/f", b"below");
        host.file("other/f", b"above");
    });
    for _ in 0..2 {
        assert_eq!(sandbox.bytes_of("/b/in/new/f", 10), Ok(b"above".to_vec()));
        assert_eq!(sandbox.bytes_of("/b/in/new/../f", 10), Ok(b"below".to_vec()));
        assert_eq!(sandbox.bytes_of("/b/in/new/../../in/new/f", 10), Ok(b"above".to_vec()));
    }
}
