//! /proc, /sys and /dev: read by the parsers that read this machine's own.

mod maps;

use super::*;
use std::collections::BTreeMap;
use std::fs;
use trapgate_abi::boot_info::{BootInfo, ClockInfo, Parts, Range};
use trapgate_abi::hypercall::Request;
use trapgate_uapi::dirent::{DT_DIR, DT_LNK, DT_REG};
use trapgate_uapi::fcntl::{AT_FDCWD, O_NOFOLLOW, O_PATH, O_TMPFILE, O_WRONLY};

/// Where the program's strings are.
const STRINGS: u64 = crate::tests::DATA + 15 * PAGE_SIZE;

/// A program with a name, arguments and an environment.
fn sandbox() -> Sandbox {
    let range =
        |start: u64, length| Range { start: STRINGS + start, end: STRINGS + start + length };
    let parts = Parts {
        arguments: range(0, 10),
        environment: range(10, 4),
        auxv: range(16, 32),
        code: Range { start: crate::tests::TEXT, end: crate::tests::TEXT + 0x1234 },
        stack: 0x7fff_0000,
        ..Parts::NONE
    };
    let clock =
        ClockInfo { tsc_base: 0, multiplier: 1 << 32, realtime_ns: 7_000_000_000, monotonic_ns: 0 };
    let comm = [u64::from_le_bytes(*b"a progra"), u64::from(b'm')];
    let sandbox = Sandbox::boot(BootInfo { parts, comm, clock, ..crate::tests::boot_info() });
    sandbox.store(STRINGS, b"prog\0-arg\0A=1\0");
    sandbox.machine.set_tsc(12_340_000_000);
    sandbox
}

impl Sandbox {
    /// All of a file, in pieces of so many bytes.
    fn content_by(&self, path: &str, piece: u64) -> String {
        let fd = self.open(path, O_RDONLY).unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let mut bytes = Vec::new();
        loop {
            let got = self.call(nr64::READ, [fd, BUFFER, piece, 0, 0, 0]);
            let got = got.unwrap_or_else(|error| panic!("{path}: {error:?}"));
            if got == 0 {
                break;
            }
            bytes.extend((BUFFER..BUFFER + got).flat_map(|at| self.load::<1>(at)));
        }
        self.close(fd);
        String::from_utf8(bytes).unwrap()
    }

    fn content(&self, path: &str) -> String {
        self.content_by(path, 2048)
    }

    fn link(&self, path: &str) -> Result<String, Errno> {
        let length = self.with_path(nr64::READLINK, path, [BUFFER, 256])?;
        let bytes = (BUFFER..BUFFER + length).flat_map(|at| self.load::<1>(at)).collect();
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// Names and their types.
    fn names(&self, path: &str) -> BTreeMap<String, u8> {
        let fd = self.open_directory(path);
        let mut names = BTreeMap::new();
        loop {
            // Little room: it goes on often.
            let got = self.call(nr64::GETDENTS64, [fd, BUFFER, 100, 0, 0, 0]).unwrap();
            if got == 0 {
                self.close(fd);
                return names;
            }
            let bytes: Vec<u8> = (BUFFER..BUFFER + got).flat_map(|at| self.load::<1>(at)).collect();
            let mut at = 0;
            while at < bytes.len() {
                let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
                let name = bytes[at + 19..at + length].split(|&byte| byte == 0).next().unwrap();
                let name = String::from_utf8(name.to_vec()).unwrap();
                assert_eq!(names.insert(name, bytes[at + 18]), None);
                at += length;
            }
        }
    }
}

/// This machine's own file.
fn native(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

/// What stands before each line's first colon.
fn keys(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split(':').next().unwrap().trim_end()).collect()
}

/// The keys of ours are among the machine's, in its order; it may have later Linux's.
fn assert_keys_as_native(ours: &str, path: &str, least: usize) {
    let native = native(path);
    let native = keys(&native);
    let mut rest = native.iter();
    for key in keys(ours) {
        assert!(rest.any(|other| *other == key), "{path}: {key} is not there in {native:?}");
    }
    assert!(keys(ours).len() >= least, "{path}: {ours}");
}

#[test]
fn a_line_for_each_key_has_linuxs_form() {
    let sandbox = sandbox();
    for (path, least) in [("/proc/self/status", 55), ("/proc/meminfo", 40)] {
        let ours = sandbox.content(path);
        assert_keys_as_native(&ours, path, least);
        // Width by width, where both have a number of kibibytes.
        let native = native(path);
        let shape = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.split(':').next() == Some(key))?.to_owned();
            line.ends_with(" kB").then_some(line.len())
        };
        // It is too long for its column there.
        for key in keys(&ours).into_iter().filter(|&key| key != "VmallocTotal") {
            assert_eq!(shape(&ours, key), shape(&native, key), "{path}: {key}");
        }
    }
    let fdinfo = sandbox.content("/proc/self/fdinfo/0");
    assert_keys_as_native(&fdinfo, "/proc/self/fdinfo/0", 4);
    let cpuinfo = sandbox.content("/proc/cpuinfo");
    assert_keys_as_native(&cpuinfo, "/proc/cpuinfo", 22);
    let word = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .split(": ")
            .nth(1)
            .unwrap()
            .to_owned()
    };
    let host = native("/proc/cpuinfo");
    for key in ["vendor_id", "cpu family", "model\t", "model name", "stepping", "cpuid level"] {
        assert_eq!(word(&cpuinfo, key), word(&host, key), "the CPU is the same");
    }
    let flags = word(&host, "flags");
    let flags: Vec<&str> = flags.split(' ').collect();
    let basic: Vec<&str> = "fpu tsc cx8 cmov sse2 syscall nx lm pni cx16".split(' ').collect();
    let ours = word(&cpuinfo, "flags");
    for flag in basic {
        assert!(flags.contains(&flag) && ours.split(' ').any(|other| other == flag), "{flag}");
    }
}

#[test]
fn numbers_in_a_row_are_as_many_as_linuxs() {
    let sandbox = sandbox();
    let count = |text: &str| text.split_ascii_whitespace().count();
    for path in ["/proc/self/statm", "/proc/uptime", "/proc/loadavg"] {
        assert_eq!(count(&sandbox.content(path)), count(&native(path)), "{path}");
    }
    // The name may have blanks.
    let stat = sandbox.content("/proc/self/stat");
    let (before, after) = stat.split_once(')').unwrap();
    assert_eq!(before, "1 (a program");
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    assert_eq!(fields.len(), count(native("/proc/self/stat").rsplit_once(')').unwrap().1));
    assert_eq!((fields[0], fields[1], fields[11]), ("R", "0", "1234"), "{stat}");
    let parts: [u64; 4] =
        [fields[23], fields[25], fields[45], fields[46]].map(|field| field.parse().unwrap());
    assert_eq!(parts, [crate::tests::TEXT, 0x7fff_0000, STRINGS, STRINGS + 10]);
    assert_eq!(sandbox.content("/proc/uptime"), "12.34 0.00\n");
    assert!(sandbox.content("/proc/stat").contains("\nbtime 7\n"));
    let cpu = |text: &str| count(text.lines().next().unwrap());
    assert_eq!(cpu(&sandbox.content("/proc/stat")), cpu(&native("/proc/stat")));
}

#[test]
fn strings_of_the_program_are_as_its_memory_has_them() {
    let sandbox = sandbox();
    assert_eq!(sandbox.content("/proc/self/cmdline"), "prog\0-arg\0");
    assert_eq!(sandbox.content("/proc/1/environ"), "A=1\0");
    assert_eq!(sandbox.content("/proc/self/auxv").len(), 32);
    assert_eq!(sandbox.content("/proc/self/comm"), "a program\n");
    // A program that writes over them is what it says.
    sandbox.store(STRINGS, b"a longer title\0");
    assert_eq!(sandbox.content("/proc/self/cmdline"), "a longer title"[..14].to_owned());
    let fd = sandbox.open("/proc/self/comm", O_WRONLY).unwrap();
    assert_eq!(sandbox.write(fd, b"a name that is too long"), Ok(23));
    assert_eq!(sandbox.content("/proc/thread-self/comm"), "a name that is \n");
    let fd = sandbox.open("/proc/self/oom_score_adj", O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"1001\n"), Err(Errno::EINVAL));
    assert_eq!(sandbox.write(fd, b"-500\n"), Ok(5));
    assert_eq!(sandbox.content("/proc/self/oom_score_adj"), "-500\n");
}

#[test]
fn what_was_read_stays_until_the_beginning_is_read_again() {
    let sandbox = sandbox();
    let fd = sandbox.open("/proc/uptime", O_RDONLY).unwrap();
    assert_eq!(sandbox.read::<4>(fd).unwrap(), (*b"12.3", 4));
    sandbox.machine.set_tsc(98_000_000_000);
    assert_eq!(sandbox.read::<2>(fd).unwrap(), (*b"4 ", 2));
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, BUFFER, 5, 0, 0, 0]), Ok(5));
    assert_eq!(sandbox.load(BUFFER), *b"98.00");
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.read::<5>(fd).unwrap(), (*b"98.00", 5));
    assert_eq!(sandbox.call(nr64::LSEEK, [fd, 0, 2, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, BUFFER, 5, 1 << 40, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::PREAD64, [fd, 8, 5, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.stat("/proc/uptime").unwrap().st_size, 0);
}

#[test]
fn nothing_can_be_made_or_removed_there() {
    let sandbox = sandbox();
    assert_eq!(sandbox.open("/proc/new", O_CREAT | O_RDWR), Err(Errno::ENOENT));
    assert_eq!(sandbox.open("/proc/self/fd/new", O_CREAT | O_RDWR), Err(Errno::ENOENT));
    assert_eq!(sandbox.open("/proc/2", O_RDONLY), Err(Errno::ENOENT));
    assert_eq!(sandbox.open("/proc/01", O_RDONLY), Err(Errno::ENOENT));
    assert_eq!(sandbox.open("/proc/self/stat/x", O_RDONLY), Err(Errno::ENOTDIR));
    assert_eq!(sandbox.open("/proc", O_RDWR), Err(Errno::EISDIR));
    let errors = [("/proc/new", Errno::ENOENT), ("/proc/self", Errno::EEXIST)];
    for (path, error) in errors {
        assert_eq!(sandbox.with_path(nr64::MKDIR, path, [0o755]), Err(error), "{path}");
    }
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/proc/version", []), Err(Errno::EPERM));
    assert_eq!(sandbox.with_path(nr64::RMDIR, "/proc/1", []), Err(Errno::EPERM));
    // Who owns it may open it, and then finds out.
    let fd = sandbox.open("/proc/version", O_WRONLY).unwrap();
    assert_eq!(sandbox.write(fd, b"x"), Err(Errno::EIO));
    let fd = sandbox.open("/proc/self/stat", O_WRONLY).unwrap();
    assert_eq!(sandbox.write(fd, b"x"), Err(Errno::EINVAL));
}

#[test]
fn directories_list_what_can_be_looked_up() {
    let sandbox = sandbox();
    let mut files = 0;
    let mut open = vec![("/proc".to_owned(), 0), ("/sys".to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        for (name, kind) in sandbox.names(&path) {
            // The last is the directory itself, while it was listed.
            if name == "." || name == ".." || path.contains("/fd") && name == "3" {
                continue;
            }
            let path = format!("{path}/{name}");
            let status = sandbox.with_path(nr64::LSTAT, &path, [BUFFER]);
            assert_eq!(status, Ok(0), "{path}");
            let stat: Stat = sandbox.structure(BUFFER);
            assert_eq!(stat.st_mode >> 12, u32::from(kind), "{path}");
            assert!(stat.st_ino <= u32::MAX.into(), "i386 has 32 bits");
            match kind {
                DT_DIR if depth < 5 => open.push((path, depth + 1)),
                DT_REG if !path.contains("random") && !path.contains("/fdinfo/2") => {
                    sandbox.content(&path);
                    files += 1;
                }
                DT_LNK if name != "exe" => drop(sandbox.link(&path).unwrap()),
                _ => {}
            }
        }
    }
    assert!(files > 80, "{files}");
}

#[test]
fn links_lead_to_files_themselves() {
    let sandbox = sandbox();
    assert_eq!(sandbox.link("/proc/self").unwrap(), "1");
    assert_eq!(sandbox.link("/proc/thread-self").unwrap(), "1/task/1");
    assert_eq!(sandbox.link("/proc/mounts").unwrap(), "self/mounts");
    assert_eq!(sandbox.link("/proc/self/cwd").unwrap(), "/");
    assert_eq!(sandbox.link("/proc/self/exe"), Err(Errno::ENOENT), "the VMM has loaded it");
    assert_eq!(sandbox.link("/proc/self/fd/0").unwrap(), "pipe:[0]");
    assert_eq!(sandbox.link("/proc/self/fd/2").unwrap(), "host:[2]");
    // A file that has no name any more is opened all the same.
    let fd = sandbox.open("/tmp", O_TMPFILE | O_RDWR).unwrap();
    sandbox.write(fd, b"abc").unwrap();
    let path = format!("/proc/self/fd/{fd}");
    assert_eq!(sandbox.link(&path).unwrap(), "/tmp/# (deleted)");
    let again = sandbox.open(&path, O_RDONLY).unwrap();
    assert_eq!(sandbox.read::<3>(again).unwrap(), (*b"abc", 3));
    assert_eq!(sandbox.stat(&path).unwrap().st_size, 3);
    for behind in ["/", "/x", "/.."] {
        assert_eq!(sandbox.open(&format!("{path}{behind}"), O_RDONLY), Err(Errno::ENOTDIR));
    }
    assert_eq!(sandbox.open(&path, O_NOFOLLOW), Err(Errno::ELOOP));
    sandbox.open(&path, O_NOFOLLOW | O_PATH).unwrap();
    assert_eq!(sandbox.open("/proc/self/fd/99", O_RDONLY), Err(Errno::ENOENT));
    // Directories go on as themselves.
    sandbox.file("/tmp/file", b"x");
    let tmp = sandbox.open_directory("/tmp");
    sandbox.open(&format!("/proc/self/fd/{tmp}/file"), O_RDONLY).unwrap();
    sandbox.open("/proc/self/root/tmp/file", O_RDONLY).unwrap();
    assert_eq!(sandbox.with_path(nr64::CHDIR, "/tmp", []), Ok(0));
    sandbox.open("/proc/self/cwd/file", O_RDONLY).unwrap();
    assert_eq!(sandbox.link("/proc/self/cwd").unwrap(), "/tmp");
}

#[test]
fn resolve_flags_know_such_links() {
    let sandbox = sandbox();
    let file = sandbox.open("/proc/version", O_RDONLY).unwrap();
    let path = format!("/proc/self/fd/{file}");
    let openat2 = |resolve: u64| {
        let at = sandbox.at(PATHS[0], &path);
        let how = [0, 0, resolve].map(u64::to_le_bytes);
        sandbox.store(BUFFER, how.as_flattened());
        sandbox.call(nr64::OPENAT2, [AT_FDCWD as u64, at, BUFFER, 24, 0, 0])
    };
    use trapgate_uapi::openat2::{RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};
    assert!(openat2(0).is_ok());
    assert_eq!(openat2(RESOLVE_NO_MAGICLINKS), Err(Errno::ELOOP));
    assert_eq!(openat2(RESOLVE_IN_ROOT), Err(Errno::EXDEV));
}

#[test]
fn a_standard_file_is_opened_as_the_one_that_it_is() {
    let sandbox = sandbox();
    sandbox.machine.set_vmm(|request, _, _| match request {
        Request::Write { file: 1, .. } => Ok(1),
        other => panic!("{other:?}"),
    });
    let fd = sandbox.open("/dev/stdout", O_WRONLY).unwrap();
    assert_eq!(sandbox.write(fd, b"x"), Ok(1));
    assert_eq!(sandbox.open("/dev/stdout", O_RDONLY), Err(Errno::EACCES));
    assert_eq!(sandbox.open("/dev/fd/0", O_RDWR), Err(Errno::EACCES));
    assert!(sandbox.open("/dev/stdin", O_RDONLY).is_ok());
    assert_eq!(sandbox.stat("/dev/stdin").unwrap().st_mode, 0o010000);
    assert_eq!(sandbox.open("/dev/tty", O_RDWR), Err(Errno::ENXIO));
    assert!(sandbox.names("/dev/pts").len() == 2);
}

#[test]
fn a_uuid_is_asked_of_the_host_and_a_boot_has_one() {
    let sandbox = sandbox();
    let mut count = 0u8;
    sandbox.machine.set_vmm(move |request, segments, _| {
        assert_eq!(request, Request::Random);
        count += 1;
        Ok(trapgate_arch::fake::fill(&segments[0], &[count; 16]))
    });
    let uuid = sandbox.content("/proc/sys/kernel/random/uuid");
    assert_eq!(uuid, "01010101-0101-4101-8101-010101010101\n");
    let boot = sandbox.content("/proc/sys/kernel/random/boot_id");
    assert_eq!(boot, sandbox.content("/proc/sys/kernel/random/boot_id"));
    assert_ne!(uuid, sandbox.content("/proc/sys/kernel/random/uuid"));
}

#[test]
fn mounts_and_limits_have_linuxs_columns() {
    let sandbox = sandbox();
    let mounts = sandbox.content("/proc/mounts");
    let targets: Vec<_> = mounts.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(targets, ["/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys", "/tmp"]);
    assert!(mounts.lines().all(|line| line.split(' ').count() == 6));
    let info = sandbox.content("/proc/self/mountinfo");
    for line in info.lines() {
        let (before, after) = line.split_once(" - ").unwrap();
        assert_eq!((before.split(' ').count(), after.split(' ').count()), (6, 3), "{line}");
    }
    assert!(info.starts_with("1 1 0:1 / / rw,relatime - tmpfs tmpfs rw\n"), "{info}");
    assert!(info.contains("\n3 2 0:3 / /dev/shm "), "{info}");
    let columns = |text: &str| -> Vec<usize> {
        ["Soft", "Hard", "Units"].map(|word| text.find(word).unwrap()).to_vec()
    };
    let (ours, native) = (sandbox.content("/proc/self/limits"), native("/proc/self/limits"));
    assert_eq!(columns(&ours), columns(&native));
    let name = |line: &str| line[..25].to_owned();
    assert!(ours.lines().map(name).eq(native.lines().map(name)), "{ours}");
    assert!(ours.contains(
        "Max open files            1024                 131072               files     \n"
    ));
    // Below another root the rest is not to be seen.
    assert_eq!(sandbox.with_path(nr64::CHROOT, "/dev", []), Ok(0));
}
