//! /proc/PID/limits.

use crate::memory::Text;
use crate::proc::subject::Subject;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::RLIM_INFINITY;

/// What each resource is called, by its number, and its unit.
const NAMES: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// The table.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn limits(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = about.process()?;
    let (name, soft, hard, unit) = ("Limit", "Soft Limit", "Hard Limit", "Units");
    writeln!(text, "{name:25} {soft:20} {hard:20} {unit:10}")?;
    for (resource, (name, unit)) in NAMES.iter().enumerate() {
        let limit = process.limits.get(resource as u32)?;
        write!(text, "{name:25} ")?;
        for value in [limit.rlim_cur, limit.rlim_max] {
            match value {
                RLIM_INFINITY => write!(text, "{:20} ", "unlimited")?,
                value => write!(text, "{value:<20} ")?,
            }
        }
        writeln!(text, "{unit:10}")?;
    }
    Ok(())
}
