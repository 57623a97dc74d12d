//! open(2) and its flags.

use super::*;
use trapgate_uapi::fcntl::{
    F_GETFD, F_GETFL, O_APPEND, O_CLOEXEC, O_EXCL, O_NOFOLLOW, O_PATH, O_TMPFILE, O_TRUNC, O_WRONLY,
};

#[test]
fn the_lowest_descriptor_that_is_free() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.open("/tmp", O_RDONLY), Ok(3));
    assert_eq!(sandbox.open("/tmp", O_RDONLY | O_CLOEXEC), Ok(4));
    sandbox.close(3);
    assert_eq!(sandbox.open("/dev/null", O_RDWR), Ok(3));
    let fcntl = |fd, command: u32| sandbox.call(nr64::FCNTL, [fd, command.into(), 0, 0, 0, 0]);
    assert_eq!((fcntl(3, F_GETFD), fcntl(4, F_GETFD)), (Ok(0), Ok(1)));
    assert_eq!(fcntl(3, F_GETFL), Ok(0o100002));
}

#[test]
fn flags_and_what_is_there() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abc");
    let cases: &[(&str, u32, Errno)] = &[
        ("/tmp/none", O_RDONLY, Errno::ENOENT),
        ("/tmp/none/", O_CREAT, Errno::EISDIR),
        ("/none/none", O_CREAT, Errno::ENOENT),
        ("/tmp/file", O_CREAT | O_EXCL, Errno::EEXIST),
        ("/tmp/file", O_DIRECTORY, Errno::ENOTDIR),
        ("/tmp/file/", O_RDONLY, Errno::ENOTDIR),
        ("/tmp/file/x", O_CREAT, Errno::ENOTDIR),
        ("/tmp", O_WRONLY, Errno::EISDIR),
        ("/tmp", O_RDWR, Errno::EISDIR),
        ("/tmp", O_TRUNC, Errno::EISDIR),
        ("/tmp", O_CREAT, Errno::EISDIR),
        ("/tmp/", O_CREAT, Errno::EISDIR),
        ("/tmp/.", O_CREAT, Errno::EISDIR),
        ("/", O_CREAT | O_EXCL, Errno::EEXIST),
        ("/tmp/new", O_CREAT | O_DIRECTORY, Errno::EINVAL),
        ("/tmp", O_TMPFILE, Errno::EINVAL),
        ("/tmp/file", O_TMPFILE | O_RDWR, Errno::ENOTDIR),
    ];
    for &(path, flags, error) in cases {
        assert_eq!(sandbox.open(path, flags), Err(error), "{path} {flags:o}");
    }
    for (path, flags) in [("/tmp", O_DIRECTORY), ("/tmp/", O_RDONLY), ("/tmp/file", O_NOFOLLOW)] {
        assert!(sandbox.open(path, flags).is_ok(), "{path} {flags:o}");
    }
}

#[test]
fn a_new_file_has_the_callers_permissions_less_umask() {
    let sandbox = Sandbox::new();
    sandbox.call(nr64::UMASK, [0o027, 0, 0, 0, 0, 0]).unwrap();
    sandbox.with_path(nr64::OPEN, "/tmp/file", [O_CREAT.into(), 0o4777]).unwrap();
    let stat = sandbox.stat("/tmp/file").unwrap();
    assert_eq!((stat.st_mode, stat.st_nlink, stat.st_size), (0o104750, 1, 0));
}

#[test]
fn truncation_and_appending() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abcdef");
    let fd = sandbox.open("/tmp/file", O_WRONLY | O_APPEND).unwrap();
    assert_eq!(sandbox.write(fd, b"gh"), Ok(2));
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 0, 1, 0, 0, 0]), Ok(8));
    assert_eq!(sandbox.stat("/tmp/file").unwrap().st_size, 8);
    let fd = sandbox.open("/tmp/file", O_RDWR | O_TRUNC).unwrap();
    assert_eq!(sandbox.stat("/tmp/file").unwrap().st_size, 0);
    assert_eq!(sandbox.read::<4>(fd).map(|(_, got)| got), Ok(0));
}

#[test]
fn a_file_without_a_name_and_a_place_without_a_file() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp", O_TMPFILE | O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"abc"), Ok(3));
    assert_eq!(sandbox.call(nr64::FSTAT, [fd, BUFFER, 0, 0, 0, 0]), Ok(0));
    let stat: Stat = sandbox.structure(BUFFER);
    assert_eq!((stat.st_nlink, stat.st_size), (0, 3));
    sandbox.file("/tmp/file", b"abc");
    let place = sandbox.open("/tmp/file", O_PATH | O_RDWR).unwrap();
    for number in [nr64::READ, nr64::WRITE] {
        assert_eq!(sandbox.call(number, [place, BUFFER, 1, 0, 0, 0]), Err(Errno::EBADF));
    }
    for number in [nr64::LSEEK, nr64::FTRUNCATE, nr64::FSYNC] {
        assert_eq!(sandbox.call(number, [place, 0, 0, 0, 0, 0]), Err(Errno::EBADF));
    }
    assert_eq!(sandbox.call(nr64::FSTAT, [place, BUFFER, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.structure::<Stat>(BUFFER).st_size, 3);
}

#[test]
fn devices_read_and_write_as_they_should() {
    let sandbox = Sandbox::new();
    let open = |path: &str| sandbox.open(path, O_RDWR).unwrap();
    let [null, zero, full] = ["/dev/null", "/dev/zero", "/dev/full"].map(open);
    assert_eq!(sandbox.write(null, b"abc"), Ok(3));
    assert_eq!(sandbox.read::<3>(null), Ok((*b"abc", 0)));
    assert_eq!(sandbox.read::<3>(zero), Ok((*b"\0\0\0", 3)));
    assert_eq!(sandbox.write(full, b"abc"), Err(Errno::ENOSPC));
    assert_eq!(sandbox.read::<3>(full), Ok((*b"\0\0\0", 3)));
}
