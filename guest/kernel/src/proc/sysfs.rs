//! /sys: the CPUs, and that large pages are not for the asking. All of it is as it is.

use crate::proc::folder::{Folder, constant, fixed, folder};

/// The root.
pub const ROOT: Folder = fixed(&[folder("devices", &DEVICES), folder("kernel", &KERNEL)]);

const DEVICES: Folder = fixed(&[folder("system", &SYSTEM)]);
const SYSTEM: Folder = fixed(&[folder("cpu", &CPU)]);
/// There is one CPU.
const CPU: Folder = fixed(&[
    constant!("kernel_max", "0\n"),
    constant!("offline", "\n"),
    constant!("online", "0\n"),
    constant!("possible", "0\n"),
    constant!("present", "0\n"),
    folder("cpu0", &CPU0),
]);
const CPU0: Folder = fixed(&[]);

const KERNEL: Folder = fixed(&[folder("mm", &MM)]);
const MM: Folder = fixed(&[folder("transparent_hugepage", &HUGE_PAGES)]);
/// madvise(2) cannot ask for them.
const HUGE_PAGES: Folder = fixed(&[
    constant!("defrag", "always defer defer+madvise madvise [never]\n"),
    constant!("enabled", "always madvise [never]\n"),
    constant!("hpage_pmd_size", "2097152\n"),
    constant!("shmem_enabled", "always within_size advise [never] deny force\n"),
]);
