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
    Case, Home, Program, Ran, compiled, elsewhere, missing, needs_kvm, rounds, takes_long,
};

/// The cases, a file a family.
const LIST: [&str; 18] = [
    include_str!("../cases/list/attributes.cases"),
    include_str!("../cases/list/content.cases"),
    include_str!("../cases/list/descriptors.cases"),
    include_str!("../cases/list/directories.cases"),
    include_str!("../cases/list/errors.cases"),
    include_str!("../cases/list/maps.cases"),
    include_str!("../cases/list/memory.cases"),
    include_str!("../cases/list/names.cases"),
    include_str!("../cases/list/open.cases"),
    include_str!("../cases/list/pipes.cases"),
    include_str!("../cases/list/pointers.cases"),
    include_str!("../cases/list/process.cases"),
    include_str!("../cases/list/rename.cases"),
    include_str!("../cases/list/scheduling.cases"),
    include_str!("../cases/list/segments.cases"),
    include_str!("../cases/list/status.cases"),
    include_str!("../cases/list/waiting.cases"),
    include_str!("../cases/list/walk.cases"),
];

/// Cases that are known to differ, by one door at least, and why. One that no longer
/// differs must go from here; what begins with `defect` is to be mended.
const DIFFERENT: [(&str, &str); 1] =
    [("mmap_at_zero", "root of a sandbox has no CAP_SYS_RAWIO, as in a container")];

/// The same of those that are made in a directory of the host's (`--bind HOST:GUEST:rw`).
const DIFFERENT_IN_A_BIND: [(&str, &str); 24] = [
    ("chmod_sets", SET_ID),
    ("chown_takes_set_id_bits", SET_ID),
    ("fifo_gets_times", "a fifo is the guest's: what goes through it changes nothing on the host"),
    ("getdents_of_all_kinds", DEVICES),
    (
        "getdents_while_all_names_go",
        "names that go while a directory is read may be read still, as POSIX has it",
    ),
    ("link_of_special_files", DEVICES),
    ("madvise_removes", "EOPNOTSUPP, as in a file system that punches no holes"),
    ("map_changes_times", "that a page is brought is an access on the host"),
    ("mkdir_belongs_to_who_makes_it", OWNERS),
    ("mknod_by_another_user", OWNERS),
    ("mknod_makes", DEVICES),
    ("open_a_device_without_a_driver", DEVICES),
    ("open_creates_with_the_mode_less_the_umask", SET_ID),
    ("open_makes_a_set_group_id_file_in_a_directory_of_its_group", SET_ID),
    ("open_without_a_name", UNNAMED),
    ("open_without_a_name_and_link_it", UNNAMED),
    ("open_without_a_name_for_ever", UNNAMED),
    ("openat2_without_a_name", UNNAMED),
    ("pointers_to_what_is_written", "Linux takes a block before it sees that the pointer is bad"),
    ("readlink_changes_the_time_of_access", ACCESS),
    ("times_of_reading_and_writing", ACCESS),
    ("times_of_reading_without_changing_them", ACCESS),
    ("umask_of_all_that_is_made", UNNAMED),
    ("writing_takes_set_id_bits", SET_ID),
];

/// Reasons that several cases have.
const SET_ID: &str = "a guest makes no set-user-ID and no set-group-ID file on the host";
const DEVICES: &str = "a guest makes no device on the host: EPERM, as for an ordinary user";
const OWNERS: &str = "what is made belongs on the host to who runs the sandbox";
const UNNAMED: &str = "O_TMPFILE is EOPNOTSUPP, as in a file system that has it not";
const ACCESS: &str = "reading what is kept in the guest is no access on the host";

/// Where a sandbox makes the cases.
#[derive(Clone, Copy)]
enum Place {
    /// In its memory.
    Memory,
    /// On a tmpfs of the host's, in a bind that is `rw`.
    Bind,
}

impl Place {
    /// By which doors: what the host does is the same by both, and takes long.
    fn widths(self) -> &'static [&'static str] {
        match self {
            Place::Bind if rounds(1, 2) == 1 => &["x86_64"],
            _ => &["x86_64", "i386"],
        }
    }

    /// Which cases are known to differ, and why.
    fn different(self) -> Vec<(&'static str, &'static str)> {
        let also: &[_] = match self {
            Place::Memory => &[],
            Place::Bind => &DIFFERENT_IN_A_BIND,
        };
        [&DIFFERENT, also].concat()
    }
}

/// The fewest cases that there are to be.
const ENOUGH: usize = 500;

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

fn run(program: &Program, width: &str, text: &str, place: Place) -> Option<Compared> {
    let (directory, bound) = (tmpfs()?, tmpfs()?);
    // As a sandbox's /tmp is.
    let permissions = Permissions::from_mode(0o1777);
    for directory in [&directory, &bound] {
        fs::set_permissions(directory.path(), permissions.clone()).expect("it is ours");
    }
    let case = |directory: &Path| {
        let args = [width.as_ref(), directory.as_os_str()];
        Case::new(program).args(args).stdin_bytes(text).limit(LIMIT)
    };
    let native = case(directory.path()).native();
    native.expect_status(0);
    native.expect(native.stdout.ends_with(b"= end\n"), "all cases natively");
    let sandboxed = match place {
        // In /tmp the program itself may be.
        Place::Memory => case(Path::new("/dev/shm")).sandboxed(),
        Place::Bind => {
            let bind = format!("{}:/bind:rw", bound.path().display());
            case(Path::new("/bind")).options(["--bind", &bind]).sandboxed()
        }
    };
    Some(Compared { native, sandboxed })
}

impl Compared {
    /// Everything that is not as it should be; `known` gets the cases that differ as
    /// expected.
    fn faults(
        &self,
        width: &str,
        different: &[(&'static str, &str)],
        known: &mut BTreeSet<&'static str>,
    ) -> String {
        let (native, sandboxed) = (by_case(&self.native), by_case(&self.sandboxed));
        let mut faults = String::new();
        let mut fault = |text: String| faults.push_str(&text);
        for (name, expected) in &native {
            let Some(got) = sandboxed.get(name) else {
                fault(format!("{name}: did not run\n"));
                continue;
            };
            if expected == got {
                continue;
            }
            match different.iter().find(|(different, _)| different == name) {
                Some((different, _)) => drop(known.insert(different)),
                None => fault(format!("{name}\n{}", difference(expected, got))),
            }
        }
        match faults.is_empty() {
            true => faults,
            false => format!("{width}, natively (-) and sandboxed (+):\n{faults}"),
        }
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

/// Runs cases by the doors of a place, and expects that none differs.
#[track_caller]
fn compare(wanted: Option<&[&str]>, place: Place) {
    if !geteuid().is_root() {
        return elsewhere(Home::AmdRig, "a program in a sandbox is root, and here it is not");
    }
    let Some(program) = compiled("cases.std") else { return };
    let (text, different) = (cases(wanted), place.different());
    let (mut faults, mut known) = (String::new(), BTreeSet::new());
    for width in place.widths() {
        let Some(compared) = run(&program, width, &text, place) else { return };
        faults.push_str(&compared.faults(width, &different, &mut known));
        let status = compared.sandboxed.status;
        if status != 0 {
            let last = by_case(&compared.sandboxed).into_keys().count();
            let text = compared.sandboxed.stderr_text();
            writeln!(faults, "{width}: status {status} after {last} cases\n{text}")
                .expect("a String takes all");
        }
    }
    let ran = |name: &str| text.lines().any(|line| line.split(' ').nth(1) == Some(name));
    for (name, _) in different.iter().filter(|(name, _)| ran(name) && !known.contains(name)) {
        writeln!(faults, "{name}: it is in DIFFERENT, and does not").expect("a String takes all");
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_case_is_as_natively() {
    needs_kvm!();
    takes_long!();
    compare(None, Place::Memory);
}

#[test]
fn every_case_is_as_natively_in_a_directory_of_the_hosts() {
    needs_kvm!();
    takes_long!();
    compare(None, Place::Bind);
}

/// One of each family.
#[test]
fn a_few_cases_are_as_natively() {
    needs_kvm!();
    let few = [
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
        "epoll_tells_of_an_edge_once",
        "timerfd_is_watched",
    ];
    for place in [Place::Memory, Place::Bind] {
        compare(Some(&few), place);
    }
}

/// All of a family that few of the others' calls touch, and none a file.
#[test]
fn what_is_about_scheduling_and_limits_is_as_natively() {
    needs_kvm!();
    let family = include_str!("../cases/list/scheduling.cases");
    let heads = family.lines().filter_map(|line| line.strip_prefix("= "));
    let names: Vec<&str> = heads.filter_map(|head| head.split(' ').next()).collect();
    compare(Some(&names), Place::Memory);
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
    for (different, reason) in Place::Bind.different() {
        assert!(once.contains(different), "{different} is no case");
        assert!(!reason.is_empty(), "{different} says why");
    }
}
