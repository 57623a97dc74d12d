//! From a path to a file.

use super::*;
use trapgate_uapi::fs::{NAME_MAX, PATH_MAX};

#[test]
fn the_default_root_has_its_directories_and_devices() {
    let sandbox = Sandbox::new();
    for (path, mode) in [
        ("/", 0o40755),
        ("/tmp", 0o41777),
        ("/proc", 0o40555),
        ("/sys", 0o40555),
        ("/dev/shm", 0o41777),
        ("/dev/null", 0o20666),
    ] {
        assert_eq!(sandbox.stat(path).map(|stat| stat.st_mode), Ok(mode), "{path}");
    }
    let device = |path| sandbox.stat(path).unwrap().st_dev;
    assert!(device("/") != device("/tmp") && device("/dev") != device("/dev/shm"));
    assert_eq!(sandbox.stat("/dev/zero").unwrap().st_rdev, 0x105);
}

#[test]
fn dots_slashes_and_what_is_no_directory() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abc");
    for path in ["/tmp/file", "//tmp//.//file", "/tmp/../tmp/file", "/../../tmp/file"] {
        assert_eq!(sandbox.stat(path).map(|stat| stat.st_size), Ok(3), "{path}");
    }
    for (path, error) in [
        ("", Errno::ENOENT),
        ("/tmp/file/", Errno::ENOTDIR),
        ("/tmp/file/.", Errno::ENOTDIR),
        ("/tmp/file/..", Errno::ENOTDIR),
        ("/tmp/file/x", Errno::ENOTDIR),
        ("/tmp/none", Errno::ENOENT),
        ("/tmp/none/", Errno::ENOENT),
        ("/tmp/none/..", Errno::ENOENT),
    ] {
        assert_eq!(sandbox.stat(path).err(), Some(error), "{path}");
    }
}

#[test]
fn names_of_255_bytes_and_paths_of_4095_are_the_longest() {
    let sandbox = Sandbox::new();
    let name = "n".repeat(NAME_MAX);
    sandbox.file(&format!("/tmp/{name}"), b"x");
    assert!(sandbox.stat(&format!("/tmp/{name}")).is_ok());
    let error = |path: &str| sandbox.stat(path).err();
    assert_eq!(error(&format!("/tmp/{name}n")), Some(Errno::ENAMETOOLONG));
    assert_eq!(error(&format!("/tmp/{name}n/x")), Some(Errno::ENAMETOOLONG));
    let longest = format!("{}tmp", "/".repeat(PATH_MAX - 4));
    assert_eq!(error(&longest), None);
    assert_eq!(error(&format!("/{longest}")), Some(Errno::ENAMETOOLONG));
}

#[test]
fn relative_paths_begin_in_the_working_directory_or_at_a_descriptor() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abc");
    assert_eq!(sandbox.stat("file").err(), Some(Errno::ENOENT));
    assert_eq!(sandbox.with_path(nr64::CHDIR, "/tmp", []), Ok(0));
    assert!(sandbox.stat("file").is_ok());
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 100, 0, 0, 0, 0]), Ok(5));
    assert_eq!(sandbox.load(BUFFER), *b"/tmp\0");
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 4, 0, 0, 0, 0]), Err(Errno::ERANGE));
    let dev = sandbox.open_directory("/dev");
    let path = sandbox.at(PATHS[0], "null");
    let at =
        |fd: u64, path: u64, flags| sandbox.call(nr64::NEWFSTATAT, [fd, path, BUFFER, flags, 0, 0]);
    assert_eq!(at(dev, path, 0), Ok(0));
    assert_eq!(at(99, path, 0), Err(Errno::EBADF));
    assert_eq!(at(0, path, 0), Err(Errno::ENOTDIR));
    let absolute = sandbox.at(PATHS[1], "/tmp/file");
    assert_eq!(at(99, absolute, 0), Ok(0));
    let empty = sandbox.at(PATHS[1], "");
    assert_eq!(at(dev, empty, 0), Err(Errno::ENOENT));
    assert_eq!(at(dev, empty, 0x1000), Ok(0));
    assert_eq!(sandbox.structure::<Stat>(BUFFER).st_mode, 0o40755);
    assert_eq!(sandbox.call(nr64::FCHDIR, [dev, 0, 0, 0, 0, 0]), Ok(0));
    assert!(sandbox.stat("null").is_ok());
    assert_eq!(sandbox.with_path(nr64::CHDIR, "null", []), Err(Errno::ENOTDIR));
}

#[test]
fn nothing_leads_out_of_a_changed_root() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abc");
    assert_eq!(sandbox.with_path(nr64::CHROOT, "/tmp", []), Ok(0));
    assert!(sandbox.stat("/file").is_ok() && sandbox.stat("/../../file").is_ok());
    assert_eq!(sandbox.stat("/tmp").err(), Some(Errno::ENOENT));
    // The working directory is outside.
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 100, 0, 0, 0, 0]), Ok(15));
    assert_eq!(sandbox.load(BUFFER), *b"(unreachable)/\0");
    assert!(sandbox.stat("tmp/file").is_ok());
}
