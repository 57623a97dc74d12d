//! execve(2): a task goes on with another program. And the first program, where it is in
//! the root.
//!
//! ```text
//! arguments   what the caller gives, copied in once
//! find        the file; scripts; the interpreter that it names
//! place       where what goes, at random or not
//! build       the new memory, beside the old one
//! alone       the other tasks of the process end
//! change      the point of no return: from then on nothing can fail
//! wanted      what is to be run, and why it is not
//! ```
//!
//! Until there an error leaves the caller as it was. Linux has given the old memory up
//! when it maps the new program, so that what is wrong with a file then kills the
//! caller: here too ([`Failure::Damaged`]), though nothing of it is lost; and so does one that
//! memory could never hold. Any other want of memory is ENOMEM instead.

mod alone;
mod arguments;
mod build;
mod change;
mod find;
mod place;
mod random;
mod wanted;

pub use arguments::Pointers;

use crate::memory::{try_extend, try_with_capacity};
use crate::process::task::{Task, current};
use crate::signal::info::Info;
use crate::signal::signals::Forced;
use alloc::vec::Vec;
use build::build;
use core::sync::atomic::Ordering;
use place::Places;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{BootInfo, feature};
use trapgate_abi::crash::{Fault, NO_VECTOR};
use trapgate_arch::phys;
use trapgate_loader::stack::{self, Strings};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use trapgate_uapi::personality::ADDR_NO_RANDOMIZE;
use trapgate_uapi::resource::RLIMIT_STACK;
use trapgate_uapi::signal::SIGSEGV;
use wanted::{Failure, Wanted};

/// execve(2), execveat(2): `path` from `directory` on.
///
/// # Errors
/// Theirs.
pub fn execute(
    directory: i32,
    path: Vec<u8>,
    argv: Pointers,
    envp: Pointers,
    flags: u32,
) -> Result<(), Errno> {
    let task = current();
    let stack = task.process.limits.get(RLIMIT_STACK)?.rlim_cur;
    let limit = stack::limit(stack);
    let strings = arguments::copy_in(argv, envp, limit)?;
    arguments::check(&strings, &path, limit)?;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let (execfn, name_is_gone) = name_of(directory, &path)?;
    let wanted = Wanted { directory, flags, path, execfn, name_is_gone, strings, limit };
    match replace(task, wanted, None) {
        Ok(()) => Ok(()),
        Err(Failure::Errno(errno)) => Err(errno),
        Err(Failure::Damaged(errno)) => {
            let fault = Fault { vector: NO_VECTOR, ..Fault::default() };
            let info = Info::of_kernel(SIGSEGV);
            task.signals.force(Forced { info, fault, is_fatal: true });
            Err(errno)
        }
    }
}

/// The program's name for itself, and whether it is gone when the program runs.
fn name_of(directory: i32, path: &[u8]) -> Result<(Vec<u8>, bool), Errno> {
    let mut name = try_with_capacity(path.len() + b"/dev/fd/2147483647/".len())?;
    let mut is_gone = false;
    if directory != AT_FDCWD && path.first() != Some(&b'/') {
        try_extend(&mut name, b"/dev/fd/")?;
        let mut digits = [0; 10];
        try_extend(&mut name, decimal(directory as u32, &mut digits))?;
        if !path.is_empty() {
            try_extend(&mut name, b"/")?;
        }
        let mut files = current().process.files.lock();
        is_gone = files.descriptor(directory as u32).is_ok_and(|file| file.close_on_exec);
    }
    try_extend(&mut name, path)?;
    Ok((name, is_gone))
}

/// A number's digits.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// The first program, as the boot information says: by the kernel's own execve.
/// Answers the registers that it begins with.
///
/// # Errors
/// Those of execve(2).
pub fn first(boot: &BootInfo) -> Result<PtRegs, Errno> {
    let task = current();
    let mut bytes = block(boot)?;
    let path_end = bytes.iter().position(|&byte| byte == 0).ok_or(Errno::EINVAL)?;
    let path = owned(&bytes[..path_end])?;
    bytes.drain(..=path_end);
    let strings = Strings { bytes, argc: boot.argc as usize, envc: boot.envc as usize };
    let wanted = Wanted {
        directory: AT_FDCWD,
        flags: 0,
        execfn: owned(&path)?,
        path,
        name_is_gone: false,
        strings,
        limit: stack::DEFAULT_LIMIT,
    };
    replace(task, wanted, Some(boot)).map_err(|failure| match failure {
        Failure::Errno(errno) | Failure::Damaged(errno) => errno,
    })?;
    task.begins.lock().take().ok_or(Errno::EINVAL)
}

/// The strings that the VMM has put into RAM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
fn block(boot: &BootInfo) -> Result<Vec<u8>, Errno> {
    let mut bytes = try_with_capacity(boot.exec.len() as usize)?;
    bytes.resize(boot.exec.len() as usize, 0);
    phys::read_run(boot.exec.start, &mut bytes);
    Ok(bytes)
}

fn owned(bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut vec = try_with_capacity(bytes.len())?;
    try_extend(&mut vec, bytes)?;
    Ok(vec)
}

/// The running task goes on with what is wanted.
fn replace(task: &Task, mut wanted: Wanted, boot: Option<&BootInfo>) -> Result<(), Failure> {
    let process = &task.process;
    let found = find::find(&mut wanted)?;
    let random = random::words(process, boot.is_some());
    let [first, second, places @ ..] = random;
    let seed = (u128::from(first) << 64 | u128::from(second)).to_le_bytes();
    let same = task.personality.load(Ordering::Relaxed) & ADDR_NO_RANDOMIZE != 0;
    let at_random = process.boot.features & feature::ASLR != 0 && !same;
    let places = Places::of(found.program.class, at_random.then_some(places));
    let memory = process.memory.lock().beside()?;
    let built = build(memory, &found, &wanted, process.boot, &places, seed)?;
    let fresh = change::Fresh::new()?;
    alone::stay(task)?;
    change::change(task, built, found.file, &wanted.execfn, &fresh);
    Ok(())
}
