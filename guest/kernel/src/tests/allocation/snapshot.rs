//! What a program could notice of a call that should have changed nothing.

use crate::fs::dentry::Dentry;
use crate::fs::status::status;
use crate::fs::table::MAX_DESCRIPTORS;
use crate::mm::frames::FRAMES;
use crate::process::task::current;
use core::fmt::Debug;
use core::sync::atomic::Ordering;
use std::sync::Arc;
use trapgate_uapi::resource::RLIM_NLIMITS;
use trapgate_uapi::signal::NSIG;

/// How the line of the working directory begins.
const DIRECTORY: &str = "working directory: ";

/// The running task's state, a line a thing.
#[derive(PartialEq)]
pub(in crate::tests) struct Snapshot(Vec<String>);

impl Snapshot {
    /// As it is now.
    pub(in crate::tests) fn take() -> Snapshot {
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
        if let Some(held) = process.places.lock().held() {
            lines.tree("", &held.root);
            lines.add("working directory", Arc::as_ptr(&held.directory));
        }
        for signal in 1..=NSIG as u8 {
            lines.add("action", (signal, process.actions.get(signal)));
        }
        for resource in 0..RLIM_NLIMITS {
            lines.add("limit", (resource, process.limits.get(resource)));
        }
        lines.add("credentials", task.credentials.get());
        lines.add("groups", task.credentials.rights.groups.lock());
        lines.add("blocked", task.signals.blocked());
        lines.add("pending", task.signals.sent(&task.process.signals));
        lines.add("alternate stack", *task.alternate_stack.lock());
        lines.add("name", *task.name.lock());
        lines.add("tasks", process.tasks.load(Ordering::Relaxed));
        lines.add("umask", process.umask.load(Ordering::Relaxed));
        lines.add("clear_child_tid", task.clear_child_tid.load(Ordering::Relaxed));
        lines.add("robust list", *task.robust_list.lock());
        lines.add("robust list of i386", task.compat_robust_list.load(Ordering::Relaxed));
        lines
    }

    /// A file of the tree, and those in it.
    fn tree(&mut self, path: &str, dentry: &Dentry) {
        let stat = status(dentry);
        self.add("file", (path, stat));
        let Ok(children) = dentry.children() else { return };
        let inside: Vec<_> =
            children.names.from(0).filter_map(|(_, entry)| entry.dentry().cloned()).collect();
        drop(children);
        for child in inside {
            let name = child.with_name(|name| String::from_utf8_lossy(name).into_owned());
            self.tree(&format!("{path}/{name}"), &child);
        }
    }

    fn add(&mut self, what: &str, value: impl Debug) {
        self.0.push(format!("{what}: {value:x?}"));
    }

    /// What is here and not there, or the other way round.
    pub(in crate::tests) fn differences(&self, other: &Snapshot) -> Vec<String> {
        // A tree that was made meanwhile is as one that was always there.
        let has_tree = |one: &Snapshot| one.0.iter().any(|line| line.starts_with(DIRECTORY));
        let both = has_tree(self) && has_tree(other);
        let counts =
            |line: &&String| both || !line.starts_with(DIRECTORY) && !line.starts_with("file: ");
        let only = |sign: char, one: &Snapshot, other: &Snapshot| {
            let lines = one.0.iter().filter(counts).filter(|line| !other.0.contains(line));
            lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
        };
        [only('-', self, other), only('+', other, self)].concat()
    }
}
