//! What can go wrong before and beside the program, each with what to do, and
//! with the status that the command line makes of it.

use crate::machine::exit::Reason;
use crate::report::KernelReport;
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use thiserror::Error;
use trapgate_loader::image::ImageError;
use trapgate_loader::stack::StackError;
use trapgate_uapi::Errno;

/// Exit statuses of trapgate's own (as env(1), timeout(1) and chroot(1) use
/// them).
pub mod status {
    /// The program ran longer than `--timeout`.
    pub const TIMEOUT: u8 = 124;
    /// trapgate itself failed.
    pub const SETUP: u8 = 125;
    /// The program was found and cannot be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// The program was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Added to the number of the signal that killed the program.
    pub const SIGNAL: u8 = 128;
}

/// Why a sandbox could not be made, or could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No program was named.
    #[error("no program: name the program to run")]
    NoProgram,
    /// There is no such file.
    #[error("{path}: no such file{hint}", path = shown(.path))]
    NotFound {
        /// The program.
        path: PathBuf,
        /// What may have been meant.
        hint: String,
    },
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}", path = shown(.path))]
    Unreadable {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a regular one.
    #[error("{path}: is {kind}, not a program", path = shown(.path))]
    NotAFile {
        /// The program.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file may not be executed.
    #[error("{path}: is not executable: chmod +x it", path = shown(.path))]
    NotExecutable {
        /// The program.
        path: PathBuf,
    },
    /// The file is no program that can run here.
    #[error("{name}: {source}")]
    Image {
        /// The program.
        name: String,
        /// Why not.
        source: ImageError,
    },
    /// The program, which is in the root, cannot be executed there.
    #[error("{name}: {}", not_started(*errno))]
    NotStarted {
        /// The program.
        name: String,
        /// What execve(2) answers.
        errno: Errno,
    },
    /// Arguments and environment do not fit.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The memory asked for is too small for the program.
    #[error(
        "{given} of memory are too little: {needed} are needed to start {name}; raise --memory"
    )]
    MemoryTooSmall {
        /// The program.
        name: String,
        /// What was asked for.
        given: crate::ByteSize,
        /// What is needed.
        needed: crate::ByteSize,
    },
    /// The memory asked for is more than there can be.
    #[error("{given} of memory cannot be had: {reason}; lower --memory")]
    MemoryTooLarge {
        /// What was asked for.
        given: crate::ByteSize,
        /// Why not.
        reason: String,
    },
    /// The image of the root cannot be used, or not any more.
    #[error("{name}: {reason}")]
    Root {
        /// Its file.
        name: String,
        /// Why not.
        reason: String,
    },
    /// There is no KVM.
    #[error("/dev/kvm: {source}: {advice}")]
    NoKvm {
        /// What open(2) said.
        source: io::Error,
        /// What to do.
        advice: String,
    },
    /// KVM lacks something.
    #[error("this host's KVM {what}")]
    Unsupported {
        /// What it lacks.
        what: String,
    },
    /// A call to KVM failed.
    #[error("KVM: {call}: {source}")]
    Kvm {
        /// The call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A call to the host failed.
    #[error("{call}: {source}")]
    Host {
        /// The call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// This process may not have as many open files as it takes.
    #[error(
        "{what}: no file descriptor is left of the {limit} that this process may have: raise the \
         limit, as by 'ulimit -n 1024'"
    )]
    Descriptors {
        /// What needs one more.
        what: String,
        /// How many it may have: the soft limit `RLIMIT_NOFILE`.
        limit: u64,
    },
    /// The embedded kernel is not one that this VMM can run.
    #[error("the embedded kernel cannot be used: {0}: this is a defect of trapgate's build")]
    Kernel(String),
    /// A mitigation step was asked for that cannot be on.
    #[error(transparent)]
    Mitigation(#[from] crate::boot::mitigation::Unavailable),
    /// Mitigation steps, stamps or a trace were asked for, of a kernel that has none of
    /// them.
    #[error(
        "the kernel that was given is a plain image: mitigation steps, stamps and traces need an instrumented one"
    )]
    Uninstrumented,
    /// An argument, a variable of the environment or a limit that cannot be.
    #[error("{what} {reason}")]
    Input {
        /// What was given.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The VM failed before, and somebody has been told why.
    #[error("the VM failed before, which was reported then")]
    Reported,
    /// KVM left the guest for a reason that the VMM does not handle.
    #[error("the VM stopped: {reason}\n{state}")]
    Stopped {
        /// The reason.
        reason: Reason,
        /// The CPU's state.
        state: String,
    },
    /// The guest kernel failed.
    #[error("{0}")]
    KernelFailed(Box<KernelReport>),
    /// The guest's ring 0 broke the hypercall interface's rules.
    #[error("the guest kernel made a request that is none: {0}: the sandbox was ended")]
    Malformed(trapgate_abi::hypercall::Malformed),
    /// A measurement is asked for more than there is room for, or for nothing.
    #[error("{given} {what} cannot be measured: ask for 1 to {most}")]
    Amount {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        given: u64,
        /// The most that there can be.
        most: u64,
    },
    /// A defect of trapgate's own.
    #[error("a defect of trapgate's: its vCPU thread panicked; please report it")]
    Defect,
    /// A recipe cannot be used.
    #[error("{path}: {reason}", path = shown(.path))]
    Recipe {
        /// The recipe.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Why a file cannot be written, where open(2) says only "no such file": which
/// directory is missing.
pub fn explain_missing(path: &std::path::Path, error: io::Error) -> io::Error {
    let missing = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    // The uppermost of those that are not there: the others are below it.
    match missing.take_while(|above| !above.exists()).last() {
        Some(above) if error.kind() == io::ErrorKind::NotFound => {
            io::Error::other(format!("there is no directory {}", shown(above)))
        }
        _ => error,
    }
}

/// A path in a message: nothing in it steers a terminal.
pub fn shown(path: &std::path::Path) -> String {
    trapgate_loader::text::printable(path.as_os_str().as_bytes())
}

/// What execve(2) of the guest's kernel says of a program in the root, and what to do.
fn not_started(errno: Errno) -> String {
    let text = match errno {
        Errno::ENOENT => {
            "no such file in the root, or it names an interpreter that is not there: give its \
             path as the root has it"
        }
        Errno::ENOTDIR => "what its path leads through is no directory of the root",
        Errno::EACCES => "is not executable in the root: it must be a regular file that may be run",
        Errno::ENOEXEC => "is no program that can run here: give one for x86-64 or i386",
        Errno::ELIBBAD => "names an interpreter that is none: the root is of another machine",
        Errno::EINVAL => "its file is damaged: build it again",
        Errno::ELOOP => "too many links or scripts on its path lead to each other",
        Errno::ENOMEM => "memory is too little to start it: raise --memory",
        Errno::EIO => "cannot be read: the root's image is damaged or was changed",
        other => return format!("cannot be executed: {}", other.name()),
    };
    text.to_owned()
}

impl Error {
    /// The exit status that the command line makes of it.
    pub fn status(&self) -> u8 {
        match self {
            Error::NotFound { .. } | Error::NotStarted { errno: Errno::ENOENT, .. } => {
                status::NOT_FOUND
            }
            Error::Unreadable { .. }
            | Error::NotAFile { .. }
            | Error::NotExecutable { .. }
            | Error::Image { .. }
            | Error::NotStarted { .. }
            | Error::Stack(_) => status::CANNOT_EXECUTE,
            _ => status::SETUP,
        }
    }

    /// Whether `trapgate doctor` can say more about it.
    pub fn is_for_doctor(&self) -> bool {
        matches!(self, Error::Unsupported { .. } | Error::Kvm { .. })
    }

    /// A failed call to KVM.
    pub(crate) fn kvm(call: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Error {
        move |error| {
            let source = io::Error::from_raw_os_error(error.errno());
            Error::unless_few(&source, || format!("KVM: {call}"))
                .unwrap_or(Error::Kvm { call, source })
        }
    }

    /// A failed call to the host.
    pub(crate) fn host(call: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| {
            Error::unless_few(&source, || call.to_owned()).unwrap_or(Error::Host { call, source })
        }
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(path: PathBuf, source: io::Error) -> Error {
        Error::unless_few(&source, || shown(&path)).unwrap_or(Error::Unreadable { path, source })
    }

    /// [`Error::Descriptors`], if that is why something failed.
    pub(crate) fn unless_few(source: &io::Error, what: impl FnOnce() -> String) -> Option<Error> {
        let is_why = source.raw_os_error() == Some(libc::EMFILE);
        is_why.then(|| Error::too_few_descriptors(what()))
    }

    /// The same, whatever failed.
    pub(crate) fn too_few_descriptors(what: String) -> Error {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Error::Descriptors { what, limit }
    }
}
