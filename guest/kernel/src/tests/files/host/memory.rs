//! Calls that change something in a bind, with each of their attempts to get memory
//! failing: it is ENOMEM, and on the host nothing has changed.

use super::*;
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use trapgate_abi::boot_info::MOUNT_READ_WRITE;
use trapgate_arch::fake::heap::failing;
use trapgate_arch::paging::FrameSource;
use trapgate_uapi::fcntl::{AT_FDCWD, O_APPEND};
use trapgate_uapi::fs::RENAME_EXCHANGE;
use trapgate_uapi::mman::MAP_SHARED;

/// A call: its name, and what prepares it, and answers its number and arguments.
type Case = (&'static str, fn(&Sandbox) -> (u32, [u64; 6]));

fn opened(sandbox: &Sandbox) -> u64 {
    sandbox.store(BUFFER, &[7; 100]);
    sandbox.open("/b/f", O_RDWR).unwrap()
}

fn with_path<const N: usize>(sandbox: &Sandbox, path: &str, rest: [u64; N]) -> [u64; 6] {
    let mut all = [0; 6];
    all[0] = sandbox.at(PATHS[0], path);
    all[1..=N].copy_from_slice(&rest);
    all
}

fn with_paths(sandbox: &Sandbox, paths: [&str; 2]) -> [u64; 6] {
    let [old, new] = [0, 1].map(|index| sandbox.at(PATHS[index], paths[index]));
    [old, new, 0, 0, 0, 0]
}

fn flags(flags: u32) -> [u64; 2] {
    [flags.into(), 0o644]
}

const AT: u64 = AT_FDCWD as u64;

const CASES: [Case; 22] = [
    ("open", |s| (nr64::OPEN, with_path(s, "/b/new", flags(O_CREAT | O_RDWR)))),
    ("open below", |s| (nr64::OPEN, with_path(s, "/b/d/new", flags(O_CREAT | O_WRONLY)))),
    ("truncation", |s| (nr64::OPEN, with_path(s, "/b/f", flags(O_TRUNC | O_WRONLY)))),
    ("append", |s| (nr64::OPEN, with_path(s, "/b/f", flags(O_APPEND | O_WRONLY)))),
    ("write", |s| (nr64::WRITE, [opened(s), BUFFER, 50, 0, 0, 0])),
    ("pwrite", |s| (nr64::PWRITE64, [opened(s), BUFFER, 50, 8000, 0, 0])),
    ("ftruncate", |s| (nr64::FTRUNCATE, [opened(s), 5, 0, 0, 0, 0])),
    ("truncate", |s| (nr64::TRUNCATE, with_path(s, "/b/f", [5]))),
    ("fallocate", |s| (nr64::FALLOCATE, [opened(s), 0, 0, 9999, 0, 0])),
    ("mkdir", |s| (nr64::MKDIR, with_path(s, "/b/new", [0o755]))),
    ("mknod", |s| (nr64::MKNOD, with_path(s, "/b/new", [0o010_644, 0]))),
    ("symlink", |s| (nr64::SYMLINK, with_paths(s, ["target", "/b/new"]))),
    ("link", |s| (nr64::LINK, with_paths(s, ["/b/f", "/b/d/new"]))),
    ("unlink", |s| {
        opened(s);
        (nr64::UNLINK, with_path(s, "/b/f", []))
    }),
    ("rmdir", |s| (nr64::RMDIR, with_path(s, "/b/empty", []))),
    ("rename", |s| {
        opened(s);
        (nr64::RENAME, with_paths(s, ["/b/f", "/b/d/new"]))
    }),
    ("rename over", |s| {
        opened(s);
        s.open("/b/g", O_RDWR).unwrap();
        (nr64::RENAME, with_paths(s, ["/b/f", "/b/g"]))
    }),
    ("exchange", |s| {
        let [old, new, ..] = with_paths(s, ["/b/f", "/b/g"]);
        (nr64::RENAMEAT2, [AT, old, AT, new, RENAME_EXCHANGE.into(), 0])
    }),
    ("chmod", |s| (nr64::CHMOD, with_path(s, "/b/f", [0o600]))),
    ("utimensat", |s| {
        s.store(BUFFER, &[0; 32]);
        (nr64::UTIMENSAT, [AT, s.at(PATHS[0], "/b/f"), BUFFER, 0, 0, 0])
    }),
    ("msync", |s| {
        let (fd, rw) = (opened(s), PROT_READ | PROT_WRITE);
        let at = s.call(nr64::MMAP, [0, 9000, rw, MAP_SHARED, fd, 0]).unwrap();
        s.store(at + 5000, b"stored");
        (nr64::MSYNC, [at, 9000, 4, 0, 0, 0])
    }),
    ("copy_file_range", |s| {
        let (from, to) = (opened(s), s.open("/b/g", O_RDWR).unwrap());
        (nr64::COPY_FILE_RANGE, [from, 0, to, 0, 9000, 0])
    }),
];

/// All names, and what they are.
fn tree(host: &model::Host) -> String {
    fn add(host: &model::Host, at: usize, path: &str, text: &mut String) {
        let file = &host.files[at];
        let sum = |bytes: &[u8]| {
            bytes.iter().fold(0u64, |sum, &byte| (31 * sum + u64::from(byte)) & 0xffff_ffff)
        };
        let what = match &file.what {
            What::File(bytes) => format!("{} bytes, {}", bytes.len(), sum(bytes)),
            What::Link(target) => target.clone(),
            _ => String::new(),
        };
        let status = &file.status;
        // A name that has come and gone has changed its directory's.
        let time = if matches!(file.what, What::Directory(_)) { 0 } else { status.mtime };
        writeln!(text, "{path} {} {:o} {time} {what}", status.ino, status.mode).unwrap();
        if let What::Directory(names) = &file.what {
            names.iter().for_each(|(name, &at)| add(host, at, &format!("{path}/{name}"), text));
        }
    }
    let mut text = String::new();
    add(host, 0, "", &mut text);
    text
}

/// A sandbox with a bind in which something is.
fn prepared() -> (Sandbox, Rc<RefCell<model::Host>>) {
    let access = MOUNT_READ_WRITE | MOUNT_SHARED;
    // Less is made faster.
    sandbox_with(3 << 20, &[("/b", access, "")], |host| {
        host.file("f", &bytes(9000));
        host.file("g", b"g");
        host.file("d/x", b"x");
        host.put("empty", What::Directory(Default::default()));
    })
}

/// Makes a call in that way: it is as otherwise, or ENOMEM, as if it had not been made; then
/// it can be made again. Answers whether it had enough.
fn attempt(
    (name, prepare): &Case,
    how: &str,
    make: impl FnOnce(&dyn Fn() -> Result<u64, Errno>) -> Result<u64, Errno>,
    wrong: &mut Vec<String>,
) -> bool {
    let (sandbox, host) = prepared();
    let (number, arguments) = prepare(&sandbox);
    let before = tree(&host.borrow());
    match make(&|| sandbox.call(number, arguments)) {
        Ok(_) => return true,
        Err(Errno::ENOMEM) => {}
        Err(error) => wrong.push(format!("{name}, {how}: {error:?}")),
    }
    let after = tree(&host.borrow());
    if after != before {
        wrong.push(format!("{name}, {how}: ENOMEM, and yet\n{after}"));
    } else if let Err(error) = sandbox.call(number, arguments) {
        wrong.push(format!("{name}, {how}, and again: {error:?}"));
    }
    false
}

/// Makes a call that may have so many frames.
fn with_frames(left: usize, call: &dyn Fn() -> Result<u64, Errno>) -> Result<u64, Errno> {
    let take = || FRAMES.lock().take(1);
    let mut taken: Vec<_> = core::iter::from_fn(take).collect();
    let few = taken.len() - left;
    taken.drain(few..).for_each(|run| FRAMES.lock().give_back(run));
    let answer = call();
    taken.into_iter().for_each(|run| FRAMES.lock().give_back(run));
    answer
}

#[test]
fn each_attempt_of_what_changes_something_on_the_host_to_get_memory_may_fail() {
    let (mut all, mut wrong) = (0, Vec::new());
    for case in &CASES {
        let (name, prepare) = case;
        let (sandbox, _host) = prepared();
        let (number, arguments) = prepare(&sandbox);
        let (came, attempts) = failing(0, || sandbox.call(number, arguments));
        assert!(came.is_ok(), "{name}: {came:?}");
        drop(sandbox);
        for fails in 1..=attempts {
            let how = format!("without block {fails} of {attempts}");
            attempt(case, &how, |call| failing(fails, call).0, &mut wrong);
        }
        all += attempts;
        let mut enough = |left| {
            let how = format!("with {left} frames");
            attempt(case, &how, |call| with_frames(left, call), &mut wrong)
        };
        if !(0..40).any(&mut enough) {
            wrong.push(format!("{name} wants many frames"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all > 60, "{all} attempts");
}
