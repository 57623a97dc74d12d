//! Each call, with each of its attempts to get memory failing: it is ENOMEM, and
//! nothing has changed. `scripts` has the arguments; a call without a script fails
//! by its name.
//!
//! An allocation that cannot say that it failed ends the process. So the calls run
//! in a process of their own, whose last words say which call it was.

mod scripts;
mod snapshot;

use super::{DATA, Sandbox, boot_info};
use crate::mm::frames::FRAMES;
use crate::sys::table::{self, Convention, Handler};
use scripts::{ENDLESS, NAMES, PATH, SCRIPTS, Script, TOUCHED, TREE, VECTORS};
pub(super) use snapshot::Snapshot;
use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::process::Command;
use std::thread;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{BootInfo, Range};
use trapgate_abi::hypercall::{NEVER, Request, Segment};
use trapgate_abi::layout::{PAGE_SIZE, USER_STACK_TOP};
use trapgate_arch::fake::heap::failing;
use trapgate_arch::paging::FrameSource;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

/// Bytes of RAM.
const RAM: u64 = 4 << 20;

/// What came of a call: its result, or that the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Back(Result<u64, Errno>),
    ToAnEnd(Request),
}

/// A program whose memory is touched where scripts point to, so that a call's own
/// pages are no attempt of its.
fn sandbox() -> Sandbox {
    let boot = boot_info();
    // Less is made faster.
    let free = [Range { end: RAM, ..boot.free[0] }, Range::ZERO];
    let sandbox = Sandbox::boot(BootInfo { ram_size: RAM, free, random_count: 8, ..boot });
    sandbox.machine.set_vmm(|request, segments, message| {
        message[1..].fill(0);
        Ok(match request {
            Request::Read { .. }
            | Request::ReadAt { .. }
            | Request::Write { .. }
            | Request::Random => segments.iter().map(|Segment { length, .. }| length).sum(),
            // Nobody ever ends such a wait.
            Request::Wait { timeout_ns: NEVER } => return Err(Errno::EPERM),
            _ => 0,
        })
    });
    for page in TOUCHED.step_by(PAGE_SIZE as usize) {
        sandbox.store(page, &[0]);
    }
    // Page tables for what comes to lie beside the stack.
    sandbox.store(USER_STACK_TOP - 8, &[0]);
    sandbox.store(ENDLESS, &[b'x'; 2 * PAGE_SIZE as usize]);
    sandbox.store(PATH + PAGE_SIZE - 1, &[0]);
    sandbox.store(VECTORS, &DATA.to_le_bytes());
    sandbox.store(TREE, NAMES);
    sandbox
}

impl Sandbox {
    fn carry_out(&self, convention: Convention, handler: Handler, arguments: [u64; 6]) -> Came {
        let [a, b, c, d, e, f] = arguments;
        let regs = self.registers(0);
        let regs = match convention {
            Convention::X64 => PtRegs { rdi: a, rsi: b, rdx: c, r10: d, r8: e, r9: f, ..regs },
            Convention::Ia32 => PtRegs { rbx: a, rcx: b, rdx: c, rsi: d, rdi: e, rbp: f, ..regs },
        };
        self.machine.requests();
        match self.machine.run(|| handler(&regs)) {
            Ok(rax) => Came::Back(from_return(rax)),
            Err(_) => Came::ToAnEnd(self.machine.requests().pop().expect("a last request")),
        }
    }
}

/// Names what is about to happen, for whoever reads a dead process's last words.
fn say(words: &str) {
    // Past the harness, which would keep it to itself.
    writeln!(std::io::stderr(), "{words}").unwrap();
}

/// Runs a script with no attempt failing: answers what comes of it, and how many
/// attempts there were.
fn rehearse(name: &str, convention: Convention, handler: Handler, script: &Script) -> (Came, u64) {
    let sandbox = sandbox();
    (script.before)(&sandbox);
    let (came, attempts) = failing(0, || sandbox.carry_out(convention, handler, script.arguments));
    if let Came::Back(result) = came {
        let error = result.err();
        assert_eq!(error, script.error, "{name} {:x?}: {result:x?}", script.arguments);
    }
    (came, attempts)
}

/// The heap has no block for the call's attempt number `fails`.
fn without_a_block(
    name: &str,
    convention: Convention,
    handler: Handler,
    script: &Script,
    (fails, otherwise): (u64, Came),
) {
    let sandbox = sandbox();
    (script.before)(&sandbox);
    let before = Snapshot::take();
    let call = || sandbox.carry_out(convention, handler, script.arguments);
    let (came, _) = failing(fails, call);
    if came == Came::Back(Err(Errno::ENOMEM)) {
        let changes = before.differences(&Snapshot::take());
        assert!(changes.is_empty(), "{name}: ENOMEM, and yet {changes:#?}");
    } else {
        assert_eq!(came, otherwise, "{name}: attempt {fails}");
    }
}

/// There are `left` frames that the call may have. Answers whether it wanted more.
fn with_frames(
    name: &str,
    convention: Convention,
    handler: Handler,
    script: &Script,
    (left, otherwise): (u64, Came),
) -> bool {
    let sandbox = sandbox();
    (script.before)(&sandbox);
    take_frames(left);
    let before = Snapshot::take();
    let came = sandbox.carry_out(convention, handler, script.arguments);
    let killed = Came::ToAnEnd(Request::Killed { signal: 9 });
    if came == Came::Back(Err(Errno::ENOMEM)) {
        let changes = before.differences(&Snapshot::take());
        assert!(changes.is_empty(), "{name}: ENOMEM with {left} frames, and yet {changes:#?}");
    } else {
        assert!(came == otherwise || came == killed, "{name}: {left} frames: {came:?}");
    }
    came != otherwise
}

/// Takes all frames that a program may have, but for so many.
fn take_frames(left: u64) {
    let mut frames = FRAMES.lock();
    let mut taken: Vec<Range> = core::iter::from_fn(|| frames.take(1)).collect();
    let kept = taken.len() - left as usize;
    taken.drain(kept..).for_each(|run| frames.give_back(run));
}

/// The scripts of all calls, each with its call's name and handler.
fn each(mut run: impl FnMut(&str, Convention, Handler, &Script)) {
    for (entry, convention, handler) in table::handlers() {
        let scripts = SCRIPTS.iter().filter(|script| script.entry == entry);
        for script in scripts {
            run(&format!("{convention:?} {entry}"), convention, handler, script);
        }
    }
}

/// Set in the process that the test below starts for the calls: an allocation that
/// cannot fail ends the whole process.
const APART: &str = "TRAPGATE_TEST_APART";

/// The calls themselves.
fn each_attempt_fails() {
    let (mut calls, mut attempts_of_all) = (0, 0);
    each(|name, convention, handler, script| {
        say(&format!("{name} {:x?}", script.arguments));
        let (otherwise, attempts) = rehearse(name, convention, handler, script);
        for fails in 1..=attempts {
            say(&format!("  without a block at attempt {fails} of {attempts}"));
            without_a_block(name, convention, handler, script, (fails, otherwise));
        }
        let wants_more = |left: &u64| {
            say(&format!("  with {left} frames"));
            with_frames(name, convention, handler, script, (*left, otherwise))
        };
        assert!((0..40).take_while(wants_more).count() < 40, "{name} wants many frames");
        (calls, attempts_of_all) = (calls + 1, attempts_of_all + attempts);
    });
    say(&format!("{calls} calls, {attempts_of_all} attempts"));
    assert!(calls > 150 && attempts_of_all > 50, "{calls} calls, {attempts_of_all} attempts");
}

#[test]
fn each_attempt_of_each_call_to_get_memory_may_fail_and_changes_nothing() {
    if env::var_os(APART).is_some() {
        return each_attempt_fails();
    }
    let test = thread::current();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", test.name().unwrap()]);
    let output = command.env(APART, "1").env("RUST_BACKTRACE", "0").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = words.lines().rev().take(12).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    assert!(output.status.success(), "{}: it ends with\n{}", output.status, last.join("\n"));
    assert!(words.contains(" calls, "), "the calls did not run:\n{words}");
}

#[test]
fn every_call_has_a_script_and_every_script_a_call() {
    let calls: BTreeSet<&str> = table::handlers().map(|(entry, ..)| entry).collect();
    let scripts: BTreeSet<&str> = SCRIPTS.iter().map(|script| script.entry).collect();
    let without: Vec<_> = calls.difference(&scripts).collect();
    assert!(without.is_empty(), "no script in tests/allocation/scripts.rs: {without:?}");
    let gone: Vec<_> = scripts.difference(&calls).collect();
    assert!(gone.is_empty(), "scripts for what is no call: {gone:?}");
}
