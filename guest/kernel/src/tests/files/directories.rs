//! Directories, listed.

use super::*;
use crate::tests::boot_info;
use trapgate_abi::boot_info::{BootInfo, Range, User};
use trapgate_arch::phys;

/// The names that getdents64(2) gives, a call at a time, with at most so many bytes.
pub(super) fn list(sandbox: &Sandbox, fd: u64, size: u64) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let got = sandbox.call(nr64::GETDENTS64, [fd, BUFFER, size, 0, 0, 0]).unwrap();
        let mut at = 0;
        while at < got {
            let length = u16::from_le_bytes(sandbox.load(BUFFER + at + 16));
            let bytes =
                (19..u64::from(length)).map(|byte| sandbox.load::<1>(BUFFER + at + byte)[0]);
            let name: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
            names.push(String::from_utf8(name).unwrap());
            at += u64::from(length);
        }
        if got == 0 {
            return names;
        }
    }
}

#[test]
fn a_directory_lists_its_names_in_any_portions() {
    let sandbox = Sandbox::new();
    let expected: Vec<String> = (0..100).map(|number| format!("file{number}")).collect();
    for name in &expected {
        sandbox.file(&format!("/tmp/{name}"), b"");
    }
    for size in [32, 100, 2000, 30000] {
        let fd = sandbox.open_directory("/tmp");
        let names = list(&sandbox, fd, size);
        assert_eq!(names[..2], [".", ".."]);
        assert_eq!(names[2..], expected, "{size}");
        sandbox.close(fd);
    }
    let fd = sandbox.open_directory("/tmp");
    assert_eq!(sandbox.call(nr64::GETDENTS64, [fd, BUFFER, 20, 0, 0, 0]), Err(Errno::EINVAL));
    sandbox.file("/tmp/x", b"");
    let file = sandbox.open("/tmp/x", O_RDONLY).unwrap();
    assert_eq!(sandbox.call(nr64::GETDENTS64, [file, BUFFER, 99, 0, 0, 0]), Err(Errno::ENOTDIR));
    assert_eq!(sandbox.read::<1>(fd).err(), Some(Errno::EISDIR));
}

/// Where the VMM has put the path of the working directory.
const PATH: u64 = 0x9_8000;

/// A sandbox that begins in this directory, as this user.
fn begun_in(directory: &[u8], user: User) -> Sandbox {
    let end = PATH + directory.len() as u64;
    let directory_at = Range { start: PATH, end };
    let sandbox = Sandbox::boot(BootInfo { directory: directory_at, user, ..boot_info() });
    phys::write(PATH, directory);
    sandbox
}

fn working_directory(sandbox: &Sandbox) -> String {
    let length = sandbox.call(nr64::GETCWD, [BUFFER, 4096, 0, 0, 0, 0]).unwrap();
    let bytes: Vec<u8> = (0..length - 1).map(|at| sandbox.load::<1>(BUFFER + at)[0]).collect();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_program_begins_in_its_directory_which_is_made_where_it_is_missing() {
    for (given, path) in [
        ("/tmp", "/tmp"),
        ("/a//b/", "/a/b"),
        ("a", "/a"),
        ("/", "/"),
        ("/dev/../tmp/./c", "/tmp/c"),
    ] {
        assert_eq!(working_directory(&begun_in(given.as_bytes(), User::ROOT)), path, "{given}");
    }
    let sandbox = begun_in(b"/srv/data", User::ROOT);
    sandbox.file("file", b"1");
    let stat = sandbox.stat("/srv/data").unwrap();
    assert_eq!((stat.st_mode & 0o777, stat.st_uid), (0o755, 0));
    assert_eq!(sandbox.stat("/srv/data/file").unwrap().st_size, 1);
    // There is one machine at a time.
    drop(sandbox);
    // What cannot be one is no directory for anything.
    let sandbox = begun_in(b"/dev/null", User::ROOT);
    assert_eq!(sandbox.open("/tmp", O_RDONLY), Err(Errno::ENOTDIR));
}

#[test]
fn a_program_begins_as_the_user_that_it_is_to_be() {
    let user = User { user: 33, group: 44, group_count: 2, ..User::ROOT };
    let mut groups = user.groups;
    groups[..2].copy_from_slice(&[7, 8]);
    let sandbox = begun_in(b"", User { groups, ..user });
    let number = |call: u32| sandbox.call(call, [0; 6]);
    for (call, expected) in
        [(nr64::GETUID, 33), (nr64::GETEUID, 33), (nr64::GETGID, 44), (nr64::GETEGID, 44)]
    {
        assert_eq!(number(call), Ok(expected));
    }
    assert_eq!(sandbox.call(nr64::GETGROUPS, [3, BUFFER, 0, 0, 0, 0]), Ok(3));
    let words: [u8; 12] = sandbox.load(BUFFER);
    assert_eq!(words.map(u64::from)[..12], [44, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0]);
    // The root's directory is root's; /tmp is everybody's.
    assert_eq!(sandbox.open("/file", O_CREAT | O_RDWR), Err(Errno::EACCES));
    sandbox.file("/tmp/file", b"1");
    let stat = sandbox.stat("/tmp/file").unwrap();
    assert_eq!((stat.st_uid, stat.st_gid), (33, 44));
    assert_eq!(sandbox.call(nr64::SETUID, [0; 6]), Err(Errno::EPERM));
}
