//! A thread, as the scheduler knows it: its kernel stack and where it stopped there,
//! what a CPU holds for it in ring 3, its state, and what is to be done before it goes
//! back to ring 3.

use super::share::Share;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::PtRegs;
use trapgate_arch::arc_cell::ArcCell;
use trapgate_arch::paging::Cr3;
use trapgate_arch::percpu::{self, Owner, OwnerCell};
use trapgate_arch::stack::KernelStack;
use trapgate_arch::switch::{Context, Start};
use trapgate_arch::user_state::UserState;

/// What is to be done before a thread goes back to ring 3, as bits.
///
/// Those of the running thread are a word of the CPU's block, which the way out of
/// each door compares with 0; `process::prepare_return` acts on them.
pub mod work {
    /// A signal may have to act.
    pub const SIGNAL: u64 = 1 << 0;
    /// Another thread is to run.
    pub const RESCHEDULE: u64 = 1 << 1;
    /// The call was made at a landing pad that has moved.
    pub const LANDING_PAD: u64 = 1 << 2;
    /// What the CPU holds for ring 3 is another thread's: segments, x87, SSE, AVX.
    pub const USER_STATE: u64 = 1 << 3;
    /// Others are ready, or sleep: the thread is not to compute for ever.
    pub const TICK: u64 = 1 << 4;
    /// It goes on with other registers than it came with: another program, or what a
    /// handler has interrupted.
    pub const REGISTERS: u64 = 1 << 5;
    /// A file of the host's that was written is mapped no longer.
    pub const WRITE_BACK: u64 = 1 << 6;
    /// A shared mapping of a file was made writable, for who writes to it.
    pub const STORED: u64 = 1 << 7;
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// A CPU has it.
    Running,
    /// It could run.
    Ready,
    /// It waits until it is woken.
    Blocked,
    /// It has ended.
    Dead,
}

/// A thread.
pub struct Thread {
    /// A [`State`].
    state: AtomicU8,
    /// What it has had of the CPU, and what share it gets.
    pub share: Share,
    /// Its work while no CPU has it.
    pub(super) work: AtomicU64,
    /// Where it stopped.
    pub(super) context: Context,
    /// What a CPU held for it in ring 3; none of a thread of the kernel's.
    pub(super) user: Option<Mutex<UserState>>,
    /// Its task, while no CPU has it.
    pub(super) task: OwnerCell,
    /// Who stands behind it in its level's queue.
    pub(super) next: ArcCell<Thread>,
    /// What it is there for, if it never goes to ring 3.
    pub(super) job: Option<Job>,
}

/// A function of the kernel's, and its argument.
pub type Job = (fn(usize), usize);

trapgate_arch::percpu::running_thread!(Thread);

impl Thread {
    /// The thread that the CPU has from the start, on the CPU's own stack and on these
    /// page tables.
    pub fn running(cr3: Cr3) -> Thread {
        Thread {
            state: AtomicU8::new(State::Running as u8),
            share: Share::new(),
            work: AtomicU64::new(0),
            context: Context::first(cr3),
            user: Some(Mutex::new(UserState::in_cpu())),
            task: OwnerCell::new(),
            next: ArcCell::new(),
            job: None,
        }
    }

    /// Makes sure that it has room for its registers when it is another's turn. False
    /// if there is no memory.
    pub fn make_room(&self) -> bool {
        self.user.as_ref().is_none_or(|user| user.lock().make_room())
    }

    /// One that goes to ring 3 with these registers when it is first its turn, in the
    /// address space whose page tables these are.
    pub fn in_ring_3(stack: KernelStack, user: UserState, regs: PtRegs, cr3: Cr3) -> Thread {
        Thread::new(stack, Start::User(regs), Some(Mutex::new(user)), cr3)
    }

    /// One that runs in the kernel only, and in the running thread's address space:
    /// `begin` is where, and `job` what it finds there.
    pub(super) fn in_ring_0(stack: KernelStack, begin: fn() -> !, job: Job) -> Thread {
        let cr3 = current().context.cr3();
        Thread { job: Some(job), ..Thread::new(stack, Start::Kernel(begin), None, cr3) }
    }

    fn new(stack: KernelStack, start: Start, user: Option<Mutex<UserState>>, cr3: Cr3) -> Thread {
        Thread {
            state: AtomicU8::new(State::Blocked as u8),
            share: Share::new(),
            work: AtomicU64::new(0),
            context: Context::new(stack, start, cr3),
            user,
            task: OwnerCell::new(),
            next: ArcCell::new(),
            job: None,
        }
    }

    /// The running thread goes on in another address space, whose page tables these are.
    pub fn change_tables(&self, cr3: Cr3) {
        self.context.change_tables(cr3);
    }

    /// Says whose thread it is, before it runs.
    pub fn belongs_to(&self, task: Owner) {
        self.task.put(task);
    }

    /// What it does.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Running,
            1 => State::Ready,
            2 => State::Blocked,
            _ => State::Dead,
        }
    }

    /// Says what it does from now on.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Whether the CPU has it.
    pub fn is_current(&self) -> bool {
        core::ptr::eq(self, current())
    }

    /// Gives it something to do before it goes back to ring 3: bits of [`work`].
    pub fn raise(&self, bits: u64) {
        if self.is_current() {
            percpu::raise_work(bits);
        } else {
            self.work.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

/// The running thread.
#[inline]
pub fn current() -> &'static Thread {
    percpu::current()
}

/// The same, to be kept in a queue.
pub fn current_arc() -> Arc<Thread> {
    percpu::current_arc()
}
