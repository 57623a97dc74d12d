//! /proc/{meminfo,vmstat,stat,uptime,loadavg,version,filesystems}: the machine.

use crate::fs::place::{self, top_of};
use crate::memory::Text;
use crate::mm::frames::FRAMES;
use crate::mm::object::clean;
use crate::proc::mounts::each_mount;
use crate::proc::subject::Subject;
use crate::process::task::current;
use crate::process::utsname::{UTSNAME, text as name};
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{CLOCK_REALTIME, NSEC_PER_SEC};

/// Ticks a second of the times that proc(5) counts in: `sysconf(_SC_CLK_TCK)`.
pub const TICKS: u64 = 100;

/// Nanoseconds in these ticks.
pub const fn in_ticks(ns: u64) -> u64 {
    ns / (NSEC_PER_SEC / TICKS)
}

/// One line of meminfo or smaps: a name and kibibytes.
///
/// # Errors
/// ENOMEM.
pub fn kib_line(text: &mut Text, name: &str, kib: u64) -> Result<(), Errno> {
    writeln!(text, "{name:15} {kib:8} kB")
}

/// Frames of files in memory.
fn frames_of_files() -> Result<u64, Errno> {
    let places = place::with(&current().process.places, |held| held.clone())?;
    let mut used = clean::count();
    each_mount(&top_of(&places.root), &places.mounts, |mounted, _| {
        used += mounted.inode.filesystem.frames.used();
        Ok(())
    })?;
    Ok(used)
}

/// /proc/meminfo.
///
/// # Errors
/// ENOMEM.
pub fn meminfo(_: Subject, text: &mut Text) -> Result<(), Errno> {
    const KIB: u64 = PAGE_SIZE / 1024;
    let process = &current().process;
    let usage = process.memory.lock().usage();
    let files = frames_of_files()? * KIB;
    let (free, spare) = {
        let frames = FRAMES.lock();
        (frames.available() * KIB, frames.spare() * KIB)
    };
    let total = process.ram_size / 1024;
    let anonymous = usage.resident.anonymous * KIB;
    let shared = usage.resident.shared_memory * KIB + files;
    let lines = [
        ("MemTotal:", total),
        ("MemFree:", free),
        ("MemAvailable:", spare),
        ("Buffers:", 0),
        ("Cached:", shared),
        ("SwapCached:", 0),
        ("Active:", anonymous + shared),
        ("Inactive:", 0),
        ("Active(anon):", anonymous + shared),
        ("Inactive(anon):", 0),
        ("Active(file):", 0),
        ("Inactive(file):", 0),
        ("Unevictable:", 0),
        ("Mlocked:", 0),
        ("SwapTotal:", 0),
        ("SwapFree:", 0),
        ("Dirty:", 0),
        ("Writeback:", 0),
        ("AnonPages:", anonymous),
        ("Mapped:", usage.resident.file * KIB),
        ("Shmem:", shared),
        ("KReclaimable:", 0),
        ("Slab:", 0),
        ("SReclaimable:", 0),
        ("SUnreclaim:", 0),
        ("KernelStack:", u64::from(process.tasks.load(Ordering::Relaxed)) * 16),
        ("PageTables:", usage.tables * KIB),
        ("NFS_Unstable:", 0),
        ("Bounce:", 0),
        ("WritebackTmp:", 0),
        ("CommitLimit:", total / 2),
        ("Committed_AS:", (usage.data + usage.stack) * KIB),
        ("VmallocTotal:", 0),
        ("VmallocUsed:", 0),
        ("VmallocChunk:", 0),
        ("Percpu:", 0),
        ("AnonHugePages:", 0),
        ("ShmemHugePages:", 0),
        ("ShmemPmdMapped:", 0),
        ("FileHugePages:", 0),
        ("FilePmdMapped:", 0),
    ];
    lines.into_iter().try_for_each(|(name, kib)| kib_line(text, name, kib))?;
    for name in ["HugePages_Total:", "HugePages_Free:", "HugePages_Rsvd:", "HugePages_Surp:"] {
        writeln!(text, "{name:16} {:7}", 0)?;
    }
    kib_line(text, "Hugepagesize:", 2048)?;
    kib_line(text, "Hugetlb:", 0)
}

/// /proc/vmstat: in pages; what nobody counts is 0.
///
/// # Errors
/// ENOMEM.
pub fn vmstat(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = &current().process;
    let usage = process.memory.lock().usage();
    let files = frames_of_files()?;
    let free = FRAMES.lock().available();
    let shared = usage.resident.shared_memory + files;
    let stacks = u64::from(process.tasks.load(Ordering::Relaxed)) * 16;
    let lines = [
        ("nr_free_pages", free),
        ("nr_active_anon", usage.resident.anonymous),
        ("nr_anon_pages", usage.resident.anonymous),
        ("nr_mapped", usage.resident.file),
        ("nr_file_pages", shared),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_shmem", shared),
        ("nr_kernel_stack", stacks),
        ("nr_page_table_pages", usage.tables),
        ("pgpgin", 0),
        ("pgpgout", 0),
        ("pswpin", 0),
        ("pswpout", 0),
        ("pgalloc_normal", 0),
        ("pgfree", 0),
        ("pgfault", 0),
        ("pgmajfault", 0),
        ("oom_kill", 0),
    ];
    lines.into_iter().try_for_each(|(name, count)| writeln!(text, "{name} {count}"))
}

/// /proc/stat: one CPU, which the program has, or nobody.
///
/// # Errors
/// ENOMEM.
pub fn stat(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = &current().process;
    let (time, clock) = (process.cpu_time(), &process.clock);
    let idle = clock.elapsed().saturating_sub(time.all);
    let [user, system, idle] = [time.user(), time.system, idle].map(in_ticks);
    for cpu in ["cpu ", "cpu0"] {
        writeln!(text, "{cpu} {user} 0 {system} {idle} 0 0 0 0 0 0")?;
    }
    let start = clock.base(CLOCK_REALTIME).unwrap_or(0) / NSEC_PER_SEC;
    writeln!(text, "intr 0\nctxt 0\nbtime {start}\nprocesses 1\nprocs_running 1")?;
    text.add(b"procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n")
}

/// /proc/uptime: since the start, and idle of that.
///
/// # Errors
/// ENOMEM.
pub fn uptime(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = &current().process;
    let elapsed = process.clock.elapsed();
    let idle = elapsed.saturating_sub(process.cpu_time().all);
    let [up, idle] = [elapsed, idle].map(in_ticks);
    writeln!(text, "{}.{:02} {}.{:02}", up / TICKS, up % TICKS, idle / TICKS, idle % TICKS)
}

/// /proc/loadavg: nobody counts loads.
///
/// # Errors
/// ENOMEM.
pub fn loadavg(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let task = current();
    let tasks = task.process.tasks.load(Ordering::Relaxed);
    writeln!(text, "0.00 0.00 0.00 1/{tasks} {}", task.pid)
}

/// /proc/version.
///
/// # Errors
/// ENOMEM.
pub fn version(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let [system, release, version] =
        [&UTSNAME.sysname, &UTSNAME.release, &UTSNAME.version].map(name);
    writeln!(text, "{system} version {release} (trapgate@trapgate) (rustc) {version}")
}

/// /proc/filesystems: those that can be there.
///
/// # Errors
/// ENOMEM.
pub fn filesystems(_: Subject, text: &mut Text) -> Result<(), Errno> {
    text.add(b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tdevpts\n")
}
