//! From one thread to another: [`block`], [`yield_now`], [`exit`].
//!
//! A switch exchanges the kernel stack, the work bits and the task, and the page tables
//! if they are other ones. What the CPU holds
//! for ring 3 stays until a thread that goes there finds it to be another's
//! ([`claim_user_state`]): a thread that only runs in the kernel costs nothing of it.

use crate::host;
use crate::sched::thread::{Job, State, Thread, current, current_arc, work};
use crate::sched::{cpu_time, idle, preempt, queue, tick, timers};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use spin::Mutex;
use trapgate_abi::hypercall::Request;
use trapgate_arch::arc_cell::ArcCell;
use trapgate_arch::fpu;
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_arch::user_state::UserState;
use trapgate_uapi::Errno;

/// Who ran before, until the one that runs now has looked: it may have ended.
static BEFORE: ArcCell<Thread> = ArcCell::new();

/// Whose segments and registers the CPU holds.
static IN_CPU: ArcCell<Thread> = ArcCell::new();

/// The first thread runs; there is no other. It belongs to `task`.
pub fn start(first: Arc<Thread>, task: Owner) {
    queue::clear();
    preempt::init();
    percpu::set_work(0);
    drop(BEFORE.take());
    drop(IN_CPU.replace(Some(first.clone())));
    drop(task.exchange());
    drop(percpu::exchange(first));
}

/// Somebody else who is ready runs first.
pub fn yield_now() {
    if queue::is_empty() {
        return;
    }
    cpu_time::count(current());
    queue::push_behind_first(current_arc());
    run_next();
}

/// The running thread has had its time: it goes on if nobody else has had less.
pub fn preempt() {
    let this = current();
    cpu_time::count(this);
    queue::push(current_arc());
    if let Some(next) = queue::pop() {
        if !next.is_current() {
            this.share.is_preempted();
        }
        switch_to(next);
    }
}

/// The running thread has said that it waits ([`State::Blocked`]), and somebody knows
/// it who can wake it: others run until then. While nobody is ready, the thread is idle
/// on its own stack: a program with one thread never switches.
///
/// # Errors
/// What the VMM answered, if there is nobody to run and it does not let the program
/// wait.
pub fn block() -> Result<(), Errno> {
    let this = current();
    while this.state() == State::Blocked {
        this.share.waits();
        if queue::is_empty() {
            idle::wait()?;
        } else {
            cpu_time::count(this);
            run_next();
        }
    }
    Ok(())
}

/// The running thread ends. Its stack and its registers are given up by who runs next.
///
/// # Panics
/// If everybody waits for what cannot come, because the VMM does not let them.
pub fn exit() -> ! {
    cpu_time::count(current());
    current().set_state(State::Dead);
    loop {
        if !run_next() {
            idle::wait().expect("somebody is left to run");
        }
    }
}

/// Whoever is first in the queue runs; false, if nobody is.
fn run_next() -> bool {
    let next = queue::pop();
    let is_somebody = next.is_some();
    if let Some(next) = next {
        switch_to(next);
    }
    is_somebody
}

/// `next`, which is in no queue, runs; comes back when it is this one's turn again.
fn switch_to(next: Arc<Thread>) {
    let this = current();
    next.set_state(State::Running);
    if core::ptr::eq(this, &raw const *next) {
        return;
    }
    this.work.store(percpu::work(), Ordering::Relaxed);
    let mut bits = next.work.swap(0, Ordering::Relaxed);
    if next.user.is_some() && !IN_CPU.is(&next) {
        bits |= work::USER_STATE;
    }
    if !tick::come() && (!queue::is_empty() || !timers::is_empty() || preempt::has_cpu_alarms()) {
        bits |= work::TICK;
    }
    percpu::set_work(bits);
    next.task.run(&this.task);
    let before = BEFORE.replace(percpu::exchange(next));
    debug_assert!(before.is_none(), "whoever runs has looked");
    this.context.switch(&current().context);
    finish();
}

/// What a thread does first when it is its turn: whoever ran before may have ended,
/// and could not give up the stack that it stood on.
pub fn finish() {
    let Some(before) = BEFORE.take() else { return };
    if before.state() == State::Dead {
        bury(&before);
    }
}

/// Gives up what the CPU and a task have of a thread that has ended.
#[inline(never)]
fn bury(thread: &Arc<Thread>) {
    if IN_CPU.is(thread) {
        drop(IN_CPU.take());
    }
    // The task has the thread, too.
    drop(thread.task.take());
}

/// Gives the CPU what the running thread has in ring 3, if that is not what it holds.
/// True: it was not.
///
/// # Panics
/// If the VMM does not take its registers: they are as the CPU or this kernel has left
/// them.
pub fn claim_user_state() -> bool {
    let this = current();
    let Some(user) = &this.user else { return false };
    if IN_CPU.is(this) {
        return false;
    }
    let before = IN_CPU.replace(Some(current_arc()));
    // Another thread's: both are locked.
    let mut user = user.lock();
    let mut saved = before.as_ref().and_then(|before| before.user.as_ref()).map(Mutex::lock);
    if let Some(saved) = &mut saved {
        saved.save_segments();
    }
    if fpu::by_host() {
        let from = saved.as_mut().map_or(0, |saved| saved.fpu().physical());
        let to = user.fpu().physical();
        // Both threads have an owner here, and so have their areas.
        host::call(Request::SwapFpu { from, to }).expect("the VMM takes what it has kept");
    } else {
        if let Some(saved) = &mut saved {
            saved.fpu().save();
        }
        user.fpu().load();
    }
    user.load_segments();
    true
}

/// A copy of what the CPU holds for the running thread in ring 3, which is its own, for a
/// new one.
///
/// # Errors
/// ENOMEM.
///
/// # Panics
/// If the VMM does not take the registers: see [`claim_user_state`].
pub fn copy_user_state() -> Result<UserState, Errno> {
    // There is another from now on, to which the CPU may be given.
    if !current().make_room() {
        return Err(Errno::ENOMEM);
    }
    let mut state = UserState::beside_this_one().ok_or(Errno::ENOMEM)?;
    if fpu::by_host() {
        // What is saved there stays in the CPU.
        let area = state.fpu().physical();
        let copy = Request::SwapFpu { from: area, to: area };
        host::call(copy).expect("the VMM takes what it has saved");
    } else {
        state.fpu().save();
    }
    Ok(state)
}

/// The running thread, which has the CPU's state of ring 3, begins a program: with
/// registers as after a reset, which are in `area`, and `data` as its data segments'
/// selector.
///
/// # Panics
/// If the VMM does not take the registers: see [`claim_user_state`].
pub fn reset_user_state(area: &fpu::Area, data: u16) {
    if fpu::by_host() {
        let reset = Request::SwapFpu { from: 0, to: area.physical() };
        host::call(reset).expect("the VMM takes what is as after a reset");
    } else {
        area.load();
    }
    UserState::begin(data);
}

/// A thread of the kernel's that does `job` and ends, on a stack of its own. It acts
/// for `task`, which is of the running one's process.
pub fn kernel_thread(stack: KernelStack, task: Owner, job: Job) -> Thread {
    let thread = Thread::in_ring_0(stack, begin, job);
    thread.belongs_to(task);
    thread
}

fn begin() -> ! {
    finish();
    if let Some((function, argument)) = current().job {
        function(argument);
    }
    exit()
}
