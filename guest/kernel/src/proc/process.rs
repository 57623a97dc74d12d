//! The tables of /proc/PID and /proc/PID/task/TID.

use crate::fs::dentry::Dentry;
use crate::memory::Text;
use crate::proc::folder::{
    Entry, Folder, Numbers, Read, What, Write, constant, file, fixed, folder, private,
};
use crate::proc::subject::Subject;
use crate::proc::{limits, links, maps, memory, mounts, stat, status};
use crate::process::task::next_of;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::TASK_COMM_LEN;

/// A process.
pub const PROCESS: Folder = fixed(&[
    private("auxv", memory::auxv),
    constant!("cgroup", "0::/\n"),
    file("cmdline", memory::cmdline),
    writable("comm", comm, set_comm),
    constant!("cpuset", "/\n"),
    link("cwd", links::cwd),
    private("environ", memory::environ),
    link("exe", links::exe),
    FD,
    FDINFO,
    constant!("gid_map", "         0          0 4294967295\n"),
    file("limits", limits::limits),
    // Nobody has logged in: (uid_t) -1.
    constant!("loginuid", "4294967295"),
    file("maps", maps::maps),
    file("mountinfo", mounts::mountinfo),
    file("mounts", mounts::mounts),
    constant!("oom_score", "0\n"),
    writable("oom_score_adj", oom_score_adj, set_oom_score_adj),
    private("personality", personality),
    link("root", links::root),
    constant!("sessionid", "4294967295"),
    constant!("setgroups", "allow\n"),
    file("smaps", maps::smaps),
    file("smaps_rollup", maps::smaps_rollup),
    file("schedstat", stat::schedstat),
    file("stat", stat::stat),
    file("statm", stat::statm),
    file("status", status::status),
    Entry { name: "task", permissions: 0o555, what: What::Folder(&TASKS) },
    writable("timerslack_ns", timer_slack, set_timer_slack),
    constant!("uid_map", "         0          0 4294967295\n"),
    constant!("wchan", "0"),
]);

/// A task: what of the above is about one.
const TASK: Folder = fixed(&[
    private("auxv", memory::auxv),
    constant!("cgroup", "0::/\n"),
    constant!("children", ""),
    file("cmdline", memory::cmdline),
    writable("comm", comm, set_comm),
    link("cwd", links::cwd),
    private("environ", memory::environ),
    link("exe", links::exe),
    FD,
    FDINFO,
    file("limits", limits::limits),
    file("maps", maps::maps),
    file("mountinfo", mounts::mountinfo),
    file("mounts", mounts::mounts),
    link("root", links::root),
    file("smaps", maps::smaps),
    file("schedstat", stat::schedstat),
    file("stat", stat::task_stat),
    file("statm", stat::statm),
    file("status", status::status),
]);

const TASKS: Folder = Folder {
    entries: &[],
    numbers: Some(Numbers {
        next: next_task,
        about: |about, tid| Subject { tid, ..about },
        permissions: |_| 0o555,
        what: What::Folder(&TASK),
    }),
};

/// The next task of a process.
fn next_task(about: Subject, from: u32) -> Option<u32> {
    next_of(about.pid, from).map(|task| task.tid())
}

const FD: Entry = Entry {
    permissions: 0o500,
    ..folder(
        "fd",
        &Folder {
            entries: &[],
            numbers: Some(Numbers {
                next: links::next_fd,
                about: links::of_fd,
                permissions: links::fd_permissions,
                what: What::Link(links::fd),
            }),
        },
    )
};

const FDINFO: Entry = folder(
    "fdinfo",
    &Folder {
        entries: &[],
        numbers: Some(Numbers {
            next: links::next_fd,
            about: links::of_fd,
            permissions: |_| 0o400,
            what: What::File(links::fdinfo),
        }),
    },
);

const fn link(name: &'static str, target: fn(Subject) -> Result<Arc<Dentry>, Errno>) -> Entry {
    Entry { name, permissions: 0o777, what: What::Link(target) }
}

const fn writable(name: &'static str, read: Read, write: Write) -> Entry {
    Entry { name, permissions: 0o644, what: What::Writable(read, write) }
}

fn comm(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let task = about.task()?;
    text.add(stat::name_of(&task).trim())?;
    text.add(b"\n")
}

/// As prctl(2) `PR_SET_NAME` does: what is longer is cut.
fn set_comm(about: Subject, bytes: &[u8]) -> Result<(), Errno> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let length = end.min(TASK_COMM_LEN - 1);
    let mut name = [0; TASK_COMM_LEN];
    name[..length].copy_from_slice(&bytes[..length]);
    *about.task()?.name.lock() = name;
    Ok(())
}

fn timer_slack(about: Subject, text: &mut Text) -> Result<(), Errno> {
    writeln!(text, "{}", about.task()?.habits.timer_slack.load(Ordering::Relaxed))
}

fn set_timer_slack(about: Subject, bytes: &[u8]) -> Result<(), Errno> {
    let number = str::from_utf8(bytes.trim_ascii()).ok().and_then(|number| number.parse().ok());
    let habits = &about.task()?.habits;
    let slack = match number.ok_or(Errno::EINVAL)? {
        0 => habits.default_timer_slack.load(Ordering::Relaxed),
        slack => slack,
    };
    habits.timer_slack.store(slack, Ordering::Relaxed);
    Ok(())
}

fn personality(about: Subject, text: &mut Text) -> Result<(), Errno> {
    writeln!(text, "{:08x}", about.task()?.personality.load(Ordering::Relaxed))
}

fn oom_score_adj(about: Subject, text: &mut Text) -> Result<(), Errno> {
    writeln!(text, "{}", about.process()?.oom_score_adj.load(Ordering::Relaxed))
}

fn set_oom_score_adj(about: Subject, bytes: &[u8]) -> Result<(), Errno> {
    let number = str::from_utf8(bytes.trim_ascii()).ok().and_then(|number| number.parse().ok());
    let number = number.filter(|number| (-1000..=1000).contains(number)).ok_or(Errno::EINVAL)?;
    about.process()?.oom_score_adj.store(number, Ordering::Relaxed);
    Ok(())
}
