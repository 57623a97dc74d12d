//! The end of the program: it said so, a signal killed it, or memory ran out.

use crate::futex::robust::Ending;
use crate::host;
use crate::log::log;
use crate::mm::frames::FRAMES;
use crate::process::task::{Process, Task, current};
use crate::sched::switch;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, OUT_OF_MEMORY};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::log::{Event, Level};
use trapgate_uapi::signal::SIGKILL;

/// exit(2): the running task ends, and with its last one the process.
pub fn exit_task(status: u8) -> ! {
    let task = current();
    let_go(task);
    task.leave_cpu_time();
    if task.process.tasks.fetch_sub(1, Ordering::Relaxed) == 1 {
        exit(status)
    }
    // The first keeps its number, which is the process's.
    if !task.is_first() {
        task.forget();
    }
    task.process.left.wake_all();
    switch::exit()
}

/// A task leaves its memory: others are told of the words that it owned (Linux:
/// `mm_release`).
pub(super) fn let_go(task: &Task) {
    let Process { memory, tasks, .. } = &*task.process;
    let ending = Ending { memory, tid: task.tid() };
    let [head, _] = core::mem::take(&mut *task.robust_list.lock());
    ending.walk(head);
    ending.walk_compat(task.compat_robust_list.swap(0, Ordering::Relaxed));
    ending.give_locks();
    let address = task.clear_child_tid.swap(0, Ordering::Relaxed);
    // The last one tells nobody.
    if tasks.load(Ordering::Relaxed) > 1 {
        ending.clear(address);
    }
}

/// exit_group(2).
pub fn exit(status: u8) -> ! {
    write_back();
    host::exit(status)
}

/// A signal killed it.
pub fn killed(signal: u8, fault: &Fault, regs: &PtRegs) -> ! {
    write_back();
    log(Level::Debug, Event::Killed, [signal.into(), regs.rip, 0, 0]);
    end_by(signal, fault, regs)
}

/// What it has stored in files of the host's goes there. If that cannot be, there is
/// nobody left to be told.
fn write_back() {
    let _ = current().process.write_back.all(false);
}

/// No frame is left for a page that the program may use: it is killed, as
/// Linux's OOM killer would.
pub fn out_of_memory(regs: &PtRegs) -> ! {
    write_back();
    let available = FRAMES.lock().available();
    log(Level::Debug, Event::OutOfMemory, [available, 1, 0, 0]);
    let fault = Fault { vector: OUT_OF_MEMORY, ..Fault::default() };
    end_by(SIGKILL, &fault, regs)
}

/// Tells the VMM which instruction it was, and in which file that is.
fn end_by(signal: u8, fault: &Fault, regs: &PtRegs) -> ! {
    let (offset, path) = code_file(regs.rip).unwrap_or_default();
    host::killed(signal, fault, regs, (offset, &path))
}

/// Where in a file an instruction is: its distance from the beginning, and the path; none,
/// where it is in no file, or memory does not suffice to say.
fn code_file(rip: u64) -> Option<(u64, Vec<u8>)> {
    let (mapped, page) = current().process.memory.try_lock()?.object_behind(rip)?;
    let path = mapped.file.as_ref()?.path().ok()?;
    Some((page * PAGE_SIZE + rip % PAGE_SIZE, path))
}
