//! What stands behind a program's standard files: [`Stdio`], modelled on
//! [`std::process::Stdio`], and what it becomes when the program starts.

use crate::Error;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Seek, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What stands behind a standard file of the program.
///
/// Left alone, a file is this process's own; but [`crate::Sandbox::output`]
/// gives the program no input and keeps what it writes.
///
/// ```no_run
/// use std::fs::File;
/// use trapgate::{Sandbox, Stdio};
///
/// let log = File::create("log").expect("a file can be made here");
/// let sandbox = Sandbox::builder()
///     .program("/bin/busybox")
///     .arg("ls")
///     .stdin(Stdio::null())
///     .stdout(Stdio::inherit())
///     .stderr(log)
///     .build()?;
/// sandbox.run()?;
/// # Ok::<(), trapgate::Error>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// The same as this process's.
    #[default]
    Inherit,
    /// Nothing: the descriptor is closed.
    Closed,
    /// This file, pipe, terminal or socket.
    Fd(OwnedFd),
    /// /dev/null: no input, or output that nobody wants.
    Null,
    /// A pipe, whose other end [`crate::Running`] has.
    Piped,
    /// Input only: a file in memory with these bytes, which cannot be written.
    Bytes(Vec<u8>),
}

impl Stdio {
    /// The same file as this process's.
    pub fn inherit() -> Stdio {
        Stdio::Inherit
    }

    /// /dev/null: no input, or output that nobody wants.
    pub fn null() -> Stdio {
        Stdio::Null
    }

    /// A pipe, whose other end is in [`crate::Running::stdin`],
    /// [`crate::Running::stdout`] or [`crate::Running::stderr`].
    pub fn piped() -> Stdio {
        Stdio::Piped
    }

    /// No file at all: the program's descriptor is closed.
    pub fn closed() -> Stdio {
        Stdio::Closed
    }
}

/// Anything that is an open file for [`std::process::Command`], too.
macro_rules! from_files {
    ($($file:ty),*) => {$(
        impl From<$file> for Stdio {
            fn from(file: $file) -> Stdio {
                Stdio::Fd(file.into())
            }
        }
    )*};
}

from_files!(OwnedFd, File, PipeReader, PipeWriter);

/// A program's standard files, as they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted(pub(crate) [Option<Stdio>; 3]);

/// The same, opened: the program's ends, and ours of pipes.
#[derive(Debug)]
pub(crate) struct Opened {
    /// For the program.
    pub(crate) files: [Option<File>; 3],
    /// To write its input.
    pub(crate) stdin: Option<PipeWriter>,
    /// To read its output.
    pub(crate) stdout: Option<PipeReader>,
    /// To read its errors.
    pub(crate) stderr: Option<PipeReader>,
}

impl Wanted {
    /// No input, and pipes for output, where nothing else was asked for.
    pub(crate) fn captured(self) -> Wanted {
        let [input, output, error] = self.0;
        let piped = |file: Option<Stdio>| file.or(Some(Stdio::Piped));
        Wanted([input.or(Some(Stdio::Null)), piped(output), piped(error)])
    }

    /// Whether one is a pipe, whose other end somebody must see to.
    pub(crate) fn has_pipe(&self) -> bool {
        self.0.iter().any(|file| matches!(file, Some(Stdio::Piped)))
    }

    /// Opens them.
    ///
    /// # Errors
    /// [`Error::Host`]; [`Error::Input`] for bytes where the program writes.
    pub(crate) fn open(self) -> Result<Opened, Error> {
        let [input, output, error] = self.0.map(Option::unwrap_or_default);
        let (stdin, to_stdin) = match input {
            Stdio::Piped => {
                let (reader, writer) = pipe().map_err(Error::host("making a pipe"))?;
                (Some(OwnedFd::from(reader).into()), Some(writer))
            }
            Stdio::Bytes(bytes) => (Some(in_memory(&bytes)?), None),
            other => (other.file(true, &io::stdin())?, None),
        };
        let (stdout, from_stdout) = output.for_output("standard output", &io::stdout())?;
        let (stderr, from_stderr) = error.for_output("standard error", &io::stderr())?;
        let files = [stdin, stdout, stderr];
        leave_room(&files)?;
        Ok(Opened { files, stdin: to_stdin, stdout: from_stdout, stderr: from_stderr })
    }
}

/// Descriptors that each standard file may come to take while the program runs: for a
/// description of our own, and for a worker's two (`host::transfer`). Without them the
/// program's write(2) would fail.
const LATER: usize = 3;

/// Makes sure that there are as many.
fn leave_room(files: &[Option<File>; 3]) -> Result<(), Error> {
    let all = LATER * files.iter().flatten().count();
    let highest = files.iter().flatten().map(AsRawFd::as_raw_fd).max().unwrap_or(0);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if highest as u64 + (all as u64) < limit {
        return Ok(());
    }
    // Lower numbers may be free.
    let copies = files.iter().flatten().cycle().take(all).map(File::try_clone);
    copies.collect::<io::Result<Vec<_>>>().map(drop).map_err(Error::host("standard files"))
}

impl Stdio {
    /// The file behind what is neither a pipe nor bytes; `own` is this
    /// process's.
    fn file(self, is_input: bool, own: &impl AsFd) -> Result<Option<File>, Error> {
        match self {
            Stdio::Inherit => match own.as_fd().try_clone_to_owned() {
                Ok(fd) => Ok(Some(fd.into())),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::BADF) => Ok(None),
                Err(error) => Err(Error::host("duplicating a standard file")(error)),
            },
            Stdio::Fd(fd) => Ok(Some(fd.into())),
            Stdio::Null => {
                let null = File::options().read(is_input).write(!is_input).open("/dev/null");
                null.map(Some).map_err(Error::host("opening /dev/null"))
            }
            Stdio::Closed | Stdio::Piped | Stdio::Bytes(_) => Ok(None),
        }
    }

    /// The program's end of a file that it writes, and ours if it is a pipe.
    fn for_output(
        self,
        what: &str,
        own: &impl AsFd,
    ) -> Result<(Option<File>, Option<PipeReader>), Error> {
        match self {
            Stdio::Piped => {
                let (reader, writer) = pipe().map_err(Error::host("making a pipe"))?;
                Ok((Some(OwnedFd::from(writer).into()), Some(reader)))
            }
            Stdio::Bytes(_) => Err(Error::Input {
                what: what.to_owned(),
                reason: "is written by the program and cannot be bytes that are there already",
            }),
            other => Ok((other.file(false, own)?, None)),
        }
    }
}

/// A file in memory that nobody can change any more: what writes to it would
/// take the host's memory without bounds.
fn in_memory(bytes: &[u8]) -> Result<File, Error> {
    let made = || -> io::Result<File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("stdin", flags)?);
        file.write_all(bytes)?;
        file.rewind()?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        // Open for reading only, as of `cat < file`. Where there is no /proc, the
        // seals alone must do.
        let only_read = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(only_read.unwrap_or(file))
    };
    made().map_err(Error::host("putting standard input into memory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn bytes_are_read_from_their_beginning_and_cannot_be_written() {
        let errno = |error| Errno::from_io_error(&error);
        let wanted = Wanted([Some(Stdio::Bytes(b"input".to_vec())), None, None]);
        let [file, ..] = wanted.open().unwrap().files;
        let mut file = file.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "input");
        assert_eq!(file.write(b"x").map_err(errno), Err(Some(Errno::BADF)));
        assert!(file.set_len(1 << 20).is_err());
        // Nor by who opens it again.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut again = File::options().write(true).open(path).unwrap();
        assert_eq!(again.write(b"x").map_err(errno), Err(Some(Errno::PERM)));
    }

    #[test]
    fn bytes_are_no_output() {
        let wanted = Wanted([None, Some(Stdio::Bytes(Vec::new())), None]);
        let error = wanted.open().unwrap_err().to_string();
        assert!(error.starts_with("standard output is written"), "{error}");
    }

    #[test]
    fn only_what_was_left_alone_is_captured() {
        let wanted = Wanted([Some(Stdio::inherit()), None, Some(Stdio::null())]).captured();
        let [input, output, error] = wanted.0.map(Option::unwrap);
        assert!(matches!(input, Stdio::Inherit));
        assert!(matches!((output, error), (Stdio::Piped, Stdio::Null)));
        assert!(matches!(Wanted::default().captured().0[0], Some(Stdio::Null)));
    }
}
