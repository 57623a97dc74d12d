//! What to run, with what, within which limits.

pub use crate::sandbox::bind::{Access, Bind, CacheMode};
pub use crate::sandbox::stdio::Stdio;

use crate::boot::mitigation::Mitigations;
use crate::host::policy::Policy;
use crate::root::Root;
use crate::{ByteSize, Error};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// RAM, if nothing else is said.
pub const DEFAULT_MEMORY: ByteSize = ByteSize(256 << 20);

/// What is kept of a captured file, if nothing else is said.
pub const DEFAULT_OUTPUT_LIMIT: ByteSize = ByteSize(64 << 20);

/// The program to run.
#[derive(Clone, Debug)]
pub enum Program {
    /// A file: of the host's, or of the root, if there is one ([`Config::root`]). There, a
    /// name without a slash is looked for in the directories of its environment's PATH.
    Path(PathBuf),
    /// An ELF file's bytes, with a name for messages.
    Bytes {
        /// The name.
        name: String,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
}

/// A sandbox's configuration.
#[derive(Debug)]
pub struct Config {
    /// What to run; none, if an OCI image as the root says it.
    pub program: Option<Program>,
    /// What stands in front of that and of its arguments, instead of what an OCI image says:
    /// a program and arguments of its own; nothing, if it is empty. The image's command
    /// does not count then either.
    pub entrypoint: Option<Vec<Vec<u8>>>,
    /// The working directory in the tree, which is made if it is not there; else what an OCI
    /// image says, or the root.
    pub directory: Option<PathBuf>,
    /// Who it is, as `USER[:GROUP]`: numbers, or names that the root has in /etc/passwd and
    /// /etc/group. Else what an OCI image says, or root, which may everything in the
    /// sandbox.
    pub user: Option<String>,
    /// The root of its files, in which [`Program::Path`] is then; without one there is no
    /// file.
    pub root: Option<Root>,
    /// Directories of the host's in its tree.
    pub binds: Vec<Bind>,
    /// Its arguments, the first being its name.
    pub argv: Vec<Vec<u8>>,
    /// Its environment, as `NAME=VALUE`.
    pub envp: Vec<Vec<u8>>,
    /// RAM.
    pub memory: ByteSize,
    /// What the files of each file system in memory may have together: of the root, of
    /// /tmp, of /dev/shm. Half of RAM by default; never more than RAM.
    pub disk: Option<ByteSize>,
    /// Whether many sandboxes are to have room beside each other, rather than one to start
    /// fast: no large page of the host's is taken for the bottom of RAM.
    pub dense: bool,
    /// Wall-clock time that it may run.
    pub timeout: Option<Duration>,
    /// What it may ask for.
    pub policy: Policy,
    /// Whether programs that the guest's kernel loads have their stack, heap, mappings,
    /// vDSO and position-independent code at random addresses: by default.
    pub aslr: bool,
    /// Standard input, output and error: [`Stdio::Inherit`], unless it is said
    /// or captured.
    pub stdio: [Option<Stdio>; 3],
    /// Of what is captured, how much is kept of each file. A program that writes
    /// more is stopped.
    pub output_limit: ByteSize,
    /// Signals that it ignores from its start, bit `n - 1` for signal `n`, as
    /// execve(2) passes them on: none by default.
    pub ignored_signals: u64,
    /// Signals to this process that are meant for the program, bit `n - 1` for
    /// signal `n`: only of [`crate::Sandbox::run_and_leave`], none by default.
    pub forwarded_signals: u64,
    /// Whether to count what costs time to count: KVM's own statistics, and
    /// how much RAM was touched.
    pub detailed_stats: bool,
    /// Whether to execute one instruction at a time, and to count them.
    pub count_instructions: bool,
    /// What the program's clocks follow.
    pub clock_source: ClockSource,
    /// The host CPU that the vCPU stays on.
    pub cpu: Option<usize>,
    /// Another guest kernel than the embedded one: an ELF image of this ABI version.
    pub kernel: Option<Vec<u8>>,
    /// How many calls to stamp, step by step (the crate `trapgate-measure` does), at most
    /// [`trapgate_abi::stamps::MAX_RECORDS`]; 0 for none.
    pub stamps: u64,
    /// The steps on the kernel's way in and out.
    pub mitigations: Mitigations,
    /// Where its calls are written, as strace(1) writes them.
    pub trace: Option<TraceTo>,
}

/// Where a trace is written: [`Config::trace`].
pub struct TraceTo(pub(crate) Box<dyn Write + Send>);

impl TraceTo {
    /// There. It is written to on the vCPU's thread, some hundred calls at a time or
    /// whenever the program leaves the VM, and the program waits for it.
    pub fn new(writer: impl Write + Send + 'static) -> TraceTo {
        TraceTo(Box::new(writer))
    }
}

impl fmt::Debug for TraceTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceTo(..)")
    }
}

/// What clocks follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
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
            entrypoint: None,
            directory: None,
            user: None,
            root: None,
            binds: Vec::new(),
            argv: Vec::new(),
            envp: Vec::new(),
            memory: DEFAULT_MEMORY,
            disk: None,
            dense: false,
            timeout: None,
            policy: Policy::default(),
            aslr: true,
            stdio: Default::default(),
            output_limit: DEFAULT_OUTPUT_LIMIT,
            ignored_signals: 0,
            forwarded_signals: 0,
            detailed_stats: false,
            count_instructions: false,
            clock_source: ClockSource::Auto,
            cpu: None,
            kernel: None,
            stamps: 0,
            mitigations: Mitigations::NONE,
            trace: None,
        }
    }
}

impl Config {
    /// Whether it can be: what no type can say.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String, reason| Err(Error::Input { what, reason });
        for (number, argument) in self.argv.iter().enumerate() {
            if argument.contains(&0) {
                let what = match number {
                    0 => "the program's name".to_owned(),
                    _ => format!("argument {number}, {}", quoted(argument)),
                };
                return wrong(what, HAS_NUL);
            }
        }
        for variable in &self.envp {
            let reason = match variable.iter().position(|byte| *byte == b'=') {
                _ if variable.contains(&0) => HAS_NUL,
                None => "has no value: write NAME=VALUE",
                Some(0) => "has no name: write NAME=VALUE",
                Some(_) => continue,
            };
            return wrong(format!("the variable {}", quoted(variable)), reason);
        }
        if let Some(directory) = &self.directory {
            let bytes = directory.as_os_str().as_encoded_bytes();
            let what = || format!("the working directory {}", quoted(bytes));
            if bytes.contains(&0) {
                return wrong(what(), HAS_NUL);
            }
            if bytes.len() >= LONGEST_PATH {
                return wrong(what(), "is longer than 4095 bytes");
            }
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return wrong("the timeout".to_owned(), "is no time at all: leave it out for no limit");
        }
        if let Some(disk) = self.disk {
            if disk.0 == 0 {
                return wrong("the disk".to_owned(), "is 0 bytes: give it a page at least, 4K");
            }
            if disk > self.memory {
                let what = format!("the disk, {disk},");
                return wrong(
                    what,
                    "is larger than the memory, which its files are in: give more memory",
                );
            }
        }
        if self.output_limit.0 == 0 {
            let reason = "is 0 bytes: send what nobody wants to Stdio::null()";
            return wrong("the output limit".to_owned(), reason);
        }
        Ok(())
    }
}

/// `PATH_MAX`
const LONGEST_PATH: usize = 4096;

/// Why C strings cannot be anything.
const HAS_NUL: &str = "has a NUL byte in it, where it would end for the program";

/// Bytes in a message: nothing in them steers a terminal.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("'{}'", trapgate_loader::text::printable(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config { argv: vec![b"prog".to_vec()], ..Config::default() };
        config.check().expect("the default can be");
        change(&mut config);
        config.check().expect_err("this cannot be").to_string()
    }

    #[test]
    fn what_cannot_be_is_named() {
        let error = message(|config| config.argv.push(b"a\0b".to_vec()));
        assert!(error.starts_with("argument 1, 'a") && error.contains("NUL"), "{error}");
        let error = message(|config| config.argv[0].push(0));
        assert!(error.starts_with("the program's name has a NUL"), "{error}");
        for (variable, part) in [("A=\0", "NUL"), ("A", "no value"), ("=B", "no name")] {
            let error = message(|config| config.envp.push(variable.into()));
            assert!(error.starts_with("the variable '") && error.contains(part), "{error}");
        }
        let error = message(|config| config.timeout = Some(Duration::ZERO));
        assert!(error.starts_with("the timeout is no time"), "{error}");
        let error = message(|config| config.disk = Some(ByteSize(0)));
        assert!(error.starts_with("the disk is 0 bytes"), "{error}");
        let error = message(|config| config.disk = Some(ByteSize(DEFAULT_MEMORY.0 + 1)));
        assert!(error.contains("is larger than the memory"), "{error}");
        let error = message(|config| config.output_limit = ByteSize(0));
        assert!(error.starts_with("the output limit is 0"), "{error}");
    }
}
