//! A sandbox from start to end: the library's front door.

pub(crate) mod builder;
pub(crate) mod capture;
pub mod config;
pub(crate) mod outcome;
pub mod recipe;
pub(crate) mod running;
pub mod stats;
pub(crate) mod stdio;

pub use outcome::{End, Outcome, Output};

use crate::ByteSize;
use crate::boot::mitigation::GuestCpu;
use crate::boot::vdso::FastDoor;
use crate::boot::{self, Prepared, Start};
use crate::error::Error;
use crate::host::Services;
use crate::host::policy::{Grant, Policy};
use crate::machine::affinity;
use crate::machine::kvm::{Kind, Maker, Vm, stats_fd::VcpuStats, vm};
use crate::machine::memory::{GuestRam, LEAST};
use crate::machine::run::{self, GuestEnd, Manner};
use crate::machine::step::Stepper;
use crate::machine::vcpu_thread::VcpuThread;
use crate::report::{self, Crash, KernelReport};
use crate::sandbox::builder::Builder;
use crate::sandbox::config::{ClockSource, Config, Program};
use crate::sandbox::running::Running;
use crate::sandbox::stats::{DoorCalls, Phases, Stats};
use crate::sandbox::stdio::{Opened, Wanted};
use crate::symbols::Symbols;
use rustix::rand::{GetRandomFlags, getrandom};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use trapgate_abi::boot_info::{ClockInfo, RANDOM_STOCK, feature};
use trapgate_abi::counters::Counters;
use trapgate_abi::hypercall::{self, Request};
use trapgate_abi::layout::{PAGE_SIZE, PERCPU_PHYS, percpu};
use trapgate_abi::x86::{cr4, vector};
use trapgate_loader::text::printable;

/// A VM with a program in it that has not run yet.
pub struct Sandbox {
    vm: Vm,
    ram: Arc<GuestRam>,
    prepared: Prepared,
    policy: Policy,
    stdio: Wanted,
    output_limit: ByteSize,
    program: Program,
    kernel: Cow<'static, [u8]>,
    detailed: bool,
    /// Only of a detailed one; `None` before Linux 5.14.
    kvm_stats: Option<Arc<VcpuStats>>,
    count_instructions: bool,
    clock_source: ClockSource,
    cpu: Option<usize>,
    timeout: Option<Duration>,
    phases: Phases,
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
        let program = config.program.take().ok_or(Error::NoProgram)?;
        config.check()?;
        let (name, bytes) = read_program(&program)?;
        let start = Instant::now();
        // The file first: a mistake in it is the user's most likely one.
        let image = trapgate_loader::image::parse(&bytes)
            .map_err(|source| Error::Image { name: name.clone(), source })?;
        let memory = check_memory(config.memory, &name)?;
        let kvm = vm::open()?;
        let ram = Arc::new(GuestRam::new(memory)?);
        let vm = Vm::new(&kvm, ram.clone())?;
        let cpu = GuestCpu::new(&vm.features.cpuid, vm.kind);
        let hardening = config.mitigations.hardening(&cpu)?;
        // The stamped door has no hardened twin: with pti, ring 3's page tables
        // would not even have its code.
        if config.stamps > 0 && hardening.is_some() {
            return Err(Error::StampedHardened);
        }
        let create_us = start.elapsed().as_micros() as u64;

        let start = Instant::now();
        let random_granted = config.policy.allows(Grant::Random);
        let random = random_words()?;
        let [first, second, stock @ ..] = random;
        let start_info = Start {
            name: &name,
            execfn: program_path(&program),
            image: &image,
            bytes: &bytes,
            argv: &config.argv,
            envp: &config.envp,
            random: (u128::from(first) << 64 | u128::from(second)).to_le_bytes(),
            random_stock: if random_granted { &stock } else { &[] },
            hwcap: vm.features.hwcap,
            hwcap2: if vm.features.cr4 & cr4::FSGSBASE != 0 { 1 << 1 } else { 0 },
            xcr0: vm.features.xcr0,
            features: features(&vm),
            fast_door: FastDoor::of(vm.kind, features(&vm)),
            log_level: log::max_level() as u64,
            ignored_signals: config.ignored_signals,
            stamps: config.stamps,
            hardening,
        };
        let prepared = boot::prepare(&ram, &config.kernel, &start_info)?;
        let kvm_stats = config.detailed_stats.then(|| VcpuStats::new(&vm.vcpu)).flatten();
        let mut sandbox = Sandbox {
            vm,
            ram,
            prepared,
            policy: config.policy,
            stdio: Wanted(config.stdio),
            output_limit: config.output_limit,
            program,
            kernel: config.kernel,
            detailed: config.detailed_stats,
            kvm_stats: kvm_stats.map(Arc::new),
            count_instructions: config.count_instructions,
            clock_source: config.clock_source,
            cpu: config.cpu,
            timeout: config.timeout,
            phases: Phases { create_us, ..Phases::default() },
        };
        sandbox.vm.set_initial_state(&sandbox.prepared)?;
        sandbox.phases.load_us = start.elapsed().as_micros() as u64;
        Ok(sandbox)
    }

    /// Runs the program to its end. What it writes into [`crate::Stdio::piped`]
    /// files is lost.
    ///
    /// # Errors
    /// [`Error`], if the VM fails. A program that fails is an [`Outcome`].
    pub fn run(self) -> Result<Outcome, Error> {
        self.begin()?.wait()
    }

    /// Runs the program to its end, and keeps what it writes. Where nothing else
    /// was said, it gets no input, and standard output and error are captured,
    /// each up to [`Builder::output_limit`].
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn output(mut self) -> Result<Output, Error> {
        self.stdio = self.stdio.captured();
        self.begin()?.wait_with_output()
    }

    /// Starts the program on a thread of its own.
    ///
    /// # Errors
    /// If there can be no thread, or its standard files cannot be had.
    pub fn start(self) -> Result<Running, Error> {
        let mut running = self.begin()?;
        running.watch()?;
        Ok(running)
    }

    /// The same, for one who waits at once, and so sees to its timeout.
    fn begin(mut self) -> Result<Running, Error> {
        let Opened { files, stdin, stdout, stderr } = std::mem::take(&mut self.stdio).open()?;
        let (timeout, limit) = (self.timeout, self.output_limit.0);
        let stop = Arc::<AtomicBool>::default();
        let seen = stop.clone();
        let thread = VcpuThread::spawn(stop, timeout, move || self.run_here(files, &seen))?;
        Ok(Running::new(thread, (stdin, stdout, stderr), limit))
    }

    /// KVM's counters of its vCPU, which can be read while it runs; only of a
    /// detailed one ([`Builder::detailed_stats`]), and from Linux 5.14 on.
    pub(crate) fn kvm_stats(&self) -> Option<Arc<VcpuStats>> {
        self.kvm_stats.clone()
    }

    /// Runs the program on this thread, until it ends or `stop` is set.
    fn run_here(self, files: [Option<File>; 3], stop: &Arc<AtomicBool>) -> Result<Outcome, Error> {
        let Sandbox {
            mut vm,
            ram,
            prepared,
            policy,
            program,
            kernel,
            detailed,
            kvm_stats,
            count_instructions,
            clock_source,
            cpu,
            ..
        } = self;
        if let Some(cpu) = cpu {
            affinity::stay_on(cpu)?;
        }
        let mut phases = self.phases;
        let load_bias = prepared.load_bias;
        let stamps = prepared.stamps;
        let (mut clock, is_clock) = vm.clock()?;
        let clock_granted = policy.allows(Grant::Clock);
        let mut services = Services::new(ram.clone(), policy, files, stop.clone());
        services.begin(clock.monotonic_ns);
        if !clock_granted {
            clock = ClockInfo { realtime_ns: 0, monotonic_ns: 0, ..clock };
        }
        let note = prepared.kernel.note;
        let mut stepper = None;
        if count_instructions {
            stepper = Some(Stepper::new(&mut vm, &ram, &note)?);
            // Its counter begins with the first instruction.
            clock.tsc_base = 0;
        } else if clock_source == ClockSource::Host || !is_clock {
            if !is_clock {
                log::info!("KVM's time-stamp counter does not run with time: clocks cost an exit");
            }
            clock.multiplier = 0;
        }
        let files = services.describe_files();
        prepared.finish(&ram, clock, files).map_err(|error| Error::Kernel(error.to_string()))?;
        let start = Instant::now();
        phases.run_began = Some(start);
        let mut manner = Manner { exits: 0, stepper, pass: &mut |_| false };
        let end = run::run(&mut vm, &ram, &mut services, stop, &kernel, &mut manner)?;
        phases.run_us = start.elapsed().as_micros() as u64;
        let end = match end {
            GuestEnd::Stopped => End::Stopped,
            GuestEnd::Request(Request::Exit { status }, _) => End::Exited(status),
            GuestEnd::Request(Request::Killed { signal }, message) => {
                let (fault, regs) = hypercall::crash(&message);
                let bytes = read_program(&program).map(|(_, bytes)| bytes).unwrap_or_default();
                let symbol = Symbols::new(&bytes).lookup(regs.rip, load_bias);
                let location = symbol.map(|symbol| symbol.to_string());
                let name = program_name(&program);
                let uninterpreted = report::is_uninterpreted(vm.kind, &fault, &regs);
                let crash = Crash { name, signal, fault, regs, location, uninterpreted };
                End::Killed(Box::new(crash))
            }
            GuestEnd::Request(request, message) => {
                let report = KernelReport::new(&request, &message, &ram, &Symbols::new(&kernel));
                return Err(Error::KernelFailed(Box::new(report)));
            }
        };
        let counters = ram
            .read_words::<{ Counters::WORDS }>(PERCPU_PHYS + percpu::COUNTERS)
            .map(|words| Counters::from_words(&words))
            .unwrap_or_default();
        let stats = Stats {
            kvm: vm.kind,
            doors: DoorCalls::of(&counters),
            last_trap: vector::name(counters.last_trap as u8).filter(|_| counters.last_trap != 0),
            vmm_exits: manner.exits,
            kvm_exits: kvm_stats.as_ref().and_then(|stats| stats.get("exits")),
            irq_exits: kvm_stats.as_ref().and_then(|stats| stats.get("irq_exits")),
            instructions: manner.stepper.and_then(|stepper| stepper.counted()),
            host_calls: services.stats,
            page_faults: counters.page_faults,
            pages_mapped: counters.pages_mapped,
            unknown_calls: counters.unknown_calls,
            last_unknown_call: (counters.unknown_calls > 0).then_some(counters.last_unknown_call),
            ram_bytes: ram.size(),
            ram_resident_bytes: detailed.then(|| ram.resident()),
            time: phases,
        };
        let stamps = stamps.map(|stamps| stamps.read(&ram)).transpose();
        let stamps = stamps.map_err(|error| Error::Kernel(error.to_string()))?;
        Ok(Outcome { end, stats, stamps: stamps.unwrap_or_default() })
    }
}

/// The features that the kernel acts on.
pub(crate) fn features(vm: &Vm) -> u64 {
    let mut features = 0;
    let mut set = |bit, on: bool| features |= if on { bit } else { 0 };
    set(feature::SMAP, vm.features.cr4 & cr4::SMAP != 0);
    set(feature::INTERPRETED, vm.kind == Kind::Software);
    set(feature::SYSCALL_TRAPS, vm.kind == Kind::Software);
    set(feature::SYSENTER32, Maker::of_this_cpu() == Maker::Intel);
    set(feature::SYSCALL32, Maker::of_this_cpu() == Maker::Amd);
    features
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

/// Random words: two for `AT_RANDOM`, the others for the stock.
fn random_words() -> Result<[u64; 2 + RANDOM_STOCK], Error> {
    let mut bytes = [0; 8 * (2 + RANDOM_STOCK)];
    // So few bytes come at once (getrandom(2)).
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|errno| Error::host("getrandom")(errno.into()))?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|index| u64::from_ne_bytes(words[index])))
}

/// The program's name as bytes, for itself.
fn program_path(program: &Program) -> &[u8] {
    match program {
        Program::Path(path) => path.as_os_str().as_bytes(),
        Program::Bytes { name, .. } => name.as_bytes(),
    }
}

/// The program's name for messages: nothing in it steers a terminal.
fn program_name(program: &Program) -> String {
    printable(program_path(program))
}

/// The program's name and bytes.
fn read_program(program: &Program) -> Result<(String, Cow<'_, [u8]>), Error> {
    let name = program_name(program);
    match program {
        Program::Path(path) => Ok((name, Cow::Owned(read_file(path)?))),
        Program::Bytes { bytes, .. } => Ok((name, Cow::Borrowed(bytes))),
    }
}

/// The largest file that is taken for a program, in bytes.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// Reads an executable regular file.
fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let owned = || path.to_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NotFound { path: owned(), hint: String::new() }
        }
        _ => Error::Unreadable { path: owned(), source },
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let kind = metadata.file_type();
    let not = |kind| Err(Error::NotAFile { path: PathBuf::from(path), kind });
    match kind {
        _ if kind.is_file() => {}
        _ if kind.is_dir() => return not("a directory"),
        _ if kind.is_fifo() => return not("a pipe"),
        _ if kind.is_socket() => return not("a socket"),
        _ => return not("a device"),
    }
    if metadata.len() > LARGEST_PROGRAM {
        let source = io::Error::other("it is larger than 1 GiB");
        return Err(Error::Unreadable { path: owned(), source });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    // Of what is no program, its reader says more.
    if metadata.permissions().mode() & 0o111 == 0 && bytes.starts_with(b"\x7fELF") {
        return Err(Error::NotExecutable { path: owned() });
    }
    Ok(bytes)
}
