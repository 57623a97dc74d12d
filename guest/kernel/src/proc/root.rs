//! The table of /proc itself.

use crate::proc::folder::{Entry, Folder, Numbers, Read, What, constant, file, folder};
use crate::proc::subject::Subject;
use crate::proc::{cpuinfo, machine, process, sysctl, sysvipc};
use crate::process::task::current;

/// The root.
pub const ROOT: Folder = Folder { entries: ENTRIES, numbers: Some(PROCESSES) };

const ENTRIES: &[Entry] = &[
    link("self", |_, text| write!(text, "{}", current().pid)),
    link("thread-self", |_, text| write!(text, "{0}/task/{1}", current().pid, current().tid())),
    // The VMM gives the kernel no command line.
    constant!("cmdline", "\n"),
    file("cpuinfo", cpuinfo::cpuinfo),
    file("filesystems", machine::filesystems),
    file("loadavg", machine::loadavg),
    file("meminfo", machine::meminfo),
    link("mounts", |_, text| text.add(b"self/mounts")),
    file("stat", machine::stat),
    constant!("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    folder("sys", &sysctl::ROOT),
    folder("sysvipc", &sysvipc::ROOT),
    file("uptime", machine::uptime),
    file("version", machine::version),
    file("vmstat", machine::vmstat),
];

const fn link(name: &'static str, path: Read) -> Entry {
    Entry { name, permissions: 0o777, what: What::Symlink(path) }
}

const PROCESSES: Numbers = Numbers {
    next: |_, from| Some(current().pid).filter(|&pid| from <= pid),
    about: |_, pid| Subject { pid, tid: pid, fd: 0 },
    permissions: |_| 0o555,
    what: What::Folder(&process::PROCESS),
};
