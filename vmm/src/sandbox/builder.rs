//! Describing a sandbox step by step: [`Builder`], with the names of
//! [`std::process::Command`].

use crate::boot::mitigation::Mitigations;
use crate::host::policy::Policy;
use crate::root::{Directory, Image, Root};
use crate::sandbox::Sandbox;
use crate::sandbox::bind::{Access, Bind, CacheMode};
use crate::sandbox::config::{ClockSource, Config, Program, TraceTo, quoted};
use crate::sandbox::stdio::Stdio;
use crate::{ByteSize, Error};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Describes a [`Sandbox`]: what to run, with what, within which limits.
///
/// Nothing is checked before [`Builder::build`].
#[derive(Debug, Default)]
pub struct Builder {
    config: Config,
    args: Vec<Vec<u8>>,
    /// Names and values.
    env: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Builder {
    /// Runs the program at `path`; its first argument is the same.
    pub fn program(mut self, path: impl AsRef<Path>) -> Self {
        self.config.program = Some(Program::Path(path.as_ref().to_owned()));
        self
    }

    /// The root of its files is what is at `path`: a directory of the host's, which is not
    /// written ([`Builder::root_directory`]), an EROFS image, or with the feature
    /// `images` an archive or an OCI layout, which is made an image of once
    /// ([`crate::root::Cache::of_user`]). [`Builder::program`] is a path in it then; a name
    /// without a slash is looked for in its PATH, or in [`crate::root::DEFAULT_PATH`].
    ///
    /// What is there cannot be changed by the program, nor by another one that runs
    /// meanwhile.
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    ///
    /// let sandbox = Sandbox::builder().root("alpine.erofs").program("busybox").arg("ls");
    /// assert!(sandbox.build()?.run()?.end.success());
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn root(self, path: impl AsRef<Path>) -> Self {
        self.root_of(Root::Source(path.as_ref().to_owned()))
    }

    /// The root of its files is this image: [`Builder::root`].
    pub fn root_image(self, image: Image) -> Self {
        self.root_of(Root::Image(image))
    }

    /// The root of its files is this directory of the host's. Nothing in it is written: what
    /// the program changes is changed in memory, and gone with it.
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    /// use trapgate::root::Directory;
    ///
    /// let root = Directory::open("/srv/debian")?;
    /// let outcome = Sandbox::builder().root_directory(root).program("ls").build()?.run()?;
    /// assert!(outcome.end.success());
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn root_directory(self, directory: Directory) -> Self {
        self.root_of(Root::Directory(directory))
    }

    /// The directory `host` of the host's, or the regular file, is at `guest` in the program's
    /// tree, an absolute path that need not be there. Others may change it meanwhile, and
    /// the program sees that.
    ///
    /// ```no_run
    /// use trapgate::{Access, Sandbox};
    ///
    /// let builder = Sandbox::builder().root("alpine.erofs").program("busybox");
    /// let builder = builder.args(["cp", "-r", "/in", "/out"]);
    /// let builder = builder.bind("data", "/in", Access::ReadOnly);
    /// builder.bind("results", "/out", Access::ReadWrite).build()?.run()?;
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn bind(self, host: impl AsRef<Path>, guest: impl AsRef<Path>, access: Access) -> Self {
        let (host, guest) = (host.as_ref().to_owned(), guest.as_ref().to_owned());
        self.bind_as(Bind { host, guest, access, cache: CacheMode::Shared })
    }

    /// The same, with all that can be said of it; a [`Bind`] can be parsed, too.
    ///
    /// ```no_run
    /// use trapgate::{Bind, Sandbox};
    ///
    /// let builder = Sandbox::builder().root("alpine.erofs").program("busybox");
    /// let sources: Bind = "/srv/sources:/src:cache=exclusive".parse().expect("it is one");
    /// builder.args(["grep", "-r", "main", "/src"]).bind_as(sources).build()?.run()?;
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn bind_as(mut self, bind: Bind) -> Self {
        self.config.binds.push(bind);
        self
    }

    fn root_of(mut self, root: Root) -> Self {
        self.config.root = Some(root);
        self
    }

    /// What stands in front of the program and its arguments, instead of the `Entrypoint` that
    /// an OCI image as [`Builder::root`] has: a program in the root, and arguments. Empty, there
    /// is none.
    ///
    /// Such an image also says the command, if no [`Builder::program`] is given, and variables,
    /// the user and the working directory where nothing else is said.
    pub fn entrypoint(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().as_bytes().to_vec());
        self.config.entrypoint = Some(words.collect());
        self
    }

    /// The directory in which the program begins: a path in its tree, which need not be
    /// there. The root by default.
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.config.directory = Some(path.as_ref().to_owned());
        self
    }

    /// Who the program is, as `USER[:GROUP]`, numbers or names that the root has in /etc/passwd
    /// and /etc/group. Root by default, who may do everything in the sandbox.
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    ///
    /// let builder = Sandbox::builder().root("alpine.erofs").program("id");
    /// let output = builder.user("1000:1000").current_dir("/tmp").build()?.output()?;
    /// assert!(output.stdout.starts_with(b"uid=1000"));
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.config.user = Some(user.into());
        self
    }

    /// Runs the program in `bytes`; its first argument is `name`.
    pub fn program_bytes(mut self, name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.config.program = Some(Program::Bytes { name: name.into(), bytes: bytes.into() });
        self
    }

    /// Adds an argument, after the program's name and those before it.
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    ///
    /// let builder = Sandbox::builder().program("/bin/busybox").arg("echo").args(["a", "b"]);
    /// let output = builder.build()?.output()?;
    /// assert_eq!(output.stdout, b"a b\n");
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().as_bytes().to_vec());
        self
    }

    /// Adds arguments: [`Builder::arg`].
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        args.into_iter().fold(self, Builder::arg)
    }

    /// Sets a variable of the environment, which is empty otherwise.
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let mut builder = self.env_remove(&name);
        let bytes = |text: &OsStr| text.as_bytes().to_vec();
        builder.env.push((bytes(name.as_ref()), bytes(value.as_ref())));
        builder
    }

    /// Sets variables of the environment: [`Builder::env`].
    ///
    /// ```no_run
    /// use trapgate::Sandbox;
    ///
    /// // This process's own, but for one.
    /// let builder = Sandbox::builder()
    ///     .program("/bin/busybox")
    ///     .arg("env")
    ///     .envs(std::env::vars_os())
    ///     .env_remove("HOME");
    /// builder.build()?.run()?;
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn envs(
        self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        variables.into_iter().fold(self, |builder, (name, value)| builder.env(name, value))
    }

    /// Takes back a variable that was set.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(other, _)| other != name.as_ref().as_bytes());
        self
    }

    /// Takes back all variables that were set.
    pub fn env_clear(mut self) -> Self {
        self.env.clear();
        self
    }

    /// RAM: 256 MiB by default, taken from the host only as it is touched.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use trapgate::{ByteSize, End, Sandbox};
    ///
    /// let end = Sandbox::builder()
    ///     .program("./prog")
    ///     .memory(ByteSize(64 << 20))
    ///     .timeout(Duration::from_secs(10))
    ///     .build()?
    ///     .run()?
    ///     .end;
    /// assert_ne!(end, End::TimedOut);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn memory(mut self, memory: ByteSize) -> Self {
        self.config.memory = memory;
        self
    }

    /// What it may keep in files: so much in those of the root, as much in those of /tmp
    /// and of /dev/shm. They are in its memory, half of which that is by default. A program
    /// that writes more gets ENOSPC; statfs(2) tells it how much is left.
    ///
    /// ```no_run
    /// use trapgate::{ByteSize, Sandbox};
    ///
    /// let builder = Sandbox::builder().root("alpine.erofs").program("busybox");
    /// let builder = builder.args(["dd", "if=/dev/zero", "of=/file"]);
    /// let outcome = builder.disk(ByteSize(8 << 20)).build()?.run()?;
    /// assert!(!outcome.end.success());
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn disk(mut self, disk: ByteSize) -> Self {
        self.config.disk = Some(disk);
        self
    }

    /// Whether many sandboxes are to have room beside each other, rather than one to start
    /// fast. Otherwise the bottom of RAM is backed by a large page of the host's, 2 MiB, where
    /// that can be: fewer faults, and more memory than a small program touches. Sandboxes
    /// with the same image as their root share its pages in any case.
    pub fn dense(mut self, on: bool) -> Self {
        self.config.dense = on;
        self
    }

    /// Ends the program after this much wall-clock time: [`crate::End::TimedOut`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// What the program may ask for: standard files, the clock and randomness by
    /// default.
    ///
    /// ```no_run
    /// use trapgate::{Grant, Policy, Sandbox};
    ///
    /// let policy = Policy::only([Grant::Stdin, Grant::Stdout]);
    /// Sandbox::builder().program("./prog").policy(policy).build()?.run()?;
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// Standard input: this process's own by default, none for
    /// [`Sandbox::output`].
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.config.stdio[0] = Some(stdio.into());
        self
    }

    /// Standard input is these bytes. To the program it is a file.
    pub fn stdin_bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin(Stdio::Bytes(bytes.into()))
    }

    /// Standard output: this process's own by default, captured by
    /// [`Sandbox::output`].
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.config.stdio[1] = Some(stdio.into());
        self
    }

    /// Standard error, as [`Builder::stdout`].
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.config.stdio[2] = Some(stdio.into());
        self
    }

    /// Of standard output and standard error, each, as much is kept by
    /// [`Sandbox::output`] and [`crate::Running::wait_with_output`]: 64 MiB by
    /// default. A program that writes more is stopped:
    /// [`crate::End::TooMuchOutput`].
    ///
    /// ```no_run
    /// use trapgate::{ByteSize, End, Sandbox};
    ///
    /// let builder = Sandbox::builder().program("/bin/busybox").arg("yes");
    /// let output = builder.output_limit(ByteSize(1 << 20)).build()?.output()?;
    /// assert_eq!(output.end, End::TooMuchOutput);
    /// assert_eq!(output.stdout.len(), 1 << 20);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn output_limit(mut self, limit: ByteSize) -> Self {
        self.config.output_limit = limit;
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

    /// Whether programs that the guest's kernel loads, by execve(2), are at random
    /// addresses: by default. Otherwise two runs have the same.
    pub fn aslr(mut self, on: bool) -> Self {
        self.config.aslr = on;
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

    /// Another guest kernel than the embedded one. Mitigation steps, stamps and a
    /// trace want an instrumented image.
    pub fn kernel(mut self, image: impl Into<Vec<u8>>) -> Self {
        self.config.kernel = Some(image.into());
        self
    }

    /// Stamps the first `calls` calls by SYSCALL from 64-bit code, step by step:
    /// [`crate::Outcome::stamps`]. At most [`trapgate_abi::stamps::MAX_RECORDS`].
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

    /// Writes the program's calls there, a line each, as strace(1) does: the name, the
    /// arguments as numbers, the result. [`crate::Outcome::trace`] says whether
    /// something is missing.
    ///
    /// It is written to on the vCPU's thread, some hundred calls at a time or
    /// whenever the program leaves the VM, and the program waits for it. It takes an
    /// instrumented kernel image, which the embedded one is for such a run.
    ///
    /// ```no_run
    /// use std::fs::File;
    /// use trapgate::Sandbox;
    ///
    /// let calls = File::create("calls").expect("a file can be made here");
    /// let outcome = Sandbox::builder().program("./prog").trace(calls).build()?.run()?;
    /// assert_eq!(outcome.trace.expect("it was traced").lost, 0);
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    pub fn trace(mut self, to: impl Write + Send + 'static) -> Self {
        self.config.trace = Some(TraceTo::new(to));
        self
    }

    /// Makes the VM and loads the program.
    ///
    /// # Errors
    /// [`Error`], for whatever keeps the program from running.
    pub fn build(self) -> Result<Sandbox, Error> {
        let Builder { mut config, args, env } = self;
        let name = match &config.program {
            Some(Program::Path(path)) => Some(path.as_os_str().as_bytes().to_vec()),
            Some(Program::Bytes { name, .. }) => Some(name.clone().into_bytes()),
            None if config.root.is_none() || !args.is_empty() => return Err(Error::NoProgram),
            // The root may say it.
            None => None,
        };
        config.argv = name.into_iter().chain(args).collect();
        for (name, value) in env {
            // Whoever looks for the name finds the first of these.
            if name.contains(&b'=') {
                let what = format!("the variable {}", quoted(&name));
                return Err(Error::Input { what, reason: "has '=' in its name" });
            }
            config.envp.push([name, value].join(&b'='));
        }
        Sandbox::new(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_once_and_in_order() {
        let builder = Sandbox::builder().env("A", "1").envs([("B", "2"), ("A", "3")]);
        let builder = builder.env("C", "4").env_remove("B");
        let names: Vec<_> = builder.env.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [b"A", b"C"]);
        assert_eq!(builder.env[0].1, b"3");
        assert!(builder.env_clear().env.is_empty());
    }

    #[test]
    fn a_name_with_an_equals_sign_is_no_name() {
        let error = Sandbox::builder().program("p").env("A=B", "c").build().err().unwrap();
        assert!(error.to_string().contains("'A=B' has '=' in its name"), "{error}");
    }
}
