//! /proc/PID/status: the same for people.

use crate::memory::Text;
use crate::mm::frames::FRAMES;
use crate::mm::space::usage::Usage;
use crate::proc::stat::{SignalSets, code_pages, name_of, state_of};
use crate::proc::subject::Subject;
use crate::process::cpu::CpuTime;
use crate::process::credentials::Identity;
use crate::process::task::{Process, Task};
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::RLIMIT_SIGPENDING;

/// The file.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn status(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let task = &*about.task()?;
    let process = &task.process;
    let (pid, tid, room) = (process.pid, about.tid, process.files.lock().room());
    text.add(b"Name:\t")?;
    text.add(name_of(task).trim())?;
    let (letter, word) = state_of(task);
    writeln!(text, "\nUmask:\t{:04o}", process.umask.load(Ordering::Relaxed))?;
    writeln!(text, "State:\t{letter} ({word})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{tid}\nPPid:\t0")?;
    let ids = task.credentials.get();
    writeln!(text, "TracerPid:\t0")?;
    for (name, who) in [("Uid", ids.users), ("Gid", ids.groups)] {
        let Identity { real, effective, saved, files } = who;
        writeln!(text, "{name}:\t{real}\t{effective}\t{saved}\t{files}")?;
    }
    write!(text, "FDSize:\t{room}\nGroups:\t")?;
    for group in &*task.credentials.rights.groups.lock() {
        write!(text, "{group} ")?;
    }
    writeln!(text, "\nNStgid:\t{pid}\nNSpid:\t{tid}\nNSpgid:\t{pid}\nNSsid:\t{pid}")?;
    let usage = process.memory.lock().usage();
    memory(text, process, &usage)?;
    let tasks = process.tasks.load(Ordering::Relaxed);
    writeln!(text, "CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t{tasks}")?;
    signals(text, task)?;
    let sets = [
        ("CapInh", ids.inheritable),
        ("CapPrm", ids.permitted),
        ("CapEff", ids.effective),
        ("CapBnd", ids.bounding),
    ];
    for (name, set) in sets {
        writeln!(text, "{name}:\t{:016x}", set.0)?;
    }
    let alone = task.habits.no_new_privileges.load(Ordering::Relaxed);
    writeln!(text, "CapAmb:\t{:016x}\nNoNewPrivs:\t{}", ids.ambient.0, u8::from(alone))?;
    writeln!(text, "Seccomp:\t0\nSeccomp_filters:\t0")?;
    writeln!(text, "Speculation_Store_Bypass:\tunknown\nSpeculationIndirectBranch:\tunknown")?;
    writeln!(text, "Cpus_allowed:\t1\nCpus_allowed_list:\t0")?;
    writeln!(text, "Mems_allowed:\t1\nMems_allowed_list:\t0")?;
    let CpuTime { waited, preempted, .. } = task.cpu_time();
    writeln!(text, "voluntary_ctxt_switches:\t{waited}")?;
    writeln!(text, "nonvoluntary_ctxt_switches:\t{preempted}")
}

/// Memory. The most that was resident is what the sandbox has taken, as getrusage(2) tells
/// it; how large all mappings were once, nobody notes.
fn memory(text: &mut Text, process: &Process, usage: &Usage) -> Result<(), Errno> {
    const KIB: u64 = PAGE_SIZE / 1024;
    let code = code_pages(process);
    let resident = usage.resident;
    let locked = process.memory.lock().locked_pages();
    let taken = (process.ram_size / PAGE_SIZE).saturating_sub(FRAMES.lock().untouched());
    // Pages of an image are nobody's frames.
    let most = taken.max(resident.pages());
    let lines = [
        ("VmPeak", usage.size),
        ("VmSize", usage.size),
        ("VmLck", locked),
        ("VmPin", 0),
        ("VmHWM", most),
        ("VmRSS", resident.pages()),
        ("RssAnon", resident.anonymous),
        ("RssFile", resident.file),
        ("RssShmem", resident.shared_memory),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmExe", code),
        ("VmLib", usage.code.saturating_sub(code)),
        ("VmPTE", usage.tables),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ];
    lines.into_iter().try_for_each(|(name, pages)| writeln!(text, "{name}:\t{:8} kB", pages * KIB))
}

fn signals(text: &mut Text, task: &Task) -> Result<(), Errno> {
    let signals = SignalSets::of(task);
    let limit = task.process.limits.get(RLIMIT_SIGPENDING)?.rlim_cur;
    writeln!(text, "SigQ:\t{}/{limit}", task.process.signals.queued.count())?;
    let sets = [
        ("SigPnd", signals.pending),
        ("ShdPnd", signals.shared),
        ("SigBlk", signals.blocked),
        ("SigIgn", signals.ignored),
        ("SigCgt", signals.caught),
    ];
    sets.into_iter().try_for_each(|(name, set)| writeln!(text, "{name}:\t{set:016x}"))
}
