//! For tests alone, in an image built for them (the feature `test-hook`): threads
//! before there is clone(2).
//!
//! Calls of either width with numbers that Linux has not, from [`FIRST`] on.

use crate::memory::try_arc;
use crate::process::task::{Task, current};
use crate::sched::thread::{State, Thread, current as running, current_arc};
use crate::sched::{queue, switch};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::PtRegs;
use trapgate_abi::test_hook::{FIRST, KERNEL_THREADS, THREAD};
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_uapi::Errno;

/// Answers such a call; `None` for any other.
pub fn call(regs: &PtRegs, number: u64, [first, second, third]: [u64; 3]) -> Option<u64> {
    let result = match number.checked_sub(FIRST)? {
        THREAD => thread(regs, first, second, third),
        KERNEL_THREADS => kernel_threads(first),
        _ => return None,
    };
    Some(result.unwrap_or_else(|errno| errno.number().wrapping_neg()))
}

/// A thread of the running process that begins at `entry` with `stack`, and `argument`
/// where the ABI has the first one: in RDI, or in EBX and on no stack.
fn thread(regs: &PtRegs, entry: u64, stack: u64, argument: u64) -> Result<u64, Errno> {
    let (rip, rsp, rdi, rbx) = (entry, stack, argument, argument);
    let task = current().beside(PtRegs { rip, rsp, rdi, rbx, rax: 0, ..*regs })?;
    queue::push(task.thread.clone());
    Ok(task.tid.into())
}

/// Two threads that wake each other, and who waits for both.
static PAIR: Mutex<[Option<Arc<Thread>>; 3]> = Mutex::new([const { None }; 3]);
static LEFT: AtomicU64 = AtomicU64::new(0);
static SWITCHES: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Two threads of the kernel's hand a turn back and forth so many times; answers how
/// often.
fn kernel_threads(turns: u64) -> Result<u64, Errno> {
    LEFT.store(turns, Ordering::Relaxed);
    SWITCHES.store(0, Ordering::Relaxed);
    ENDED.store(0, Ordering::Relaxed);
    let mut pair = [None, None, Some(current_arc())];
    for (own, thread) in pair.iter_mut().enumerate().take(2) {
        let stack = KernelStack::new().ok_or(Errno::ENOMEM)?;
        let owner = Owner::new(percpu::current_arc::<Task>());
        *thread = Some(try_arc(switch::kernel_thread(stack, owner, (take_turns, own)))?);
    }
    *PAIR.lock() = pair.clone();
    running().set_state(State::Blocked);
    pair.iter().take(2).flatten().for_each(|thread| queue::push(thread.clone()));
    switch::block()?;
    *PAIR.lock() = [const { None }; 3];
    Ok(SWITCHES.load(Ordering::Relaxed))
}

/// One side: wakes the other and waits, until no turn is left; the last one wakes who
/// waits for both.
fn take_turns(own: usize) {
    let wake = |which: usize| {
        let thread = PAIR.lock()[which].clone();
        thread.is_some_and(|thread| queue::wake(&thread))
    };
    // What the stack has to keep, whatever runs on the other.
    let marks: [u64; 32] = core::array::from_fn(|index| (own * 1000 + index) as u64);
    let marks = core::hint::black_box(marks);
    while LEFT.load(Ordering::Relaxed) > 0 {
        LEFT.fetch_sub(1, Ordering::Relaxed);
        SWITCHES.fetch_add(1, Ordering::Relaxed);
        running().set_state(State::Blocked);
        wake(1 - own);
        switch::block().expect("the other is there");
        for (index, &mark) in marks.iter().enumerate() {
            assert_eq!(mark, (own * 1000 + index) as u64);
        }
    }
    wake(1 - own);
    if ENDED.fetch_add(1, Ordering::Relaxed) == 1 {
        wake(2);
    }
}
