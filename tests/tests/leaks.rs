//! Many sandboxes in one process leave nothing in it.
//!
//! Alone in its file: what other tests do in the meantime would count.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trapgate::{End, Sandbox, Stdio, Teardown};
use trapgate_tests::programs::bytes;
use trapgate_tests::{needs_kvm, rounds, scale, takes_long};

/// The tests of this file are of one process, one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a process has: descriptors, threads of its VMs (those of the tests come and
/// go by themselves), and KiB of resident memory.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    resident_kib: u64,
}

impl Holdings {
    fn now() -> Holdings {
        let entries = |path| fs::read_dir(path).expect("there is /proc").count();
        let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().strip_suffix(" kB"));
        Holdings {
            descriptors: entries("/proc/self/fd"),
            threads: threads(),
            resident_kib: resident.and_then(|kib| kib.parse().ok()).expect("VmRSS is in kB"),
        }
    }
}

/// The threads that the library has begun, by their names.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("there is /proc");
    let names = tasks.flatten().flat_map(|task| fs::read_to_string(task.path().join("comm")));
    let ours = ["vcpu", "output", "watcher", "transfer"];
    names.filter(|name| ours.iter().any(|start| name.starts_with(start))).count()
}

/// How long a thread may take to be gone after its VM.
const SETTLING: Duration = Duration::from_secs(5);

/// What the process has when its VMs are gone.
fn settled() -> Holdings {
    Teardown::wait_for_all();
    // A thread is gone from /proc a moment after it let go of its VM, or has nothing to
    // watch any more.
    let settled = Instant::now() + SETTLING;
    while threads() > 0 && Instant::now() < settled {
        std::thread::sleep(Duration::from_millis(10));
    }
    Holdings::now()
}

/// One run of hello, with a pipe for its output.
fn hello(bytes: &std::sync::Arc<[u8]>) {
    let (mut reader, writer) = std::io::pipe().expect("there are pipes");
    let sandbox = Sandbox::builder()
        .program_bytes("hello-syscall", bytes.clone())
        .stdin(Stdio::Closed)
        .stdout(Stdio::Fd(writer.into()))
        .stderr(Stdio::Closed)
        .build()
        .expect("a sandbox can be made");
    let outcome = sandbox.run().expect("the VM works");
    assert_eq!(outcome.end, End::Exited(0));
    let mut output = String::new();
    std::io::Read::read_to_string(&mut reader, &mut output).expect("a pipe can be read");
    assert_eq!(output, "Hello from ring 3 by SYSCALL.\n");
}

#[test]
fn many_runs_in_a_row_leak_no_descriptor_thread_or_memory() {
    needs_kvm!();
    takes_long!();
    let _alone = alone();
    const MOST_GROWTH_KIB: u64 = 2 << 10;
    // A long run finds what leaks 200 bytes each time, any other three times as much.
    let runs = scale(rounds(3_000, 10_000), 20, 5);
    let bytes = bytes("hello-syscall").into();
    // What is made once is not a leak.
    for _ in 0..scale(100, 5, 2) {
        hello(&bytes);
    }
    let before = settled();
    let start = Instant::now();
    for _ in 0..runs {
        hello(&bytes);
    }
    let each = start.elapsed() / runs;
    let after = settled();
    println!("{runs} runs, {each:.1?} each: {before:?} before, {after:?} after");
    assert_eq!(before.descriptors, after.descriptors, "descriptors after {runs} runs");
    assert_eq!(after.threads, 0, "threads after {runs} runs");
    let grown = after.resident_kib.saturating_sub(before.resident_kib);
    assert!(grown < MOST_GROWTH_KIB, "{runs} runs grew the process by {grown} KiB");
}

#[test]
fn whoever_drops_kills_or_does_not_wait_leaves_nothing_either() {
    needs_kvm!();
    let _alone = alone();
    let rounds = scale(50, 5, 2);
    let bytes: std::sync::Arc<[u8]> = bytes("spin").into();
    let begin = || {
        let builder = Sandbox::builder().program_bytes("spin", bytes.clone());
        // It says something first, and must be able to.
        let builder = builder.stdin(Stdio::Closed).stdout(Stdio::Null).stderr(Stdio::Closed);
        builder.build().expect("a sandbox can be made")
    };
    let round = || {
        drop(begin());
        drop(begin().start().expect("it starts"));
        let running = begin().start().expect("it starts");
        running.kill();
        let outcome = running.wait().expect("the VM works");
        assert_eq!(outcome.end, End::Stopped);
        assert!(outcome.teardown.wait().is_some());
        assert_eq!(outcome.teardown.took(), outcome.teardown.wait());
    };
    round();
    let before = settled();
    for _ in 0..rounds {
        round();
    }
    let after = settled();
    assert_eq!(before.descriptors, after.descriptors, "descriptors after {rounds} rounds");
    assert_eq!(after.threads, 0, "threads after {rounds} rounds");
}
