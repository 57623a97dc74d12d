//! Directories of the host's: as the root, and in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use trapgate_tests::programs::{bytes, compiled, directory};
use trapgate_tests::{Case, Ran, busybox, missing, needs_kvm, scale, trapgate};

/// What execve(2) answers for what is no program.
const ENOEXEC: i32 = 8;

/// A directory with `root`, in which a program is, and `data`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(directory());
        for name in ["root/usr/bin", "data/sub"] {
            fs::create_dir_all(place.path(name)).expect("room");
        }
        fs::write(place.path("root/usr/bin/hello"), bytes("hello-syscall")).expect("room");
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(place.path("root/usr/bin/hello"), mode).expect("it is ours");
        symlink("usr/bin", place.path("root/bin")).expect("room");
        symlink("/bin/hello", place.path("root/usr/bin/again")).expect("room");
        fs::write(place.path("data/file"), "x").expect("room");
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("ASCII").to_owned()
    }

    /// Runs `trapgate run` with these words.
    fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(trapgate());
        command.arg("run").args(words).env("TRAPGATE_CACHE", self.path("cache"));
        let limit = Duration::from_secs(scale(20, 60, 200));
        Case::new("unused").start(command).finish(limit)
    }
}

#[test]
fn a_program_runs_that_is_in_a_directory() {
    needs_kvm!();
    let place = Place::new();
    let root = place.path("root");
    for name in ["hello", "again", "usr/bin/hello", "/bin/hello", "/bin/again"] {
        let ran = place.run(&["--root", &root, name]);
        ran.expect_status(0).expect_stdout("Hello from ring 3 by SYSCALL.\n");
        ran.expect(ran.stderr.is_empty(), "nothing on stderr");
    }
    place.run(&["--root", &root, "none"]).expect_status(127);
    place.run(&["--root", &root, "/usr/bin"]).expect_status(126);
}

#[test]
fn a_program_runs_that_is_in_a_directory_beside_the_root() {
    needs_kvm!();
    let place = Place::new();
    let bind = format!("{}:/opt/new/app", place.path("root/usr/bin"));
    let run = |words: &[&str]| {
        let root = place.path("data");
        place.run(&[&["--root", &root, "--bind", &bind], words].concat())
    };
    let expected = "Hello from ring 3 by SYSCALL.\n";
    run(&["/opt/new/app/hello"]).expect_status(0).expect_stdout(expected);
    run(&["-e", "PATH=/opt/new/app", "hello"]).expect_status(0).expect_stdout(expected);
    run(&["/opt/new/app/none"]).expect_status(127);
}

#[test]
fn one_file_of_the_hosts_is_where_it_is_to_be() {
    needs_kvm!();
    let place = Place::new();
    let program = format!("{}:/opt/prog", place.path("root/usr/bin/hello"));
    let data = place.path("data");
    let ran = place.run(&["--root", &data, "--bind", &program, "/opt/prog"]);
    ran.expect_status(0).expect_stdout("Hello from ring 3 by SYSCALL.\n");
    let Some(busybox) = busybox() else { return };
    let busybox = busybox.to_str().expect("UTF-8");
    let file = format!("{}:/new/in.txt:cache=exclusive", place.path("data/file"));
    let ran = place.run(&["--bind", &file, busybox, "cat", "/new/in.txt"]);
    ran.expect_status(0).expect_stdout("x");
    let ran = place.run(&["--bind", &file, busybox, "ls", "-a", "/new"]);
    ran.expect_status(0).expect_stdout(".\n..\nin.txt\n");
}

#[test]
fn what_is_no_bind_and_no_root_is_said_in_a_line() {
    let place = Place::new();
    let (root, data, file) = (place.path("root"), place.path("data"), place.path("data/file"));
    let none = place.path("none");
    for (binds, part) in [
        (vec![format!("{none}:/a")], "none: no such file"),
        (vec![format!("{file}/x:/a")], "file/x: cannot be read: Not a directory"),
        (vec!["/dev/null:/a".to_owned()], "/dev/null: cannot be read: it is no regular file"),
        (vec![format!("{data}:/a/../b")], "has '.' or '..' in it"),
        (vec![format!("{data}:/")], "is the root"),
        (vec![format!("{data}:/a"), format!("{data}:/a/")], "'/a' is given twice"),
    ] {
        let mut words = vec!["--root", &root];
        binds.iter().for_each(|bind| words.extend(["--bind", bind]));
        words.push("hello");
        let ran = place.run(&words);
        ran.expect_in_stderr(part);
        ran.is_refusal(125).unwrap_or_else(|text| ran.fail(&text));
    }
    let ran = place.run(&["--root", &none, "hello"]);
    ran.expect_in_stderr("none: no such file").expect_status(125);
    let ran = place.run(&["--root", &root, "--bind", "data:relative", "hello"]);
    ran.expect_in_stderr("HOST:GUEST").expect_status(125);
    let ran = place.run(&["--root", &root, "--bind", "data:/a:rw,cache=on", "hello"]);
    ran.expect_in_stderr("'cache=on' is no option of a bind").expect_status(125);
    assert!(Path::new(&root).is_dir());
}

#[test]
fn a_limit_of_descriptors_that_is_too_small_is_said_with_what_to_do() {
    needs_kvm!();
    let place = Place::new();
    let (root, data) = (place.path("root"), format!("{}:/data:rw", place.path("data")));
    let with_bind = ["--root", &root, "--bind", &data, "hello"];
    let (mut refused, mut ran) = (0, 0);
    for (words, limits) in [
        (&with_bind[..], &[4, 5, 6, 7, 8, 9, 12, 31, 64][..]),
        (&[&place.path("root/usr/bin/hello")], &[4, 5, 6, 7, 8, 9, 64]),
    ] {
        for limit in limits {
            let script = format!("ulimit -n {limit}; exec \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, "sh"]).arg(trapgate()).arg("run").args(words);
            let limit = Duration::from_secs(scale(20, 60, 200));
            let came = Case::new("unused").start(command).finish(limit);
            match came.status {
                0 => ran += 1,
                _ => {
                    came.is_refusal(125).unwrap_or_else(|text| came.fail(&text));
                    came.expect_in_stderr("no file descriptor is left of the ");
                    came.expect_in_stderr("ulimit -n 1024");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused >= 10 && ran >= 2, "{refused} were refused, {ran} ran");
}

/// Runs the calls of a case (tests/cases/README.md) in the directory `data`, which is bound
/// to be written, by a command that this one is put behind.
fn cases(place: &Place, before: &[&str], options: &[&str], case: &str) -> Option<Ran> {
    let program = compiled("cases.std")?;
    let bind = format!("{}:/data:rw", place.path("data"));
    let mut words: Vec<&str> = before.to_vec();
    let (trapgate, program) = (trapgate(), program.path().to_owned());
    words.extend([trapgate.to_str().expect("ASCII"), "run", "--bind", &bind]);
    words.extend(options);
    words.extend([program.to_str().expect("ASCII"), "x86_64", "/data"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let limit = Duration::from_secs(scale(20, 60, 200));
    let case = Case::new("unused").stdin_bytes(format!("= case\n{case}")).any_stderr();
    Some(case.start(command).finish(limit))
}

#[test]
fn what_a_program_has_written_is_there_when_it_was_killed() {
    needs_kvm!();
    let place = Place::new();
    let calls = "open a O_CREAT|O_RDWR 0644\nwrite 3 <written 7\nmkdir d 0755\nrename a d/b\n\
                 open d/c O_CREAT|O_RDWR 0600\npwrite64 4 <far 3 @5000\npoll NULL 0 -1\n";
    let Some(ran) = cases(&place, &[], &["--timeout", "2s"], calls) else { return };
    ran.expect_status(124);
    let there = |name: &str| fs::read(place.path(&format!("data/0/{name}"))).expect("it is there");
    assert_eq!(there("d/b"), b"written");
    let far = there("d/c");
    assert!(far.len() == 5003 && far[5000..] == *b"far" && far[..5000].iter().all(|&b| b == 0));
    assert!(!Path::new(&place.path("data/0/a")).exists());
}

#[test]
fn what_a_program_has_written_and_closed_can_be_executed_while_it_waits() {
    needs_kvm!();
    let place = Place::new();
    let calls = "open a O_CREAT|O_RDWR 0755\nwrite 3 <written 7\nclose 3\npoll NULL 0 -1\n";
    let path = place.path("data/0/a");
    let executed = || Command::new(&path).spawn().map_err(|error| error.raw_os_error());
    thread::scope(|scope| {
        let run = scope.spawn(|| cases(&place, &[], &["--timeout", "4s"], calls));
        // It is no program: what tells that Linux has tried.
        let mut came = None;
        while !run.is_finished() && came != Some(ENOEXEC) {
            thread::sleep(Duration::from_millis(20));
            let written = fs::read(&path).is_ok_and(|bytes| bytes == b"written");
            came = if written { executed().err().flatten() } else { None };
        }
        if let Some(ran) = run.join().expect("it does not panic") {
            ran.expect_status(124);
            assert_eq!(came, Some(ENOEXEC), "it was open for writing to the end");
        }
    });
}

#[test]
fn a_full_disk_of_the_hosts_is_enospc() {
    needs_kvm!();
    let place = Place::new();
    let mount = format!(
        "mount -t tmpfs -o size=256k none {0} && \"$@\"; status=$?; cat {0}/0/a | wc -c; exit $status",
        place.path("data")
    );
    let before = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let possible = Command::new("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return missing("a mount namespace of one's own (unshare --mount)");
    }
    let calls = "open a O_CREAT|O_RDWR 0644\nfill 3 200000\nfill 3 200000\nwrite 3 <more 4\n\
                 mkdir d 0755\nftruncate 3 0\npwrite64 3 <again 5 @0\n";
    let Some(ran) = cases(&place, &before, &[], calls) else { return };
    ran.expect_status(0);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    ran.expect(text.contains("ENOSPC"), "ENOSPC");
    ran.expect(text.lines().last() == Some("5"), "what was written afterwards is there");
}
