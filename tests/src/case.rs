//! A run described once, made natively and in a sandbox.

use crate::cli::trapgate;
use crate::debian::Root;
use crate::oracle::is_unstable;
use crate::process::{Ends, Ran, Started, default_limit, shown};
use crate::programs::directory;
use nix::sys::resource::{Resource, setrlimit};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Debug, Formatter, Write as _};
use std::fs::{self, File};
use std::io::pipe;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Once};
use std::time::Duration;

/// What is behind a program's standard input.
#[derive(Clone, Debug, Default)]
pub enum Stdin {
    /// /dev/null.
    #[default]
    Null,
    /// A pipe with these bytes and an end.
    Bytes(Vec<u8>),
    /// A file with these bytes.
    File(Vec<u8>),
    /// A pipe without bytes and without an end, as long as the test holds
    /// [`Started::stdin`].
    Open,
    /// This open file description, which the test shares.
    Shared(Arc<OwnedFd>),
}

/// What is behind a program's standard output.
#[derive(Clone, Debug, Default)]
pub enum Stdout {
    /// A pipe that the test reads.
    #[default]
    Read,
    /// A pipe that nobody reads any more.
    Closed,
    /// A pipe that nobody reads but somebody could: it gets full.
    Full,
    /// The pipe that standard error is, too; read as standard output.
    WithStderr,
    /// /dev/full: no space left.
    NoSpace,
    /// This open file description, which the test shares.
    Shared(Arc<OwnedFd>),
}

/// A program with its arguments, environment and standard files.
#[derive(Clone, Debug)]
pub struct Case {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    options: Vec<OsString>,
    stdin: Stdin,
    stdout: Stdout,
    limit: Duration,
    any_stderr: bool,
    any_order: bool,
    root: Option<&'static Root>,
}

impl Case {
    /// This program, with an empty environment and nothing to read.
    pub fn new(program: impl AsRef<Path>) -> Case {
        Case {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            options: Vec::new(),
            stdin: Stdin::default(),
            stdout: Stdout::default(),
            limit: default_limit(),
            any_stderr: false,
            any_order: false,
            root: None,
        }
    }

    /// This program of this root, found by the `PATH` of its environment.
    pub fn in_root(root: &'static Root, program: impl AsRef<Path>) -> Case {
        let case = Case { root: Some(root), ..Case::new(program) };
        case.options([OsStr::new("--root"), root.archive().as_os_str()])
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Case {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Case {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds options of `trapgate run`; natively they mean nothing.
    #[must_use]
    pub fn options(mut self, options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Case {
        let options = options.into_iter().map(|option| option.as_ref().to_owned());
        self.options.extend(options);
        self
    }

    /// Sets standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Case {
        self.stdin = stdin;
        self
    }

    /// Standard input is a pipe with these bytes.
    #[must_use]
    pub fn stdin_bytes(self, bytes: impl AsRef<[u8]>) -> Case {
        self.stdin(Stdin::Bytes(bytes.as_ref().to_vec()))
    }

    /// Sets standard output.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdout) -> Case {
        self.stdout = stdout;
        self
    }

    /// Sets how long a run may take before the test fails.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Case {
        self.limit = limit;
        self
    }

    /// Standard error may differ: it names process numbers, or the like.
    #[must_use]
    pub fn any_stderr(mut self) -> Case {
        self.any_stderr = true;
        self
    }

    /// The lines of standard output may come in another order: it is that of
    /// directories.
    #[must_use]
    pub fn any_order(mut self) -> Case {
        self.any_order = true;
        self
    }

    /// Runs it as an ordinary process.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn native(&self) -> Ran {
        self.start_native().finish(self.limit)
    }

    /// Runs it by `trapgate run`.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn sandboxed(&self) -> Ran {
        self.start_sandboxed().finish(self.limit)
    }

    /// Starts it as an ordinary process.
    pub fn start_native(&self) -> Started {
        self.start(self.native_command())
    }

    /// The command that runs it as an ordinary process.
    pub fn native_command(&self) -> Command {
        let Some(root) = self.root else {
            let mut command = Command::new(&self.program);
            command.args(&self.args).env_clear();
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
            return command;
        };
        let mut command = root.enter();
        command.args(["/usr/bin/env", "-i"]).args(self.variables());
        command.arg(&self.program).args(&self.args);
        command
    }

    /// The environment as words.
    fn variables(&self) -> impl Iterator<Item = OsString> {
        self.env.iter().map(|(name, value)| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            variable
        })
    }

    /// Starts it by `trapgate run`.
    pub fn start_sandboxed(&self) -> Started {
        self.start(self.sandbox_command())
    }

    /// The command that runs it in a sandbox.
    pub fn sandbox_command(&self) -> Command {
        let mut command = Command::new(trapgate());
        command.arg("run").args(&self.options);
        command.envs(self.root.map(|root| ("TRAPGATE_CACHE", root.cache())));
        for variable in self.variables() {
            command.arg("--env").arg(variable);
        }
        command.arg(&self.program).args(&self.args);
        command
    }

    /// Starts any command with this case's standard files.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, mut command: Command) -> Started {
        no_core_dumps();
        let mut shown = format!("{command:?}");
        let mut ends = Ends::default();
        match &self.stdin {
            Stdin::Null => {
                command.stdin(Stdio::null());
            }
            Stdin::Bytes(bytes) => {
                let length = bytes.len();
                write!(shown, " < (pipe with {length} bytes)").expect("a String takes all");
                command.stdin(Stdio::piped());
                ends.input = Some(bytes.clone());
            }
            Stdin::File(bytes) => {
                let length = bytes.len();
                write!(shown, " < (file with {length} bytes)").expect("a String takes all");
                let directory = directory();
                let path = directory.path().join("stdin");
                fs::write(&path, bytes).expect("there is room for temporary files");
                // Open, it outlives its name.
                command.stdin(File::open(&path).expect("it was just written"));
            }
            Stdin::Open => {
                shown.push_str(" < (open pipe)");
                command.stdin(Stdio::piped());
            }
            Stdin::Shared(file) => {
                command.stdin(file.try_clone().expect("there are descriptors"));
            }
        }
        command.stderr(Stdio::piped());
        match &self.stdout {
            Stdout::Read => {
                command.stdout(Stdio::piped());
            }
            Stdout::Closed => {
                let (_, writer) = pipe().expect("there are pipes");
                command.stdout(writer);
            }
            Stdout::Full => {
                let (reader, writer) = pipe().expect("there are pipes");
                command.stdout(writer);
                ends.kept = Some(reader);
            }
            Stdout::WithStderr => {
                let (reader, writer) = pipe().expect("there are pipes");
                command.stderr(writer.try_clone().expect("there are descriptors"));
                command.stdout(writer);
                ends.read = Some(reader);
            }
            Stdout::NoSpace => {
                let full = File::options().write(true).open("/dev/full");
                command.stdout(full.expect("there is /dev/full"));
            }
            Stdout::Shared(file) => {
                command.stdout(file.try_clone().expect("there are descriptors"));
            }
        }
        Started::new(command, shown, ends)
    }

    /// Runs it both ways and expects the same status and standard output; the
    /// same standard error too, unless a signal ended it: there trapgate has
    /// something of its own to say. Answers the sandboxed run. Where native runs
    /// do not agree with each other, that is said instead of a failure.
    ///
    /// # Panics
    /// If something differs.
    #[track_caller]
    pub fn differential(&self) -> Ran {
        let (native, sandboxed) = (self.native(), self.sandboxed());
        let [expected, got] = [&native, &sandboxed].map(|ran| self.outcome(ran));
        let same = expected == got;
        if !same && !is_unstable(&native.command, &expected, &got, || self.outcome(&self.native()))
        {
            sandboxed.fail(&format!(
                "as natively: status {}\n{}stdout ({} bytes):\n{}\nstderr ({} bytes):\n{}",
                native.status,
                difference(&native.stdout, &sandboxed.stdout),
                native.stdout.len(),
                shown(&native.stdout),
                native.stderr.len(),
                shown(&native.stderr),
            ));
        }
        sandboxed
    }

    /// What of a run must be the same in both ways.
    fn outcome(&self, ran: &Ran) -> Outcome {
        let stderr = !self.any_stderr && ran.status < 128;
        let mut stdout = ran.stdout.clone();
        if self.any_order {
            let mut lines: Vec<_> = stdout.split_inclusive(|byte| *byte == b'\n').collect();
            lines.sort_unstable();
            stdout = lines.concat();
        }
        Outcome {
            status: ran.status,
            stdout,
            stderr: if stderr { ran.stderr.clone() } else { Vec::new() },
        }
    }

    /// Runs it by `trapgate run` with statistics as JSON.
    ///
    /// # Panics
    /// If it does not end in time, or if there are none.
    #[track_caller]
    pub fn sandboxed_with_stats(&self) -> (Ran, serde_json::Value) {
        let directory = directory();
        let file = directory.path().join("stats.json");
        let case = self.clone().options([OsStr::new("--stats-json"), file.as_os_str()]);
        let ran = case.sandboxed();
        let text = fs::read_to_string(&file).unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(stats) => (ran, stats),
            Err(error) => ran.fail(&format!("JSON in {}: {error}: {text:?}", file.display())),
        }
    }
}

/// What is compared.
#[derive(PartialEq)]
struct Outcome {
    status: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// In a line: what kind of outcome it was.
impl Debug for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (self.stdout.len(), self.stderr.len());
        write!(f, "status {} with {stdout} and {stderr} bytes written", self.status)
    }
}

/// Programs that die here leave no core dump behind.
fn no_core_dumps() {
    static ONCE: Once = Once::new();
    // What cannot be limited is only untidy.
    ONCE.call_once(|| {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    });
}

/// Where two outputs part, for failure messages.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let same = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    if same == expected.len() && same == got.len() {
        return String::new();
    }
    let line = 1 + expected[..same].iter().filter(|byte| **byte == b'\n').count();
    format!("stdout differs from byte {same}, line {line}\n")
}
