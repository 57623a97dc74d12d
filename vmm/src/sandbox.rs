//! A sandbox from start to end: the library's front door.

use crate::boot::{self, Prepared, Start};
use crate::config::{Builder, Config, Program};
use crate::error::Error;
use crate::host::Services;
use crate::image::symbols::Symbols;
use crate::kvm::{Kind, Vm, kick, stats_fd::VcpuStats, vm};
use crate::memory::{GuestRam, LEAST};
use crate::policy::Grant;
use crate::report::{Crash, KernelReport};
use crate::run::{self, GuestEnd};
use crate::stats::{Phases, Stats};
use crate::ByteSize;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use trapgate_abi::boot_info::{ClockInfo, RANDOM_STOCK, feature};
use trapgate_abi::counters::Counters;
use trapgate_abi::hypercall::{self, Request};
use trapgate_abi::layout::{PAGE_SIZE, PERCPU_PHYS, percpu};
use trapgate_abi::x86::cr4;

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exited(u8),
    /// A signal killed it.
    Killed(Box<Crash>),
    /// Its time was up.
    TimedOut,
    /// It was stopped through its [`KillHandle`].
    Stopped,
}

/// A finished run.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it cost.
    pub stats: Stats,
}

/// A VM with a program in it that has not run yet.
pub struct Sandbox {
    vm: Vm,
    ram: Arc<GuestRam>,
    prepared: Prepared,
    services: Services,
    stop: Arc<AtomicBool>,
    program: Program,
    timeout: Option<Duration>,
    clock_granted: bool,
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
        let (name, bytes) = read_program(&program)?;
        let start = Instant::now();
        // The file first: a mistake in it is the user's most likely one.
        crate::image::parse(&bytes)
            .map_err(|source| Error::Image { name: name.clone(), source })?;
        let memory = check_memory(config.memory, &name)?;
        let kvm = vm::open()?;
        let ram = Arc::new(GuestRam::new(memory)?);
        let vm = Vm::new(&kvm, ram.clone())?;
        let create_us = start.elapsed().as_micros() as u64;

        let start = Instant::now();
        let stop = Arc::<AtomicBool>::default();
        let files = config.open_stdio();
        let clock_granted = config.policy.allows(Grant::Clock);
        let random_granted = config.policy.allows(Grant::Random);
        let services = Services::new(ram.clone(), config.policy, files, stop.clone());
        let random = random_words()?;
        let [first, second, stock @ ..] = random;
        let start_info = Start {
            name: &name,
            bytes: &bytes,
            argv: &config.argv,
            envp: &config.envp,
            random: (u128::from(first) << 64 | u128::from(second)).to_le_bytes(),
            random_stock: if random_granted { &stock } else { &[] },
            hwcap: vm.features.hwcap,
            hwcap2: if vm.features.cr4 & cr4::FSGSBASE != 0 { 1 << 1 } else { 0 },
            features: features(&vm),
            log_level: log::max_level() as u64,
            files: services.describe_files(),
        };
        let prepared = boot::prepare(&ram, &config.kernel, &start_info)?;
        let mut sandbox = Sandbox {
            vm,
            ram,
            prepared,
            services,
            stop,
            program,
            timeout: config.timeout,
            clock_granted,
            phases: Phases { create_us, ..Phases::default() },
        };
        sandbox.vm.set_initial_state(&sandbox.prepared)?;
        sandbox.phases.load_us = start.elapsed().as_micros() as u64;
        Ok(sandbox)
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// [`Error`], if the VM fails. A program that fails is an [`Outcome`].
    pub fn run(self) -> Result<Outcome, Error> {
        self.start()?.wait()
    }

    /// Starts the program on a thread of its own.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(self) -> Result<Running, Error> {
        let stop = self.stop.clone();
        let timeout = self.timeout;
        let (done, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("vcpu0".to_owned())
            .spawn(move || {
                // Dropped at the end, whatever the end is.
                let _done = done;
                self.run_here()
            })
            .map_err(Error::host("creating the vCPU's thread"))?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        Ok(Running { thread, ended, stop: KillHandle { stop }, deadline })
    }

    /// Runs the program on this thread.
    fn run_here(self) -> Result<Outcome, Error> {
        let Sandbox { mut vm, ram, prepared, mut services, stop, program, .. } = self;
        let mut phases = self.phases;
        let load_bias = prepared.load_bias;
        let mut clock = vm.clock()?;
        if !self.clock_granted {
            clock = ClockInfo { realtime_ns: 0, monotonic_ns: 0, ..clock };
        }
        prepared.finish(&ram, clock).map_err(|error| Error::Kernel(error.to_string()))?;
        let kvm_stats = VcpuStats::new(&vm.vcpu);
        let start = Instant::now();
        let mut vmm_exits = 0;
        let end = run::run(&mut vm, &ram, &mut services, &stop, &mut vmm_exits)?;
        phases.run_us = start.elapsed().as_micros() as u64;
        let end = match end {
            GuestEnd::Stopped => End::Stopped,
            GuestEnd::Request(Request::Exit { status }, _) => End::Exited(status),
            GuestEnd::Request(Request::Killed { signal }, message) => {
                let (fault, regs) = hypercall::crash(&message);
                let symbols = match read_program(&program) {
                    Ok((_, bytes)) => Symbols::new(&bytes),
                    Err(_) => Symbols::default(),
                };
                let location = symbols.lookup(regs.rip, load_bias).map(|symbol| symbol.to_string());
                let name = program_name(&program);
                End::Killed(Box::new(Crash { name, signal, fault, regs, location }))
            }
            GuestEnd::Request(request, message) => {
                let report = KernelReport::new(&request, &message, &ram);
                return Err(Error::KernelFailed(Box::new(report)));
            }
        };
        let counters = ram
            .read_words::<{ Counters::WORDS }>(PERCPU_PHYS + percpu::COUNTERS)
            .map(|words| Counters::from_words(&words))
            .unwrap_or_default();
        let stats = Stats {
            kvm: vm.kind,
            doors: Stats::doors(&counters),
            vmm_exits,
            kvm_exits: kvm_stats.as_ref().and_then(|stats| stats.get("exits")),
            irq_exits: kvm_stats.as_ref().and_then(|stats| stats.get("irq_exits")),
            host_calls: services.stats,
            page_faults: counters.page_faults,
            pages_mapped: counters.pages_mapped,
            unknown_calls: counters.unknown_calls,
            last_unknown_call: (counters.unknown_calls > 0).then_some(counters.last_unknown_call),
            ram: ram.size(),
            ram_resident: ram.resident(),
            time: phases,
        };
        Ok(Outcome { end, stats })
    }
}

/// Stops a running sandbox from any thread.
#[derive(Clone, Debug)]
pub struct KillHandle {
    stop: Arc<AtomicBool>,
}

impl KillHandle {
    /// Stops it: at once, also if it waits for a service of the host.
    pub fn kill(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// A program that runs.
pub struct Running {
    thread: JoinHandle<Result<Outcome, Error>>,
    ended: mpsc::Receiver<()>,
    stop: KillHandle,
    deadline: Option<Instant>,
}

/// How often a thread that shall stop is kicked, and how soon a kill from
/// elsewhere is noticed.
const KICK_INTERVAL: Duration = Duration::from_millis(1);
/// How often a running sandbox is looked after.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Running {
    /// A handle to stop it with.
    pub fn kill_handle(&self) -> KillHandle {
        self.stop.clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error`], if the VM fails.
    pub fn wait(self) -> Result<Outcome, Error> {
        let mut timed_out = false;
        loop {
            let stopping = self.stop.stop.load(Ordering::Acquire);
            let wait = if stopping { KICK_INTERVAL } else { LOOK_INTERVAL };
            match self.ended.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => break,
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) && !stopping {
                timed_out = true;
                self.stop.kill();
            }
            if self.stop.stop.load(Ordering::Acquire) {
                kick::kick(&self.thread);
            }
        }
        let result = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.map(|mut outcome| {
            if timed_out && outcome.end == End::Stopped {
                outcome.end = End::TimedOut;
            }
            outcome
        })
    }
}

/// The features that the kernel acts on.
fn features(vm: &Vm) -> u64 {
    let mut features = 0;
    let mut set = |bit, on: bool| features |= if on { bit } else { 0 };
    set(feature::SMAP, vm.features.cr4 & cr4::SMAP != 0);
    set(feature::FSGSBASE, vm.features.cr4 & cr4::FSGSBASE != 0);
    set(feature::INTERPRETED, vm.kind == Kind::Software);
    set(feature::SYSCALL_TRAPS, vm.kind == Kind::Software);
    features
}

/// RAM in whole pages.
fn check_memory(memory: ByteSize, name: &str) -> Result<u64, Error> {
    /// What page tables and physical addresses of 40 bits leave room for.
    const MOST: u64 = 512 << 30;
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
#[allow(unsafe_code, reason = "getrandom(2) takes a pointer")]
fn random_words() -> Result<[u64; 2 + RANDOM_STOCK], Error> {
    let mut words = [0u64; 2 + RANDOM_STOCK];
    let length = size_of_val(&words);
    // SAFETY: a valid buffer of that length.
    let got = unsafe { libc::getrandom(words.as_mut_ptr().cast(), length, 0) };
    if got == length as isize {
        Ok(words)
    } else {
        Err(Error::host("getrandom")(io::Error::last_os_error()))
    }
}

fn program_name(program: &Program) -> String {
    match program {
        Program::Path(path) => path.display().to_string(),
        Program::Bytes { name, .. } => name.clone(),
    }
}

/// The program's name and bytes.
fn read_program(program: &Program) -> Result<(String, Cow<'_, [u8]>), Error> {
    let name = program_name(program);
    match program {
        Program::Path(path) => Ok((name, Cow::Owned(read_file(path)?))),
        Program::Bytes { bytes, .. } => Ok((name, Cow::Borrowed(bytes))),
    }
}

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
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(Error::NotExecutable { path: owned() });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    Ok(bytes)
}
