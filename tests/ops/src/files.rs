//! Files: below /tmp, one component deep and four.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use crate::Operation;
use crate::measure::calls;
use crate::sys::{self, Doing, Failure, PAGE, Stat};

const SHALLOW: &CStr = c"/tmp/f";
const DEEP: &CStr = c"/tmp/a/b/c/file";
const NEW: &CStr = c"/tmp/new";

pub(crate) const OPERATIONS: &[Operation] = &[
    ("pread-1", |repeats| {
        let file = file(16)?;
        calls(repeats, 500, || sys::pread(file.as_raw_fd(), &mut [0], 0))
    }),
    ("pread-4k", |repeats| {
        let (file, mut page) = (file(16)?, [0; PAGE]);
        calls(repeats, 500, || sys::pread(file.as_raw_fd(), &mut page, PAGE as i64))
    }),
    ("pwrite-4k", |repeats| {
        let file = file(16)?;
        calls(repeats, 500, || sys::pwrite(file.as_raw_fd(), &[1; PAGE], PAGE as i64))
    }),
    ("open-close-1", |repeats| {
        file(1)?;
        calls(repeats, 300, || sys::close(sys::open(SHALLOW, libc::O_RDONLY) as i32))
    }),
    ("open-close-4", |repeats| {
        file(1)?;
        calls(repeats, 300, || sys::close(sys::open(DEEP, libc::O_RDONLY) as i32))
    }),
    ("stat-1", |repeats| {
        file(1)?;
        let mut stat = Stat::new();
        calls(repeats, 300, || sys::stat(SHALLOW, &mut stat))
    }),
    ("stat-4", |repeats| {
        file(1)?;
        let mut stat = Stat::new();
        calls(repeats, 300, || sys::stat(DEEP, &mut stat))
    }),
    ("create-close-unlink", |repeats| {
        file(1)?;
        calls(repeats, 100, || {
            sys::close(sys::open(NEW, libc::O_RDWR | libc::O_CREAT) as i32) | sys::unlink(NEW)
        })
    }),
];

/// Makes both files, of so many pages, and opens one.
pub(crate) fn file(pages: usize) -> Result<File, Failure> {
    // First, since paths that are not there are no sign of a call that is not.
    make_directories().doing("mkdir")?;
    let content = vec![b'.'; pages * PAGE];
    for path in [SHALLOW, DEEP] {
        fs::write(path.to_str().unwrap_or_default(), &content).doing("making a file")?;
    }
    let path = DEEP.to_str().unwrap_or_default();
    File::options().read(true).write(true).open(path).doing("open")
}

/// Each by mkdir(2) itself, whether it is there or not.
fn make_directories() -> io::Result<()> {
    for path in ["/tmp", "/tmp/a", "/tmp/a/b", "/tmp/a/b/c"] {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}
