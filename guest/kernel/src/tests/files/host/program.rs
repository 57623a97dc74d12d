//! The file of a program that the VMM has loaded.

use super::model::PROGRAM;
use super::*;
use crate::tests::exec::files::{ET_EXEC, program};
use crate::tests::{DATA, TEXT};
use std::cell::RefCell;
use std::rc::Rc;
use trapgate_loader::image::Class;

/// A sandbox whose program is at `path`, and what is in it.
fn with_program(
    mounts: &[(&str, u64, &str)],
    path: &str,
) -> (Sandbox, Rc<RefCell<model::Host>>, Vec<u8>) {
    let bytes = program(Class::Elf64, ET_EXEC, TEXT);
    let mounts = [mounts, &[(path, PROGRAM, "prog")]].concat();
    let (sandbox, host) = sandbox(&mounts, |host| {
        host.file("prog", &bytes);
        host.file("d/prog", b"another");
    });
    (sandbox, host, bytes)
}

impl Sandbox {
    fn exe(&self) -> Result<String, Errno> {
        let length = self.with_path(nr64::READLINK, "/proc/self/exe", [BUFFER, 256])?;
        let bytes = (BUFFER..BUFFER + length).flat_map(|at| self.load::<1>(at)).collect();
        Ok(String::from_utf8(bytes).unwrap())
    }
}

#[test]
fn it_is_where_its_name_leads_to_and_costs_no_request_before_it_is_read() {
    let (sandbox, host, bytes) = with_program(&[], "/usr/bin/prog");
    assert_eq!(sandbox.exe().unwrap(), "/usr/bin/prog");
    let stat = sandbox.stat("/usr/bin/prog").unwrap();
    assert_eq!((stat.st_mode, stat.st_size), (0o100644, bytes.len() as i64));
    assert_eq!(sandbox.names_in("/usr/bin"), [".", "..", "prog"]);
    assert!(host.borrow_mut().asked().is_empty());
    for path in ["/proc/self/exe", "/usr/bin/prog", "/proc/1/exe"] {
        assert!(sandbox.bytes_of(path, 4096).unwrap() == bytes, "{path}");
        assert_eq!(sandbox.open(path, O_RDWR), Err(Errno::EROFS), "{path}");
    }
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/usr/bin/prog", [0; 2]), Err(Errno::EBUSY));
}

#[test]
fn it_is_mapped_where_the_vmm_has_put_it() {
    let (sandbox, ..) = with_program(&[], "/prog");
    let maps = String::from_utf8(sandbox.bytes_of("/proc/self/maps", 4096).unwrap()).unwrap();
    let text = maps.lines().find(|line| line.starts_with(&format!("{TEXT:08x}-"))).unwrap();
    assert!(text.contains(" r-xp 00000000 ") && text.ends_with(" /prog"), "{maps}");
    // Nothing of the file is there.
    let data = maps.lines().find(|line| line.starts_with(&format!("{DATA:08x}-"))).unwrap();
    assert!(data.contains(" 00:00 0"), "{maps}");
}

#[test]
fn what_is_there_already_stays_and_it_is_found_all_the_same() {
    for (mounts, path) in [
        (&[("/b", KEPT, "d")][..], "/b/prog"),
        (&[], "/tmp"),
        (&[], "/dev/null/x"),
        (&[], "/proc/self/fd/3"),
        (&[], "/proc/version"),
    ] {
        let (sandbox, _, bytes) = with_program(mounts, path);
        assert_eq!(sandbox.exe().unwrap(), path);
        assert!(sandbox.bytes_of("/proc/self/exe", 4096).unwrap() == bytes, "{path}");
        if path == "/b/prog" {
            assert_eq!(sandbox.bytes_of(path, 4096).unwrap(), b"another");
        }
    }
}
