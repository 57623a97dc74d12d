//! /proc/PID/{stat,statm}: numbers in a row.

use crate::memory::Text;
use crate::proc::machine::in_ticks;
use crate::proc::subject::Subject;
use crate::process::cpu::CpuTime;
use crate::process::scheduling::Scheduling;
use crate::process::task::{Process, Task};
use crate::sched::thread::State;
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::TASK_COMM_LEN;
use trapgate_uapi::resource::RLIMIT_RSS;
use trapgate_uapi::signal::{NSIG, SIG_DFL, SIG_IGN, SIGCHLD};

/// A task's name, with its NULs.
pub struct Name([u8; TASK_COMM_LEN]);

impl Name {
    /// The name without them.
    pub fn trim(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(TASK_COMM_LEN);
        &self.0[..length]
    }
}

/// A task's name as it is now.
pub fn name_of(task: &Task) -> Name {
    Name(*task.name.lock())
}

/// What a task does: by a letter, and in words.
pub fn state_of(task: &Task) -> (char, &'static str) {
    match task.thread.state() {
        State::Dead => ('Z', "zombie"),
        State::Blocked if !task.thread.is_current() => ('S', "sleeping"),
        _ => ('R', "running"),
    }
}

/// Signals of a task, a bit each.
pub struct SignalSets {
    /// Pending, of its own.
    pub pending: u64,
    /// Pending, of its process.
    pub shared: u64,
    /// Blocked.
    pub blocked: u64,
    /// Ignored.
    pub ignored: u64,
    /// With a handler.
    pub caught: u64,
}

impl SignalSets {
    /// As they are now.
    pub fn of(task: &Task) -> SignalSets {
        let (mut ignored, mut caught) = (0, 0);
        for signal in 1..=NSIG as u8 {
            let bit = 1 << (signal - 1);
            match task.process.actions.get(signal).sa_handler {
                SIG_DFL => {}
                SIG_IGN => ignored |= bit,
                _ => caught |= bit,
            }
        }
        let (pending, blocked) = (task.signals.pending.set(), task.signals.blocked());
        let shared = task.process.signals.pending.set();
        SignalSets { pending, shared, blocked, ignored, caught }
    }
}

/// /proc/PID/stat. What nobody counts is 0.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn stat(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let task = about.task()?;
    numbers(about, &task, task.process.cpu_time(), text)
}

/// /proc/PID/task/TID/stat: the same with the task's own CPU time.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn task_stat(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let task = about.task()?;
    numbers(about, &task, task.cpu_time(), text)
}

/// /proc/PID/schedstat: what the task has had of the CPU in nanoseconds, what it waited for
/// it, which nobody counts, and how often it got it.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn schedstat(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let time = about.task()?.cpu_time();
    writeln!(text, "{} 0 {}", time.all, time.waited + time.preempted + 1)
}

fn numbers(about: Subject, task: &Task, time: CpuTime, text: &mut Text) -> Result<(), Errno> {
    let process = &task.process;
    let (usage, heap) = {
        let mut memory = process.memory.lock();
        (memory.usage(), memory.heap())
    };
    let parts = process.program.lock().parts;
    let limit = process.limits.get(RLIMIT_RSS)?.rlim_cur;
    let signals = SignalSets::of(task);
    let (pid, tasks) = (process.pid, process.tasks.load(Ordering::Relaxed));
    write!(text, "{} (", about.tid)?;
    text.add(name_of(task).trim())?;
    // State, parent, group, session, terminal and its group, flags; faults; times.
    let state = state_of(task).0;
    let [user, system] = [time.user(), time.system].map(in_ticks);
    write!(text, ") {state} 0 {pid} {pid} 0 -1 0 0 0 0 0 {user} {system} 0 0 ")?;
    // Priority, nice, tasks, a timer; when it started.
    let Scheduling { policy, priority, nice, .. } = *task.scheduling.lock();
    // What has a priority of its own comes before 0, and lower the higher that is.
    let told = if priority == 0 { 20 + nice } else { -1 - priority as i32 };
    write!(text, "{told} {nice} {tasks} 0 0 ")?;
    write!(text, "{} {} {limit} ", usage.size * PAGE_SIZE, usage.resident.pages())?;
    write!(text, "{} {} {} 0 0 ", parts.code.start, parts.code.end, parts.stack)?;
    // Real-time signals have no room there.
    let sets = [signals.pending, signals.blocked, signals.ignored, signals.caught];
    for set in sets.map(|set| set & 0x7fff_ffff) {
        write!(text, "{set} ")?;
    }
    // Where it waits, swaps; signal of its end, CPU, priority, policy; delays, guests.
    write!(text, "0 0 0 {SIGCHLD} 0 {priority} {policy} 0 0 0 ")?;
    write!(text, "{} {} {} ", parts.data.start, parts.data.end, heap.start)?;
    for range in [parts.arguments, parts.environment] {
        write!(text, "{} {} ", range.start, range.end)?;
    }
    text.add(b"0\n")
}

/// Pages of the program's code.
pub fn code_pages(process: &Process) -> u64 {
    let code = process.program.lock().parts.code;
    code.end.div_ceil(PAGE_SIZE) - code.start / PAGE_SIZE
}

/// /proc/PID/statm, in pages.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn statm(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = about.process()?;
    let usage = process.memory.lock().usage();
    let code = code_pages(&process);
    let (resident, data) = (usage.resident, usage.data + usage.stack);
    let shared = resident.file + resident.shared_memory;
    writeln!(text, "{} {} {shared} {code} 0 {data} 0", usage.size, resident.pages())
}
