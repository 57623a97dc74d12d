//! Locks on files.

use super::*;
use trapgate_uapi::fcntl::{
    F_GETLK, F_OFD_SETLK, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, Flock, LOCK_EX, LOCK_NB, LOCK_SH,
    LOCK_UN,
};
use zerocopy::IntoBytes;

fn opened(sandbox: &Sandbox) -> [u64; 2] {
    sandbox.file("/tmp/file", b"abc");
    [0, 1].map(|_| sandbox.open("/tmp/file", O_RDWR).unwrap())
}

#[test]
fn flock_is_between_open_files_and_goes_with_them() {
    let sandbox = Sandbox::new();
    let [one, other] = opened(&sandbox);
    let flock = |fd, operation: u32| {
        sandbox.call(nr64::FLOCK, [fd, (operation | LOCK_NB).into(), 0, 0, 0, 0])
    };
    assert_eq!(flock(one, LOCK_SH), Ok(0));
    assert_eq!(flock(other, LOCK_SH), Ok(0));
    assert_eq!(flock(one, LOCK_EX), Err(Errno::EAGAIN));
    assert_eq!(flock(other, LOCK_UN), Ok(0));
    assert_eq!(flock(one, LOCK_EX), Ok(0));
    let copy = sandbox.call(nr64::DUP, [one, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(flock(copy, LOCK_EX), Ok(0), "it is the same open file");
    sandbox.close(one);
    assert_eq!(flock(other, LOCK_SH), Err(Errno::EAGAIN));
    sandbox.close(copy);
    assert_eq!(flock(other, LOCK_EX), Ok(0));
    assert_eq!(flock(other, 9), Err(Errno::EINVAL));
}

#[test]
fn a_processs_locks_go_with_any_descriptor_and_an_open_files_do_not() {
    let sandbox = Sandbox::new();
    let [one, other] = opened(&sandbox);
    let control = |fd, command: u32, kind, start, length| {
        let lock = Flock { l_type: kind, l_start: start, l_len: length, ..Flock::default() };
        sandbox.store(BUFFER, lock.as_bytes());
        sandbox.call(nr64::FCNTL, [fd, command.into(), BUFFER, 0, 0, 0])?;
        let lock: Flock = sandbox.structure(BUFFER);
        Ok((lock.l_type, lock.l_start, lock.l_len, lock.l_pid))
    };
    assert!(control(one, F_SETLK, F_WRLCK, 10, 10).is_ok());
    assert!(control(other, F_SETLK, F_WRLCK, 10, 10).is_ok(), "the same process");
    assert_eq!(control(other, F_GETLK, F_WRLCK, 0, 0), Ok((F_UNLCK, 0, 0, 0)));
    assert_eq!(control(other, F_OFD_SETLK, F_RDLCK, 0, 0), Err(Errno::EAGAIN));
    assert!(control(other, F_OFD_SETLK, F_RDLCK, 20, 0).is_ok());
    assert_eq!(control(one, F_GETLK, F_WRLCK, 0, 0), Ok((F_RDLCK, 20, 0, -1)));
    let third = sandbox.open("/tmp/file", O_RDWR).unwrap();
    sandbox.close(third);
    assert!(control(other, F_OFD_SETLK, F_RDLCK, 0, 0).is_ok(), "closing released them");
    assert_eq!(control(one, F_SETLK, F_WRLCK, 5, 1), Err(Errno::EAGAIN));
    assert_eq!(control(one, F_SETLK, F_WRLCK, -5, 1), Err(Errno::EINVAL));
    let reads = sandbox.open("/tmp/file", O_RDONLY).unwrap();
    assert_eq!(control(reads, F_SETLK, F_WRLCK, 0, 0), Err(Errno::EBADF));
    assert_eq!(control(0, F_SETLK, F_WRLCK, 0, 0), Err(Errno::ENOLCK));
}
