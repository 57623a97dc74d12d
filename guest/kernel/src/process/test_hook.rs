//! For tests alone, in an image built for them (the feature `test-hook`): threads
//! and forked processes before there is clone(2).
//!
//! Calls of either width with numbers that Linux has not, from [`FIRST`] on.

use crate::fs::filesystem::Limits as FileLimits;
use crate::fs::place::{Below, Places};
use crate::fs::table::FileTable;
use crate::memory::try_arc;
use crate::mm::frames::FRAMES;
use crate::process::clone;
use crate::process::cpu_use::CpuUse;
use crate::process::habits::ProcessHabits;
use crate::process::limits::Limits;
use crate::process::random_stock::RandomStock;
use crate::process::task::{Process, Task, current};
use crate::process::write_back::WriteBack;
use crate::sched::thread::{State, Thread, current as running, current_arc};
use crate::sched::wait_queue::WaitQueue;
use crate::sched::{queue, switch};
use crate::signal::action::Actions;
use crate::signal::signals::Shared;
use crate::user::UserPtr;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::RANDOM_STOCK;
use trapgate_abi::test_hook::{END, FIRST, FORK, FREE_FRAMES, KERNEL_THREADS, THREAD};
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_uapi::Errno;

/// Answers such a call; `None` for any other.
pub fn call(regs: &PtRegs, number: u64, [first, second, third]: [u64; 3]) -> Option<u64> {
    let result = match number.checked_sub(FIRST)? {
        THREAD => thread(regs, first, second, third),
        KERNEL_THREADS => kernel_threads(first),
        FORK => fork(regs),
        END => end(first, second),
        FREE_FRAMES => Ok(FRAMES.lock().available()),
        _ => return None,
    };
    Some(result.unwrap_or_else(|errno| errno.number().wrapping_neg()))
}

/// A thread of the running process that begins at `entry` with `stack`, and `argument`
/// where the ABI has the first one: in RDI, or in EBX and on no stack.
fn thread(regs: &PtRegs, entry: u64, stack: u64, argument: u64) -> Result<u64, Errno> {
    let (rip, rsp, rdi, rbx) = (entry, stack, argument, argument);
    let regs = PtRegs { rip, rsp, rdi, rbx, rax: 0, ..*regs };
    clone::thread(&regs, &clone::Wanted::default())
}

/// How many standard files there are.
const STANDARD: u32 = 3;

/// The process has no files but the standard ones.
const NO_FILES: FileLimits = FileLimits { frames: 0, nodes: 0 };

/// A process with a copy of this one's memory, whose task goes on where this one does.
fn fork(regs: &PtRegs) -> Result<u64, Errno> {
    let this = &current().process;
    let mut files = FileTable::default();
    for fd in 0..STANDARD {
        let descriptor = this.files.lock().descriptor(fd).cloned();
        descriptor.map_or(Ok(()), |open| files.replace(fd, STANDARD as usize, open))?;
    }
    let process = try_arc(Process {
        pid: this.pid + 1,
        memory: Mutex::new(this.memory.lock().fork()?),
        files: Mutex::new(files),
        unnamed: this.unnamed.clone(),
        places: Mutex::new(Places::at_the_start(Below::NOTHING, this.clock, NO_FILES)),
        actions: Actions::default(),
        signals: Shared::default(),
        timers: Mutex::default(),
        umask: AtomicU32::new(this.umask.load(Ordering::Relaxed)),
        clock: this.clock,
        ram_size: this.ram_size,
        random_stock: Mutex::new(RandomStock::new(&[0; RANDOM_STOCK], 0)),
        limits: Limits::default(),
        habits: ProcessHabits::new(),
        cpu: CpuUse::default(),
        landing_pad: AtomicU64::new(this.landing_pad.load(Ordering::Relaxed)),
        tasks: AtomicU32::new(1),
        left: WaitQueue::new(),
        survivor: AtomicU32::new(0),
        membarrier: AtomicU32::new(0),
        program: Mutex::new(this.program.lock().clone()),
        segments: this.segments.clone(),
        boot: this.boot,
        write_back: WriteBack::new(),
        oom_score_adj: AtomicI32::new(this.oom_score_adj.load(Ordering::Relaxed)),
    })?;
    let task = current().within(process, PtRegs { rax: 0, ..*regs }, clone::user_state()?)?;
    queue::push(task.thread.clone());
    Ok(task.tid().into())
}

/// The running process ends, whose parent is not told but by what is stored. Its memory
/// is given up by who runs next.
fn end(address: u64, value: u64) -> Result<u64, Errno> {
    UserPtr::<u32>::new(address).write(value as u32)?;
    current().forget();
    switch::exit()
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
