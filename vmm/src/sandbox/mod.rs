//! What to run, within which limits, and what came of it: the library's front door.
//!
//! ```text
//! builder, config, recipe   describing a sandbox
//! command, user             what is run, as whom and where, as an image says or its user
//! program, stdio            its program and its standard files
//! bind, tree                directories of the host's; where its files are
//! run                       the run itself, on the vCPU's thread
//! running, capture          waiting for it, and what it writes
//! outcome, stats            what came of it, and what it cost
//! ```
//!
//! The top room: it makes a machine, has `boot` fill it, gives it the host's
//! services, and runs it to its end.

pub(crate) mod bind;
pub(crate) mod builder;
pub(crate) mod capture;
mod command;
pub mod config;
pub(crate) mod outcome;
mod program;
#[cfg(feature = "recipe")]
pub mod recipe;
mod run;
pub(crate) mod running;
pub mod stats;
pub(crate) mod stdio;
mod tree;
mod user;

pub use outcome::{End, Outcome, Output};

use crate::ByteSize;
use crate::boot::kernel;
use crate::boot::mitigation::GuestCpu;
use crate::boot::vdso::FastDoor;
use crate::boot::{self, Load, Start};
use crate::error::Error;
use crate::host::policy::Grant;
use crate::machine::image::MappedImage;
use crate::machine::kvm::{stats_fd::VcpuStats, vm};
use crate::machine::memory::LEAST;
use crate::machine::{Limits, Machine};
use builder::Builder;
use command::Command;
use config::Config;
use program::Preloaded;
use run::Run;
use running::Running;
use rustix::rand::{GetRandomFlags, getrandom};
use stats::Phases;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use stdio::{Opened, Wanted};
use trapgate_abi::boot_info::{RANDOM_STOCK, SEED, feature};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::mitigation::keep;
use trapgate_abi::x86::cr4;
use tree::{Served, Tree};

/// A VM with a program in it that has not run yet.
pub struct Sandbox {
    machine: Machine,
    limits: Limits,
    stdio: Wanted,
    output_limit: ByteSize,
    forwarded_signals: u64,
    run: Run,
}

impl Sandbox {
    /// Starts to describe a sandbox.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes the VM and loads the program.
    ///
    /// # Errors
    /// [`Error`], for whatever keeps the program from running.
    pub fn new(mut config: Config) -> Result<Sandbox, Error> {
        if config.program.is_none() && config.root.is_none() {
            return Err(Error::NoProgram);
        }
        if config.entrypoint.is_some() && config.root.is_none() {
            let what = "the entrypoint".to_owned();
            return Err(Error::Input { what, reason: "is given without a root that it is in" });
        }
        config.check()?;
        let tree = Tree::open(config.root.take(), &config.binds)?;
        let Command { program, user, directory } = Command::new(&mut config, &tree)?;
        // What an image says may be anything, too.
        config.check()?;
        let program = program::find(program, &tree, &config.envp)?;
        let name = program::name(&program);
        let mut preloaded = program::preloaded(&program, &tree)?;
        let start = Instant::now();
        // The file first: a mistake in it is the user's most likely one. What is in the
        // root the guest's kernel loads, and so says what is wrong.
        let image = match &preloaded {
            None => None,
            Some(Preloaded { bytes, .. }) => Some(
                trapgate_loader::image::parse(bytes)
                    .map_err(|source| Error::Image { name: name.clone(), source })?,
            ),
        };
        let memory = check_memory(config.memory, &name)?;
        let kvm = vm::open()?;
        let mapped = tree.image().map(|image| {
            image.to_file().and_then(|(name, file)| MappedImage::new(name, file, memory))
        });
        let mut machine = Machine::with_image(&kvm, memory, mapped.transpose()?)?;
        let vm = machine.vm();
        let cpu = GuestCpu::new(&vm.features.cpuid, vm.kind);
        let mut hardening = config.mitigations.hardening(&cpu)?;
        if config.trace.is_some() {
            hardening.keep |= keep::TRACE;
        }
        let kernel = match config.kernel.take() {
            Some(image) => Cow::Owned(image),
            None => Cow::Borrowed(kernel::image(config.stamps > 0, &hardening)),
        };
        let create_us = start.elapsed().as_micros() as u64;

        let start = Instant::now();
        let file = preloaded.as_mut().and_then(|preloaded| preloaded.file.take());
        let file = file.zip(program::place(program::path(&program), &directory));
        let Served { directories, mounts, program: program_file } = tree.mount(file)?;
        let random_granted = config.policy.allows(Grant::Random);
        let random = random_words()?;
        let (seed, stock) = random.split_at(SEED);
        let start_info = Start {
            name: &name,
            execfn: program::path(&program),
            load: match (&image, &preloaded) {
                (Some(image), Some(Preloaded { bytes, .. })) => Load::Here { image, bytes },
                _ => Load::InRoot,
            },
            argv: &config.argv,
            envp: &config.envp,
            seed: std::array::from_fn(|index| seed[index]),
            random_stock: if random_granted { stock } else { &[] },
            hwcap: vm.features.hwcap,
            hwcap2: if vm.features.cr4 & cr4::FSGSBASE != 0 { 1 << 1 } else { 0 },
            xcr0: vm.features.xcr0,
            features: boot::features(vm) | if config.aslr { feature::ASLR } else { 0 },
            cpus: machine.cpus(),
            root: machine.image(),
            disk: config.disk.map_or(0, |disk| disk.0),
            mounts: &mounts,
            program: program_file.as_ref(),
            dense: config.dense,
            directory: &directory,
            user,
            fast_door: FastDoor::of(vm.kind, boot::features(vm)),
            log_level: log::max_level() as u64,
            ignored_signals: config.ignored_signals,
            stamps: config.stamps,
            traced: config.trace.is_some(),
            hardening,
        };
        let prepared = boot::prepare(machine.ram(), &kernel, &start_info)?;
        let kvm_stats = config.detailed_stats.then(|| machine.kvm_stats()).flatten();
        machine.begin(&prepared.entry())?;
        let load_us = start.elapsed().as_micros() as u64;
        Ok(Sandbox {
            machine,
            limits: Limits { cpu: config.cpu, timeout: config.timeout },
            stdio: Wanted(config.stdio),
            output_limit: config.output_limit,
            forwarded_signals: config.forwarded_signals,
            run: Run {
                prepared,
                policy: config.policy,
                program,
                tree,
                directories,
                kernel,
                detailed: config.detailed_stats,
                kvm_stats: kvm_stats.map(Arc::new),
                count_instructions: config.count_instructions,
                clock_source: config.clock_source,
                trace: config.trace,
                phases: Phases { create_us, load_us, ..Phases::default() },
            },
        })
    }

    /// What messages call its program: its path, in which nothing steers a terminal.
    pub fn name(&self) -> String {
        program::name(&self.run.program)
    }

    /// Runs the program to its end. What it writes into [`crate::Stdio::piped`]
    /// files is lost.
    ///
    /// # Errors
    /// [`Error`], if the VM fails. A program that fails is an [`Outcome`].
    pub fn run(self) -> Result<Outcome, Error> {
        self.start()?.wait()
    }

    /// Runs the program to its end, on this thread, and leaves the VM as it is
    /// then: for a process that ends right after it. Linux takes back what the VM
    /// had then, and does not do so any faster for being asked.
    ///
    /// What it writes into [`crate::Stdio::piped`] files is lost, as for
    /// [`Sandbox::run`]. Signals that this process gets go to the program, if
    /// [`Config::forwarded_signals`] has them: one that the program's kernel does not
    /// take within a second, or that comes before the one before was taken, ends this
    /// process as it would without that.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn run_and_leave(mut self) -> Result<Outcome, Error> {
        // Neither a pipe that somebody must read meanwhile, nor a CPU that this
        // thread would then stay on.
        if self.limits.cpu.is_some() || self.stdio.has_pipe() {
            return self.run();
        }
        let Opened { files, .. } = std::mem::take(&mut self.stdio).open()?;
        let Sandbox { machine, limits, forwarded_signals: forwarded, run, .. } = self;
        let run = |machine: &mut Machine| run.until_its_end(machine, files);
        let (outcome, timed_out) = machine.run_and_leave(limits.timeout, forwarded, run)?;
        outcome.teardown.leave();
        Ok(outcome.at_its_time(timed_out))
    }

    /// Runs the program to its end, and keeps what it writes. Where nothing else
    /// was said, it gets no input, and standard output and error are captured,
    /// each up to [`Builder::output_limit`].
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn output(mut self) -> Result<Output, Error> {
        self.stdio = self.stdio.captured();
        self.start()?.wait_with_output()
    }

    /// Starts the program on a thread of its own.
    ///
    /// # Errors
    /// If there can be no thread, or its standard files cannot be had.
    pub fn start(mut self) -> Result<Running, Error> {
        let Opened { files, stdin, stdout, stderr } = std::mem::take(&mut self.stdio).open()?;
        let Sandbox { machine, limits, output_limit, run, .. } = self;
        let thread = machine.spawn(limits, move |machine| {
            let outcome = run.until_its_end(machine, files);
            // Its memory is not what is taken down later.
            machine.ram().give_back();
            outcome
        })?;
        Ok(Running::new(thread, (stdin, stdout, stderr), output_limit.0))
    }

    /// KVM's counters of its vCPU, which can be read while it runs; only of a
    /// detailed one ([`Builder::detailed_stats`]), and from Linux 5.14 on.
    #[doc(hidden)]
    pub fn kvm_stats(&self) -> Option<Arc<VcpuStats>> {
        self.run.kvm_stats.clone()
    }
}

/// RAM in whole pages.
fn check_memory(memory: ByteSize, name: &str) -> Result<u64, Error> {
    /// What physical addresses of 39 bits leave room for.
    const MOST: u64 = 256 << 30;
    if memory.0 < LEAST {
        let needed = ByteSize(LEAST);
        return Err(Error::MemoryTooSmall { name: name.to_owned(), given: memory, needed });
    }
    if memory.0 > MOST {
        let reason = format!("a sandbox has at most {}", ByteSize(MOST));
        return Err(Error::MemoryTooLarge { given: memory, reason });
    }
    Ok(memory.0 & !(PAGE_SIZE - 1))
}

/// Random words: for the program's start, the others for the stock.
fn random_words() -> Result<[u64; SEED + RANDOM_STOCK], Error> {
    let mut bytes = [0; 8 * (SEED + RANDOM_STOCK)];
    // So few bytes come at once (getrandom(2)).
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|errno| Error::host("getrandom")(errno.into()))?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|index| u64::from_ne_bytes(words[index])))
}
