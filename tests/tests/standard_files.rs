//! Standard files: their flags, and which of them there are. Each program runs
//! natively and in a sandbox, on files made alike.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::write;
use std::fs::{self, File};
use std::io::{Read, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use trapgate_tests::programs::directory;
use trapgate_tests::streams::Kind;
use trapgate_tests::{Case, Program, Ran, Started, Stdin, Stdout, needs_kvm, program};

/// Longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(300);

/// The `O_*` flags of a description.
fn flags(file: impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL).expect("it is open"))
}

fn set_nonblocking(file: impl AsFd) {
    let flags = flags(&file) | OFlag::O_NONBLOCK;
    fcntl(file, FcntlArg::F_SETFL(flags)).expect("it is open");
}

/// Runs a case with these standard files natively, then on others made alike in
/// a sandbox; compares what was said on standard error. `prepare` makes the
/// files and the case with them; `then` is shown them after each run.
#[track_caller]
fn same<T>(prepare: impl Fn() -> (T, Case), then: impl Fn(T, &Ran)) {
    let (files, case) = prepare();
    let native = case.native();
    native.expect_status(0);
    then(files, &native);
    let (files, case) = prepare();
    let sandboxed = case.sandboxed();
    sandboxed.expect_status(0);
    sandboxed.expect_in_stderr(&native.stderr_text());
    then(files, &sandboxed);
}

fn open_flags(program: &Program, what: &str) -> Case {
    Case::new(program).args([what])
}

#[test]
fn appending_is_as_natively_whoever_asked_for_it() {
    needs_kvm!();
    let program = program("open-flags");
    for append in [false, true] {
        let directory = directory();
        let path = directory.path().join("output");
        let prepare = || {
            fs::write(&path, "0123456789\n").expect("there is room");
            let file = File::options().write(true).append(append).open(&path);
            let file = Arc::new(OwnedFd::from(file.expect("it was just written")));
            let case = open_flags(&program, "append").stdout(Stdout::Shared(file.clone()));
            (file, case)
        };
        let expected = match append {
            false => "01as oOVERWRITEended,and again\none two\n",
            true => "012345OVERWRITEpened,appended,and again\none two\n",
        };
        let sandboxed = std::cell::Cell::new(false);
        same(prepare, |file, ran| {
            let text = fs::read_to_string(&path).expect("it is there");
            ran.expect(text == expected, &format!("in the file {expected:?}, not {text:?}"));
            // Natively it is one description.
            if sandboxed.replace(true) {
                let appends = flags(&*file).contains(OFlag::O_APPEND);
                ran.expect(appends == append, "the flags of the test's own as they were");
            }
        });
    }
}

#[test]
fn a_full_file_that_must_not_wait_is_eagain_and_what_fits_is_written() {
    needs_kvm!();
    let program = program("open-flags");
    for kind in Kind::ALL {
        for how in ["setfl", "fionbio", "inherited"] {
            let prepare = || {
                let (reader, writer) = kind.ends();
                if how == "inherited" {
                    set_nonblocking(&writer);
                }
                let writer = Arc::new(writer);
                let stdout = Stdout::Shared(writer.clone());
                ((reader, writer), open_flags(&program, &format!("full-{how}")).stdout(stdout))
            };
            same(prepare, |_, _| {});
        }
    }
}

#[test]
fn an_empty_file_that_must_not_wait_is_eagain_and_what_is_there_is_read() {
    needs_kvm!();
    let program = program("open-flags");
    for kind in Kind::ALL {
        for how in ["setfl", "fionbio", "inherited"] {
            let prepare = || {
                let (reader, writer) = match kind {
                    // The end that programs have is read here.
                    Kind::Terminal => Kind::TerminalsOtherEnd.ends(),
                    Kind::TerminalsOtherEnd => Kind::Terminal.ends(),
                    _ => kind.ends(),
                };
                if how == "inherited" {
                    set_nonblocking(&reader);
                }
                write(&writer, b"abc").expect("there is room");
                let reader = Arc::new(reader);
                let stdin = Stdin::Shared(reader.clone());
                ((reader, writer), open_flags(&program, &format!("empty-{how}")).stdin(stdin))
            };
            same(prepare, |_, _| {});
        }
    }
}

#[test]
fn what_a_sandbox_sets_others_do_not_see() {
    needs_kvm!();
    let program = program("open-flags");
    for kind in Kind::ALL {
        let (_reader, writer) = kind.ends();
        let writer = Arc::new(writer);
        let case = open_flags(&program, "full-setfl").stdout(Stdout::Shared(writer.clone()));
        let ran = case.sandboxed();
        ran.expect_status(0);
        let waits = !flags(&*writer).contains(OFlag::O_NONBLOCK);
        ran.expect(waits, &format!("that the test's own {kind:?} still waits"));
    }
}

#[test]
fn a_file_that_may_wait_takes_all_though_the_hosts_does_not_wait() {
    needs_kvm!();
    let program = program("open-flags");
    let run = |start: fn(&Case) -> Started| {
        let (mut reader, writer) = pipe().expect("there are pipes");
        set_nonblocking(&writer);
        let stdout = Stdout::Shared(Arc::new(writer.into()));
        let case = open_flags(&program, "wait").stdout(stdout);
        let started = start(&case);
        let slow = thread::spawn(move || {
            let mut buffer = vec![0; 100 * 4096];
            reader.read_exact(&mut buffer).is_ok()
        });
        let ran = started.finish(LIMIT);
        ran.expect(slow.join().unwrap_or(false), "all of it in the pipe");
        ran.expect_status(0);
        ran
    };
    let native = run(Case::start_native);
    run(Case::start_sandboxed).expect_in_stderr(&native.stderr_text());
}

#[test]
fn standard_files_that_are_one_description_share_their_flags() {
    needs_kvm!();
    let program = program("open-flags");
    open_flags(&program, "shared").stdout(Stdout::WithStderr).differential().expect_status(0);
}

/// A command that `start-with` starts, with some descriptors closed, signals
/// ignored, and a size that files can have.
fn start_with(started_by: &Program, how: [&str; 3], command: &Command) -> Command {
    let mut outer = Command::new(started_by.path());
    outer.args(how).arg(command.get_program()).args(command.get_args());
    outer
}

#[test]
fn standard_files_that_are_closed_are_closed_for_the_program() {
    needs_kvm!();
    let (program, start) = (program("standard-files"), program("start-with"));
    let case = Case::new(&program).stdin_bytes("input");
    for closed in ["-", "0", "1", "2", "01", "02", "12", "012"] {
        let run =
            |command| case.start(start_with(&start, [closed, "-", "-"], &command)).finish(LIMIT);
        let native = run(case.native_command());
        let open = (0..3).filter(|fd| !closed.contains(&fd.to_string())).map(|fd| 1 << fd).sum();
        native.expect_status(open);
        let sandboxed = run(case.sandbox_command());
        sandboxed.expect_status(open);
        sandboxed.expect_stdout(&native.stdout).expect_in_stderr(&native.stderr_text());
    }
}

#[test]
fn ignored_signals_stay_ignored_and_others_do_not() {
    needs_kvm!();
    let (program, start) = (program("ignored"), program("start-with"));
    // With nobody who reads, and with a limit in the way: SIGPIPE, SIGXFSZ.
    for (ignored, status) in [("-", 141), ("13", 0), ("1,10,13,17,25,28,64", 0), ("25", 141)] {
        let case = Case::new(&program).stdout(Stdout::Closed);
        let run =
            |command| case.start(start_with(&start, ["-", ignored, "-"], &command)).finish(LIMIT);
        let native = run(case.native_command());
        native.expect_status(status);
        let sandboxed = run(case.sandbox_command());
        sandboxed.expect_status(status).expect_in_stderr(&native.stderr_text());
    }
}

#[test]
fn a_file_that_gets_too_large_is_sigxfsz_or_efbig() {
    needs_kvm!();
    let (program, start) = (program("ignored"), program("start-with"));
    for (ignored, status) in [("-", 153), ("25", 0)] {
        let run = |command: fn(&Case) -> Command| {
            let directory = directory();
            let path = directory.path().join("output");
            let file = File::create(&path).expect("there is room");
            let case = Case::new(&program).stdout(Stdout::Shared(Arc::new(file.into())));
            let command = start_with(&start, ["-", ignored, "1000"], &command(&case));
            let ran = case.start(command).finish(LIMIT);
            ran.expect_status(status);
            let size = fs::metadata(&path).expect("it is there").len();
            ran.expect(size == 1000, &format!("1000 bytes in the file, not {size}"));
            ran
        };
        let native = run(Case::native_command);
        run(Case::sandbox_command).expect_in_stderr(&native.stderr_text());
    }
}
