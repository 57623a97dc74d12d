//! The machine: RAM, the vCPU with its state and its thread, and the loop that
//! enters it.
//!
//! A [`Machine`] is made here and nowhere else, by whoever has something to run:
//! a sandbox its program, a job what it measures. They fill its RAM (`boot`),
//! say where its kernel begins ([`Machine::begin`]), and run it to its end on a
//! thread of its own ([`Machine::spawn`], [`Machine::run`]), with the services
//! that its kernel may ask for ([`Serve`]).
//!
//! ```text
//! memory       RAM; the one place where a guest's addresses are checked
//! image        the image of a root, mapped for the guest alone
//! kvm/         the VM, the vCPU and the state it starts in; clocks, CPUID, kicks
//! run          the loop: enter, exit, service, again; exit: what KVM came back for
//! step/        the same, an instruction at a time
//! log_ring     what the guest's kernel logs; log_lines: to whom, without waiting
//! control      what it is told while it runs; forward: by this process's signals
//! watcher      what is due at a time: timeouts, ticks
//! vcpu_thread  waiting for a vCPU's thread, and ending it; affinity: its host CPU
//! teardown     taking a machine down behind what came of it
//! ```
//!
//! Below it are only `report`, `symbols` and `size`.

pub mod affinity;
pub mod control;
pub mod exit;
pub mod forward;
pub mod image;
pub mod kvm;
pub(crate) mod log_lines;
pub(crate) mod log_ring;
pub mod memory;
pub mod run;
pub(crate) mod step;
pub mod teardown;
pub mod vcpu_thread;
pub(crate) mod watcher;

pub use control::Control;
pub use run::{Ended, GuestEnd, Manner, Serve, Served};
pub use step::Instructions;

use crate::Error;
use crate::report::KernelReport;
use crate::symbols::Symbols;
use image::MappedImage;
use kvm::stats_fd::VcpuStats;
use kvm::{CpuState, Entry, Vcpu, Vm};
use kvm_ioctls::Kvm;
use memory::GuestRam;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{ClockInfo, Range};
use trapgate_abi::counters::Counters;
use trapgate_abi::hypercall::{Message, Request};
use trapgate_abi::layout::Cpu;
use vcpu_thread::VcpuThread;

/// RAM and a VM with a vCPU, which has not run yet.
pub struct Machine {
    vcpu: Vcpu,
    vm: Vm,
    ram: Arc<GuestRam>,
    control: Arc<Control>,
}

/// Within which limits a machine's thread runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The host CPU that it stays on.
    pub cpu: Option<usize>,
    /// Wall-clock time after which it is stopped.
    pub timeout: Option<Duration>,
}

impl Machine {
    /// A machine with `memory` bytes of RAM, a multiple of the page size.
    ///
    /// # Errors
    /// [`Error::MemoryTooLarge`]; [`Error::Kvm`], if KVM refuses a call.
    pub fn new(kvm: &Kvm, memory: u64) -> Result<Machine, Error> {
        Machine::with_image(kvm, memory, None)
    }

    /// The same, with an image that was mapped for so much RAM.
    ///
    /// # Errors
    /// As [`Machine::new`].
    pub fn with_image(
        kvm: &Kvm,
        memory: u64,
        image: Option<MappedImage>,
    ) -> Result<Machine, Error> {
        let ram = Arc::new(GuestRam::new(memory)?);
        let vm = Vm::new(kvm, ram.clone(), image.map(Arc::new))?;
        let vcpu = vm.vcpu(Cpu::FIRST)?;
        Ok(Machine { vcpu, vm, ram, control: Arc::default() })
    }

    /// Its RAM.
    pub fn ram(&self) -> &Arc<GuestRam> {
        &self.ram
    }

    /// Where its guest finds the image of its root: empty without one.
    pub fn image(&self) -> Range {
        self.vm.image.as_deref().map_or(Range::ZERO, MappedImage::range)
    }

    /// The image itself, for what the program writes out of it.
    pub(crate) fn mapped_image(&self) -> Option<Arc<MappedImage>> {
        self.vm.image.clone()
    }

    /// How many CPUs it has.
    pub fn cpus(&self) -> u64 {
        1
    }

    /// What its kernel has counted: the guest's claim.
    pub fn counters(&self) -> Counters {
        let words = self.ram.read_words::<{ Counters::WORDS }>(self.vcpu.cpu.counters_phys());
        words.map(|words| Counters::from_words(&words)).unwrap_or_default()
    }

    /// Its VM: the kind of KVM, and what the guest's CPU can do.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// What it is told while it runs.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The program's registers, if it is in ring 3: of a vCPU that has been left.
    pub(crate) fn program_registers(&self) -> Option<PtRegs> {
        self.vcpu.program_registers()
    }

    /// The host's clocks and the guest's time-stamp counter at one moment; and
    /// whether the counter has run with time since the vCPU was made.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn clock(&self) -> Result<(ClockInfo, bool), Error> {
        self.vcpu.clock()
    }

    /// KVM's counters of its vCPU; `None` before Linux 5.14.
    pub fn kvm_stats(&self) -> Option<VcpuStats> {
        VcpuStats::new(&self.vcpu.fd)
    }

    /// Has the vCPU begin in the kernel, there.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn begin(&mut self, entry: &Entry) -> Result<(), Error> {
        self.load(&CpuState::initial(entry, &self.vm, self.vcpu.cpu))
    }

    /// The state of its vCPU, once [`Machine::run`] has come back. With a copy of
    /// the RAM it makes another machine of the same kind go on from here; but not
    /// after [`Served::Stopped`], when a request has no reply yet: its kernel would
    /// take what it asked for an answer.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn save(&mut self) -> Result<CpuState, Error> {
        self.vcpu.save()
    }

    /// Has its vCPU go on from there.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call; [`Error::Unsupported`], if it does not
    /// take the state.
    pub fn load(&mut self, state: &CpuState) -> Result<(), Error> {
        state.load(&self.vcpu.fd, self.vm.xsave_size())
    }

    /// Does `run`, which runs it to its end, on a thread of its own, and takes it
    /// down behind the result. When its time is over, it is stopped.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn spawn<T: Send + 'static>(
        mut self,
        limits: Limits,
        run: impl FnOnce(&mut Machine) -> Result<T, Error> + Send + 'static,
    ) -> Result<VcpuThread<T>, Error> {
        VcpuThread::spawn(self.control.clone(), limits.timeout, move || {
            let pinned = limits.cpu.map_or(Ok(()), affinity::stay_on);
            (pinned.and_then(|()| run(&mut self)), self)
        })
    }

    /// Does `run`, which runs it to its end, on this thread, and leaves it as it
    /// is then to the end of this process. Signals of `forwarded`, bit `n - 1` for
    /// signal `n`, that the process gets are passed on to its program. True if its
    /// time was up.
    ///
    /// # Errors
    /// If there can be no thread that looks to the time, or no handler of signals.
    pub fn run_and_leave<T>(
        self,
        timeout: Option<Duration>,
        forwarded: u64,
        run: impl FnOnce(&mut Machine) -> Result<T, Error>,
    ) -> Result<(T, bool), Error> {
        let mut left = ManuallyDrop::new(self);
        let control = left.control.clone();
        vcpu_thread::on_this_thread(&control, timeout, forwarded, || run(&mut left))
    }

    /// Runs it on this thread, until the guest ends or it is stopped.
    ///
    /// # Errors
    /// [`Error::Stopped`], if KVM leaves the guest for a reason that no guest of
    /// ours has; [`Error::Root`], if a page of the image cannot be had any more;
    /// [`Error::Malformed`]; [`Error::Kvm`].
    pub fn run(&mut self, services: &mut dyn Serve, manner: Manner<'_>) -> Result<Ended, Error> {
        run::run(&mut self.vcpu, &self.vm, &self.ram, &self.control, services, manner)
    }

    /// The error that a kernel's last request is which is no end of a program:
    /// it has failed. `kernel` is its image.
    pub fn kernel_failed(&self, request: &Request, message: &Message, kernel: &[u8]) -> Error {
        let read = |address, bytes: &mut [u8]| self.ram.read(address, bytes).is_ok();
        let report = KernelReport::new(request, message, &read, &Symbols::new(kernel));
        Error::KernelFailed(Box::new(report))
    }
}
