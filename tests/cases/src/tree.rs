//! What a case leaves: files with what they hold, and times as far as they can be the
//! same anywhere.

use crate::call::raw64;
use crate::show::{self, hash, word};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};
use trapgate_uapi::Errno;

/// More names than this are only counted.
const SHOWN: usize = 64;
/// How much of a file is looked at.
const READ: usize = 1 << 20;
/// The time of the last `mark`, in nanoseconds since 1970.
static MARK: AtomicU64 = AtomicU64::new(0);
/// What files' clocks may lag behind: Linux's tick, at most.
const LAG: Duration = Duration::from_millis(10);

/// The tree of the working directory, a line a name.
pub(crate) fn of_this_directory() -> String {
    let mut lines = String::new();
    let mut inodes = Vec::new();
    add(".", 0, &mut inodes, &mut lines);
    lines
}

fn status(path: &str) -> Result<[u8; 144], Errno> {
    let (mut bytes, path) = ([0; 144], format!("{path}\0"));
    let flags = AT_SYMLINK_NOFOLLOW as u64;
    let stat = [AT_FDCWD as u64, path.as_ptr() as u64, bytes.as_mut_ptr() as u64, flags];
    raw64("newfstatat", &stat).map(|_| bytes)
}

fn open(path: &str, flags: i32) -> Result<u64, Errno> {
    let path = format!("{path}\0");
    raw64("open", &[path.as_ptr() as u64, (flags | O_NOFOLLOW | O_NONBLOCK) as u64, 0])
}

fn add(path: &str, depth: usize, inodes: &mut Vec<u64>, lines: &mut String) {
    let status = match status(path) {
        Ok(status) => status,
        Err(error) => return line(lines, &format!("{path} {}", error.name())),
    };
    let at = |offset, length| word(&status, offset, length);
    let (inode, links, mode) = (at(8, 8), at(16, 8), at(24, 4) as u32);
    let mut text = format!("{path} {mode:o} links {links}");
    let (uid, gid) = (at(28, 4), at(32, 4));
    if (uid, gid) != (0, 0) {
        text += &format!(" {uid}:{gid}");
    }
    if links > 1 && mode & libc::S_IFMT != libc::S_IFDIR {
        let number = inodes.iter().position(|other| *other == inode).unwrap_or_else(|| {
            inodes.push(inode);
            inodes.len() - 1
        });
        text += &format!(" file {number}");
    }
    match mode & libc::S_IFMT {
        libc::S_IFREG => text += &format!(" size {} {}", at(48, 8), content(path)),
        libc::S_IFLNK => text += &format!(" to {}", target(path)),
        libc::S_IFDIR => {
            line(lines, &text);
            return directory(path, depth, inodes, lines);
        }
        _ => text += &format!(" device {:#x}", at(40, 8)),
    }
    line(lines, &text);
}

fn line(lines: &mut String, text: &str) {
    writeln!(lines, "  | {text}").expect("a String takes all");
}

fn directory(path: &str, depth: usize, inodes: &mut Vec<u64>, lines: &mut String) {
    let names = open(path, O_RDONLY | O_DIRECTORY).and_then(|fd| {
        let names = names(fd, 32768);
        raw64("close", &[fd]).expect("it is open");
        names
    });
    match names {
        Err(error) => line(lines, &format!("{path}/ {}", error.name())),
        Ok(names) if depth > 16 => line(lines, &format!("{path}/… {} names", names.len())),
        Ok(names) if names.len() > SHOWN => {
            let all: String = names.iter().map(|(name, kind)| format!("{name} {kind}\n")).collect();
            line(lines, &format!("{path}/ {} names {:x}", names.len(), hash(all.as_bytes())));
        }
        Ok(names) => {
            let names = names.iter().filter(|(name, _)| name != "." && name != "..");
            names.for_each(|(name, _)| add(&format!("{path}/{name}"), depth + 1, inodes, lines));
        }
    }
}

/// All names of an open directory and their types, in order, read by so many bytes.
fn names(fd: u64, room: usize) -> Result<Vec<(String, u8)>, Errno> {
    let mut names = Vec::new();
    let mut bytes = vec![0; room];
    loop {
        let got = raw64("getdents64", &[fd, bytes.as_mut_ptr() as u64, room as u64])? as usize;
        let mut rest = &bytes[..got];
        if rest.is_empty() {
            names.sort();
            return Ok(names);
        }
        while !rest.is_empty() {
            let (entry, behind) = rest.split_at(word(rest, 16, 2) as usize);
            let name = entry[19..].split(|byte| *byte == 0).next().unwrap_or_default();
            names.push((String::from_utf8_lossy(name).into_owned(), entry[18]));
            rest = behind;
        }
    }
}

/// `ls FD ROOM`
pub(crate) fn list(fd: u64, room: usize) -> String {
    match names(fd, room) {
        Ok(names) if names.len() > SHOWN => {
            let all: String = names.iter().map(|(name, kind)| format!("{name} {kind}\n")).collect();
            format!("{} names, {:x}", names.len(), hash(all.as_bytes()))
        }
        Ok(names) => {
            let names = names.iter().map(|(name, kind)| format!("{name} ({kind})"));
            names.collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.name().to_owned(),
    }
}

fn content(path: &str) -> String {
    let read = || {
        let fd = open(path, O_RDONLY)?;
        let mut bytes = vec![0; READ];
        let got = raw64("read", &[fd, bytes.as_mut_ptr() as u64, READ as u64]);
        raw64("close", &[fd])?;
        got.map(|got| show::bytes(&bytes[..got as usize]))
    };
    read().unwrap_or_else(|error: Errno| error.name().to_owned())
}

fn target(path: &str) -> String {
    let (path, mut bytes) = (format!("{path}\0"), vec![0; 8192]);
    let room = bytes.len() as u64;
    match raw64("readlink", &[path.as_ptr() as u64, bytes.as_mut_ptr() as u64, room]) {
        Ok(got) => show::bytes(&bytes[..got as usize]),
        Err(error) => error.name().to_owned(),
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("it is later than 1970").as_nanos() as u64
}

/// Parts what was before from what comes: [`times`] tells them apart.
pub(crate) fn mark() {
    sleep(LAG);
    MARK.store(now(), Ordering::Relaxed);
    sleep(2 * LAG);
}

/// Which of a file's times are newer than the last mark, and those of long ago as they
/// are.
pub(crate) fn times(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let status = match status(&path) {
        Ok(status) => status,
        Err(error) => return error.name().to_owned(),
    };
    let times = [("atime", 72), ("mtime", 88), ("ctime", 104)].map(|(name, offset)| {
        let (seconds, part) = (word(&status, offset, 8) as i64, word(&status, offset + 8, 8));
        let mark = MARK.load(Ordering::Relaxed) as i128;
        let time = i128::from(seconds) * 1_000_000_000 + i128::from(part);
        // Whoever sets a time sets it far from now.
        match (mark - time).abs() > 86_400_000_000_000 {
            true => format!("{name} {seconds}.{part:09}"),
            false if time >= mark => format!("{name} new"),
            false => format!("{name} old"),
        }
    });
    times.join(", ")
}
