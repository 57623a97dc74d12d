//! Parts of a program's memory as they are now: cmdline, environ, auxv. As on Linux, a
//! program can write there, and that is what is told.

use crate::memory::{Text, try_extend};
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::space::FRAMES_AT_ONCE;
use crate::mm::vma::Prot;
use crate::proc::subject::Subject;
use crate::process::task::Process;
use alloc::vec::Vec;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;
use trapgate_uapi::Errno;

/// A process's bytes, up to the first that cannot be read.
fn read(process: &Process, range: Range) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        frames::stock(FRAMES_AT_ONCE);
        let mut page = [0; PAGE_SIZE as usize];
        let length = (range.end - at).min(PAGE_SIZE - at % PAGE_SIZE);
        let got = process.memory.lock().pieces(at, length, Prot::READ, |piece| {
            phys::read(piece.address, &mut page[..piece.length as usize]);
            true
        });
        try_extend(&mut bytes, &page[..got as usize])?;
        at += got;
        if got < length && !fault::was_absent(&process.memory, at, Prot::READ) {
            break;
        }
    }
    Ok(bytes)
}

/// The arguments; where a program has written over the NUL at their end, one string,
/// which may reach into the environment (Linux: `get_mm_cmdline`).
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn cmdline(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = about.process()?;
    let parts = process.program.lock().parts;
    let arguments = read(&process, parts.arguments)?;
    if arguments.last().is_none_or(|&last| last == 0) {
        return text.add(&arguments);
    }
    let Range { start, .. } = parts.arguments;
    let all = read(&process, Range { start, end: parts.environment.end.max(start) })?;
    let end = all.iter().position(|&byte| byte == 0).unwrap_or(all.len());
    text.add(&all[..end])
}

/// The environment.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn environ(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = about.process()?;
    let parts = process.program.lock().parts;
    text.add(&read(&process, parts.environment)?)
}

/// The auxiliary vector.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn auxv(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let process = about.process()?;
    let parts = process.program.lock().parts;
    text.add(&read(&process, parts.auxv)?)
}
