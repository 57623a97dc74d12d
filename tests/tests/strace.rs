//! `trapgate run --strace` and `Builder::trace`: every call is shown as it was made
//! and answered, whatever the guest claims, and whoever reads it.

use std::fs::File;
use std::io::{self, Write, pipe};
use std::mem::offset_of;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trapgate::boot::kernel::{INSTRUMENTED, PLAIN};
use trapgate::{End, Error, Kind, Outcome, Sandbox, Stdio};
use trapgate_abi::PtRegs;
use trapgate_abi::layout::{Cpu, percpu};
use trapgate_abi::trace::{CAPACITY, HALF};
use trapgate_tests::calls::{Call, parse};
use trapgate_tests::patch::instrumented_with;
use trapgate_tests::programs::bytes;
use trapgate_tests::streams::full_pipe;
use trapgate_tests::{Case, Stdin, compiled, needs_kvm, program, scale};

/// The call is shown so: name, arguments with addresses as `1 << 20`, result.
fn shown(name: &str, arguments: &[u64], result: Option<Result<i64, &str>>) -> Call {
    let result = result.map(|result| result.map_err(str::to_owned));
    Call { name: name.to_owned(), arguments: arguments.to_vec(), result }
}

const ADDRESS: u64 = 1 << 20;

/// Calls of a text, without what is another's in each run.
#[track_caller]
fn calls(text: &str) -> (Vec<Call>, Vec<String>) {
    let (calls, others) = parse(text);
    (calls.into_iter().map(Call::same).collect(), others)
}

#[test]
fn each_call_is_shown_as_a_line_and_the_end_as_another() {
    needs_kvm!();
    let hello = program("hello-syscall");
    let ran = Case::new(&hello).options(["--strace"]).sandboxed();
    ran.expect_status(0).expect(ran.stdout.len() == 30, "its 30 bytes");
    let text = ran.stderr_text();
    let [write, exit, end] = text.lines().collect::<Vec<_>>()[..] else {
        ran.fail("three lines on stderr")
    };
    let is_write = write.starts_with("write(0x1, 0x") && write.ends_with(", 0x1e) = 30");
    ran.expect(is_write, "write(0x1, 0x…, 0x1e) = 30");
    ran.expect(exit == "exit_group(0x0) = ?" && end == "+++ exited with 0 +++", "the end");
}

#[test]
fn calls_by_int80_are_named_by_their_own_table_and_marked() {
    needs_kvm!();
    let hello = program("hello-int80");
    let (ran, text) = Case::new(&hello).strace();
    ran.expect_status(0);
    let (calls, others) = calls(&text);
    let expected =
        [shown("write", &[1, 0x40_0198, 31], Some(Ok(31))).same(), shown("exit_group", &[0], None)];
    assert_eq!(calls, expected, "{text}");
    assert_eq!(others, ["[ Process PID=1 runs in 32 bit mode. ]", "+++ exited with 0 +++"]);
}

/// The sandboxed run's calls are the native run's.
#[track_caller]
fn same_calls(case: &Case) {
    let (ran, text) = case.strace();
    let (sandboxed, _) = calls(&text);
    let native: Vec<_> = case.native_calls().into_iter().map(Call::same).collect();
    for (index, (native, sandboxed)) in native.iter().zip(&sandboxed).enumerate() {
        assert_eq!(sandboxed, native, "call {index} of {case:?}\n{text}");
    }
    ran.expect(native.len() == sandboxed.len(), &format!("{} calls:\n{text}", native.len()));
}

#[test]
fn names_arguments_and_results_are_those_of_the_native_run() {
    needs_kvm!();
    for (name, args) in [
        ("files", &[][..]),
        ("carry-on", &["1"]),
        ("standard-files", &[]),
        ("exit-status", &["3"]),
        ("numbers.32", &[]),
        ("door-probe.32", &["vsyscall"]),
    ] {
        let program = program(name);
        same_calls(&Case::new(&program).args(args.iter().copied()));
    }
    for name in ["hello.musl", "plain.m32"] {
        if let Some(program) = compiled(name) {
            same_calls(&Case::new(&program).args(["a", "b"]));
        }
    }
}

#[test]
fn with_all_steps_the_same_calls_are_shown() {
    needs_kvm!();
    let steps = ["--mitigations", "pti,bhi-clear,kstack-offset,retpoline"];
    for (name, args) in [("carry-on", &["1"][..]), ("standard-files", &[])] {
        let program = program(name);
        let case = Case::new(&program).args(args.iter().copied());
        same_calls(&case.options(steps));
    }
}

#[test]
fn a_program_that_a_signal_kills_is_shown_to_its_end() {
    needs_kvm!();
    let crash = program("crash");
    let (ran, text) = Case::new(&crash).args(["null-read"]).strace();
    ran.expect_status(139);
    assert!(text.ends_with("+++ killed by SIGSEGV +++\n"), "{text}");
}

#[test]
fn a_call_that_waits_when_time_is_up_is_shown_with_what_ended_it() {
    needs_kvm!();
    let reader = program("read-stdin");
    let case = Case::new(&reader).stdin(Stdin::Open);
    let (ran, text) = case.options(["--timeout", "500ms"]).strace();
    ran.expect_status(124).expect_in_stderr("--timeout");
    let (calls, others) = calls(&text);
    let call = calls.last().expect("it reads");
    assert_eq!((call.name.as_str(), &call.arguments[..]), ("read", &[0, ADDRESS, 1][..]), "{text}");
    // It did not come back to the program, whatever ended its wait in the kernel.
    let ended = call.result.is_none() || call.result == Some(Err("ERESTARTSYS".to_owned()));
    assert!(ended && others.len() <= 1, "{text}");
}

#[test]
fn a_flood_of_calls_leaves_the_vm_once_in_five_hundred_and_nothing_is_lost() {
    needs_kvm!();
    let (rounds, repeats) = scale((1000, 2), (1000, 20), (1000, 5));
    let getpid = program("getpid-syscall");
    let case = Case::new(&getpid).args([rounds.to_string(), repeats.to_string()]);
    let directory = trapgate_tests::programs::directory();
    let file = directory.path().join("calls");
    let option = format!("--strace={}", file.display());
    let (ran, stats) = case.options([option]).sandboxed_with_stats();
    ran.expect_status(0);
    let text = std::fs::read_to_string(&file).expect("the trace");
    let getpids = text.lines().filter(|line| *line == "getpid() = 1").count() as u64;
    assert!(getpids >= rounds * repeats, "{getpids} of {}", rounds * repeats);
    assert!(!text.contains("lost"), "{text}");
    let drains = stats["host_calls"]["by_operation"]["drain"].as_u64().expect("it drains");
    let records = 2 * text.lines().count() as u64;
    assert!((records / HALF - 1..=records / HALF).contains(&drains), "{drains} of {records}");
    assert!(getpids / drains >= 500, "{drains} exits for {getpids} calls");
}

/// A writer whose bytes the test keeps.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("a trace is text")
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sandbox(name: &str) -> trapgate::Builder {
    let sandbox = Sandbox::builder().program_bytes(name, bytes(name));
    sandbox.stdin(Stdio::Null).stdout(Stdio::Null).timeout(Duration::from_secs(scale(30, 60, 300)))
}

fn run(builder: trapgate::Builder) -> Outcome {
    builder.build().expect("a sandbox").run().expect("an outcome")
}

#[test]
fn the_library_says_what_came_of_a_trace() {
    needs_kvm!();
    let kept = Kept::default();
    let outcome = run(sandbox("hello-syscall").trace(kept.clone()));
    let trace = outcome.trace.expect("it was traced");
    // The second call does not come back.
    assert_eq!((trace.records, trace.lost, trace.error), (3, 0, None));
    assert_eq!(parse(&kept.text()).0.len(), 2);
    assert_eq!(run(sandbox("hello-syscall")).trace, None);
}

#[test]
fn stamps_and_a_trace_go_together() {
    needs_kvm!();
    let kept = Kept::default();
    let outcome = run(sandbox("hello-syscall").trace(kept.clone()).stamps(8));
    assert_eq!(parse(&kept.text()).0.len(), 2);
    let native = Kind::of_this_host() != Kind::Software;
    assert_eq!(outcome.stamps.len(), usize::from(native));
}

#[test]
fn a_plain_image_of_somebody_elses_is_refused_where_a_trace_is_wanted() {
    needs_kvm!();
    let traced = || sandbox("hello-syscall").trace(io::sink());
    let error = traced().kernel(PLAIN).build().err().expect("it has none");
    assert!(matches!(error, Error::Uninstrumented), "{error}");
    assert!(error.to_string().contains("trace"), "{error}");
    assert_eq!(run(traced().kernel(INSTRUMENTED)).end, End::Exited(0));
}

#[test]
fn a_writer_that_takes_no_more_does_not_keep_the_sandbox_from_ending() {
    needs_kvm!();
    // Nobody reads it.
    let (_reader, writer) = full_pipe();
    let builder = sandbox("getpid-syscall").args(["1000", "1000"]).trace(File::from(writer));
    let outcome = run(builder.timeout(Duration::from_secs(scale(5, 5, 20))));
    assert_eq!(outcome.end, End::TimedOut);
    assert!(outcome.trace.and_then(|trace| trace.error).is_some());

    let builder = sandbox("getpid-syscall").args(["1000", "1000"]);
    let (reader, writer) = pipe().expect("there are pipes");
    drop(reader);
    let running = builder.trace(writer).build().expect("a sandbox").start().expect("it starts");
    running.kill_handle().kill();
    let outcome = running.wait().expect("an outcome");
    assert_eq!(outcome.end, End::Stopped);
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_program_runs() {
    let hello = program("hello-syscall");
    let ran = Case::new(&hello).options(["--strace=/nonexistent/calls"]).sandboxed();
    ran.is_refusal(125).unwrap_or_else(|what| panic!("{what}"));
    ran.expect_in_stderr("--strace: ");
}

#[test]
fn a_full_disk_is_said_and_the_programs_status_stays() {
    needs_kvm!();
    let exits = program("exit-status");
    let case = Case::new(&exits).args(["3"]).options(["--strace=/dev/full"]);
    case.sandboxed().expect_status(3).expect_in_stderr("trapgate: --strace: No space left");
}

/// Code that stores a quadword at an address.
fn store(address: u64, value: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xb8]; // mov rax, address
    code.extend(address.to_le_bytes());
    code.extend([0x48, 0xb9]); // mov rcx, value
    code.extend(value.to_le_bytes());
    code.extend([0x48, 0x89, 0x08]); // mov [rax], rcx
    code
}

/// Traces a program that calls write(2), whose handler does this in ring 0.
fn hostile(code: &[u8]) -> (Outcome, String) {
    let kept = Kept::default();
    // mov rax, [rdi + rdx]; ret: all is written.
    let done = [0x48, 0x8b, 0x47, offset_of!(PtRegs, rdx) as u8, 0xc3];
    let kernel = instrumented_with("__x64_sys_write17h", &[code, &done].concat());
    (run(sandbox("hello-syscall").trace(kept.clone()).kernel(kernel)), kept.text())
}

#[test]
fn a_kernel_that_lies_about_its_ring_ends_nobody_and_is_read_for_a_ring_at_most() {
    needs_kvm!();
    let words = Cpu::FIRST.area() + percpu::TRACING;
    // next, taken, due, lost
    let lies = [(1, u64::MAX / 2), (2, 12345), (3, 0), (4, u64::MAX)];
    for (index, value) in lies {
        let (outcome, text) = hostile(&store(words + 8 * index, value));
        assert!(matches!(outcome.end, End::Exited(_)), "{index}: {:?}", outcome.end);
        let trace = outcome.trace.expect("it was traced");
        let looks = outcome.stats.vmm_exits + 1;
        assert!(trace.records <= looks * CAPACITY, "{index}: {trace:?}");
        assert!(text.lines().all(|line| line.len() < 300), "{text}");
        assert!(text.ends_with("+++\n"), "{index}: {text}");
        assert_eq!(text.contains("records lost"), index != 3, "{index}: {text}");
    }
}

#[test]
fn records_that_a_kernel_has_made_up_are_lines_or_none() {
    needs_kvm!();
    let words = Cpu::FIRST.area() + percpu::TRACING;
    for pattern in [0, 1, 2, 3, 0x0101_0001_u64 << 8 | 1, u64::MAX, 0x1b5b_324a_0103_0201] {
        let mut code = vec![0x57, 0x48, 0xb8]; // push rdi; mov rax, words
        code.extend(words.to_le_bytes());
        code.extend([0x48, 0x8b, 0x38]); // mov rdi, [rax]: the ring
        code.extend([0x48, 0x81, 0x40, 0x08]); // add qword ptr [rax + 8], CAPACITY
        code.extend((CAPACITY as u32).to_le_bytes());
        code.extend([0x48, 0xb8]); // mov rax, pattern
        code.extend(pattern.to_le_bytes());
        code.push(0xb9); // mov ecx, words of the ring
        code.extend((CAPACITY as u32 * 16).to_le_bytes());
        code.extend([0xf3, 0x48, 0xab, 0x5f]); // rep stosq; pop rdi
        let (outcome, text) = hostile(&code);
        assert!(matches!(outcome.end, End::Exited(_)), "{pattern:#x}: {:?}", outcome.end);
        assert!(text.lines().all(|line| line.len() < 300), "{pattern:#x}: {text}");
        assert!(!text.contains('\u{1b}'), "{pattern:#x}");
        assert!(text.lines().count() as u64 <= outcome.stats.vmm_exits * 2 * CAPACITY);
    }
}
