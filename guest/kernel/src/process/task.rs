//! Processes and tasks (threads): who runs, and what is theirs.
//!
//! So far one process. What relies on that says so: `sys::signal`, `sys::sched`. The
//! running task is found through GS, as everything that belongs to a CPU; any other by
//! its number.

use crate::clock::Clock;
use crate::fs::filesystem::{FileSystem, Limits as FileLimits};
use crate::fs::place::{Below, Places};
use crate::fs::table::FileTable;
use crate::fs::unnamed;
use crate::memory::try_arc;
use crate::mm::space::AddressSpace;
use crate::process::cpu_use::CpuUse;
use crate::process::credentials::TaskCredentials;
use crate::process::habits::{ProcessHabits, TaskHabits};
use crate::process::limits::Limits;
use crate::process::numbers::Numbers;
use crate::process::program::Program;
use crate::process::random_stock::RandomStock;
use crate::process::scheduling::Scheduling;
use crate::process::segments::Segments;
use crate::process::timers::Timers;
use crate::process::write_back::WriteBack;
use crate::sched::switch;
use crate::sched::thread::{State, Thread};
use crate::sched::wait_queue::WaitQueue;
use crate::signal::action::Actions;
use crate::signal::alternate_stack::AlternateStack;
use crate::signal::signals::{Shared, Signals};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::paging::PageTables;
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_arch::user_state::UserState;
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::TASK_COMM_LEN;

/// Tasks by number. The first task of a process has its number also when it has ended, as
/// long as there are others.
static TASKS: Mutex<Numbers<Arc<Task>>> = Mutex::new(Numbers::new());

/// A process: what its tasks share.
pub struct Process {
    /// getpid(2).
    pub pid: u32,
    /// Its memory.
    pub memory: Mutex<AddressSpace>,
    /// Its descriptors.
    pub files: Mutex<FileTable>,
    /// Files of the sandbox that have no place in its tree.
    pub unnamed: Arc<FileSystem>,
    /// Its root and its working directory.
    pub places: Mutex<Places>,
    /// What it wants done with signals.
    pub actions: Actions,
    /// The signals that any of its tasks may take.
    pub signals: Shared,
    /// Its timers that send some.
    pub timers: Mutex<Timers>,
    /// umask(2).
    pub umask: AtomicU32,
    /// Its clocks.
    pub clock: Clock,
    /// RAM of the machine in bytes, for sysinfo(2).
    pub ram_size: u64,
    /// For small requests of getrandom(2).
    pub random_stock: Mutex<RandomStock>,
    /// Its limits.
    pub limits: Limits,
    /// What prctl(2) keeps of it.
    pub habits: ProcessHabits,
    /// Its CPU time, but what its tasks have.
    pub cpu: CpuUse,
    /// Where its fast 32-bit calls return to.
    pub landing_pad: AtomicU64,
    /// How many tasks it has that have not ended.
    pub tasks: AtomicU32,
    /// Who waits for tasks to end.
    pub left: WaitQueue,
    /// The task that execve(2) leaves as the only one, by its number; 0 for none.
    pub survivor: AtomicU32,
    /// What membarrier(2) has registered, as bits of its commands.
    pub membarrier: AtomicU32,
    /// /proc/self/oom_score_adj: recorded, nobody chooses by it.
    pub oom_score_adj: AtomicI32,
    /// What it runs.
    pub program: Mutex<Program>,
    /// System V's shared memory, which all processes have.
    pub segments: Arc<Mutex<Segments>>,
    /// What it has stored in files of the host's.
    pub write_back: WriteBack,
    /// What the VMM said at the start.
    pub boot: &'static BootInfo,
}

impl Process {
    /// Its vDSO has moved: where its fast 32-bit calls return to is here.
    pub fn move_landing_pad(&self, to: u64) {
        self.landing_pad.store(to, Ordering::Relaxed);
        percpu::set_landing_pad(to);
    }
}

/// A task: one thread of execution.
pub struct Task {
    /// What the scheduler knows of it.
    pub thread: Arc<Thread>,
    /// gettid(2): it changes when another than the first task begins a program.
    pub tid: AtomicU32,
    /// Its process's number, for getpid(2): what is asked for most is closest.
    pub pid: u32,
    /// Its process.
    pub process: Arc<Process>,
    /// Who it is.
    pub credentials: TaskCredentials,
    /// Its signals.
    pub signals: Signals,
    /// sigaltstack(2)
    pub alternate_stack: Mutex<AlternateStack>,
    /// set_tid_address(2).
    pub clear_child_tid: AtomicU64,
    /// set_robust_list(2): head and length.
    pub robust_list: Mutex<[u64; 2]>,
    /// The same of i386's: the head.
    pub compat_robust_list: AtomicU32,
    /// prctl(2) `PR_SET_NAME`.
    pub name: Mutex<[u8; TASK_COMM_LEN]>,
    /// What prctl(2) keeps of it.
    pub habits: TaskHabits,
    /// How it is scheduled.
    pub scheduling: Mutex<Scheduling>,
    /// personality(2).
    pub personality: AtomicU32,
    /// Where the landing pad was before the call that it makes moved it; 0 if
    /// it did not.
    pub left_landing_pad: AtomicU64,
    /// The registers that it goes back to ring 3 with in place of those that it came with:
    /// of a program that begins, or of what a handler has interrupted.
    pub begins: Mutex<Option<PtRegs>>,
    /// What restart_syscall(2) goes on with.
    pub restart: Mutex<Option<RestartBlock>>,
}

/// A call that a signal has interrupted and that goes on, if no handler was called, by
/// another way than it began: for what is left of its time.
#[derive(Clone, Copy)]
pub struct RestartBlock {
    /// That way.
    pub again: fn([u64; 5]) -> Result<u64, Errno>,
    /// What it is told.
    pub arguments: [u64; 5],
}

trapgate_arch::percpu::running_task!(Task);

impl Task {
    fn new(thread: Arc<Thread>, process: Arc<Process>, credentials: TaskCredentials) -> Task {
        Task {
            thread,
            tid: AtomicU32::new(process.pid),
            pid: process.pid,
            process,
            credentials,
            signals: Signals::default(),
            alternate_stack: Mutex::default(),
            clear_child_tid: AtomicU64::new(0),
            robust_list: Mutex::new([0; 2]),
            compat_robust_list: AtomicU32::new(0),
            name: Mutex::default(),
            habits: TaskHabits::new(),
            scheduling: Mutex::default(),
            personality: AtomicU32::new(0),
            left_landing_pad: AtomicU64::new(0),
            begins: Mutex::new(None),
            restart: Mutex::new(None),
        }
    }

    /// It is scheduled so from now on.
    pub fn schedule(&self, scheduling: Scheduling) {
        self.thread.share.set_weight(scheduling.weight());
        *self.scheduling.lock() = scheduling;
    }

    /// gettid(2).
    #[inline(always)]
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Whether it is its process's first.
    pub fn is_first(&self) -> bool {
        self.tid() == self.pid
    }

    /// A task of `process`, which counts it already, with its maker's name and how that is
    /// scheduled: with these registers, and what a CPU holds for it besides. It is in no
    /// queue yet.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN for too many.
    pub(super) fn within(
        &self,
        process: Arc<Process>,
        regs: PtRegs,
        state: UserState,
    ) -> Result<Arc<Task>, Errno> {
        let credentials = self.credentials.try_clone()?;
        let stack = KernelStack::new().ok_or(Errno::EAGAIN)?;
        let cr3 = process.memory.lock().cr3();
        let thread = try_arc(Thread::in_ring_3(stack, state, regs, cr3))?;
        let mut task = Task::new(thread.clone(), process, credentials);
        *task.name.get_mut() = *self.name.lock();
        task.schedule(self.scheduling.lock().inherited());
        task.habits = self.habits.inherited();
        *task.personality.get_mut() = self.personality.load(Ordering::Relaxed);
        task.signals = self.signals.inherited();
        let task = try_arc(task)?;
        TASKS.lock().add(task.clone(), named)?;
        thread.belongs_to(Owner::new(task.clone()));
        Ok(task)
    }

    /// Whether it has ended: the first of a process whose others have not.
    pub fn has_ended(&self) -> bool {
        self.thread.state() == State::Dead
    }

    /// It is found no more.
    pub(super) fn forget(&self) {
        let task = TASKS.lock().remove(self.tid());
        // Its owner may be the last.
        drop(task);
    }

    /// It has the number of its process from now on, whose first task has ended.
    pub(super) fn become_first(&self) {
        let before = TASKS.lock().rename(self.tid(), self.pid);
        self.tid.store(self.pid, Ordering::Relaxed);
        drop(before);
    }
}

fn named(task: &Arc<Task>, tid: u32) {
    task.tid.store(tid, Ordering::Relaxed);
}

/// The task of this number.
pub fn find(tid: u32) -> Option<Arc<Task>> {
    TASKS.lock().get(tid).cloned()
}

/// The next task of this process, from a number on.
pub fn next_of(pid: u32, from: u32) -> Option<Arc<Task>> {
    let tasks = TASKS.lock();
    tasks.from(from).map(|(_, task)| task).find(|task| task.pid == pid).cloned()
}

/// The running task.
#[inline(always)]
pub fn current() -> &'static Task {
    percpu::current()
}

/// Makes the first process and its task, and makes that task the running one.
/// `tables` are those that the VMM has built for it.
///
/// # Errors
/// ENOMEM.
pub fn start_first(boot: &'static BootInfo, tables: PageTables) -> Result<(), Errno> {
    let clock = Clock::new(boot.clock);
    // Half of memory may be files, and as many of them may be there, as on Linux's tmpfs.
    let half = boot.ram_size / PAGE_SIZE / 2;
    let on_disk = if boot.disk == 0 { half } else { boot.disk.div_ceil(PAGE_SIZE) };
    let process = Process {
        // That of the first task.
        pid: 1,
        memory: Mutex::new(AddressSpace::from_boot_info(boot, tables)?),
        files: Mutex::new(FileTable::standard(&boot.files)?),
        unnamed: unnamed::file_system(clock, FileLimits { frames: half, nodes: half })?,
        places: Mutex::new(Places::at_the_start(
            Below::of_boot(boot),
            clock,
            FileLimits { frames: on_disk, nodes: half },
        )),
        actions: Actions::inherited(boot.ignored_signals)?,
        signals: Shared::default(),
        timers: Mutex::default(),
        umask: AtomicU32::new(0o022),
        clock,
        ram_size: boot.ram_size,
        random_stock: Mutex::new(RandomStock::new(&boot.random_stock, boot.random_count)),
        limits: Limits::default(),
        habits: ProcessHabits::new(),
        cpu: CpuUse::default(),
        landing_pad: AtomicU64::new(boot.landing_pad),
        tasks: AtomicU32::new(1),
        left: WaitQueue::new(),
        survivor: AtomicU32::new(0),
        membarrier: AtomicU32::new(0),
        oom_score_adj: AtomicI32::new(0),
        write_back: WriteBack::new(),
        program: Mutex::new(Program { file: None, parts: boot.parts }),
        segments: try_arc(Mutex::default())?,
        boot,
    };
    let thread = try_arc(Thread::running(process.memory.lock().cr3()))?;
    let first = TaskCredentials::first(&boot.user)?;
    let mut task = Task::new(thread.clone(), try_arc(process)?, first);
    let [low, high] = boot.comm.map(u128::from);
    *task.name.get_mut() = (high << 64 | low).to_le_bytes();
    let task = try_arc(task)?;
    // What was before is a test's, whose machine is gone.
    core::mem::forget(core::mem::take(&mut *TASKS.lock()));
    TASKS.lock().add(task.clone(), named)?;
    switch::start(thread, Owner::new(task));
    Ok(())
}
