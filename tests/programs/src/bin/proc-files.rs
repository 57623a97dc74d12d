//! /proc, /sys and /dev as programs read them: each file is parsed as run-times do, and
//! held against what calls answer. What is printed is the same on any Linux.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::{Report, address, call};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const O_WRONLY: u64 = 1;
const O_RDWR_CREAT: u64 = 0o102;
/// The longest file that is read.
const LONGEST: usize = 64 << 10;

struct Files {
    report: Report,
    buffer: [u8; LONGEST],
}

fn main(_: Args) -> i32 {
    let mut files = Files { report: Report::new(), buffer: [0; LONGEST] };
    files.identity();
    files.memory();
    files.strings();
    files.descriptors();
    files.machine();
    files.errors();
    files.report.status()
}

fn at(path: &[u8]) -> u64 {
    assert!(path.ends_with(b"\0"), "a path ends with a NUL");
    path.as_ptr() as u64
}

/// Writes `number` behind `prefix`, and a NUL.
fn numbered(prefix: &str, number: u64, into: &mut [u8; 64]) {
    into[..prefix.len()].copy_from_slice(prefix.as_bytes());
    let mut digits = [0; 20];
    let (mut count, mut rest) = (0, number);
    while count == 0 || rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        (count, rest) = (count + 1, rest / 10);
    }
    for index in 0..count {
        into[prefix.len() + index] = digits[count - 1 - index];
    }
    into[prefix.len() + count] = 0;
}

/// The number behind a key, in `text`'s lines.
fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line[key.len()..].split_ascii_whitespace().next()?.parse().ok()
}

impl Files {
    /// All of a file, read in small pieces.
    fn read(&mut self, path: &[u8]) -> &str {
        let fd = match call(nr64::OPEN, &[at(path), 0]) {
            Ok(fd) => fd,
            Err(error) => {
                let name = from_utf8(path).unwrap_or("?");
                self.report.failed(format_args!("{name} cannot be opened: {}", error.name()));
                return "";
            }
        };
        let mut length = 0;
        while length < LONGEST {
            let piece = (LONGEST - length).min(1000) as u64;
            let to = self.buffer[length..].as_mut_ptr() as u64;
            match call(nr64::READ, &[fd, to, piece]) {
                Ok(0) => break,
                Ok(got) => length += got as usize,
                Err(error) => {
                    let name = from_utf8(path).unwrap_or("?");
                    self.report.failed(format_args!("{name} cannot be read: {}", error.name()));
                    break;
                }
            }
        }
        let _ = call(nr64::CLOSE, &[fd]);
        from_utf8(&self.buffer[..length]).unwrap_or("")
    }

    fn holds(&mut self, what: &str, is_so: bool) {
        self.report.holds(what, is_so);
    }

    /// readlink(2) answers this.
    fn leads_to(&mut self, path: &[u8], expected: &str) {
        let mut target = [0; 256];
        let got = call(nr64::READLINK, &[at(path), address(&mut target), 256]).unwrap_or(0);
        let got = from_utf8(&target[..got as usize]).unwrap_or("");
        if got != expected {
            self.report.failed(format_args!("a link to {got}, not to {expected}"));
        }
    }

    fn identity(&mut self) {
        let pid = call(nr64::GETPID, &[]).unwrap_or(0);
        let mut text = [0; 64];
        numbered("", pid, &mut text);
        let pid_text = from_utf8(&text).unwrap_or("").trim_end_matches('\0');
        self.leads_to(b"/proc/self\0", pid_text);
        let status = self.read(b"/proc/self/status\0");
        let ids = [value(status, "Pid:"), value(status, "Tgid:"), value(status, "Threads:")];
        let keys = [
            "Name:",
            "Umask:",
            "State:",
            "PPid:",
            "Uid:",
            "Gid:",
            "FDSize:",
            "VmPeak:",
            "VmSize:",
            "VmHWM:",
            "VmRSS:",
            "RssAnon:",
            "VmData:",
            "VmStk:",
            "VmExe:",
            "VmPTE:",
            "SigBlk:",
            "SigIgn:",
            "CapEff:",
            "NoNewPrivs:",
            "Seccomp:",
            "Cpus_allowed_list:",
            "voluntary_ctxt_switches:",
        ];
        let all = keys.iter().all(|key| status.lines().any(|line| line.starts_with(key)));
        self.holds("status has all keys", all);
        self.holds("and its ids", ids == [Some(pid), Some(pid), Some(1)]);
        let stat = self.read(b"/proc/self/stat\0");
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let is_so = after.split_ascii_whitespace().count() == 50 && after.starts_with("R ");
        let has_name = stat.contains("(proc-files) ");
        self.holds("stat has 52 fields", is_so);
        self.holds("with the name", has_name);
        let comm = self.read(b"/proc/thread-self/comm\0") == "proc-files\n";
        self.holds("which is the task's, too", comm);
    }

    fn memory(&mut self) {
        let mut local = 0u64;
        let stack = address(&mut local);
        let code = main as *const () as u64;
        let maps = self.read(b"/proc/self/maps\0");
        let range = |line: &str| -> Option<(u64, u64)> {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
        };
        let with = |address: u64| {
            maps.lines().find(|line| {
                range(line).is_some_and(|(start, end)| start <= address && address < end)
            })
        };
        let whole = maps.lines().all(|line| range(line).is_some());
        let has_stack = with(stack)
            .is_some_and(|line| line.contains(" rw-p ") && line.get(73..) == Some("[stack]"));
        let has_code = with(code).is_some_and(|line| line.contains(" r-xp "));
        let has_vdso = maps.lines().any(|line| line.get(73..) == Some("[vdso]"));
        let size: u64 = maps.lines().filter_map(range).map(|(start, end)| end - start).sum();
        self.holds("maps has a range in each line", whole && size > 0);
        self.holds("the stack, by name", has_stack);
        self.holds("the code", has_code);
        self.holds("and the vDSO, by name", has_vdso);
        let smaps = self.read(b"/proc/self/smaps\0");
        let of = |key: &str| -> u64 {
            let lines = smaps.lines().filter(|line| line.starts_with(key));
            lines.filter_map(|line| value(line, key)).sum()
        };
        let sums = [of("Size:") > 0, of("Rss:") > 0, of("Private_Dirty:") > 0, of("Pss:") > 0];
        self.holds("smaps counts what is there", sums == [true; 4]);
        let statm = self.read(b"/proc/self/statm\0");
        let mut numbers =
            statm.split_ascii_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (size, resident) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let is_so = numbers.count() == 5 && size >= resident && resident > 0;
        self.holds("statm has seven numbers", is_so);
    }

    fn strings(&mut self) {
        let is_so = self.read(b"/proc/self/cmdline\0").ends_with("\0one\0two words\0");
        self.holds("cmdline has the arguments", is_so);
        let is_so = self.read(b"/proc/self/environ\0").split('\0').any(|word| word == "KEY=value");
        self.holds("environ has the environment", is_so);
        let fd = call(nr64::OPEN, &[at(b"/proc/self/auxv\0"), 0]).unwrap_or(99);
        let mut auxv = [0u64; 64];
        let got = call(nr64::READ, &[fd, address(&mut auxv), 512]).unwrap_or(0) as usize / 8;
        let pairs = auxv[..got].chunks_exact(2);
        let is_so = pairs.clone().any(|pair| pair == [6, 4096])
            && pairs.last().is_some_and(|pair| pair == [0, 0]);
        let _ = call(nr64::CLOSE, &[fd]);
        self.holds("auxv has the size of a page, and an end", is_so);
    }

    fn descriptors(&mut self) {
        let fd = call(nr64::OPEN, &[at(b"/dev/null\0"), 2]).unwrap_or(99);
        let mut path = [0; 64];
        numbered("/proc/self/fd/", fd, &mut path);
        self.leads_to(&path, "/dev/null");
        let again = call(nr64::OPEN, &[at(&path), O_WRONLY]);
        self.report.is("write", again.and_then(|fd| call(nr64::WRITE, &[fd, at(&path), 1])), 1);
        numbered("/proc/self/fdinfo/", fd, &mut path);
        let info = self.read(&path);
        let has = ["pos:\t0\n", "flags:\t0100002\n", "mnt_id:\t", "ino:\t"];
        let is_so = has.iter().all(|line| info.contains(line));
        self.holds("fdinfo has position and flags", is_so);
        self.leads_to(b"/proc/self/root\0", "/");
        let is_so = self.read(b"/proc/self/limits\0").lines().count() == 17;
        self.holds("limits has 16 of them", is_so);
    }

    fn machine(&mut self) {
        let text = self.read(b"/proc/meminfo\0");
        let [total, free] = ["MemTotal:", "MemFree:"].map(|key| value(text, key).unwrap_or(0));
        let is_so = total > free && free > 0 && value(text, "MemAvailable:").is_some();
        self.holds("meminfo has a part that is free", is_so);
        for (path, count) in [
            (&b"/proc/uptime\0"[..], 2),
            (b"/proc/loadavg\0", 5),
            (b"/proc/sys/kernel/pid_max\0", 1),
            (b"/proc/sys/vm/overcommit_memory\0", 1),
            (b"/proc/sys/vm/max_map_count\0", 1),
            (b"/proc/sys/fs/file-max\0", 1),
            (b"/proc/sys/kernel/cap_last_cap\0", 1),
            (b"/proc/sys/kernel/ngroups_max\0", 1),
        ] {
            let name = from_utf8(path).unwrap_or("?").trim_end_matches('\0');
            let words = self.read(path).split_ascii_whitespace().count();
            if words == count {
                println!("{name}: {words}");
            } else {
                self.report.failed(format_args!("{name} has {words} words"));
            }
        }
        let text = self.read(b"/proc/stat\0");
        let first = text.lines().next().unwrap_or("").split_ascii_whitespace().count();
        let is_so = first == 11 && value(text, "btime").is_some();
        self.holds("stat has ten times of a CPU", is_so);
        let is_so = self.read(b"/proc/cpuinfo\0").contains("\nflags\t\t: fpu ");
        self.holds("cpuinfo has flags", is_so);
        let is_so = self.read(b"/proc/filesystems\0").contains("nodev\ttmpfs\n");
        self.holds("filesystems has tmpfs", is_so);
        let is_so = self.read(b"/proc/mounts\0").lines().any(|line| line.contains(" /proc proc "));
        self.holds("mounts has /proc", is_so);
        let text = self.read(b"/proc/sys/kernel/random/boot_id\0");
        let is_so = text.len() == 37 && text.split('-').count() == 5;
        self.holds("a boot has an id", is_so);
        for path in [
            &b"/sys/devices/system/cpu/online\0"[..],
            b"/sys/devices/system/cpu/possible\0",
            b"/sys/devices/system/cpu/present\0",
        ] {
            let is_so = self.read(path).starts_with('0');
            self.holds("there is a first CPU", is_so);
        }
    }

    fn errors(&mut self) {
        let path = b"/proc/self/new\0";
        let made = call(nr64::OPEN, &[at(path), O_RDWR_CREAT, 0o644]);
        self.report.answers("creating", made, Err(Errno::ENOENT));
        let made = call(nr64::MKDIR, &[at(b"/proc/self\0"), 0o755]);
        self.report.answers("mkdir", made, Err(Errno::EEXIST));
        let gone = call(nr64::OPEN, &[at(b"/proc/self/fd/999\0"), 0]);
        self.report.answers("no descriptor", gone, Err(Errno::ENOENT));
        let into = call(nr64::OPEN, &[at(b"/proc/self/stat/x\0"), 0]);
        self.report.answers("no directory", into, Err(Errno::ENOTDIR));
    }
}
