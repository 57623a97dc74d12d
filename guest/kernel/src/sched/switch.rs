//! From one thread to another: [`block`], [`yield_now`], [`exit`].
//!
//! A switch exchanges the kernel stack, the work bits and the task, and the page tables
//! if they are other ones. What the CPU holds
//! for ring 3 stays until a thread that goes there finds it to be another's
//! ([`claim_user_state`]): a thread that only runs in the kernel costs nothing of it.

use crate::host;
use crate::sched::thread::{Job, State, Thread, current, current_arc, work};
use crate::sched::{idle, preempt, queue, tick, timers};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use spin::Mutex;
use trapgate_abi::hypercall::Request;
use trapgate_arch::fpu;
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_arch::user_state::UserState;
use trapgate_uapi::Errno;

/// Who ran before, until the one that runs now has looked: it may have ended.
static BEFORE: Mutex<Option<Arc<Thread>>> = Mutex::new(None);

/// Whose segments and registers the CPU holds.
static IN_CPU: Mutex<Option<Arc<Thread>>> = Mutex::new(None);

/// The first thread runs; there is no other. It belongs to `task`.
pub fn start(first: Arc<Thread>, task: Owner) {
    queue::clear();
    preempt::init();
    percpu::set_work(0);
    *BEFORE.lock() = None;
    *IN_CPU.lock() = Some(first.clone());
    drop(task.exchange());
    drop(percpu::exchange(first));
}

/// Whoever is ready at the same level, or at one before it, runs first.
pub fn yield_now() {
    queue::push(current_arc());
    run_next();
}

/// The running thread has said that it waits ([`State::Blocked`]), and somebody knows
/// it who can wake it: others run until then. While nobody is ready, the thread is idle
/// on its own stack: a program with one thread never switches.
///
/// # Errors
/// What the VMM answered, if there is nobody to run and it does not let the program
/// wait.
pub fn block() -> Result<(), Errno> {
    while current().state() == State::Blocked {
        if !run_next() {
            idle::wait()?;
        }
    }
    Ok(())
}

/// The running thread ends. Its stack and its registers are given up by who runs next.
///
/// # Panics
/// If everybody waits for what cannot come, because the VMM does not let them.
pub fn exit() -> ! {
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
    if next.user.is_some() && !is_in_cpu(&next) {
        bits |= work::USER_STATE;
    }
    if !tick::come() && (!queue::is_empty() || !timers::is_empty()) {
        bits |= work::TICK;
    }
    percpu::set_work(bits);
    let task = next.task.lock().take().expect("a thread belongs to a task");
    *this.task.lock() = task.exchange();
    *BEFORE.lock() = percpu::exchange(next);
    this.context.switch(&current().context);
    finish();
}

/// What a thread does first when it is its turn: whoever ran before may have ended,
/// and could not give up the stack that it stood on.
pub fn finish() {
    let Some(before) = BEFORE.lock().take() else { return };
    if before.state() == State::Dead {
        let mut in_cpu = IN_CPU.lock();
        if in_cpu.as_ref().is_some_and(|thread| Arc::ptr_eq(thread, &before)) {
            *in_cpu = None;
        }
        drop(in_cpu);
        // The task has the thread, too.
        drop(before.task.lock().take());
    }
}

fn is_in_cpu(thread: &Arc<Thread>) -> bool {
    IN_CPU.lock().as_ref().is_some_and(|owner| Arc::ptr_eq(owner, thread))
}

/// Gives the CPU what the running thread has in ring 3, if that is not what it holds.
/// True: it was not.
///
/// # Panics
/// If the VMM does not take its registers: they are as the CPU or this kernel has left
/// them.
pub fn claim_user_state() -> bool {
    let this = current_arc();
    let Some(user) = &this.user else { return false };
    if is_in_cpu(&this) {
        return false;
    }
    let before = IN_CPU.lock().replace(this.clone());
    let saved = before.as_ref().and_then(|before| before.user.as_ref());
    if let Some(saved) = saved {
        saved.lock().save_segments();
    }
    if fpu::by_host() {
        let from = saved.map_or(0, |saved| saved.lock().fpu().physical());
        let to = user.lock().fpu().physical();
        // Both threads have an owner here, and so have their areas.
        host::call(Request::SwapFpu { from, to }).expect("the VMM takes what it has kept");
    } else {
        if let Some(saved) = saved {
            saved.lock().fpu().save();
        }
        user.lock().fpu().load();
    }
    user.lock().load_segments();
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
