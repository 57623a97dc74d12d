//! clone(2), clone3(2) and the ends of tasks, where a test plays the new thread.

use super::{DATA, Sandbox, boot_info};
use crate::process::exit::exit_task;
use crate::process::prepare_return::prepare_return;
use crate::process::task::{current, find, next_of};
use crate::sched::queue;
use crate::sched::switch::{finish, yield_now};
use crate::sched::thread::work;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::Request;
use trapgate_arch::stack::in_use;
use trapgate_arch::{cpu, fake, percpu, switch};
use trapgate_uapi::Errno;
use trapgate_uapi::sched::{
    CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_DETACHED, CLONE_FILES, CLONE_FS, CLONE_NEWNS,
    CLONE_NEWPID, CLONE_NEWUTS, CLONE_PARENT_SETTID, CLONE_PIDFD, CLONE_SETTLS, CLONE_SIGHAND,
    CLONE_SYSVSEM, CLONE_THREAD, CLONE_VFORK, CLONE_VM,
};
use trapgate_uapi::syscall::{nr32, nr64};

const THREAD: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
/// What a C library's threads ask for.
const LIBC: u64 = THREAD
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_SETTID
    | CLONE_CHILD_CLEARTID;

/// What new threads have found: their numbers, registers, FS and XMM0.
static FOUND: Mutex<Vec<(u32, PtRegs, u64, u64)>> = Mutex::new(Vec::new());

/// A new thread that looks, lets others run, and ends.
fn looks_and_ends(mut regs: PtRegs) -> ! {
    finish();
    prepare_return(&mut regs);
    FOUND.lock().unwrap().push((current().tid(), regs, cpu::fs_base(), fake::xmm0()));
    yield_now();
    exit_task(5)
}

fn start() -> Sandbox {
    switch::init(looks_and_ends);
    FOUND.lock().unwrap().clear();
    let sandbox = Sandbox::new();
    // Nobody is told of ticks.
    sandbox.machine.set_vmm(|_, _, _| Ok(0));
    sandbox
}

fn clone(sandbox: &Sandbox, flags: u64, arguments: [u64; 4]) -> Result<u64, Errno> {
    let [stack, parent, child, tls] = arguments;
    sandbox.call(nr64::CLONE, [flags, stack, parent, child, tls, 0])
}

fn let_all_run() {
    while !queue::is_empty() {
        yield_now();
    }
}

#[test]
fn a_thread_begins_where_its_maker_was_with_zero_and_what_was_asked_for() {
    let sandbox = start();
    sandbox.store(DATA, &[0xff; 16]);
    fake::set_xmm0(7);
    let [parent, child] = [DATA, DATA + 8];
    assert_eq!(clone(&sandbox, LIBC, [0x7000, parent, child, 0x5000]), Ok(2));
    assert_eq!(sandbox.load::<8>(DATA), *b"\x02\0\0\0\xff\xff\xff\xff");
    assert_eq!(sandbox.load(child), [2, 0, 0, 0]);
    yield_now();
    let (tid, regs, fs, xmm0) = FOUND.lock().unwrap().pop().expect("it runs");
    assert_eq!((tid, regs.rax, regs.rsp, fs, xmm0), (2, 0, 0x7000, 0x5000, 7));
    assert_eq!(regs.rdi, LIBC);
    assert_eq!(next_of(1, 2).map(|task| task.tid()), Some(2));
    let_all_run();
    // It has ended, and said so.
    assert_eq!(sandbox.load(child), [0; 4]);
    assert!(find(2).is_none() && find(1).is_some());
    assert_eq!(current().process.tasks.load(Ordering::Relaxed), 1);
    // Nothing that was not asked for is stored.
    assert_eq!(clone(&sandbox, THREAD, [0, parent, child, 1 << 63]), Ok(3));
    let_all_run();
    assert_eq!(sandbox.load(parent), [2, 0, 0, 0]);
    let (_, regs, fs, _) = FOUND.lock().unwrap().pop().expect("it runs");
    assert_eq!((regs.rsp, fs), (0, cpu::fs_base()));
    assert_eq!(percpu::work() & !(work::TICK | work::USER_STATE), 0);
}

#[test]
fn a_thread_of_32_bit_code_begins_with_a_segment() {
    let sandbox = start();
    // Entry 12: a base, all of memory, 32 bits, pages, for the program's use.
    let desc = [12u32, 0x1234_5678, 0xf_ffff, 0x51].map(u32::to_le_bytes);
    sandbox.store(DATA, desc.as_flattened());
    let clone = |tls: u32| {
        let flags = (THREAD | CLONE_SETTLS | CLONE_CHILD_SETTID) as u32;
        sandbox.call_32(nr32::CLONE, [flags, 0x7000, 0, tls, DATA as u32 + 32, 0])
    };
    assert_eq!(clone(DATA as u32), Ok(2));
    assert_eq!(sandbox.load(DATA + 32), [2, 0, 0, 0]);
    let_all_run();
    assert_eq!(clone(8), Err(Errno::EFAULT));
    for number in [11, 15, u32::MAX] {
        sandbox.store(DATA, &number.to_le_bytes());
        assert_eq!(clone(DATA as u32), Err(Errno::EINVAL), "{number}");
    }
    sandbox.store(DATA, &[12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(clone(DATA as u32), Err(Errno::EINVAL), "a segment of 16 bits");
}

#[test]
fn what_makes_no_sense_is_refused_and_what_is_not_there_says_so() {
    let sandbox = start();
    let stacks = in_use();
    let answers = |flags| clone(&sandbox, flags, [0; 4]).unwrap_err();
    for flags in [
        CLONE_THREAD,
        CLONE_THREAD | CLONE_VM,
        CLONE_SIGHAND,
        CLONE_NEWNS | CLONE_FS,
        THREAD | CLONE_NEWPID,
        CLONE_PIDFD | CLONE_DETACHED,
        THREAD | CLONE_PIDFD,
        CLONE_PIDFD | CLONE_PARENT_SETTID,
    ] {
        assert_eq!(answers(flags), Errno::EINVAL, "{flags:#x}");
    }
    for flags in [17, CLONE_VM | CLONE_VFORK | 17, CLONE_VM | CLONE_SIGHAND, THREAD & !CLONE_FILES]
    {
        assert_eq!(answers(flags), Errno::ENOSYS, "{flags:#x}");
    }
    assert_eq!(answers(CLONE_NEWUTS | 17), Errno::EPERM);
    assert_eq!(clone(&sandbox, THREAD | CLONE_SETTLS, [0, 0, 0, 1 << 47]), Err(Errno::EPERM));
    assert_eq!((find(2).is_none(), in_use()), (true, stacks), "nothing is left of them");
    // What musl's and Rust's detached threads add means nothing.
    assert_eq!(clone(&sandbox, THREAD | CLONE_DETACHED, [0; 4]), Ok(2));
    let_all_run();
}

#[test]
fn clone3_takes_a_programs_structure_of_whatever_size() {
    let sandbox = start();
    let call = |words: [u64; 13], size: u64| {
        sandbox.store(DATA, words.map(u64::to_le_bytes).as_flattened());
        sandbox.call(nr64::CLONE3, [DATA, size, 0, 0, 0, 0])
    };
    let with = |changes: &[(usize, u64)]| {
        let mut words = [0; 13];
        words[0] = THREAD;
        changes.iter().for_each(|&(at, value)| words[at] = value);
        words
    };
    assert_eq!(call(with(&[(5, 0x7000), (6, 0x1000)]), 64), Ok(2));
    assert_eq!(call(with(&[]), 104), Ok(3));
    let_all_run();
    let rsp = |at: usize| FOUND.lock().unwrap()[at].1.rsp;
    assert_eq!([rsp(0), rsp(1)], [0x8000, 0]);
    /// Words that differ, by their index.
    type Changes = &'static [(usize, u64)];
    let cases: [(Changes, u64, Errno); 12] = [
        (&[], 63, Errno::EINVAL),
        (&[], 4097, Errno::E2BIG),
        (&[(12, 1)], 104, Errno::E2BIG),
        (&[(4, 17)], 88, Errno::EINVAL),
        (&[(0, 0), (4, 65)], 88, Errno::EINVAL),
        (&[(0, THREAD | 1)], 88, Errno::EINVAL),
        (&[(5, 0x1000)], 88, Errno::EINVAL),
        (&[(6, 0x1000)], 88, Errno::EINVAL),
        (&[(5, u64::MAX - 4095), (6, 8192)], 88, Errno::EINVAL),
        (&[(9, 1)], 88, Errno::EINVAL),
        (&[(8, DATA), (9, 1)], 88, Errno::EPERM),
        (&[(0, 0), (4, 17)], 88, Errno::ENOSYS),
    ];
    for (changes, size, error) in cases {
        assert_eq!(call(with(changes), size), Err(error), "{changes:?} {size}");
    }
    assert_eq!(sandbox.call(nr64::CLONE3, [8, 88, 0, 0, 0, 0]), Err(Errno::EFAULT));
}

#[test]
fn the_process_ends_with_its_last_task_and_keeps_the_number_of_its_first() {
    let sandbox = start();
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Ok(2));
    let end = sandbox.end_of(|| {
        sandbox.call(nr64::EXIT, [3, 0, 0, 0, 0, 0]).unwrap();
    });
    assert_eq!(end, Request::Exit { status: 5 });
    assert!(find(1).is_some_and(|task| task.has_ended()));
}

#[test]
fn a_user_has_as_many_tasks_as_the_limit_says() {
    let sandbox = start();
    const RLIMIT_NPROC: u64 = 6;
    sandbox.store(DATA, [2u64, 2].map(u64::to_le_bytes).as_flattened());
    assert_eq!(sandbox.call(nr64::SETRLIMIT, [RLIMIT_NPROC, DATA, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::SETUID, [5, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Ok(2));
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Err(Errno::EAGAIN));
    let_all_run();
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Ok(3));
    let_all_run();
}

#[test]
fn a_signal_goes_to_the_thread_that_was_named_and_one_of_the_process_to_any() {
    let sandbox = start();
    let (blocked, terminate) = (1u64 << 14, 15);
    sandbox.store(DATA, &blocked.to_le_bytes());
    assert_eq!(sandbox.call(nr64::RT_SIGPROCMASK, [0, DATA, 0, 8, 0, 0]), Ok(0));
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Ok(2));
    let second = find(2).expect("it is there");
    assert_eq!(second.signals.blocked(), blocked, "it has its maker's mask");
    assert_eq!(sandbox.call(nr64::TGKILL, [1, 2, terminate, 0, 0, 0]), Ok(0));
    assert_eq!((second.signals.pending.set(), current().signals.pending.set()), (blocked, 0));
    assert_eq!(sandbox.call(nr64::TGKILL, [1, 9, 0, 0, 0, 0]), Err(Errno::ESRCH));
    assert_eq!(sandbox.call(nr64::TGKILL, [7, 2, 0, 0, 0, 0]), Err(Errno::ESRCH));
    assert_eq!(sandbox.call(nr64::TKILL, [2, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::TKILL, [2, 65, 0, 0, 0, 0]), Err(Errno::EINVAL));
    // One that the first has blocked and the second has not.
    assert_eq!(second.signals.set_blocked(0), blocked);
    second.signals.pending.forget(blocked, &second.process.signals.queued);
    percpu::clear_work(work::SIGNAL);
    assert_eq!(sandbox.call(nr64::KILL, [1, terminate, 0, 0, 0, 0]), Ok(0));
    assert_eq!(second.process.signals.pending.set(), blocked);
    let end = sandbox.end_of(let_all_run);
    assert_eq!(end, Request::Killed { signal: 15 });
}

#[test]
fn each_tasks_priority_is_its_own_and_the_groups_is_the_best() {
    let sandbox = start();
    assert_eq!(clone(&sandbox, THREAD, [0; 4]), Ok(2));
    let [process, group] = [0, 1];
    let set = |which, who, nice| sandbox.call(nr64::SETPRIORITY, [which, who, nice, 0, 0, 0]);
    let get = |which, who| sandbox.call(nr64::GETPRIORITY, [which, who, 0, 0, 0, 0]);
    assert_eq!([set(process, 2, 7), set(process, 9, 1)], [Ok(0), Err(Errno::ESRCH)]);
    assert_eq!([get(process, 0), get(process, 2), get(group, 1)], [Ok(20), Ok(13), Ok(20)]);
    assert_eq!([set(group, 0, 3), get(process, 2)], [Ok(0), Ok(17)]);
    assert_eq!([get(group, 2), get(3, 0)], [Err(Errno::ESRCH), Err(Errno::EINVAL)]);
    let_all_run();
}

#[test]
fn a_barrier_is_asked_for_after_it_was_registered() {
    let sandbox = Sandbox::boot(BootInfo { ..boot_info() });
    let barrier = |command, flags| sandbox.call(nr64::MEMBARRIER, [command, flags, 0, 0, 0, 0]);
    assert_eq!(
        [barrier(0, 0), barrier(1, 0), barrier(0, 1)],
        [Ok(0x7f), Ok(0), Err(Errno::EINVAL)]
    );
    assert_eq!([barrier(8, 0), barrier(16, 0), barrier(8, 0)], [Err(Errno::EPERM), Ok(0), Ok(0)]);
    assert_eq!([barrier(32, 0), barrier(64, 0), barrier(32, 0)], [Err(Errno::EPERM), Ok(0), Ok(0)]);
    assert_eq!([barrier(128, 0), barrier(9, 0)], [Err(Errno::EINVAL); 2]);
}
