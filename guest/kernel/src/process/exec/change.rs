//! The point of no return: the running task has the new program's memory, and nothing of
//! the old one's but what execve(2) says is kept.

use super::build::Built;
use crate::fs::executable::Executable;
use crate::process::program::Program;
use crate::process::task::Task;
use crate::sched::switch;
use crate::sched::thread::work;
use crate::signal::alternate_stack::AlternateStack;
use core::mem;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::x86::{rflags, selector};
use trapgate_arch::{fpu, percpu};
use trapgate_loader::image::Class;
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::TASK_COMM_LEN;

/// What a change needs that it might not get.
pub(super) struct Fresh(fpu::Area);

impl Fresh {
    /// All of it.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new() -> Result<Fresh, Errno> {
        fpu::Area::new().map(Fresh).ok_or(Errno::ENOMEM)
    }
}

/// The task, the only one of its process, begins the program before it goes back to
/// ring 3.
pub(super) fn change(task: &Task, built: Built, file: Executable, execfn: &[u8], fresh: &Fresh) {
    let Built { memory, class, entry, stack_pointer, landing_pad, parts } = built;
    let process = &task.process;

    // Memory: the CPU leaves the old one before it goes.
    task.thread.change_tables(memory.cr3());
    let old = mem::replace(&mut *process.memory.lock(), memory);
    drop(old);
    process.move_landing_pad(landing_pad);
    task.left_landing_pad.store(0, Ordering::Relaxed);
    *process.program.lock() = Program { file: Some(file), parts };

    // What the process had from the old program. Files go without the table.
    let closes = || process.files.lock().close_next(0, u32::MAX, true);
    while let Some(closed) = closes() {
        drop(closed);
    }
    process.actions.reset_handlers();
    // What setitimer(2) has set stays.
    let timer = || process.timers.lock().take_one();
    while let Some(timer) = timer() {
        drop(timer);
    }
    process.habits.dumpable.store(true, Ordering::Relaxed);

    // What the task had.
    task.credentials.begin_program();
    *task.alternate_stack.lock() = AlternateStack::default();
    *task.name.lock() = name(execfn);

    // What the CPU has for ring 3.
    let (cs, data) = match class {
        Class::Elf64 => (selector::USER_CS, 0),
        Class::Elf32 => (selector::USER32_CS, selector::USER_DS),
    };
    switch::reset_user_state(&fresh.0, data);
    *task.begins.lock() = Some(PtRegs {
        rip: entry,
        cs: cs.into(),
        rflags: rflags::FIXED | rflags::IF,
        rsp: stack_pointer,
        ss: selector::USER_DS.into(),
        ..PtRegs::default()
    });
    percpu::raise_work(work::REGISTERS);
}

/// The task's name: the last part of the path, as much as there is room for.
fn name(path: &[u8]) -> [u8; TASK_COMM_LEN] {
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let mut name = [0; TASK_COMM_LEN];
    // The last byte stays NUL.
    for (to, &byte) in name[..TASK_COMM_LEN - 1].iter_mut().zip(&path[start..]) {
        *to = byte;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_after_the_last_part_of_the_path() {
        assert_eq!(name(b"/usr/bin/python3"), *b"python3\0\0\0\0\0\0\0\0\0");
        assert_eq!(name(b"a-name-of-sixteen"), *b"a-name-of-sixte\0");
        assert_eq!(name(b"/dev/fd/3"), *b"3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(name(b"dir/"), [0; TASK_COMM_LEN]);
    }
}
