//! What a program could notice of a call that should have changed nothing.

use crate::fs::table::MAX_DESCRIPTORS;
use crate::mm::frames::FRAMES;
use crate::process::task::current;
use core::fmt::Debug;
use core::sync::atomic::Ordering;
use std::sync::Arc;
use trapgate_uapi::resource::RLIM_NLIMITS;
use trapgate_uapi::signal::NSIG;

/// The running task's state, a line a thing.
#[derive(PartialEq)]
pub(super) struct Snapshot(Vec<String>);

impl Snapshot {
    /// As it is now.
    pub(super) fn take() -> Snapshot {
        let mut lines = Snapshot(Vec::new());
        let task = current();
        let process = &task.process;
        let mut memory = process.memory.lock();
        memory.mappings().into_iter().for_each(|mapping| lines.add("mapping", mapping));
        lines.add("brk", memory.set_brk(0));
        lines.add("frames", FRAMES.lock().available());
        let mut files = process.files.lock();
        for number in 0..MAX_DESCRIPTORS as u32 {
            if let Ok(descriptor) = files.descriptor(number) {
                let file = (Arc::as_ptr(&descriptor.file), descriptor.file.flags());
                lines.add("descriptor", (number, file, descriptor.close_on_exec));
            }
        }
        for signal in 1..=NSIG as u8 {
            lines.add("action", (signal, process.actions.get(signal)));
        }
        for resource in 0..RLIM_NLIMITS {
            lines.add("limit", (resource, process.limits.get(resource)));
        }
        lines.add("blocked", task.signals.change_mask(0, None, 0));
        lines.add("pending", task.signals.pending());
        lines.add("alternate stack", *task.alternate_stack.lock());
        lines.add("name", *task.name.lock());
        lines.add("umask", process.umask.load(Ordering::Relaxed));
        lines.add("clear_child_tid", task.clear_child_tid.load(Ordering::Relaxed));
        lines.add("robust list", *task.robust_list.lock());
        lines.add("robust list of i386", task.compat_robust_list.load(Ordering::Relaxed));
        lines
    }

    fn add(&mut self, what: &str, value: impl Debug) {
        self.0.push(format!("{what}: {value:x?}"));
    }

    /// What is here and not there, or the other way round.
    pub(super) fn differences(&self, other: &Snapshot) -> Vec<String> {
        let only = |sign: char, one: &Snapshot, other: &Snapshot| {
            let lines = one.0.iter().filter(|line| !other.0.contains(line));
            lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
        };
        [only('-', self, other), only('+', other, self)].concat()
    }
}
