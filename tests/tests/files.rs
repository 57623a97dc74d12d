//! Calls on files, case by case: `tests/cases/list` has small cases, which one program
//! makes natively, on a tmpfs, and in a sandbox. A case that differs fails by its name.

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::utsname::uname;
use nix::unistd::geteuid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use trapgate_tests::{
    Case, Home, Program, Ran, compiled, elsewhere, missing, needs_kvm, takes_long,
};

/// The cases, a file a family.
const LIST: [&str; 13] = [
    include_str!("../cases/list/attributes.cases"),
    include_str!("../cases/list/content.cases"),
    include_str!("../cases/list/descriptors.cases"),
    include_str!("../cases/list/directories.cases"),
    include_str!("../cases/list/errors.cases"),
    include_str!("../cases/list/maps.cases"),
    include_str!("../cases/list/memory.cases"),
    include_str!("../cases/list/names.cases"),
    include_str!("../cases/list/open.cases"),
    include_str!("../cases/list/pointers.cases"),
    include_str!("../cases/list/rename.cases"),
    include_str!("../cases/list/status.cases"),
    include_str!("../cases/list/walk.cases"),
];

/// Calls that the kernel does not have yet: ENOSYS. What makes one of them is not
/// compared; when one is answered, it must go from here.
const NOT_YET: [&str; 6] =
    ["memfd_create", "mlock2", "mlockall", "munlockall", "preadv2", "pwritev2"];

/// What is behind a difference that is to go.
const WRAPS: &str = "defect: lengths that wrap are judged later than in Linux";
const FIFOS: &str = "defect: fifos cannot be opened yet";
const EMPTY_PATH: &str = "defect: readlinkat(2) of an empty path and no link is EINVAL, not ENOENT";
const LARGE_FILES: &str = "defect: O_LARGEFILE is recorded, and not enforced for i386";
const FAR: &str = "defect: transfers that would end beyond the largest offset are cut, not EINVAL";
const ADVICE: &str = "defect: madvise(2) does not populate or remove yet";

/// Cases that are known to differ, by one door at least, and why. One that no longer
/// differs must go from here; what begins with `defect` is to be mended.
const DIFFERENT: [(&str, &str); 38] = [
    ("copy_file_range_refuses", FIFOS),
    ("create_through_loops", "defect: a slash behind a name that is created is looked at late"),
    ("fallocate_refuses", FIFOS),
    ("fcntl_of_nothing", "defect: fcntl(2) lacks a few commands"),
    ("fstatat_of_no_path", "defect: AT_EMPTY_PATH without a path is EFAULT"),
    ("madvise_of_wrapping_lengths", WRAPS),
    ("madvise_populates", ADVICE),
    ("madvise_reads_files_again", ADVICE),
    ("madvise_removes", ADVICE),
    ("map_changes_times", "defect: writing a shared mapping changes no times"),
    ("map_refuses", WRAPS),
    ("mlock_of_files", "defect: mlock(2) beyond a file's end succeeds"),
    ("mlock_of_nothing", WRAPS),
    ("mmap_at_zero", "root of a sandbox has no CAP_SYS_RAWIO, as in a container"),
    ("mmap_flags", "defect: MAP_GROWSDOWN of shared memory is taken"),
    ("mmap_of_huge_pages", "defect: MAP_HUGETLB does not look at the address"),
    ("mprotect_refuses", "defect: nothing changes in front of a hole"),
    ("mremap_without_unmapping", "defect: MREMAP_DONTUNMAP is EINVAL"),
    ("msync_of_files", WRAPS),
    ("ofd_locks_split_and_join", "defect: F_OFD_GETLK does not tell the first lock"),
    ("open_a_fifo_that_must_not_wait", FIFOS),
    ("open_flags_of_large_files", LARGE_FILES),
    ("open_flags_of_large_files_64", LARGE_FILES),
    ("open_for_path", "defect: ioctl(2) of a descriptor for a path is ENOTTY"),
    ("opening_large_files_by_old_calls", LARGE_FILES),
    ("pointers_to_offsets", LARGE_FILES),
    ("pread_at_the_largest_offsets", FAR),
    ("preadv_at_bad_offsets", FAR),
    ("readlink_changes_the_time_of_access", "defect: readlink(2) does not"),
    ("readlink_of_other_files", EMPTY_PATH),
    ("readv_of_vectors_that_are_too_long_together", WRAPS),
    ("statx_asks", "defect: the time of birth is told to who does not ask"),
    ("truncate_by_old_calls", LARGE_FILES),
    ("walk_of_an_empty_path", "defect: readlink(2) of an empty path is EINVAL"),
    ("write_with_lengths_that_are_too_large", WRAPS),
    ("writing_takes_set_id_bits", "defect: write(2) by another user keeps them"),
    ("writing_at_the_largest_offset", FAR),
    ("writing_beyond_2_gib_needs_a_large_file", LARGE_FILES),
];

/// The fewest cases that there are to be.
const ENOUGH: usize = 400;

/// Longer than all of them take, where ring 0 is interpreted and the machine is busy.
const LIMIT: Duration = Duration::from_secs(600);

/// The output of a run, by case.
type Outcomes<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// The text of the cases that this Linux can show, or of those that `wanted` names.
fn cases(wanted: Option<&[&str]>) -> String {
    let release = uname().expect("it has a name").release().to_string_lossy().into_owned();
    let mut numbers = release.split(|char: char| !char.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    let version = (number().unwrap_or(0), number().unwrap_or(0));
    let (mut text, mut taken) = (String::new(), false);
    for line in LIST.iter().flat_map(|family| family.lines()) {
        if let Some(head) = line.strip_prefix("= ") {
            let (name, marks) = head.split_once(' ').unwrap_or((head, ""));
            taken = wanted.is_none_or(|wanted| wanted.contains(&name)) && version >= since(marks);
        }
        if taken {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The first Linux that does as a case says: of `linux>=6.6`.
fn since(marks: &str) -> (u32, u32) {
    let mark = marks.split(' ').find_map(|mark| mark.strip_prefix("linux>="));
    let version = mark.and_then(|version| version.split_once('.'));
    version.map_or((0, 0), |(major, minor)| {
        (major.parse().expect("a version"), minor.parse().expect("a version"))
    })
}

fn by_case(ran: &Ran) -> Outcomes<'_> {
    let text = str::from_utf8(&ran.stdout).expect("it writes text");
    let mut outcomes = Outcomes::new();
    let mut lines: Option<&mut Vec<&str>> = None;
    for line in text.lines() {
        match (line.strip_prefix("= "), &mut lines) {
            (Some(name), _) => lines = Some(outcomes.entry(name).or_default()),
            (None, Some(lines)) => lines.push(line),
            (None, None) => ran.fail("the name of a case first"),
        }
    }
    outcomes
}

/// A new directory on a tmpfs, which is what files in memory are compared with.
fn tmpfs() -> Option<TempDir> {
    let is_tmpfs = |path: &&str| statfs(*path).is_ok_and(|fs| fs.filesystem_type() == TMPFS_MAGIC);
    let place = ["/dev/shm", "/tmp", "/run", "/"].into_iter().find(is_tmpfs);
    let made = place.and_then(|place| tempfile::Builder::new().tempdir_in(place).ok());
    if made.is_none() {
        missing("a tmpfs");
    }
    made
}

/// Runs these cases natively and in a sandbox.
struct Compared {
    native: Ran,
    sandboxed: Ran,
}

fn run(program: &Program, width: &str, text: &str) -> Option<Compared> {
    let directory = tmpfs()?;
    // As a sandbox's /tmp is.
    let permissions = Permissions::from_mode(0o1777);
    fs::set_permissions(directory.path(), permissions).expect("it is ours");
    let case = |directory: &Path| {
        let args = [width.as_ref(), directory.as_os_str()];
        Case::new(program).args(args).stdin_bytes(text).limit(LIMIT)
    };
    let native = case(directory.path()).native();
    native.expect_status(0);
    native.expect(native.stdout.ends_with(b"= end\n"), "all cases natively");
    let sandboxed = case(Path::new("/tmp")).sandboxed();
    Some(Compared { native, sandboxed })
}

impl Compared {
    /// The names of calls that a sandboxed case got ENOSYS for, but natively not.
    fn unanswered<'a>(native: &[&'a str], sandboxed: &[&'a str]) -> BTreeSet<&'a str> {
        let pairs = native.iter().zip(sandboxed);
        let lacking = pairs.filter(|(native, sandboxed)| {
            sandboxed.contains("ENOSYS") && !native.contains("ENOSYS")
        });
        lacking.filter_map(|(line, _)| call_of(line)).collect()
    }

    /// Everything that is not as it should be; `known` gets the cases that differ as
    /// expected.
    fn faults(&self, width: &str, known: &mut BTreeSet<&'static str>) -> String {
        let (native, sandboxed) = (by_case(&self.native), by_case(&self.sandboxed));
        let mut faults = String::new();
        let mut fault = |text: String| faults.push_str(&text);
        let mut answered = BTreeSet::new();
        for (name, expected) in &native {
            let Some(got) = sandboxed.get(name) else {
                fault(format!("{name}: did not run\n"));
                continue;
            };
            for line in got.iter().filter(|line| !line.contains("ENOSYS")) {
                answered.extend(call_of(line));
            }
            let lacking = Self::unanswered(expected, got);
            if expected == got || lacking.iter().any(|call| NOT_YET.contains(call)) {
                continue;
            }
            match DIFFERENT.iter().find(|(different, _)| different == name) {
                Some((different, _)) => drop(known.insert(different)),
                None => fault(format!("{name}\n{}", difference(expected, got))),
            }
        }
        for call in NOT_YET.iter().filter(|call| answered.contains(*call)) {
            fault(format!("{call}: it is in NOT_YET, and is answered\n"));
        }
        match faults.is_empty() {
            true => faults,
            false => format!("{width}, natively (-) and sandboxed (+):\n{faults}"),
        }
    }
}

/// The call of a line of output.
fn call_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("repeat") => words.nth(1),
        Some("|") => None,
        word => word,
    }
}

/// The lines in which they differ.
fn difference(expected: &[&str], got: &[&str]) -> String {
    let mut text = String::new();
    for index in 0..expected.len().max(got.len()) {
        let (expected, got) = (expected.get(index), got.get(index));
        if expected != got {
            let [expected, got] = [expected, got].map(|line| line.copied().unwrap_or_default());
            writeln!(text, "  -{expected}\n  +{got}").expect("a String takes all");
        }
    }
    text
}

/// Runs cases by both doors, and expects that none differs.
#[track_caller]
fn compare(wanted: Option<&[&str]>) {
    if !geteuid().is_root() {
        return elsewhere(Home::AmdRig, "a program in a sandbox is root, and here it is not");
    }
    let Some(program) = compiled("cases.std") else { return };
    let text = cases(wanted);
    let (mut faults, mut known) = (String::new(), BTreeSet::new());
    for width in ["x86_64", "i386"] {
        let Some(compared) = run(&program, width, &text) else { return };
        faults.push_str(&compared.faults(width, &mut known));
        let status = compared.sandboxed.status;
        if status != 0 {
            let last = by_case(&compared.sandboxed).into_keys().count();
            let text = compared.sandboxed.stderr_text();
            writeln!(faults, "{width}: status {status} after {last} cases\n{text}")
                .expect("a String takes all");
        }
    }
    let ran = |name: &str| text.lines().any(|line| line.split(' ').nth(1) == Some(name));
    for (name, _) in DIFFERENT.iter().filter(|(name, _)| ran(name) && !known.contains(name)) {
        writeln!(faults, "{name}: it is in DIFFERENT, and does not").expect("a String takes all");
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_case_is_as_natively() {
    needs_kvm!();
    takes_long!();
    compare(None);
}

/// One of each family.
#[test]
fn a_few_cases_are_as_natively() {
    needs_kvm!();
    compare(Some(&[
        "open_creates_with_the_mode_less_the_umask",
        "read_and_write",
        "link_counts",
        "rename_over_a_file",
        "walk_loops",
        "chmod_sets",
        "dup_shares_the_offset",
        "chdir_goes",
        "map_shared",
        "pointers_to_results",
    ]));
}

#[test]
fn there_are_many_cases_and_each_has_a_name_of_its_own() {
    let names = LIST.iter().flat_map(|family| family.lines());
    let names: Vec<&str> = names.filter_map(|line| line.strip_prefix("= ")).collect();
    let names: Vec<&str> =
        names.iter().map(|head| head.split(' ').next().expect("a name")).collect();
    let mut once = BTreeSet::new();
    let twice = names.iter().find(|name| !once.insert(**name));
    assert!(twice.is_none(), "{twice:?} is there twice");
    assert!(names.len() >= ENOUGH, "{} cases", names.len());
    for (different, reason) in DIFFERENT {
        assert!(once.contains(different), "{different} is no case");
        assert!(!reason.is_empty(), "{different} says why");
    }
}
