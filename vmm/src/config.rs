//! What to run, with what, within which limits.

use crate::mitigation::Mitigations;
use crate::policy::Policy;
use crate::sandbox::Sandbox;
use crate::{ByteSize, Error, kernel};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// RAM, if nothing else is said.
pub const DEFAULT_MEMORY: ByteSize = ByteSize(256 << 20);

/// The program to run.
#[derive(Clone, Debug)]
pub enum Program {
    /// A file of the host's.
    Path(PathBuf),
    /// An ELF file's bytes, with a name for messages.
    Bytes {
        /// The name.
        name: String,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
}

/// What stands behind a standard file of the program.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The same as this process's.
    #[default]
    Inherit,
    /// Nothing: the descriptor is closed.
    Closed,
    /// This file, pipe, terminal or socket.
    Fd(OwnedFd),
}

impl Stdio {
    /// The file behind it.
    fn open(self, own: &impl AsFd) -> Result<Option<File>, Error> {
        match self {
            Stdio::Inherit => match own.as_fd().try_clone_to_owned() {
                Ok(fd) => Ok(Some(fd.into())),
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(None),
                Err(error) => Err(Error::host("duplicating a standard file")(error)),
            },
            Stdio::Closed => Ok(None),
            Stdio::Fd(fd) => Ok(Some(fd.into())),
        }
    }
}

/// A sandbox's configuration.
#[derive(Debug)]
pub struct Config {
    /// What to run.
    pub program: Option<Program>,
    /// Its arguments, the first being its name.
    pub argv: Vec<Vec<u8>>,
    /// Its environment, as `NAME=VALUE`.
    pub envp: Vec<Vec<u8>>,
    /// RAM.
    pub memory: ByteSize,
    /// Wall-clock time that it may run.
    pub timeout: Option<Duration>,
    /// What it may ask for.
    pub policy: Policy,
    /// Standard input, output and error.
    pub stdio: [Stdio; 3],
    /// Signals that it ignores from its start, bit `n - 1` for signal `n`, as
    /// execve(2) passes them on: none by default.
    pub ignored_signals: u64,
    /// Whether to count what costs time to count: KVM's own statistics, and
    /// how much RAM was touched.
    pub detailed_stats: bool,
    /// Whether to execute one instruction at a time, and to count them.
    pub count_instructions: bool,
    /// What the program's clocks follow.
    pub clock_source: ClockSource,
    /// The host CPU that the vCPU stays on.
    pub cpu: Option<usize>,
    /// The guest kernel: an ELF image of this ABI version.
    pub kernel: Cow<'static, [u8]>,
    /// How many calls to stamp, step by step ([`crate::bench::steps`]), at most
    /// [`trapgate_abi::stamps::MAX_RECORDS`]; 0 for the plain door.
    pub stamps: u64,
    /// The steps on the kernel's way in and out.
    pub mitigations: Mitigations,
}

/// What clocks follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClockSource {
    /// The time-stamp counter, without an exit; the host, where KVM's counter
    /// does not run with time
    #[default]
    Auto,
    /// The host, an exit each time
    Host,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            program: None,
            argv: Vec::new(),
            envp: Vec::new(),
            memory: DEFAULT_MEMORY,
            timeout: None,
            policy: Policy::default(),
            stdio: Default::default(),
            ignored_signals: 0,
            detailed_stats: false,
            count_instructions: false,
            clock_source: ClockSource::Auto,
            cpu: None,
            kernel: Cow::Borrowed(kernel::IMAGE),
            stamps: 0,
            mitigations: Mitigations::NONE,
        }
    }
}

impl Config {
    /// The standard files, opened.
    pub(crate) fn open_stdio(&mut self) -> Result<[Option<File>; 3], Error> {
        let [input, output, error] = std::mem::take(&mut self.stdio);
        Ok([
            input.open(&std::io::stdin())?,
            output.open(&std::io::stdout())?,
            error.open(&std::io::stderr())?,
        ])
    }
}

/// A time span as humantime writes it, or a number of seconds: of options and
/// recipes.
///
/// # Errors
/// What is wrong with it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if time.is_zero() { Err("no time at all".to_owned()) } else { Ok(time) }
}

/// Builds a [`Sandbox`] step by step.
#[derive(Debug, Default)]
pub struct Builder {
    config: Config,
    args: Vec<Vec<u8>>,
}

impl Builder {
    /// Runs the program at `path`; its first argument is the same.
    pub fn program(mut self, path: impl AsRef<Path>) -> Self {
        self.config.program = Some(Program::Path(path.as_ref().to_owned()));
        self
    }

    /// Runs the program in `bytes`; its first argument is `name`.
    pub fn program_bytes(mut self, name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.config.program = Some(Program::Bytes { name: name.into(), bytes: bytes.into() });
        self
    }

    /// Adds arguments, after the program's name.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().as_bytes().to_vec()));
        self
    }

    /// Sets a variable of the environment, which is empty otherwise.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let mut variable = OsString::from(name.as_ref());
        variable.push("=");
        let prefix = variable.as_bytes().to_vec();
        variable.push(value.as_ref());
        self.config.envp.retain(|other| !other.starts_with(&prefix));
        self.config.envp.push(variable.into_vec());
        self
    }

    /// RAM.
    pub fn memory(mut self, memory: ByteSize) -> Self {
        self.config.memory = memory;
        self
    }

    /// Ends the program after this much wall-clock time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// What the program may ask for.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// Standard input.
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.config.stdio[0] = stdio;
        self
    }

    /// Standard output.
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.config.stdio[1] = stdio;
        self
    }

    /// Standard error.
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.config.stdio[2] = stdio;
        self
    }

    /// Counts also what costs time to count: KVM's own statistics, and how
    /// much RAM was touched.
    pub fn detailed_stats(mut self, on: bool) -> Self {
        self.config.detailed_stats = on;
        self
    }

    /// Executes one instruction at a time, and counts them: thousands of times
    /// slower. The guest's time-stamp counter counts them too and nothing else,
    /// so its clocks hardly advance; figures are the same every time. A program
    /// cannot step through itself by RFLAGS.TF then.
    pub fn count_instructions(mut self, on: bool) -> Self {
        self.config.count_instructions = on;
        self
    }

    /// What the program's clocks follow; [`ClockSource::Auto`] by default.
    pub fn clock_source(mut self, source: ClockSource) -> Self {
        self.config.clock_source = source;
        self
    }

    /// Keeps the vCPU on one of the host's CPUs.
    pub fn cpu(mut self, number: usize) -> Self {
        self.config.cpu = Some(number);
        self
    }

    /// Another guest kernel than the embedded one.
    pub fn kernel(mut self, image: impl Into<Vec<u8>>) -> Self {
        self.config.kernel = Cow::Owned(image.into());
        self
    }

    /// Stamps the first `calls` calls by SYSCALL from 64-bit code, step by step:
    /// [`crate::Outcome::stamps`]. At most [`trapgate_abi::stamps::MAX_RECORDS`];
    /// not together with [`Builder::mitigations`], which the stamped door lacks.
    pub fn stamps(mut self, calls: u64) -> Self {
        self.config.stamps = calls;
        self
    }

    /// The steps on the kernel's way in and out that protect it from the
    /// program's speculation: none by default. The guest has no other tenant
    /// whose secrets the program could find, and the host's protection is KVM's
    /// (docs/mitigations.md).
    pub fn mitigations(mut self, steps: Mitigations) -> Self {
        self.config.mitigations = steps;
        self
    }

    /// Makes the VM and loads the program.
    ///
    /// # Errors
    /// [`Error`], for whatever keeps the program from running.
    pub fn build(self) -> Result<Sandbox, Error> {
        let Builder { mut config, args } = self;
        let name = match &config.program {
            Some(Program::Path(path)) => path.as_os_str().as_bytes().to_vec(),
            Some(Program::Bytes { name, .. }) => name.clone().into_bytes(),
            None => return Err(Error::NoProgram),
        };
        config.argv = std::iter::once(name).chain(args).collect();
        Sandbox::new(config)
    }
}
