//! Permissions, owners and times.

use super::*;
use trapgate_uapi::fcntl::AT_FDCWD;
use trapgate_uapi::stat::{UTIME_NOW, UTIME_OMIT};

#[test]
fn permissions_and_owners_are_what_was_set() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"");
    let chmod = |mode| sandbox.with_path(nr64::CHMOD, "/tmp/file", [mode]);
    let chown = |uid, gid| sandbox.with_path(nr64::CHOWN, "/tmp/file", [uid, gid]);
    let stat = || sandbox.stat("/tmp/file").unwrap();
    assert_eq!((chmod(0o106755), stat().st_mode), (Ok(0), 0o106755));
    let minus_one = u32::MAX.into();
    assert_eq!(chown(5, minus_one), Ok(0));
    assert_eq!((stat().st_uid, stat().st_gid, stat().st_mode), (5, 0, 0o100755));
    assert_eq!(chown(minus_one, 70_000), Ok(0));
    assert_eq!((stat().st_uid, stat().st_gid), (5, 70_000));
    let missing = sandbox.with_path(nr64::CHMOD, "/tmp/none", [0o600]);
    assert_eq!(missing, Err(Errno::ENOENT));
    // Who may do everything still cannot execute what nobody can.
    chmod(0o644).unwrap();
    let access = |mode: u64| sandbox.with_path(nr64::ACCESS, "/tmp/file", [mode]);
    assert_eq!((access(6), access(1), access(8)), (Ok(0), Err(Errno::EACCES), Err(Errno::EINVAL)));
}

#[test]
fn times_are_set_kept_or_now() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"");
    let set = |times: [i64; 4]| {
        sandbox.store(BUFFER + 512, times.map(i64::to_le_bytes).as_flattened());
        let path = sandbox.at(PATHS[0], "/tmp/file");
        let directory = AT_FDCWD as u64;
        sandbox.call(nr64::UTIMENSAT, [directory, path, BUFFER + 512, 0, 0, 0])
    };
    let times = || {
        let stat = sandbox.stat("/tmp/file").unwrap();
        [stat.st_atime, stat.st_atime_nsec, stat.st_mtime, stat.st_mtime_nsec].map(|t| t as i64)
    };
    assert_eq!((set([-5, 6, 1 << 40, 8]), times()), (Ok(0), [-5, 6, 1 << 40, 8]));
    assert_eq!((set([9, 10, 0, UTIME_OMIT]), times()), (Ok(0), [9, 10, 1 << 40, 8]));
    assert_eq!(set([0, UTIME_OMIT, 0, UTIME_NOW]), Ok(0));
    assert_eq!(times()[..2], [9, 10]);
    assert_ne!(times()[2], 1 << 40);
    assert_eq!(set([0, -1, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(set([0, 1_000_000_000, 0, 0]), Err(Errno::EINVAL));
}
