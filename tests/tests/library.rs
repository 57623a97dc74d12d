//! The library as a program uses it: standard files, capture, waiting, killing.
//!
//! Programs come from `tests/programs`; nothing here goes by the command line.

use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::thread;
use std::time::{Duration, Instant};
use trapgate::{Builder, ByteSize, End, Error, Running, Sandbox, Stdio};
use trapgate_tests::programs::bytes;
use trapgate_tests::{Home, Place, compiled, elsewhere, needs_kvm, place, scale};

/// Much more than a pipe takes, 64 KiB.
const MIB: usize = 1 << 20;

/// One line of `write-forever`.
const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, again and again.\n";

/// Longer than anything here takes.
fn long() -> Duration {
    Duration::from_secs(scale(30, 120, 600))
}

/// A test program, which ends in time or fails its test.
fn program(name: &str) -> Builder {
    Sandbox::builder().program_bytes(name, bytes(name)).timeout(long())
}

fn build(builder: Builder) -> Sandbox {
    builder.build().expect("a sandbox can be made")
}

/// Starts a program that runs until it is ended.
fn start(builder: Builder) -> Running {
    build(builder).start().expect("it starts")
}

fn spin() -> Builder {
    program("spin").stdin(Stdio::null()).stdout(Stdio::null())
}

/// Bytes of which no two neighbouring pages are the same.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_mebibyte_of_output_is_captured_whole() {
    needs_kvm!();
    let lines = MIB / LINE.len() + 1;
    let sandbox = build(program("write-forever").arg(lines.to_string()));
    let output = sandbox.output().expect("the VM works");
    assert_eq!(output.end, End::Exited(0));
    assert!(output.end.success());
    assert_eq!(output.stdout.len(), lines * LINE.len());
    assert!(output.stdout.chunks(LINE.len()).all(|line| line == LINE));
    assert!(output.stderr.is_empty());
    assert!(output.stats.vmm_exits > 0);
}

#[test]
fn a_mebibyte_goes_in_and_comes_out() {
    needs_kvm!();
    let input = noise(MIB);
    let sandbox = build(program("read-stdin").stdin_bytes(input.clone()));
    let output = sandbox.output().expect("the VM works");
    assert_eq!(output.end, End::Exited(0));
    assert!(output.stdout == input, "{} bytes came", output.stdout.len());
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{MIB} bytes\n"));
}

#[test]
fn a_mebibyte_goes_through_pipes_that_were_taken() {
    needs_kvm!();
    let builder = program("read-stdin").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = start(builder.stderr(Stdio::piped()));
    let mut stdin = running.stdin.take().expect("it was asked for");
    let mut stdout = running.stdout.take().expect("it was asked for");
    let input = noise(MIB);
    let sent = input.clone();
    let sender = thread::spawn(move || stdin.write_all(&sent));
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).expect("a pipe can be read");
    sender.join().expect("no panic").expect("it reads all");
    assert!(got == input, "{} bytes came", got.len());
    // Standard error was not taken: it is still kept.
    let output = running.wait_with_output().expect("the VM works");
    assert_eq!((output.end, output.stdout.len()), (End::Exited(0), 0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{MIB} bytes\n"));
}

#[test]
fn a_line_comes_back_while_it_runs() {
    needs_kvm!();
    let mut running = start(
        program("read-stdin").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()),
    );
    let mut stdin = running.stdin.take().expect("it was asked for");
    let stdout = BufReader::new(running.stdout.take().expect("it was asked for"));
    stdin.write_all(b"ping\n").expect("it reads");
    let line = stdout.lines().next().expect("a line").expect("a pipe can be read");
    assert_eq!(line, "ping");
    assert!(running.try_wait().expect("the VM works").is_none());
    drop(stdin);
    assert!(running.wait().expect("the VM works").end.success());
}

#[test]
fn pipes_that_nobody_takes_do_not_stop_a_program() {
    needs_kvm!();
    let lines = (MIB / LINE.len()).to_string();
    let builder = program("write-forever").arg(&lines).stdout(Stdio::piped());
    let outcome = build(builder).run().expect("the VM works");
    assert_eq!(outcome.end, End::Exited(0));
    // Its input ends when somebody waits.
    let builder = program("read-stdin").stdin(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(start(builder).wait().expect("the VM works").end, End::Exited(0));
}

#[test]
fn the_limit_stops_what_writes_for_ever_and_keeps_as_much() {
    needs_kvm!();
    let limit = 100_000;
    let builder = program("write-forever").output_limit(ByteSize(limit));
    let output = build(builder).output().expect("the VM works");
    assert_eq!(output.end, End::TooMuchOutput);
    assert_eq!((output.end.success(), output.end.code()), (false, None));
    assert_eq!(output.stdout.len() as u64, limit);
    assert!(output.stdout.starts_with(LINE));
}

#[test]
fn output_of_just_the_limit_is_not_too_much_and_a_byte_more_is() {
    needs_kvm!();
    let run = |limit: usize| {
        let builder = program("write-forever").arg("10").output_limit(ByteSize(limit as u64));
        build(builder).output().expect("the VM works")
    };
    let whole = run(10 * LINE.len());
    assert_eq!((whole.end, whole.stdout.len()), (End::Exited(0), 10 * LINE.len()));
    let cut = run(10 * LINE.len() - 1);
    assert_eq!((cut.end, cut.stdout.len()), (End::TooMuchOutput, 10 * LINE.len() - 1));
}

#[test]
fn what_was_said_about_a_file_holds_for_a_capture_too() {
    needs_kvm!();
    let (mut reader, writer) = pipe().expect("there are pipes");
    let builder = program("read-stdin").stdin_bytes(*b"abc").stdout(writer);
    let output = build(builder.stderr(Stdio::closed())).output().expect("the VM works");
    assert_eq!(output.end, End::Exited(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let mut got = String::new();
    reader.read_to_string(&mut got).expect("a pipe can be read");
    assert_eq!(got, "abc");
}

#[test]
fn a_capture_gives_no_input() {
    needs_kvm!();
    let output = build(program("read-stdin")).output().expect("the VM works");
    assert_eq!((output.end, output.stderr), (End::Exited(0), b"0 bytes\n".to_vec()));
}

#[test]
fn bytes_of_input_cannot_be_written() {
    needs_kvm!();
    // A program's descriptor 0 is the same file as for `cat < file`.
    let output = build(program("files").stdin_bytes(*b"")).output().expect("the VM works");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.end, End::Exited(0), "{said}");
    // So it has found EBADF; otherwise it does not try.
    assert!(said.contains("standard input is open for reading only\n"), "{said}");
}

#[test]
fn what_a_program_wrote_before_its_signal_is_kept() {
    needs_kvm!();
    let output = build(program("oom").memory(ByteSize(16 << 20))).output().expect("the VM works");
    assert_eq!(output.end.signal(), Some(9));
    assert_eq!((output.end.code(), output.end.success()), (None, false));
    assert_eq!(output.stdout, b"touching\n");
    let End::Killed(crash) = &output.end else { panic!("{}", output.end) };
    assert!(crash.to_string().contains("SIGKILL"));
}

#[test]
fn a_broken_pipe_is_the_programs_signal_and_not_ours() {
    needs_kvm!();
    let mut running = start(program("write-forever").stdout(Stdio::piped()));
    let mut stdout = running.stdout.take().expect("it was asked for");
    stdout.read_exact(&mut [0; 1000]).expect("it writes");
    drop(stdout);
    assert_eq!(running.wait().expect("the VM works").end.signal(), Some(13));
}

#[test]
fn asking_tells_whether_it_has_ended_and_again_the_same() {
    needs_kvm!();
    let mut running = start(program("read-stdin").stdin(Stdio::piped()).stderr(Stdio::null()));
    assert!(running.try_wait().expect("the VM works").is_none());
    running.stdin = None;
    let deadline = Instant::now() + long();
    let outcome = loop {
        match running.try_wait().expect("the VM works") {
            Some(outcome) => break outcome,
            None => assert!(Instant::now() < deadline, "it does not end"),
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(outcome.end, End::Exited(0));
    let again = running.try_wait().expect("the VM works").expect("it has ended");
    assert_eq!((again.end, again.stats.vmm_exits), (End::Exited(0), outcome.stats.vmm_exits));
    assert_eq!(running.wait().expect("the VM works").end, End::Exited(0));
}

#[test]
fn waiting_for_a_time_leaves_a_program_alone_that_takes_longer() {
    needs_kvm!();
    let mut running = start(spin());
    let limit = Duration::from_millis(scale(50, 200, 1000));
    let begun = Instant::now();
    assert!(running.wait_timeout(limit).expect("the VM works").is_none());
    assert!(begun.elapsed() >= limit);
    assert!(running.try_wait().expect("the VM works").is_none());
    running.kill();
    let outcome = running.wait_timeout(long()).expect("the VM works").expect("it has ended");
    assert_eq!(outcome.end, End::Stopped);
    // One that has ended stays as it is.
    running.kill();
    assert_eq!(running.wait().expect("the VM works").end, End::Stopped);
}

#[test]
fn a_timeout_acts_although_nobody_waits() {
    needs_kvm!();
    let limit = Duration::from_millis(scale(100, 500, 3000));
    for name in ["spin", "sleep-forever"] {
        let mut running = start(program(name).timeout(limit).stdout(Stdio::piped()));
        // The pipe ends with the program, and with nothing else.
        let mut stdout = running.stdout.take().expect("it was asked for");
        let mut said = String::new();
        stdout.read_to_string(&mut said).expect("a pipe can be read");
        assert!(said.ends_with("ing\n"), "{said}");
        assert_eq!(running.wait().expect("the VM works").end, End::TimedOut, "{name}");
    }
}

#[test]
fn a_kill_acts_although_nobody_waits() {
    needs_kvm!();
    for name in ["spin", "sleep-forever"] {
        let mut running = start(program(name).stdout(Stdio::piped()));
        let stdout = running.stdout.take().expect("it was asked for");
        let mut lines = BufReader::new(stdout).lines();
        lines.next().expect("a line").expect("a pipe can be read");
        running.kill_handle().kill();
        let killed = Instant::now();
        assert!(lines.next().is_none());
        // The timeout would end it, too.
        assert!(killed.elapsed() < long() / 2, "{name}: {:?}", killed.elapsed());
        assert_eq!(running.wait().expect("the VM works").end, End::Stopped, "{name}");
    }
}

#[test]
fn a_capture_ends_with_the_timeout_and_keeps_what_came() {
    needs_kvm!();
    let limit = Duration::from_millis(scale(300, 1000, 5000));
    let output = build(program("spin").timeout(limit)).output().expect("the VM works");
    assert_eq!((output.end, output.stdout), (End::TimedOut, b"spinning\n".to_vec()));
}

#[test]
fn one_that_is_dropped_is_stopped() {
    needs_kvm!();
    let mut running = start(program("sleep-forever").stdout(Stdio::piped()));
    let mut stdout = running.stdout.take().expect("it was asked for");
    let handle = running.kill_handle();
    let dropped = Instant::now();
    drop(running);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the pipe ends with the program");
    // The timeout would end it, too.
    assert!(dropped.elapsed() < long() / 2, "{:?}", dropped.elapsed());
    handle.kill();
    // Never started at all.
    drop(build(spin().stdin(Stdio::piped())));
}

#[test]
fn a_handle_that_is_dropped_ends_nothing() {
    needs_kvm!();
    let mut running = start(spin());
    drop(running.kill_handle());
    let soon = Duration::from_millis(20);
    assert!(running.wait_timeout(soon).expect("the VM works").is_none());
    running.kill();
}

#[test]
fn arguments_and_variables_are_the_programs() {
    needs_kvm!();
    let status = |builder: Builder| build(builder).run().expect("the VM works").end.code();
    assert_eq!(status(program("exit-status").arg("7")), Some(7));
    assert_eq!(status(program("exit-status").args(["300", "exit"])), Some(44));
    let env = |builder: Builder| {
        let output = build(builder).output().expect("the VM works");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = said.lines().filter_map(|line| line.strip_prefix("env: "));
        lines.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env(program("auxv").env("A", "1").envs([("B", "2"), ("A", "3")])), "B=2 A=3");
    assert_eq!(env(program("auxv").env("A", "1").env("B", "").env_remove("A")), "B=");
    assert_eq!(env(program("auxv").env("A", "1").env_clear()), "");
}

#[test]
fn what_cannot_be_is_an_error_and_no_panic() {
    let error = |builder: Builder| match builder.build() {
        Ok(_) => panic!("it was built"),
        Err(error) => error,
    };
    for (builder, part) in [
        (program("spin").arg("a\0b"), "argument 1, "),
        (program("spin").env("A", "\0"), "the variable "),
        (program("spin").env("A=B", "C"), "'='"),
        (program("spin").env("", "C"), "no name"),
        (program("spin").timeout(Duration::ZERO), "the timeout "),
        (program("spin").output_limit(ByteSize(0)), "the output limit "),
    ] {
        let error = error(builder);
        assert!(matches!(error, Error::Input { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(part) && !text.contains(['\0', '\n']), "{text:?}");
    }
    assert!(matches!(error(Sandbox::builder()), Error::NoProgram));
    let text = error(Sandbox::builder().program("/a\0b")).to_string();
    assert!(text.starts_with("the program's name has a NUL byte"), "{text}");
}

#[test]
fn files_in_memory_are_no_output() {
    needs_kvm!();
    let sandbox = build(spin().stdout(Stdio::Bytes(Vec::new())));
    assert!(matches!(sandbox.start().err(), Some(Error::Input { .. })));
}

#[test]
fn memory_that_is_read_before_it_is_written_comes_in_large_pages() {
    needs_kvm!();
    if place() == Place::Host {
        return elsewhere(Home::Rig, "elsewhere a host need not have large pages");
    }
    // It adds to each of a million numbers that calloc(3) gave it: reads it, and writes.
    let Some(hello) = compiled("hello.musl") else { return };
    let builder = Sandbox::builder().program(hello.path()).timeout(long());
    let output = build(builder.detailed_stats(true)).output().expect("the VM works");
    assert_eq!(output.end, End::Exited(0));
    let (pages, exits) = (output.stats.pages_mapped, output.stats.own_exits());
    assert!(pages > 1000, "{pages} pages: nothing is shown");
    assert!(exits.expect("this Linux counts them") < 100, "{exits:?} exits for {pages} pages");
}
