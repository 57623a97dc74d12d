//! Directories, listed.

use super::*;

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
