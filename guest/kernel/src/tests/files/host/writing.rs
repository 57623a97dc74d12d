//! Directories of the host's that are written.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use trapgate_abi::boot_info::MOUNT_READ_WRITE;
use trapgate_uapi::fcntl::{O_APPEND, O_EXCL, O_TMPFILE};
use trapgate_uapi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE};
use trapgate_uapi::mman::MAP_SHARED;
use trapgate_uapi::stat::S_IFIFO;

/// A mount that is written.
const WRITTEN: u64 = MOUNT_READ_WRITE | MOUNT_SHARED;

fn with(build: impl FnOnce(&mut model::Host)) -> (Sandbox, Rc<RefCell<model::Host>>) {
    sandbox(&[("/b", WRITTEN, "")], build)
}

#[test]
fn what_is_made_written_and_taken_away_is_so_on_the_host() {
    let (sandbox, host) = with(|host| {
        host.file("d/old", b"old");
    });
    let fd = sandbox.open("/b/new", O_CREAT | O_EXCL | O_RDWR).unwrap();
    assert_eq!(host.borrow_mut().asked(), ["look", "walk", "make"]);
    assert_eq!(sandbox.write(fd, b"written"), Ok(7));
    assert_eq!(host.borrow_mut().asked(), ["put"]);
    assert_eq!(host.borrow().content("new"), b"written");
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 2, 0, 0, 0, 0]), Ok(2));
    assert_eq!(sandbox.read(fd), Ok((*b"itten", 5)), "it is read again");
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 3, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.write(fd, b"TT"), Ok(2));
    assert_eq!(host.borrow().content("new"), b"wriTTen");
    sandbox.close(fd);
    assert_eq!(sandbox.bytes_of("/b/new", 10), Ok(b"wriTTen".to_vec()));
    assert_eq!(sandbox.open("/b/new", O_CREAT | O_EXCL | O_RDWR), Err(Errno::EEXIST));
    let stat = sandbox.stat("/b/new").unwrap();
    assert_eq!((stat.st_mode, stat.st_size), (0o100_644, 7));
    // At the end, wherever that is.
    let fd = sandbox.open("/b/new", O_WRONLY | O_APPEND).unwrap();
    assert_eq!(sandbox.write(fd, b"!"), Ok(1));
    assert_eq!(host.borrow().content("new"), b"wriTTen!");
    sandbox.close(fd);
    let fd = sandbox.open("/b/new", O_WRONLY | O_TRUNC).unwrap();
    assert_eq!(host.borrow().content("new"), b"");
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 0, 10, 0, 0]), Ok(0));
    sandbox.store(BUFFER, b"far");
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 3, 9000, 0, 0]), Ok(3));
    sandbox.close(fd);
    let all = sandbox.bytes_of("/b/new", 4096).unwrap();
    assert!(all[..9000].iter().all(|&byte| byte == 0) && all[9000..] == *b"far");
    sandbox.with_path(nr64::TRUNCATE, "/b/new", [2]).unwrap();
    assert_eq!(sandbox.bytes_of("/b/new", 4096), Ok(vec![0, 0]));
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/b/new", []), Ok(0));
    assert_eq!(sandbox.stat("/b/new").err(), Some(Errno::ENOENT));
    // Directories, links, a fifo.
    sandbox.with_path(nr64::MKDIR, "/b/d/e", [0o755]).unwrap();
    assert_eq!(sandbox.with_path(nr64::MKDIR, "/b/d/e", [0o755]), Err(Errno::EEXIST));
    assert_eq!(sandbox.with_paths(nr64::SYMLINK, ["../d/old", "/b/d/e/link"]), Ok(0));
    assert_eq!(sandbox.with_path(nr64::MKNOD, "/b/d/e/pipe", [(S_IFIFO | 0o600).into(), 0]), Ok(0));
    assert_eq!(sandbox.names_in("/b/d/e"), [".", "..", "link", "pipe"]);
    assert_eq!(sandbox.with_path(nr64::RMDIR, "/b/d/e", []), Err(Errno::ENOTEMPTY));
    for name in ["/b/d/e/link", "/b/d/e/pipe"] {
        sandbox.with_path(nr64::UNLINK, name, []).unwrap();
    }
    sandbox.with_path(nr64::RMDIR, "/b/d/e", []).unwrap();
    assert_eq!(sandbox.names_in("/b/d"), [".", "..", "old"]);
    assert_eq!(sandbox.open("/b/d", O_TMPFILE | O_RDWR), Err(Errno::EOPNOTSUPP));
}

#[test]
fn what_moves_is_found_where_it_is_and_who_has_it_open_goes_on() {
    let (sandbox, host) = with(|host| {
        host.file("d/f", b"content");
        host.file("e/g", b"other");
    });
    let fd = sandbox.open("/b/d/f", O_RDONLY).unwrap();
    assert_eq!(sandbox.with_paths(nr64::RENAME, ["/b/d/f", "/b/e/new"]), Ok(0));
    assert_eq!(sandbox.stat("/b/d/f").err(), Some(Errno::ENOENT));
    assert_eq!(sandbox.bytes_of("/b/e/new", 10), Ok(b"content".to_vec()));
    // The directory, too, and all that the VMM knew of it is forgotten.
    assert_eq!(sandbox.with_path(nr64::CHDIR, "/b/e", []), Ok(0));
    assert_eq!(sandbox.with_paths(nr64::RENAME, ["/b/e", "/b/d/deep"]), Ok(0));
    host.borrow_mut().handles.retain(|&handle, _| handle <= 200);
    assert_eq!(sandbox.bytes_of("g", 10), Ok(b"other".to_vec()));
    assert_eq!(sandbox.read(fd), Ok((*b"content", 7)));
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 100, 0, 0, 0, 0]), Ok(10));
    assert_eq!(sandbox.load(BUFFER), *b"/b/d/deep\0");
    assert_eq!(sandbox.with_paths(nr64::RENAME, ["/b/d", "/b/d/deep/x"]), Err(Errno::EINVAL));
    assert_eq!(sandbox.with_paths(nr64::RENAME, ["/b/d", "/tmp/x"]), Err(Errno::EXDEV));
    // Over another, and one for the other.
    sandbox.file("/b/one", b"1");
    sandbox.file("/b/two", b"2");
    let rename = |old: &str, new: &str, flags: u32| {
        let [old, new] = [sandbox.at(PATHS[0], old), sandbox.at(PATHS[1], new)];
        let here = trapgate_uapi::fcntl::AT_FDCWD as u64;
        sandbox.call(nr64::RENAMEAT2, [here, old, here, new, flags.into(), 0])
    };
    assert_eq!(rename("/b/one", "/b/two", RENAME_NOREPLACE), Err(Errno::EEXIST));
    assert_eq!(rename("/b/one", "/b/two", RENAME_EXCHANGE), Ok(0));
    assert_eq!(sandbox.bytes_of("/b/one", 10), Ok(b"2".to_vec()));
    let replaced = sandbox.open("/b/two", O_RDWR).unwrap();
    assert_eq!(rename("/b/one", "/b/two", 0), Ok(0));
    assert_eq!(sandbox.bytes_of("/b/two", 10), Ok(b"2".to_vec()));
    assert_eq!(sandbox.read(replaced), Ok((*b"1", 1)), "who has it open keeps it");
    assert_eq!(sandbox.names_in("/b"), [".", "..", "d", "two"]);
}

#[test]
fn a_file_without_a_name_is_written_and_read_as_long_as_it_is_open() {
    let (sandbox, host) = with(|host| {
        for number in 0..700 {
            host.file(&format!("many/{number}"), b"x");
        }
        host.file("kept", b"before");
    });
    let made = sandbox.open("/b/made", O_CREAT | O_RDWR).unwrap();
    let kept = sandbox.open("/b/kept", O_RDWR).unwrap();
    for name in ["/b/made", "/b/kept"] {
        sandbox.with_path(nr64::UNLINK, name, []).unwrap();
    }
    // Others take the places of those that hold a handle.
    for number in 0..700 {
        sandbox.stat(&format!("/b/many/{number}")).unwrap();
    }
    assert_eq!(sandbox.write(made, b"still"), Ok(5));
    assert_eq!(sandbox.call(nr64::LSEEK, [made, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.read(made), Ok((*b"still", 5)));
    assert_eq!(sandbox.read(kept), Ok((*b"before", 6)));
    for fd in [made, kept] {
        assert_eq!(sandbox.call(nr64::FSYNC, [fd, 0, 0, 0, 0, 0]), Ok(0));
        sandbox.close(fd);
    }
    assert!(host.borrow().peak < 1200, "{}", host.borrow().peak);
}

#[test]
fn two_names_and_two_opens_are_one_file_with_one_content() {
    let (sandbox, host) = with(|host| {
        host.file("f", &bytes(20 * KIB));
    });
    let one = sandbox.open("/b/f", O_RDWR).unwrap();
    assert_eq!(sandbox.read(one), Ok(([0; 1], 1)));
    assert_eq!(sandbox.with_paths(nr64::LINK, ["/b/f", "/b/g"]), Ok(0));
    let two = sandbox.open("/b/g", O_RDWR).unwrap();
    let number = sandbox.stat("/b/g").unwrap().st_ino;
    assert_eq!(sandbox.stat("/b/f").unwrap().st_ino, number);
    sandbox.store(BUFFER, b"from two");
    assert_eq!(sandbox.call(nr64::PWRITE64, [two, BUFFER, 8, 4092, 0, 0]), Ok(8));
    assert_eq!(sandbox.call(nr64::PREAD64, [one, BUFFER + 100, 8, 4092, 0, 0]), Ok(8));
    assert_eq!(sandbox.load(BUFFER + 100), *b"from two");
    // A mapping sees it, and what others do on the host is seen when it is opened again.
    let at = sandbox.call(nr64::MMAP, [0, 8192, PROT_READ, MAP_SHARED, one, 0]).unwrap();
    assert_eq!(sandbox.load(at + 4092), *b"from two");
    sandbox.store(BUFFER, b"once more");
    assert_eq!(sandbox.call(nr64::PWRITE64, [two, BUFFER, 9, 4092, 0, 0]), Ok(9));
    assert_eq!(sandbox.load(at + 4092), *b"once more");
    assert_eq!(sandbox.call(nr64::MUNMAP, [at, 8192, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.stat("/b/f").unwrap().st_nlink, 2);
    assert_eq!(sandbox.with_path(nr64::CHMOD, "/b/f", [0o600]), Ok(0));
    assert_eq!(sandbox.stat("/b/g").unwrap().st_mode, 0o100_600);
    assert!(host.borrow_mut().asked().contains(&"change"));
}

#[test]
fn what_others_write_meanwhile_is_read_though_we_write_too() {
    let (sandbox, host) = with(|host| {
        host.file("f", b"0123456789");
    });
    let fd = sandbox.open("/b/f", O_RDWR).unwrap();
    assert_eq!(sandbox.read(fd), Ok((*b"01234", 5)));
    host.borrow_mut().files[1].what = What::File(b"ABCDEFGHIJ".to_vec());
    host.borrow_mut().files[1].status.mtime = 77;
    sandbox.store(BUFFER, b"x");
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 1, 1, 0, 0]), Ok(1));
    assert_eq!(sandbox.read(fd), Ok((*b"FGHIJ", 5)));
    assert_eq!(sandbox.bytes_of("/b/f", 20), Ok(b"AxCDEFGHIJ".to_vec()));
}

#[test]
fn where_a_file_has_holes_the_host_says_as_long_as_all_of_it_is_there() {
    const DATA: u64 = 3;
    const HOLE: u64 = 4;
    let mut all = vec![1; 12 * KIB as usize];
    all[4096..8192].fill(0);
    for (path, access) in [("/b", WRITTEN), ("/b", SHARED), ("/", MOUNT_IN_MEMORY)] {
        let (sandbox, host) = sandbox(&[(path, access, "")], |host| {
            host.file("f", &all);
            host.file("b/f", &all);
        });
        let fd = sandbox.open("/b/f", O_RDONLY).unwrap();
        let seek = |from, whence| sandbox.call(nr64::LSEEK, [fd, from, whence, 0, 0, 0]);
        assert_eq!((seek(0, DATA), seek(5, HOLE)), (Ok(0), Ok(4096)), "{path}");
        assert_eq!((seek(5000, HOLE), seek(5000, DATA)), (Ok(5000), Ok(8192)));
        assert_eq!((seek(9000, HOLE), seek(0, 1)), (Ok(12 * KIB), Ok(12 * KIB)));
        assert_eq!(
            (seek(12 * KIB, HOLE), seek(1 << 40, DATA)),
            (Err(Errno::ENXIO), Err(Errno::ENXIO))
        );
        assert!(host.borrow_mut().asked().contains(&"find"));
        host.borrow_mut().fails.insert("find", Errno::EIO);
        assert_eq!(seek(0, DATA), Err(Errno::EIO));
        host.borrow_mut().fails.clear();
        if access == MOUNT_IN_MEMORY {
            // What is here is data, and so is all that is below.
            let fd = sandbox.open("/b/f", O_RDWR).unwrap();
            assert_eq!(sandbox.write(fd, b"x"), Ok(1));
            assert_eq!((seek(5000, DATA), seek(0, HOLE)), (Ok(5000), Ok(12 * KIB)));
        }
    }
}

#[test]
fn what_changes_nothing_is_asked_of_the_host_all_the_same() {
    let (sandbox, host) = with(|host| {
        host.file("empty", b"");
    });
    let none = u64::from(u32::MAX);
    sandbox.stat("/b/empty").unwrap();
    host.borrow_mut().asked();
    assert_eq!(sandbox.with_path(nr64::CHOWN, "/b/empty", [none, none]), Ok(0));
    assert_eq!(host.borrow_mut().asked(), ["walk", "change"]);
    let stat = sandbox.stat("/b/empty").unwrap();
    assert_eq!((stat.st_uid, stat.st_gid), (5, 0));
    let fd = sandbox.open("/b/empty", O_TRUNC | O_WRONLY).unwrap();
    assert!(host.borrow_mut().asked().contains(&"change"));
    sandbox.close(fd);
}

#[test]
fn a_full_disk_is_enospc_and_what_was_written_before_is_there() {
    let (sandbox, host) = with(|host| host.room = Some(10));
    let fd = sandbox.open("/b/f", O_CREAT | O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"more than there is"), Ok(10));
    assert_eq!(sandbox.write(fd, b"more"), Err(Errno::ENOSPC));
    assert_eq!(host.borrow().content("f"), b"more than ");
    for (name, error) in [("put", Errno::EIO), ("put", Errno::EDQUOT)] {
        host.borrow_mut().fails.insert(name, error);
        assert_eq!(sandbox.write(fd, b"x"), Err(error));
    }
    host.borrow_mut().fails.clear();
    for (name, error) in [("make", Errno::ENOSPC), ("make", Errno::EROFS), ("make", Errno::EACCES)]
    {
        host.borrow_mut().fails.insert(name, error);
        assert_eq!(sandbox.open("/b/g", O_CREAT | O_RDWR), Err(error));
        assert_eq!(sandbox.with_path(nr64::MKDIR, "/b/g", [0o755]), Err(error));
    }
    assert_eq!(sandbox.stat("/b/f").unwrap().st_size, 10);
}

#[test]
fn bytes_go_from_file_to_file_and_from_memory_that_has_to_be_brought() {
    let all = bytes(70 * KIB);
    let (sandbox, host) = with(|host| {
        host.file("from", &all);
    });
    let from = sandbox.open("/b/from", O_RDONLY).unwrap();
    let to = sandbox.open("/b/to", O_CREAT | O_RDWR).unwrap();
    assert_eq!(sandbox.call(nr64::SENDFILE, [to, from, 0, 70 * KIB, 0, 0]), Ok(70 * KIB));
    assert!(host.borrow().content("to") == all);
    let at = sandbox.call(nr64::MMAP, [0, 80 * KIB, PROT_READ, MAP_PRIVATE, from, 0]).unwrap();
    assert_eq!(sandbox.call(nr64::PWRITE64, [to, at, 70 * KIB, 5, 0, 0]), Ok(70 * KIB));
    assert!(host.borrow().content("to")[5..] == all);
    assert_eq!(sandbox.call(nr64::PWRITE64, [to, 0x10, 5, 0, 0, 0]), Err(Errno::EFAULT));
    let mut expected = all[..5].to_vec();
    expected.extend(&all);
    assert!(sandbox.bytes_of("/b/to", 5000).unwrap() == expected);
    assert_eq!(sandbox.call(nr64::FALLOCATE, [to, 0, 0, 80 * KIB, 0, 0]), Ok(0));
    assert_eq!(sandbox.stat("/b/to").unwrap().st_size, 80 * KIB as i64);
}

#[test]
fn bytes_from_file_to_file_take_a_request_for_all_that_lies_together() {
    const MIB: u64 = 1 << 20;
    let all = bytes(2 * MIB + 5);
    let (sandbox, host) = with(|host| {
        host.file("from", &all);
    });
    let asked =
        |name: &str| host.borrow_mut().asked().iter().filter(|&&asked| asked == name).count();
    let open = |path, flags| sandbox.open(path, flags).unwrap();
    let from = open("/b/from", O_RDONLY);
    let to = open("/b/to", O_CREAT | O_RDWR);
    let free = FRAMES.lock().available();
    assert_eq!(sandbox.call(nr64::COPY_FILE_RANGE, [from, 0, to, 0, 9 * MIB, 0]), Ok(2 * MIB + 5));
    let asked_for = asked("put");
    assert!(asked_for <= 5, "{asked_for} requests");
    assert!(host.borrow().content("to") == all);
    assert!(free - FRAMES.lock().available() < 40, "what goes by is not kept");
    assert_eq!(sandbox.call(nr64::LSEEK, [to, 0, 1, 0, 0, 0]), Ok(2 * MIB + 5));
    // What is mapped of the file that is written is as it is there, whatever came from where.
    let at = sandbox.call(nr64::MMAP, [0, MIB, PROT_READ, MAP_SHARED, to, 0]).unwrap();
    assert_eq!(sandbox.load(at + 5001), [all[5001], all[5002]]);
    sandbox.store(BUFFER, &3u64.to_le_bytes());
    sandbox.store(BUFFER + 8, &5000u64.to_le_bytes());
    let offsets = [from, BUFFER, to, BUFFER + 8, 100_000, 0];
    assert_eq!(sandbox.call(nr64::COPY_FILE_RANGE, offsets), Ok(100_000));
    let mut expected = all.clone();
    expected.copy_within(3..100_003, 5000);
    assert!(
        host.borrow().content("to")
            == expected
                .iter()
                .enumerate()
                .map(|(at, byte)| {
                    if (5000..105_000).contains(&at) { all[at - 5000 + 3] } else { *byte }
                })
                .collect::<Vec<_>>()
    );
    for at_byte in [4999, 5000, 8191, 8192, 60_000, 104_999, 105_000] {
        assert_eq!(sandbox.load(at + at_byte), [host.borrow().content("to")[at_byte as usize]]);
    }
    // Out of memory, and what is nowhere.
    sandbox.file("/tmp/f", &all[..3000]);
    let memory = open("/tmp/f", O_RDWR);
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [memory, 300 * KIB, 0, 0, 0, 0]), Ok(0));
    asked("put");
    let to = open("/b/to", O_TRUNC | O_RDWR);
    assert_eq!(sandbox.call(nr64::SENDFILE, [to, memory, 0, 400 * KIB, 0, 0]), Ok(300 * KIB));
    let mut expected = all[..3000].to_vec();
    expected.resize(300 * KIB as usize, 0);
    assert!(host.borrow().content("to") == expected);
    // The first error, or what came before.
    host.borrow_mut().room = Some(10);
    assert_eq!(sandbox.call(nr64::LSEEK, [memory, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::SENDFILE, [to, memory, 0, 100, 0, 0]), Ok(10));
    assert_eq!(sandbox.call(nr64::SENDFILE, [to, memory, 0, 100, 0, 0]), Err(Errno::ENOSPC));
}

#[test]
fn a_file_that_nobody_writes_any_more_is_closed_on_the_host_with_the_next_request() {
    let (sandbox, host) = with(|host| {
        host.file("f", b"content");
    });
    let written = || host.borrow().written();
    // Whatever request that is; getpid(2) is none.
    let ask = || {
        let written = sandbox.call(nr64::WRITE, [1, BUFFER, 1, 0, 0, 0]);
        assert_eq!(written, Err(Errno::ENOSYS), "a request of another kind");
        host.borrow_mut().asked.clear();
    };
    for (path, flags) in [("/b/new", O_CREAT | O_WRONLY), ("/b/f", O_RDWR), ("/b/f", O_WRONLY)] {
        let one = sandbox.open(path, flags).unwrap();
        let two = sandbox.open(path, O_WRONLY).unwrap();
        let reads = sandbox.open(path, O_RDONLY).unwrap();
        assert_eq!(sandbox.call(nr64::PWRITE64, [one, BUFFER, 1, 0, 0, 0]), Ok(1));
        sandbox.close(one);
        ask();
        assert_eq!(written(), 1, "{path}: one has it open");
        let again = sandbox.call(nr64::DUP, [two, 0, 0, 0, 0, 0]).unwrap();
        sandbox.close(two);
        ask();
        assert_eq!(written(), 1, "{path}: the same");
        sandbox.close(again);
        assert_eq!(written(), 1, "{path}: it takes no request of its own");
        ask();
        assert_eq!(written(), 0, "{path}");
        assert_eq!(sandbox.call(nr64::PREAD64, [reads, BUFFER, 1, 0, 0, 0]), Ok(1));
        sandbox.close(reads);
    }
    // What writes a file that nobody has open, and what only makes one.
    assert_eq!(sandbox.with_path(nr64::TRUNCATE, "/b/f", [3]), Ok(0));
    assert_eq!(sandbox.with_path(nr64::MKNOD, "/b/made", [0o100_644, 0]), Ok(0));
    ask();
    assert_eq!(written(), 0);
    // A mapping has it open for writing, whoever else has closed it.
    let fd = sandbox.open("/b/f", O_RDWR).unwrap();
    let rw = PROT_READ | PROT_WRITE;
    let at = sandbox.call(nr64::MMAP, [0, 4096, rw, MAP_SHARED, fd, 0]).unwrap();
    sandbox.close(fd);
    sandbox.store(at, b"s");
    ask();
    assert_eq!(written(), 1);
    assert_eq!(sandbox.call(nr64::MUNMAP, [at, 4096, 0, 0, 0, 0]), Ok(0));
    ask();
    assert_eq!((written(), host.borrow().content("f")[0]), (0, b's'));
    // One that has lost its name is gone with who had it.
    let before = host.borrow().handles.len();
    let fd = sandbox.open("/b/gone", O_CREAT | O_RDWR).unwrap();
    sandbox.with_path(nr64::UNLINK, "/b/gone", []).unwrap();
    assert_eq!(sandbox.write(fd, b"x"), Ok(1));
    ask();
    assert_eq!(written(), 1);
    sandbox.close(fd);
    ask();
    assert_eq!((written(), host.borrow().handles.len()), (0, before));
    // A failed open keeps nothing.
    host.borrow_mut().fails.insert("open", Errno::EACCES);
    assert_eq!(sandbox.open("/b/made", O_WRONLY), Err(Errno::EACCES));
    host.borrow_mut().fails.clear();
    // More at once than the list has room for: a process that ends.
    for number in 0..40 {
        sandbox.open(&format!("/b/many{number}"), O_CREAT | O_WRONLY).unwrap();
    }
    assert_eq!(written(), 40);
    sandbox.call(nr64::CLOSE_RANGE, [3, 1000, 0, 0, 0, 0]).unwrap();
    ask();
    assert_eq!(written(), 0);
}

#[test]
fn what_is_stored_in_a_shared_mapping_goes_back_when_it_is_time() {
    let (sandbox, host) = with(|host| {
        host.file("f", &bytes(30 * KIB));
    });
    let puts = || host.borrow_mut().asked().iter().filter(|&&name| name == "put").count();
    let fd = sandbox.open("/b/f", O_RDWR).unwrap();
    let rw = PROT_READ | PROT_WRITE;
    let map = || sandbox.call(nr64::MMAP, [0, 32 * KIB, rw, MAP_SHARED, fd, 0]).unwrap();
    let at = map();
    sandbox.store(at + 5000, b"stored");
    sandbox.store(at + 9000, b"and");
    assert_eq!(sandbox.load(at + 20_000), [bytes(30 * KIB)[20_000]]);
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, BUFFER, 6, 5000, 0, 0]), Ok(6));
    assert_eq!(sandbox.load(BUFFER), *b"stored");
    assert_ne!(host.borrow().content("f")[5000..5006], *b"stored");
    // All that is not as it was, once.
    assert_eq!(puts(), 0);
    assert_eq!(sandbox.call(nr64::MSYNC, [at, 32 * KIB, 4, 0, 0, 0]), Ok(0));
    let mut expected = bytes(30 * KIB);
    expected[5000..5006].copy_from_slice(b"stored");
    expected[9000..9003].copy_from_slice(b"and");
    assert!(host.borrow().content("f") == expected);
    assert_eq!(puts(), 1);
    assert_eq!(sandbox.call(nr64::MSYNC, [at, 32 * KIB, 4, 0, 0, 0]), Ok(0));
    assert_eq!(puts(), 0);
    // Behind the end is nothing.
    sandbox.store(at + 30 * KIB + 1, b"behind");
    sandbox.store(at + 100, b"x");
    expected[100] = b'x';
    assert_eq!(sandbox.call(nr64::FSYNC, [fd, 0, 0, 0, 0, 0]), Ok(0));
    assert!(host.borrow().content("f") == expected);
    // A disk that is full is told, and the bytes are not lost.
    sandbox.store(at, b"y");
    expected[0] = b'y';
    host.borrow_mut().fails.insert("put", Errno::ENOSPC);
    assert_eq!(sandbox.call(nr64::MSYNC, [at, 32 * KIB, 4, 0, 0, 0]), Err(Errno::ENOSPC));
    host.borrow_mut().fails.clear();
    sandbox.store(at + 1, b"z");
    expected[1] = b'z';
    assert_eq!(sandbox.call(nr64::MUNMAP, [at, 32 * KIB, 0, 0, 0, 0]), Ok(0));
    assert!(host.borrow().content("f") == expected, "when it is mapped no longer");
    let at = map();
    sandbox.store(at + 2, b"w");
    expected[2] = b'w';
    sandbox.close(fd);
    sandbox.last_call(nr64::EXIT_GROUP, [0; 6]);
    assert!(host.borrow().content("f") == expected, "when the program ends");
}
