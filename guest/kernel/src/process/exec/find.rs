//! From a path to the program that runs: scripts have interpreters, which may be
//! scripts.

use super::arguments::replace_first;
use super::wanted::{Failure, Wanted};
use crate::fs::executable::Executable;
use crate::fs::walk::{Last, Start, View};
use crate::memory::{try_extend, try_with_capacity};
use crate::process::task::current;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use trapgate_loader::image::Program;
use trapgate_loader::image::Source;
use trapgate_loader::script;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_FDCWD, AT_SYMLINK_NOFOLLOW};

/// How many scripts may be one another's interpreters (Linux: `exec_binprm`).
const MAX_SCRIPTS: usize = 5;

/// A program and, if it wants one, the interpreter that starts it.
pub(super) struct Found {
    /// What was asked for in the end: /proc/self/exe.
    pub(super) file: Executable,
    /// Its headers.
    pub(super) program: Program,
    /// The same of PT_INTERP's.
    pub(super) interpreter: Option<(Executable, Program)>,
}

/// Finds what is wanted; a script's interpreter gets its arguments.
///
/// # Errors
/// Those of execve(2).
pub(super) fn find(wanted: &mut Wanted) -> Result<Found, Failure> {
    let mut file = open(wanted)?;
    check_writers(&file)?;
    let mut name = owned(&wanted.execfn)?;
    for scripts in 0.. {
        let mut beginning = [0; script::LOOKED_AT];
        let length = file.read_at(0, &mut beginning)?;
        let Some(script) = script::parse(&beginning[..length]) else { break };
        let script = script.map_err(|_| Errno::ENOEXEC)?;
        if wanted.name_is_gone {
            // The interpreter could not open it by that name.
            return Err(Errno::ENOENT.into());
        }
        let interpreter = open_interpreter(script.interpreter)?;
        check_writers(&interpreter)?;
        let words = [script.interpreter, script.argument.unwrap_or_default(), &name];
        let without = [words[0], words[2]];
        let words = if script.argument.is_some() { &words[..] } else { &without };
        replace_first(&mut wanted.strings, words, wanted.limit)?;
        if scripts == MAX_SCRIPTS {
            return Err(Errno::ELOOP.into());
        }
        (name, file) = (owned(script.interpreter)?, interpreter);
    }
    let program = Program::read(&file)?;
    let interpreter = match program.interpreter(&file)? {
        Some(path) => Some(find_interpreter(&path, &program)?),
        None => None,
    };
    Ok(Found { file, program, interpreter })
}

/// What PT_INTERP names.
fn find_interpreter(path: &[u8], program: &Program) -> Result<(Executable, Program), Failure> {
    /// Bytes of the smaller file header.
    const HEADER: usize = 52;
    let file = open_interpreter(path)?;
    if file.read_at(0, &mut [0; HEADER])? < HEADER {
        return Err(Errno::EIO.into());
    }
    let interpreter = Program::read(&file).map_err(|refusal| match Failure::from(refusal) {
        Failure::Errno(Errno::ENOEXEC) => Errno::ELIBBAD.into(),
        other => other,
    })?;
    if interpreter.class != program.class {
        return Err(Errno::ELIBBAD.into());
    }
    Ok((file, interpreter))
}

/// What somebody has open to be written does not run. What memfd_create(2) has made may:
/// Linux does not count who made it.
///
/// # Errors
/// ETXTBSY.
fn check_writers(program: &Executable) -> Result<(), Errno> {
    let process = &current().process;
    if program.is_of(&process.unnamed) {
        return Ok(());
    }
    let mut files = process.files.lock();
    let mut fd = 0;
    while let Some(open) = files.next_open(fd) {
        let file = &files.descriptor(open)?.file;
        if file.writable() && program.is(file) {
            return Err(Errno::ETXTBSY);
        }
        fd = open + 1;
    }
    Ok(())
}

/// The file of a path that a file has in it. An empty one is the working directory, which
/// is no program.
fn open_interpreter(path: &[u8]) -> Result<Executable, Errno> {
    if path.is_empty() {
        return Err(Errno::EACCES);
    }
    Executable::open(&Start::new(view()), path, Last::Follow)
}

/// The file that is wanted.
fn open(wanted: &Wanted) -> Result<Executable, Errno> {
    let &Wanted { directory, flags, ref path, .. } = wanted;
    let mut start = Start::new(view());
    if directory != AT_FDCWD && path.first() != Some(&b'/') {
        let file = current().process.files.lock().file(directory as u32)?;
        if path.is_empty() {
            return Executable::of_open(&start.view, &file);
        }
        let directory = &file.as_inode().ok_or(Errno::ENOTDIR)?.dentry;
        start.directory = Some(directory.clone());
    } else if path.is_empty() {
        // The working directory.
        return Err(Errno::EACCES);
    }
    let last = if flags & AT_SYMLINK_NOFOLLOW == 0 { Last::Follow } else { Last::Keep };
    Executable::open(&start, path, last)
}

/// The running process's view of the file systems.
fn view() -> View<'static> {
    let task = current();
    let process = &task.process;
    let (who, umask) = (task.credentials.for_files(), process.umask.load(Ordering::Relaxed));
    View { places: &process.places, who, umask, memory: &process.memory }
}

fn owned(bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut vec = try_with_capacity(bytes.len())?;
    try_extend(&mut vec, bytes)?;
    Ok(vec)
}
