//! Waiting: nothing but the one request that is for it waits for the host, and
//! whatever a program waits for, its end does not.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, fchown, write};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio as ProcessStdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use trapgate::report::Doing;
use trapgate::{Builder, End, Error, Running, Sandbox, Stdio};
use trapgate_abi::hypercall::{NEVER, Request};
use trapgate_measure::bench::record::clock::tsc_khz;
use trapgate_tests::patch::{asking, kernel_with};
use trapgate_tests::programs::{bytes, directory};
use trapgate_tests::streams::{Kind, fill, full_pipe, named_pipe, named_pipe_at};
use trapgate_tests::{Case, Home, Place, Stdin, Stdout};
use trapgate_tests::{elsewhere, missing, needs_kvm, place, program, scale};

/// How late an end may come.
fn slack() -> Duration {
    Duration::from_millis(scale(2000, 10_000, 40_000))
}

/// Until a program surely waits.
fn a_while() -> Duration {
    Duration::from_millis(scale(300, 1500, 8000))
}

/// Until a program waits for the host: its vCPU's thread sleeps, and still does a little
/// later. A busy machine may take long to come so far.
fn until_it_waits(running: &Running) {
    let deadline = Instant::now() + slack();
    let mut times = 0;
    while times < 10 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
        times = if running.sleeps() { times + 1 } else { 0 };
    }
}

/// A program that reads its input to its end.
fn reading() -> Builder {
    let name = "read-stdin";
    Sandbox::builder().program_bytes(name, bytes(name)).detailed_stats(true)
}

/// One that writes as many mebibytes.
fn writing(count: usize) -> Builder {
    let program = Sandbox::builder().program_bytes("waits", bytes("waits")).detailed_stats(true);
    program.args(["much", &count.to_string()])
}

/// How many bytes that one writes: its last words, too.
fn bytes_of(count: usize) -> usize {
    (count << 20) + "all as expected\n".len()
}

/// Ends programs that wait while nobody waits for them: with what `builder` adds, or
/// by a kill.
fn ends_while_nobody_waits(builder: impl Fn(Builder) -> Builder, kills: bool, expected: &End) {
    for kind in Kind::ALL {
        for reads in [true, false] {
            let (reader, writer) = kind.ends();
            let what = format!("{kind:?}, {}", if reads { "reading" } else { "writing" });
            let program = if reads { reading() } else { writing(9) };
            let (program, _other) = match reads {
                true => (program.stdin(Stdio::Fd(reader)).stdout(Stdio::null()), writer),
                false => (program.stdin(Stdio::null()).stdout(Stdio::Fd(writer)), reader),
            };
            let sandbox = builder(program.stderr(Stdio::piped())).build().expect("a sandbox");
            let mut running = sandbox.start().expect("it starts");
            let mut stderr = running.stderr.take().expect("it was asked for");
            if kills {
                until_it_waits(&running);
                running.kill();
            }
            let start = Instant::now();
            // Its end, when all that it held is closed.
            stderr.read_to_end(&mut Vec::new()).expect("a pipe");
            assert!(start.elapsed() < slack() + a_while(), "{what}: {:?}", start.elapsed());
            let outcome = running.wait().expect("the VM works");
            assert_eq!(outcome.end, *expected, "{what}");
            let requests = &outcome.stats.host_calls;
            assert!(requests.by_operation.contains_key("wait"), "{what}: {requests:?}");
            assert!(requests.longest_us < a_while().as_micros() as u64 / 2, "{what}: {requests:?}");
            if !kills {
                let place = outcome.place.expect("it says where it was");
                let call = place.doing.call();
                assert_eq!(call, Some(if reads { "read" } else { "write" }), "{what}: {place}");
            }
        }
    }
}

#[test]
fn a_kill_ends_whatever_a_program_waits_for_while_nobody_waits_for_the_program() {
    needs_kvm!();
    ends_while_nobody_waits(|builder| builder, true, &End::Stopped);
}

#[test]
fn a_timeout_ends_whatever_a_program_waits_for_and_says_where_that_was() {
    needs_kvm!();
    ends_while_nobody_waits(|builder| builder.timeout(a_while()), false, &End::TimedOut);
}

#[test]
fn a_signal_from_outside_ends_a_program_and_says_where_it_was() {
    needs_kvm!();
    for (name, call) in [("spin", None), ("sleep-forever", Some("nanosleep"))] {
        let builder = Sandbox::builder().program_bytes(name, bytes(name)).stdout(Stdio::null());
        let running = builder.build().expect("a sandbox").start().expect("it starts");
        thread::sleep(a_while());
        assert!(running.kill_handle().signal(15));
        let outcome = running.wait().expect("the VM works");
        assert_eq!(outcome.end.signal(), Some(15), "{name}");
        let place = outcome.place.expect("it was ended from outside");
        assert_eq!(place.doing.call(), call, "{name}: {place}");
        assert_eq!(matches!(place.doing, Doing::Computing), call.is_none(), "{name}: {place}");
        assert!(place.location.is_some(), "{name}: {place}");
    }
}

#[test]
fn a_slow_reader_keeps_nothing_but_the_request_that_waits() {
    needs_kvm!();
    const COUNT: usize = 3;
    let builder = writing(COUNT).stdout(Stdio::piped());
    let mut running = builder.build().expect("a sandbox").start().expect("it starts");
    let mut stdout = running.stdout.take().expect("it was asked for");
    let reader = thread::spawn(move || {
        thread::sleep(2 * a_while());
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).map(|_| all)
    });
    let outcome = running.wait().expect("the VM works");
    assert_eq!(outcome.end, End::Exited(0));
    let all = reader.join().expect("no panic").expect("a pipe");
    assert_eq!(all.len(), bytes_of(COUNT));
    let requests = outcome.stats.host_calls;
    assert!(requests.by_operation.contains_key("wait"), "{requests:?}");
    assert!(requests.longest_us < a_while().as_micros() as u64, "{requests:?}");
}

#[test]
fn a_stopped_process_on_the_other_side_keeps_nobody_and_goes_on() {
    needs_kvm!();
    const COUNT: usize = 3;
    let other = program("read-stdin");
    let mut command = Command::new(other.path());
    command.stdin(ProcessStdio::piped()).stdout(ProcessStdio::null()).stderr(ProcessStdio::piped());
    let mut reader = command.spawn().expect("it can be executed");
    let id = Pid::from_raw(reader.id() as i32);
    kill(id, Signal::SIGSTOP).expect("it is ours");
    let writer = OwnedFd::from(reader.stdin.take().expect("a pipe"));
    let running = writing(COUNT)
        .stdout(Stdio::Fd(writer))
        .build()
        .expect("a sandbox")
        .start()
        .expect("it starts");
    thread::sleep(2 * a_while());
    kill(id, Signal::SIGCONT).expect("it is ours");
    let outcome = running.wait().expect("the VM works");
    let ended = reader.wait_with_output().expect("it ends");
    assert_eq!(outcome.end, End::Exited(0));
    let expected = format!("{} bytes\n", bytes_of(COUNT));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), expected);
    let requests = outcome.stats.host_calls;
    assert!(requests.by_operation.contains_key("wait"), "{requests:?}");
    assert!(requests.longest_us < a_while().as_micros() as u64, "{requests:?}");
}

#[test]
fn sleeps_are_as_long_as_natively() {
    needs_kvm!();
    let program = program("waits");
    Case::new(&program).args(["time"]).differential().expect_status(0);
}

#[test]
fn poll_and_read_wait_for_what_comes() {
    needs_kvm!();
    let program = program("waits");
    let case = Case::new(&program).args(["files"]);
    let run = |mut command: Command| {
        command.stdin(ProcessStdio::piped()).stdout(ProcessStdio::piped());
        let mut child = command.spawn().expect("it can be executed");
        let mut stdin = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut come = [&b"x"[..], b"yz"].into_iter();
        let mut said = String::new();
        for line in lines.map_while(Result::ok) {
            if line == "waiting" {
                thread::sleep(a_while() / 4);
                stdin.write_all(come.next().expect("it waits twice")).expect("it reads");
            }
            said += &format!("{line}\n");
        }
        assert!(child.wait().expect("it is ours").success(), "{command:?}:\n{said}");
        said
    };
    assert_eq!(run(case.sandbox_command()), run(case.native_command()));
}

#[test]
fn a_sleep_is_one_exit() {
    needs_kvm!();
    let run = |count: u64, kernel: &Option<Vec<u8>>| {
        let builder = Sandbox::builder().program_bytes("waits", bytes("waits"));
        let mut builder = builder.args(["sleeps", &count.to_string()]);
        if let Some(kernel) = kernel {
            builder = builder.kernel(kernel.clone());
        }
        let output = builder.build().expect("a sandbox").output().expect("the VM works");
        assert_eq!(output.end, End::Exited(0), "{}", String::from_utf8_lossy(&output.stdout));
        let requests = &output.stats.host_calls.by_operation;
        (requests.get("wait").copied().unwrap_or(0), output.stats.vmm_exits)
    };
    let of_five = |kernel: Option<Vec<u8>>| {
        let [none, five] = [0, 5].map(|count| run(count, &kernel));
        (five.0 - none.0, five.1 - none.1)
    };
    // Each of them a wait, and nothing besides: no watch, no tick.
    assert_eq!(of_five(None), (5, 5));
    // A kernel that asks for something besides would be found out.
    let asks = asking(Request::Wait { timeout_ns: 0 }, false);
    let besides = [without_return(asking(Request::Elapsed, false)), asks].concat();
    assert_eq!(of_five(Some(kernel_with("__x64_sys_nanosleep", &besides))), (5, 10));
}

/// What such code does before it returns.
fn without_return(mut code: Vec<u8>) -> Vec<u8> {
    let tail = code.split_off(code.len() - 3);
    assert_eq!(tail, [0x31, 0xc0, 0xc3], "xor eax, eax; ret");
    code
}

/// A kernel whose sysinfo(2) asks for this instead.
fn asking_kernel(request: Request, for_ever: bool) -> Vec<u8> {
    kernel_with("__x64_sys_sysinfo", &asking(request, for_ever))
}

fn ticking(after_ns: u64, period_ns: u64) -> Vec<u8> {
    asking_kernel(Request::Tick { after_ns, period_ns }, false)
}

#[test]
fn a_kernel_that_asks_for_ever_or_hears_no_event_is_ended_by_the_timeout() {
    needs_kvm!();
    for request in [
        Request::Wait { timeout_ns: NEVER },
        Request::Wait { timeout_ns: 0 },
        Request::Watch { arm: true },
        Request::Tick { after_ns: 0, period_ns: 1 },
        Request::Tick { after_ns: 1_000_000_000, period_ns: NEVER },
    ] {
        let builder = Sandbox::builder().program_bytes("waits", bytes("waits")).arg("ticks");
        let builder = builder.kernel(asking_kernel(request, true)).timeout(a_while());
        let running = builder.build().expect("a sandbox").start().expect("it starts");
        let start = Instant::now();
        let outcome = running.wait().expect("the VM works");
        assert_eq!(outcome.end, End::TimedOut, "{request:?}");
        assert!(start.elapsed() < a_while() + slack(), "{request:?}: {:?}", start.elapsed());
    }
}

#[test]
fn ticks_interrupt_a_program_that_computes_and_change_nothing_of_it() {
    needs_kvm!();
    let run = |kernel: Option<Vec<u8>>| {
        let mut builder = Sandbox::builder().program_bytes("waits", bytes("waits")).arg("ticks");
        if let Some(kernel) = kernel {
            builder = builder.kernel(kernel);
        }
        let output = builder.build().expect("a sandbox").output().expect("the VM works");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.end, End::Exited(0), "{said}");
        output.stats.host_calls.by_operation.get("wait").copied().unwrap_or(0)
    };
    // One in 4 ms of 200 ms, of which a busy host may miss some; the handler of each
    // looks.
    let looks = run(Some(ticking(1_000_000, 4_000_000)));
    assert!((5..=60).contains(&looks), "{looks} interrupts");
    // Without, none.
    assert_eq!(run(None), 0);
}

#[test]
fn ticks_come_no_faster_than_every_millisecond() {
    needs_kvm!();
    let start = Instant::now();
    let builder = Sandbox::builder().program_bytes("waits", bytes("waits")).arg("ticks");
    let output = builder.kernel(ticking(0, 1)).build().expect("a sandbox").output();
    let output = output.expect("the VM works");
    assert_eq!(output.end, End::Exited(0));
    let looks = output.stats.host_calls.by_operation["wait"];
    let most = start.elapsed().as_millis() as u64 + 1;
    assert!((5..=most).contains(&looks), "{looks} interrupts in {most} ms");
}

/// Where another user's files cannot be opened again, as root without the right to.
fn as_nobody_special(command: &Command) -> Option<Command> {
    let setpriv =
        ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|at| Path::new(at).exists());
    let Some(setpriv) = setpriv.filter(|_| Uid::effective().is_root()) else {
        missing("setpriv, as root");
        return None;
    };
    let mut outer = Command::new(setpriv);
    outer.args(["--bounding-set", "-dac_override,-dac_read_search", "--"]);
    outer.arg(command.get_program()).args(command.get_args());
    Some(outer)
}

#[test]
fn another_users_pipe_is_read_and_written_without_keeping_anybody() {
    needs_kvm!();
    if !matches!(place(), Place::Host) {
        return elsewhere(Home::Host, "busybox's setpriv takes no right away");
    }
    let program = program("read-stdin");
    let (input, from) = named_pipe();
    let (to, output) = named_pipe();
    for end in [&input, &output] {
        fchown(end, Some(Uid::from_raw(65534)), Some(Gid::from_raw(65534))).expect("root may");
    }
    let stdin = Stdin::Shared(Arc::new(input));
    let case = Case::new(&program).stdin(stdin).stdout(Stdout::Shared(Arc::new(output)));
    let Some(command) = as_nobody_special(&case.sandbox_command()) else { return };
    passes_through(&case, command, from, to);
}

/// Sends a mebibyte through `read-stdin`, slowly at first.
fn passes_through(case: &Case, command: Command, from: OwnedFd, to: OwnedFd) {
    let sent: Vec<u8> = (0..1u32 << 20).map(|index| ((index * 7) >> 3) as u8).collect();
    let started = case.start(command);
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        let mut from = File::from(from);
        let (first, rest) = copy.split_at(3);
        from.write_all(first).and_then(|()| {
            thread::sleep(a_while());
            from.write_all(rest)
        })
    });
    let reader = thread::spawn(move || {
        thread::sleep(2 * a_while());
        let mut to = File::from(to);
        let mut got = vec![0; 1 << 20];
        to.read_exact(&mut got).map(|()| got)
    });
    let ran = started.finish(Duration::from_secs(300));
    ran.expect_status(0).expect_in_stderr("1048576 bytes");
    writer.join().expect("no panic").expect("all of it was read");
    let got = reader.join().expect("no panic").expect("all of it was written");
    ran.expect(got == sent, "the same bytes");
}

#[test]
fn a_regular_file_that_waits_keeps_nobody() {
    needs_kvm!();
    let Some(unshare) = unshare() else { return };
    let program = program("read-stdin");
    let inner = Case::new(&program).options(["--timeout", "1s"]).sandbox_command();
    let directory = directory();
    // Empty, and of nobody else: what is traced on this machine stays where it is.
    let script = "mount -t tracefs none \"$0\" || exit 99
        own=\"$0/instances/trapgate-test-$$\" && mkdir \"$own\" || exit 99
        \"$@\" <\"$own/trace_pipe\"; status=$?; rmdir \"$own\"; exit $status";
    let mut command = Command::new(unshare);
    command.args(["-m", "sh", "-c", script]).arg(directory.path());
    command.arg(inner.get_program()).args(inner.get_args());
    let start = Instant::now();
    let ended = command.stdin(ProcessStdio::null()).output().expect("it can be executed");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    if ended.status.code() == Some(99) {
        return missing("tracefs, as root");
    }
    assert!(start.elapsed() < Duration::from_secs(1) + slack(), "{:?}", start.elapsed());
    assert_eq!(ended.status.code(), Some(124), "{said}");
    assert!(said.contains("waiting in read(2)"), "{said}");
}

#[test]
fn a_standard_error_that_nobody_reads_keeps_neither_a_timeout_nor_a_signal() {
    needs_kvm!();
    let program = program("spin");
    for option in ["--log=trace", "--strace", "--stats"] {
        let end = |timeout: &str, signal: Option<Signal>| {
            let case = Case::new(&program).options([option, "--timeout", timeout]);
            let (_reader, stderr) = full_pipe();
            let mut command = case.sandbox_command();
            command.stdin(ProcessStdio::null()).stdout(ProcessStdio::null()).stderr(stderr);
            let mut child = command.spawn().expect("it can be executed");
            let start = Instant::now();
            thread::sleep(a_while());
            if let Some(signal) = signal {
                kill(Pid::from_raw(child.id() as i32), signal).expect("it is ours");
            }
            let status = loop {
                match child.try_wait().expect("it is ours") {
                    Some(status) => break status,
                    None if start.elapsed() < a_while() + 2 * slack() => {
                        thread::sleep(Duration::from_millis(10));
                    }
                    None => {
                        child.kill().expect("it is ours");
                        panic!("{option}, {signal:?}: it does not end");
                    }
                }
            };
            (status.code(), status.signal())
        };
        assert_eq!(end("200ms", None), (Some(124), None), "{option}");
        let terminated = (None, Some(Signal::SIGTERM as i32));
        assert_eq!(end("1h", Some(Signal::SIGTERM)), terminated, "{option}");
    }
}

#[test]
fn a_trace_that_nobody_reads_keeps_nobody_and_what_is_lost_is_said() {
    needs_kvm!();
    let program = program("getpid-syscall");
    let directory = directory();
    let path = directory.path().join("pipe");
    let (_reader, writer) = named_pipe_at(&path);
    fill(&writer);
    let trace = format!("--strace={}", path.display());
    let said = |text: &str| {
        let lost = text.lines().find(|line| line.contains("--strace: it took no more"));
        let (_, count) = lost.and_then(|line| line.rsplit_once("to end: ")).unwrap_or_default();
        count.split_once(" lines are lost").is_some_and(|(count, _)| count.parse::<u64>().is_ok())
    };
    let case = Case::new(&program).args(["1000", "1000000"]);
    let ran = case.clone().options([trace.as_str(), "--timeout", "300ms"]).sandboxed();
    ran.expect_status(124).expect_in_stderr("--timeout");
    ran.expect(said(&ran.stderr_text()), "how many lines are lost");
    let started = case.options([trace.as_str()]).start_sandboxed();
    thread::sleep(a_while());
    started.signal(Signal::SIGTERM);
    let ran = started.finish(a_while() + slack());
    ran.expect_status(128 + Signal::SIGTERM as i32).expect_in_stderr("SIGTERM");
    ran.expect(said(&ran.stderr_text()), "how many lines are lost");
}

/// Code that computes in the kernel for so long, and fails then.
fn failing_after(time: Duration) -> Vec<u8> {
    let ticks = time.as_micros() as u64 * tsc_khz().get() / 1000;
    let mut code = vec![0x0f, 0x31, 0x89, 0xc1]; // rdtsc; mov ecx, eax
    code.extend([0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd1]); // shl rdx, 32; or rcx, rdx
    code.extend([0x49, 0xb8]); // mov r8, ticks
    code.extend(ticks.to_le_bytes());
    code.extend([0x4c, 0x01, 0xc1]); // add rcx, r8
    code.extend([0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20]); // rdtsc; shl rdx, 32
    code.extend([0x48, 0x09, 0xd0, 0x48, 0x39, 0xc8]); // or rax, rdx; cmp rax, rcx
    code.extend([0x72, 0xf2]); // jb to the second rdtsc
    code.extend([0x0f, 0x0b]); // ud2
    code
}

#[test]
fn a_kernel_that_fails_before_it_hears_of_the_timeout_has_failed() {
    needs_kvm!();
    // Longer than the timeout, and less than a kernel has for its last words.
    let kernel = kernel_with("__x64_sys_exit_group", &failing_after(Duration::from_millis(200)));
    let builder = Sandbox::builder().program_bytes("hello", bytes("hello-syscall")).kernel(kernel);
    let mut running = builder.stdout(Stdio::piped()).build().expect("a sandbox").start();
    let stdout = running.as_mut().expect("it starts").stdout.take().expect("it was asked for");
    BufReader::new(stdout).read_line(&mut String::new()).expect("a pipe");
    let failed = running.expect("it starts").wait_at_most(Duration::from_millis(20));
    assert!(matches!(failed, Err(Error::KernelFailed(_))), "{failed:?}");
}

#[test]
fn a_kernel_that_fails_when_it_has_heard_of_the_timeout_is_told_as_a_timeout() {
    needs_kvm!();
    let waits = asking(Request::Wait { timeout_ns: NEVER }, false);
    let code = [without_return(waits), vec![0x0f, 0x0b]].concat(); // ud2
    let kernel = kernel_with("__x64_sys_nanosleep", &code);
    let builder = Sandbox::builder().program_bytes("waits", bytes("waits")).kernel(kernel);
    let start = Instant::now();
    let output = builder.args(["sleeps", "1"]).timeout(a_while()).build().expect("a sandbox");
    let output = output.output().expect("the VM works");
    assert_eq!(output.end, End::TimedOut);
    assert!((a_while()..a_while() + slack()).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// Where a mount can be made that nobody else sees.
fn unshare() -> Option<&'static str> {
    let places = ["/usr/bin/unshare", "/bin/unshare"];
    let unshare = places.into_iter().find(|at| Path::new(at).exists());
    let unshare = unshare.filter(|_| Uid::effective().is_root());
    if unshare.is_none() {
        missing("unshare, as root");
    }
    unshare
}

#[test]
fn without_proc_a_terminal_is_read_and_keeps_nobody() {
    needs_kvm!();
    let Some(unshare) = unshare() else { return };
    let program = program("read-stdin");
    for kind in [Kind::Terminal, Kind::TerminalsOtherEnd] {
        let inner = Case::new(&program).options(["--timeout", "3s"]).sandbox_command();
        let mut command = Command::new(unshare);
        let hide = "mount -t tmpfs none /proc && exec \"$@\"";
        command.args(["-m", "sh", "-c", hide, "sh"]);
        command.arg(inner.get_program()).args(inner.get_args());
        let (reader, writer) = kind.ends();
        command.stdin(reader).stdout(ProcessStdio::piped()).stderr(ProcessStdio::piped());
        let child = command.spawn().expect("it can be executed");
        thread::sleep(a_while());
        write(&writer, b"abc").expect("there is room");
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        if said.contains("mount:") {
            return missing("a mount namespace of one's own");
        }
        assert_eq!(ended.stdout, b"abc", "{kind:?}: {said}");
        assert_eq!(ended.status.code(), Some(124), "{kind:?}: {said}");
        assert!(said.contains("waiting in read(2)"), "{kind:?}: {said}");
    }
}
