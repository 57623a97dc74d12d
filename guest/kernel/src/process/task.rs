//! Processes and tasks (threads): who runs, and what is theirs.
//!
//! So far one process with one task. What relies on that says so: `sys::futex`,
//! `sys::signal`, `sys::sched`, `sys::compat::tls`. The running task is found
//! through GS, as everything that belongs to a CPU.

use crate::clock::Clock;
use crate::fs::filesystem::{FileSystem, Limits as FileLimits};
use crate::fs::place::{Below, Places};
use crate::fs::table::FileTable;
use crate::fs::unnamed;
use crate::memory::try_arc;
use crate::mm::space::AddressSpace;
use crate::process::credentials::TaskCredentials;
use crate::process::limits::Limits;
use crate::process::program::Program;
use crate::process::random_stock::RandomStock;
use crate::process::scheduling::Scheduling;
use crate::process::segments::Segments;
use crate::process::write_back::WriteBack;
use crate::sched::switch;
use crate::sched::thread::Thread;
use crate::signal::action::Actions;
use crate::signal::queue::Signals;
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
use trapgate_uapi::signal::Sigaltstack;

/// The first process's number, and its only task's.
const FIRST_PID: u32 = 1;

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
    /// Where its fast 32-bit calls return to.
    pub landing_pad: AtomicU64,
    /// How many tasks it has.
    pub tasks: AtomicU32,
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
    /// gettid(2).
    pub tid: u32,
    /// Its process's number, for getpid(2): what is asked for most is closest.
    pub pid: u32,
    /// Its process.
    pub process: Arc<Process>,
    /// Who it is.
    pub credentials: TaskCredentials,
    /// Its signals.
    pub signals: Signals,
    /// sigaltstack(2); without a size there is none.
    pub alternate_stack: Mutex<Sigaltstack>,
    /// set_tid_address(2).
    pub clear_child_tid: AtomicU64,
    /// set_robust_list(2): head and length.
    pub robust_list: Mutex<[u64; 2]>,
    /// The same of i386's: the head.
    pub compat_robust_list: AtomicU32,
    /// prctl(2) `PR_SET_NAME`.
    pub name: Mutex<[u8; TASK_COMM_LEN]>,
    /// How it is scheduled.
    pub scheduling: Mutex<Scheduling>,
    /// personality(2).
    pub personality: AtomicU32,
    /// Where the landing pad was before the call that it makes moved it; 0 if
    /// it did not.
    pub left_landing_pad: AtomicU64,
    /// The registers of a program that it begins before it goes back to ring 3.
    pub begins: Mutex<Option<PtRegs>>,
}

trapgate_arch::percpu::running_task!(Task);

/// The next task's number.
static NEXT_TID: AtomicU32 = AtomicU32::new(FIRST_PID + 1);

impl Task {
    fn new(
        thread: Arc<Thread>,
        tid: u32,
        process: Arc<Process>,
        credentials: TaskCredentials,
    ) -> Task {
        Task {
            thread,
            tid,
            pid: process.pid,
            process,
            credentials,
            signals: Signals::default(),
            alternate_stack: Mutex::default(),
            clear_child_tid: AtomicU64::new(0),
            robust_list: Mutex::new([0; 2]),
            compat_robust_list: AtomicU32::new(0),
            name: Mutex::default(),
            scheduling: Mutex::default(),
            personality: AtomicU32::new(0),
            left_landing_pad: AtomicU64::new(0),
            begins: Mutex::new(None),
        }
    }

    /// One more task of this one's process, which is the running one: with its segments,
    /// and these registers. It is in no queue yet.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN for too many.
    pub fn beside(&self, regs: PtRegs) -> Result<Arc<Task>, Errno> {
        let task = self.within(self.process.clone(), regs)?;
        self.process.tasks.fetch_add(1, Ordering::Relaxed);
        Ok(task)
    }

    /// A task of `process`, which may be another and counts it already; else the same.
    pub(super) fn within(&self, process: Arc<Process>, regs: PtRegs) -> Result<Arc<Task>, Errno> {
        if !self.thread.make_room() {
            return Err(Errno::ENOMEM);
        }
        let state = UserState::beside_this_one().ok_or(Errno::ENOMEM)?;
        let credentials = self.credentials.try_clone()?;
        let stack = KernelStack::new().ok_or(Errno::EAGAIN)?;
        let cr3 = process.memory.lock().cr3();
        let thread = try_arc(Thread::in_ring_3(stack, state, regs, cr3))?;
        let tid = NEXT_TID.fetch_add(1, Ordering::Relaxed);
        let mut task = Task::new(thread.clone(), tid, process, credentials);
        *task.name.get_mut() = *self.name.lock();
        *task.scheduling.get_mut() = self.scheduling.lock().inherited();
        *task.personality.get_mut() = self.personality.load(Ordering::Relaxed);
        let task = try_arc(task)?;
        thread.belongs_to(Owner::new(task.clone()));
        Ok(task)
    }
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
        pid: FIRST_PID,
        memory: Mutex::new(AddressSpace::from_boot_info(boot, tables)?),
        files: Mutex::new(FileTable::standard(&boot.files)?),
        unnamed: unnamed::file_system(clock, FileLimits { frames: half, nodes: half })?,
        places: Mutex::new(Places::at_the_start(
            Below::of_boot(boot),
            clock,
            FileLimits { frames: on_disk, nodes: half },
        )),
        actions: Actions::inherited(boot.ignored_signals)?,
        umask: AtomicU32::new(0o022),
        clock,
        ram_size: boot.ram_size,
        random_stock: Mutex::new(RandomStock::new(&boot.random_stock, boot.random_count)),
        limits: Limits::default(),
        landing_pad: AtomicU64::new(boot.landing_pad),
        tasks: AtomicU32::new(1),
        oom_score_adj: AtomicI32::new(0),
        write_back: WriteBack::new(),
        program: Mutex::new(Program { file: None, parts: boot.parts }),
        segments: try_arc(Mutex::default())?,
        boot,
    };
    let thread = try_arc(Thread::running(process.memory.lock().cr3()))?;
    let first = TaskCredentials::first(&boot.user)?;
    let mut task = Task::new(thread.clone(), FIRST_PID, try_arc(process)?, first);
    let [low, high] = boot.comm.map(u128::from);
    *task.name.get_mut() = (high << 64 | low).to_le_bytes();
    NEXT_TID.store(FIRST_PID + 1, Ordering::Relaxed);
    switch::start(thread, Owner::new(try_arc(task)?));
    Ok(())
}
