//! A sandbox's run: on the vCPU's thread, from the clocks and the standard files
//! to what came of it.

use super::outcome::{End, Outcome};
use super::program;
use super::stats::{DoorCalls, Phases, Stats};
use super::tree::Tree;
use crate::boot::Prepared;
use crate::error::Error;
use crate::host::Services;
use crate::host::directories::Directories;
use crate::host::policy::{Grant, Policy};
use crate::machine::control::SIGKILL;
use crate::machine::kvm::Kind;
use crate::machine::kvm::stats_fd::VcpuStats;
use crate::machine::teardown::Teardown;
use crate::machine::{GuestEnd, Machine, Manner, log_lines};
use crate::report::{self, Crash, Place};
use crate::sandbox::config::{ClockSource, Program, TraceTo};
use crate::symbols::Symbols;
use crate::trace::Tracer;
use log::Level;
use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::crash::NO_VECTOR;
use trapgate_abi::hypercall::{self, CodeFile, Message, Request};
use trapgate_abi::layout::Cpu;
use trapgate_abi::x86::vector;
use trapgate_loader::text::printable;

/// What is run in a machine, and what its user wants to know of it.
pub(super) struct Run {
    pub(super) prepared: Prepared,
    pub(super) policy: Policy,
    pub(super) program: Program,
    /// Where that is, if it is no file of the host's.
    pub(super) tree: Tree,
    /// What of it the guest asks for.
    pub(super) directories: Directories,
    /// The guest kernel's image.
    pub(super) kernel: Cow<'static, [u8]>,
    /// Whether the costly statistics are wanted.
    pub(super) detailed: bool,
    /// Only of a detailed one; `None` before Linux 5.14.
    pub(super) kvm_stats: Option<Arc<VcpuStats>>,
    pub(super) count_instructions: bool,
    pub(super) clock_source: ClockSource,
    /// Where its calls are written.
    pub(super) trace: Option<TraceTo>,
    pub(super) phases: Phases,
}

impl Run {
    /// Runs the program on this thread, until it ends or is stopped.
    pub(super) fn until_its_end(
        self,
        machine: &mut Machine,
        files: [Option<File>; 3],
    ) -> Result<Outcome, Error> {
        let Run {
            prepared,
            policy,
            program,
            tree,
            directories,
            kernel,
            clock_source,
            trace,
            mut phases,
            ..
        } = self;
        let (load_bias, stamps) = (prepared.load_bias, prepared.stamps);
        let note = prepared.entry().note;
        let clock = clock(machine, &policy, clock_source, self.count_instructions)?;
        let ram = machine.ram().clone();
        let control = machine.control().clone();
        let mut tracer = prepared.trace_rings.zip(trace).map(|(rings, TraceTo(to))| {
            Tracer::new(rings, Cpu::first(machine.cpus()), to, control.clone())
        });
        let mut services = Services::new(ram.clone(), policy, files, control.clone())
            .with_image(machine.mapped_image())
            .with_directories(directories);
        services.begin(clock.began_ns);
        if self.detailed {
            services.time_services();
        }
        prepared
            .finish(&ram, clock.info, services.describe_files())
            .map_err(|error| Error::Kernel(error.to_string()))?;
        let start = Instant::now();
        phases.run_began = Some(start);
        let manner = Manner {
            kernel: &kernel,
            count: self.count_instructions.then_some(&note),
            pass: &mut |_| false,
            look: &mut |ram| {
                if let Some(tracer) = &mut tracer {
                    tracer.look(ram);
                }
            },
        };
        if !self.count_instructions {
            control.take_events();
        }
        let ended = machine.run(&mut services, manner);
        let trace = tracer.map(|tracer| tracer.end(ended.as_ref().ok().map(|ended| &ended.end)));
        let ended = ended?;
        phases.run_us = start.elapsed().as_micros() as u64;
        let kind = machine.vm().kind;
        let mut place = None;
        let end = match ended.end {
            GuestEnd::Stopped => {
                place = machine.program_registers().map(|regs| {
                    Place::computing(&regs, symbol(&program, &tree, regs.rip, load_bias))
                });
                End::Stopped
            }
            GuestEnd::Request(Request::Exit { status }, _) => End::Exited(status),
            GuestEnd::Request(Request::Killed { signal }, message) => {
                let crash = crash(&program, &tree, signal, &message, load_bias, kind);
                if crash.fault.vector == NO_VECTOR && control.has_sent(signal) {
                    place = Some(Place::of(&crash));
                }
                match signal {
                    SIGKILL if control.has_timed_out() => End::TimedOut,
                    _ => End::Killed(Box::new(crash)),
                }
            }
            GuestEnd::Request(Request::NotStarted { errno }, _) => {
                return Err(Error::NotStarted { name: program::name(&program), errno });
            }
            GuestEnd::Request(request, message) => {
                let failed = machine.kernel_failed(&request, &message, &kernel);
                if !control.has_timed_out() {
                    return Err(failed);
                }
                // It was to end the program, and did, after a fashion.
                log_lines::log(Level::Error, "trapgate", || failed.to_string());
                End::TimedOut
            }
        };
        log_lines::finish();
        let counters = machine.counters();
        let stats = Stats {
            kvm: kind,
            doors: DoorCalls::of(&counters),
            last_trap: vector::name(counters.last_trap as u8).filter(|_| counters.last_trap != 0),
            vmm_exits: ended.exits,
            kvm_exits: self.kvm_stats.as_ref().and_then(|stats| stats.get("exits")),
            irq_exits: self.kvm_stats.as_ref().and_then(|stats| stats.get("irq_exits")),
            instructions: ended.instructions,
            host_calls: services.stats,
            page_faults: counters.page_faults,
            pages_mapped: counters.pages_mapped,
            unknown_calls: counters.unknown_calls,
            last_unknown_call: (counters.unknown_calls > 0).then_some(counters.last_unknown_call),
            ram_bytes: ram.size(),
            ram_resident_bytes: self.detailed.then(|| ram.resident()),
            time: phases,
        };
        let stamps = stamps.map(|stamps| stamps.read(&ram)).transpose();
        let stamps = stamps.map_err(|error| Error::Kernel(error.to_string()))?;
        Ok(Outcome {
            end,
            place,
            stats,
            stamps: stamps.unwrap_or_default(),
            trace,
            teardown: Teardown::default(),
        })
    }
}

/// What the program is told of time.
struct Clock {
    info: ClockInfo,
    /// CLOCK_MONOTONIC when the guest's clocks were read.
    began_ns: u64,
}

/// The clocks, as far as they are granted and trusted.
fn clock(
    machine: &Machine,
    policy: &Policy,
    source: ClockSource,
    count_instructions: bool,
) -> Result<Clock, Error> {
    let (mut info, is_clock) = machine.clock()?;
    let began_ns = info.monotonic_ns;
    if !policy.allows(Grant::Clock) {
        info = ClockInfo { realtime_ns: 0, monotonic_ns: 0, ..info };
    }
    if count_instructions {
        // Its counter begins with the first instruction.
        info.tsc_base = 0;
    } else if source == ClockSource::Host || !is_clock {
        if !is_clock {
            log_lines::log(Level::Info, "trapgate", || {
                "KVM's time-stamp counter does not run with time: clocks cost an exit".to_owned()
            });
        }
        info.multiplier = 0;
    }
    Ok(Clock { info, began_ns })
}

/// The function of the program's at an address.
fn symbol(program: &Program, tree: &Tree, address: u64, load_bias: Option<u64>) -> Option<String> {
    let load_bias = load_bias?;
    let bytes = program::read(program, tree).unwrap_or_default();
    Symbols::new(&bytes).lookup(address, load_bias).map(|symbol| symbol.to_string())
}

/// Where an instruction is, as the kernel says: the function, if its file can be read here
/// and has symbols, and the file. Nothing of that is more than the guest's claim.
fn place_in_file(tree: &Tree, file: &CodeFile) -> String {
    let path: Vec<u8> = file.path().collect();
    let bytes = tree.read_for_symbols(&path).unwrap_or_default();
    let path = printable(&path);
    match Symbols::new(&bytes).at_offset(file.offset) {
        Some(symbol) => format!("{symbol} in {path}"),
        None => format!("{path}+{:#x}", file.offset),
    }
}

/// What killed the program, as the kernel's last message has it.
fn crash(
    program: &Program,
    tree: &Tree,
    signal: u8,
    message: &Message,
    load_bias: Option<u64>,
    kind: Kind,
) -> Crash {
    let (fault, regs) = hypercall::crash(message);
    let location = match hypercall::code_file(message) {
        Some(file) => Some(place_in_file(tree, &file)),
        None => symbol(program, tree, regs.rip, load_bias),
    };
    let uninterpreted = report::is_uninterpreted(kind == Kind::Software, &fault, &regs);
    Crash { name: program::name(program), signal, fault, regs, location, uninterpreted }
}
