//! How runs end: by the program, by a signal, by time, by somebody else.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio as ProcessStdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use trapgate::boot::kernel::{Kernel, PLAIN};
use trapgate::machine::memory::GuestRam;
use trapgate::mitigation::Hardening;
use trapgate::report::signal_name;
use trapgate::sandbox::config::{Config, Program as Image};
use trapgate::{End, Sandbox, Stdio};
use trapgate_abi::hypercall::Request;
use trapgate_tests::elf::Elf;
use trapgate_tests::patch::{asking, kernel_with};
use trapgate_tests::programs::bytes;
use trapgate_tests::{Case, Place, Program, Stdin, Stdout};
use trapgate_tests::{Home, busybox, case_elsewhere, elsewhere, needs_kvm, place, program, scale};

/// How late an end may come.
fn slack() -> Duration {
    Duration::from_millis(scale(1000, 5000, 20_000))
}

#[test]
fn the_programs_status_is_trapgates() {
    needs_kvm!();
    let program = program("exit-status");
    for status in ["0", "1", "2", "42", "124", "127", "128", "255", "256", "-1"] {
        let expected = status.parse::<i32>().expect("a number") & 255;
        for call in [&[status][..], &[status, "exit"]] {
            let ran = Case::new(&program).args(call).differential();
            ran.expect_status(expected).expect(ran.stderr.is_empty(), "nothing on stderr");
        }
    }
}

/// The names of `crash`'s mistakes: what it says when it is given none.
fn crashes(case: &Case) -> Vec<String> {
    let ran = case.native();
    ran.expect_status(2);
    let text = ran.stderr_text();
    let names = text.lines().filter_map(|line| line.strip_prefix("  "));
    names.filter(|name| !name.contains(' ')).map(str::to_owned).collect()
}

/// Where the AMD rig's software CPU is not like one.
const UNLIKE_AMD: [(&str, &str); 3] = [
    ("iret-to-kernel", "QEMU lets ring 3 return to ring 0's code segment"),
    ("misaligned", "QEMU has no alignment check"),
    ("simd-error", "QEMU has no SIMD floating-point exceptions"),
];

#[test]
fn a_mistake_ends_the_program_by_the_signal_that_linux_sends() {
    needs_kvm!();
    let program = program("crash");
    let case = Case::new(&program);
    let mut wrong = Vec::new();
    for name in crashes(&case) {
        let unlike = UNLIKE_AMD.iter().find(|(unlike, _)| *unlike == name);
        if let (Place::Amd, Some((_, why))) = (place(), unlike) {
            case_elsewhere(&name, Home::IntelRig, why);
            continue;
        }
        let case = case.clone().args([&name]);
        let (native, sandboxed) = (case.native(), case.sandboxed());
        if native.status <= 128 {
            wrong.push(native.describe("death by a signal, natively"));
            continue;
        }
        if sandboxed.status != native.status || sandboxed.stdout != native.stdout {
            wrong.push(sandboxed.describe(&format!("as natively: status {}", native.status)));
            continue;
        }
        let text = sandboxed.stderr_text();
        let (signal, _) = signal_name((native.status - 128) as u8);
        // Where it jumped to is in no function.
        let jumped = ["exec-nx", "jump", "iret"].iter().any(|part| name.contains(part));
        // The run-time's wrapper makes the call.
        let function = match name.as_str() {
            "abort" => "trapgate_programs::call".to_owned(),
            name => format!("crash::{}", name.replace('-', "_")),
        };
        let starts = format!("trapgate: {}: killed by {signal} (", program.display());
        let named = jumped || text.contains(&format!("<{function}"));
        if !text.starts_with(&starts) || !named || !text.contains("rip ") {
            wrong.push(sandboxed.describe(&format!("{starts}…, at <{function}+…>, registers")));
        }
    }
    assert!(wrong.is_empty(), "{} mistakes:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_jump_to_the_kernels_entry_is_no_system_call() {
    needs_kvm!();
    // Where a KVM traps SYSCALL, it is a fault at this very address.
    let ram = GuestRam::new(4 << 20).expect("there is memory");
    let kernel = Kernel::load(PLAIN, &ram, &Hardening::NONE).expect("the kernel can be loaded");
    let address = format!("{:#x}", kernel.note.syscall64);
    let program = program("crash");
    let ran = Case::new(&program).args(["jump-lstar", &address]).differential();
    ran.expect_status(139).expect_in_stderr("SIGSEGV");
}

/// Runs a case with a timeout and expects that it ends by it, in time, and that it
/// is said where it `was`, in words and in JSON: computing, or waiting in a call.
#[track_caller]
fn times_out(case: Case, was: Option<&str>) {
    let timeout = Duration::from_millis(scale(300, 1000, 5000));
    let option = format!("{}ms", timeout.as_millis());
    let (ran, stats) = case.options(["--timeout", &option]).sandboxed_with_stats();
    ran.expect_status(124);
    let words = was.map_or("computing".to_owned(), |call| format!("waiting in {call}(2)"));
    ran.expect_in_stderr("(--timeout)\n  at 0x").expect_in_stderr(&words);
    let place = &stats["place"];
    ran.expect(place["call_name"].as_str() == was, &format!("that place in {place}"));
    let rip = place["rip"].as_str().unwrap_or_default();
    ran.expect(rip.starts_with("0x"), &format!("an address in {place}"));
    ran.expect(place["function"].is_string(), &format!("a function in {place}"));
    ran.expect(ran.time >= timeout, "the program had its time");
    let limit = timeout + slack();
    ran.expect(ran.time < limit, &format!("an end within {limit:?}"));
}

#[test]
fn timeout_ends_a_program_that_computes_for_ever() {
    needs_kvm!();
    let program = program("spin");
    times_out(Case::new(&program), None);
}

#[test]
fn timeout_ends_a_program_that_sleeps_for_ever() {
    needs_kvm!();
    let program = program("sleep-forever");
    times_out(Case::new(&program), Some("nanosleep"));
}

#[test]
fn timeout_ends_a_program_that_reads_where_nothing_comes() {
    needs_kvm!();
    let program = program("read-stdin");
    times_out(Case::new(&program).stdin(Stdin::Open), Some("read"));
}

#[test]
fn timeout_ends_a_program_that_writes_where_nobody_reads() {
    needs_kvm!();
    let program = program("waits");
    times_out(Case::new(&program).args(["much", "9"]).stdout(Stdout::Full), Some("write"));
}

#[test]
fn timeout_leaves_a_quick_program_alone() {
    needs_kvm!();
    let program = program("hello-syscall");
    let ran = Case::new(&program).options(["--timeout", "1h"]).sandboxed();
    ran.expect_status(0).expect_stdout("Hello from ring 3 by SYSCALL.\n");
    ran.expect(ran.time < Duration::from_secs(scale(10, 60, 200)), "no waiting for the timeout");
}

/// Where output goes to be forgotten.
fn nowhere() -> Stdio {
    let null = File::options().write(true).open("/dev/null");
    Stdio::Fd(null.expect("there is /dev/null").into())
}

/// Kills a sandbox from another thread after a moment; it must end at once.
#[track_caller]
fn kill_ends(name: &str, stdin: Stdio, stdout: Stdio) {
    let sandbox = Sandbox::builder()
        .program_bytes(name, bytes(name))
        .stdin(stdin)
        .stdout(stdout)
        .build()
        .expect("a sandbox can be made");
    let running = sandbox.start().expect("it starts");
    let handle = running.kill_handle();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(scale(200, 500, 3000)));
        handle.kill();
        Instant::now()
    });
    let outcome = running.wait().expect("the VM works");
    let ended = Instant::now();
    let killed = killer.join().expect("the killer does not panic");
    let late = ended.saturating_duration_since(killed);
    assert_eq!(outcome.end, End::Stopped, "{name}");
    assert!(late < slack(), "{name} ended {late:?} after the kill");
}

#[test]
fn a_kill_ends_a_program_that_computes() {
    needs_kvm!();
    kill_ends("spin", Stdio::Closed, nowhere());
}

#[test]
fn a_kill_ends_a_program_that_sleeps() {
    needs_kvm!();
    kill_ends("sleep-forever", Stdio::Closed, nowhere());
}

#[test]
fn a_kill_ends_a_program_that_reads_where_nothing_comes() {
    needs_kvm!();
    let (reader, _writer) = std::io::pipe().expect("there are pipes");
    kill_ends("read-stdin", Stdio::Fd(reader.into()), nowhere());
}

#[test]
fn a_kill_ends_a_program_that_writes_where_nobody_reads() {
    needs_kvm!();
    let (_reader, writer) = std::io::pipe().expect("there are pipes");
    kill_ends("write-forever", Stdio::Closed, Stdio::Fd(writer.into()));
}

#[test]
fn a_kill_before_the_first_instruction_counts() {
    needs_kvm!();
    // Again and again, because it is a race.
    for _ in 0..scale(50, 5, 2) {
        let sandbox = Sandbox::builder()
            .program_bytes("spin", bytes("spin"))
            .stdin(Stdio::Closed)
            .stdout(nowhere())
            .build()
            .expect("a sandbox can be made");
        let running = sandbox.start().expect("it starts");
        running.kill_handle().kill();
        assert_eq!(running.wait().expect("the VM works").end, End::Stopped);
    }
}

/// A signal to trapgate ends it, and by that signal, and it says where the program
/// `was`.
#[track_caller]
fn signal_ends(name: &str, stdin: Stdin, signal: Signal, was: &str) {
    let program = program(name);
    let case = Case::new(&program).stdin(stdin);
    let started = case.start_sandboxed();
    thread::sleep(Duration::from_millis(scale(300, 1500, 8000)));
    started.signal(signal);
    let limit = Duration::from_millis(scale(300, 1500, 8000)) + slack();
    let ran = started.finish(limit);
    ran.expect_status(128 + signal as i32).expect_in_stderr(signal.as_str());
    ran.expect_in_stderr("\n  at 0x").expect_in_stderr(was);
}

#[test]
fn ctrl_c_ends_a_program_that_computes() {
    needs_kvm!();
    signal_ends("spin", Stdin::Null, Signal::SIGINT, "computing");
}

#[test]
fn ctrl_c_ends_a_program_that_reads_where_nothing_comes() {
    needs_kvm!();
    signal_ends("read-stdin", Stdin::Open, Signal::SIGINT, "waiting in read(2)");
}

#[test]
fn sigterm_ends_a_program_that_sleeps() {
    needs_kvm!();
    signal_ends("sleep-forever", Stdin::Null, Signal::SIGTERM, "waiting in nanosleep(2)");
}

#[test]
fn a_signal_that_trapgate_was_started_to_ignore_ends_nothing() {
    needs_kvm!();
    let (program, start) = (program("sleep-forever"), program("start-with"));
    let case = Case::new(&program);
    let mut command = Command::new(start.path());
    let inner = case.sandbox_command();
    command.args(["-", "2", "-"]).arg(inner.get_program()).args(inner.get_args());
    let mut started = case.start(command);
    let moment = || thread::sleep(Duration::from_millis(scale(300, 1500, 8000)));
    moment();
    started.signal(Signal::SIGINT);
    moment();
    assert!(started.runs(), "SIGINT is ignored");
    started.signal(Signal::SIGTERM);
    started.finish(slack()).expect_status(128 + 15);
}

/// What a kernel that takes no signal does for ever: nothing, or make requests.
const STUCK: &str = "TRAPGATE_TEST_STUCK";

/// Runs a program on a kernel that never returns from getpid(2), in this process,
/// whose signals are the program's: the test below starts it for that.
fn run_on_a_kernel_that_takes_no_signal(how: &str) {
    let loops = match how {
        "asking" => asking(Request::Elapsed, true),
        _ => vec![0xeb, 0xfe],
    };
    let config = Config {
        program: Some(Image::Bytes {
            name: "door-probe".to_owned(),
            bytes: bytes("door-probe").into(),
        }),
        argv: vec![b"door-probe".to_vec(), b"syscall64".to_vec()],
        kernel: Some(kernel_with("__x64_sys_getpid", &loops)),
        forwarded_signals: 1 << 1 | 1 << 14,
        ..Config::default()
    };
    let sandbox = Sandbox::new(config).expect("a sandbox");
    println!("\nready");
    let outcome = sandbox.run_and_leave();
    panic!("it ended as if nothing had been: {outcome:?}");
}

#[test]
fn a_signal_that_the_guest_does_not_take_ends_trapgate_in_a_second_or_the_second_one_at_once() {
    needs_kvm!();
    if let Ok(how) = env::var(STUCK) {
        return run_on_a_kernel_that_takes_no_signal(&how);
    }
    if matches!(place(), Place::Intel) {
        let why = "with interrupts off Bochs holds back the host's signals too";
        return elsewhere(Home::AmdRig, why);
    }
    let test = thread::current();
    let name = test.name().expect("a test has a name");
    for (stuck, twice) in [("looping", false), ("asking", false), ("looping", true)] {
        let mut command = Command::new(env::current_exe().expect("it knows itself"));
        command.env(STUCK, stuck);
        command.args(["--exact", "--nocapture", name]);
        let mut child = command.stdout(ProcessStdio::piped()).spawn().expect("it is executable");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "ready")), "{name} runs");
        let moment = Duration::from_millis(scale(200, 1000, 5000));
        thread::sleep(moment);
        let id = Pid::from_raw(child.id() as i32);
        let start = Instant::now();
        kill(id, Signal::SIGINT).expect("it is ours");
        if twice {
            thread::sleep(moment / 4);
            kill(id, Signal::SIGTERM).expect("it is ours");
        }
        let status = child.wait().expect("it is ours");
        let (signal, least) = if twice { (15, 0) } else { (2, 900) };
        assert_eq!(status.signal(), Some(signal), "{stuck}: {status}");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(least), "{stuck}: {took:?}");
        assert!(took < Duration::from_secs(1) + slack(), "{stuck}: {took:?}");
    }
}

#[test]
fn a_program_that_takes_all_memory_is_killed_and_told_why() {
    needs_kvm!();
    let program = program("oom");
    let ran = Case::new(&program).options(["--memory", "16M"]).sandboxed();
    ran.expect_status(137).expect_stdout("touching\n");
    ran.expect(ran.stderr_text().starts_with("trapgate: "), "a line of trapgate's on stderr");
    ran.expect_in_stderr("memory").expect_in_stderr("--memory");
}

#[test]
fn output_to_one_pipe_keeps_its_order() {
    needs_kvm!();
    let writes: Vec<(u8, &[u8])> = (0..40)
        .map(|number| if number % 3 == 0 { (2, &b"error\n"[..]) } else { (1, &b"out\n"[..]) })
        .collect();
    let program = Program::new("writes", &Elf::writing(&writes).bytes());
    let ran = Case::new(&program).stdout(Stdout::WithStderr).differential();
    let all: Vec<u8> = writes.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    ran.expect_status(0).expect_stdout(all);
}

#[test]
fn output_comes_before_the_program_ends() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let mut command = Case::new(busybox).args(["cat"]).sandbox_command();
    command.stdin(ProcessStdio::piped()).stdout(ProcessStdio::piped());
    let mut child = command.spawn().expect("trapgate starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|count| count > 0) {
            if send.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    for line in ["one\n", "two\n"] {
        stdin.write_all(line.as_bytes()).expect("it reads");
        let got = lines.recv_timeout(Duration::from_secs(scale(10, 30, 120)));
        if got.as_deref() != Ok(line) {
            let _ = child.kill();
            panic!("{command:?}\nexpected {line:?} while it runs\ngot {got:?}");
        }
    }
    drop(stdin);
    assert!(child.wait().expect("it is ours").success(), "{command:?} fails");
}

#[test]
fn a_run_leaves_no_process_behind() {
    needs_kvm!();
    let program = program("spin");
    let mut started = Case::new(&program).start_sandboxed();
    thread::sleep(Duration::from_millis(scale(200, 1000, 5000)));
    assert!(started.runs(), "it spins");
    let children = trapgate_tests::children(started.pid());
    assert!(children.is_empty(), "trapgate started processes {children:?}");
}

#[test]
fn a_kill_of_trapgate_at_any_moment_leaves_no_process() {
    needs_kvm!();
    let program = program("spin");
    for step in 0..scale(24, 12, 3) {
        let started = Case::new(&program).start_sandboxed();
        thread::sleep(Duration::from_micros(scale(500, 2000, 50_000)) * step);
        let group = started.pid();
        started.signal(Signal::SIGKILL);
        // Whoever were left would hold the pipes, which `finish` looks at.
        started.finish(Duration::from_secs(scale(60, 120, 300))).expect_status(128 + 9);
        assert_eq!(killpg(group, None), Err(Errno::ESRCH), "killed after {step} steps");
    }
}
