//! What a run cost: for `--stats`, in words and as JSON.

use crate::doors::{self, Door, Instruction, Mode};
use crate::kvm::{Kind, stats_fd};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use trapgate_abi::counters::Counters;
use trapgate_abi::hypercall::Request;
use trapgate_abi::syscall::Abi;

/// Requests by operation.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct HostCallStats {
    /// Requests served, by name.
    pub by_operation: BTreeMap<&'static str, u64>,
    /// Requests that the policy refused.
    pub refused: u64,
}

impl HostCallStats {
    /// Counts a request.
    pub fn count(&mut self, request: &Request) {
        *self.by_operation.entry(request.name()).or_default() += 1;
    }
}

/// How a door's calls arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DoorCalls {
    /// The door's name; SYSENTER's has no mode, because the CPU tells none.
    pub name: String,
    /// Calls that the CPU itself brought to the entry point.
    pub native: u64,
    /// Calls that arrived as an exception.
    pub trapped: u64,
}

impl DoorCalls {
    /// The kernel's counters, door by door.
    pub(crate) fn of(counters: &Counters) -> Vec<DoorCalls> {
        let counted = doors::ALL.iter().filter(|door| match door.mode {
            Mode::Legacy => false,
            Mode::Compat => door.instruction != Instruction::Sysenter,
            Mode::Long => true,
        });
        let calls = counted.map(|&door| {
            let (native, trapped) = door.calls(counters);
            DoorCalls { name: DoorCalls::name(door), native, trapped }
        });
        calls.collect()
    }

    fn name(door: Door) -> String {
        match door.instruction {
            Instruction::Sysenter => door.instruction.to_string(),
            _ => door.to_string(),
        }
    }

    /// `native`, `trapped`, both, or not used.
    pub fn delivery(&self) -> &'static str {
        match (self.native, self.trapped) {
            (0, 0) => "not used",
            (_, 0) => "native",
            (0, _) => "trapped",
            _ => "native and trapped",
        }
    }
}

/// Wall-clock time, phase by phase, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Phases {
    /// Making the VM: RAM, /dev/kvm, vCPU, CPUID.
    pub create_us: u64,
    /// Kernel, program and page tables into memory; the vCPU's state.
    pub load_us: u64,
    /// From the first instruction to the last exit.
    pub run_us: u64,
    /// When that began, for who measures starts more finely.
    #[serde(skip)]
    pub run_began: Option<Instant>,
}

/// Guest instructions that were executed, each by itself.
///
/// A repeated string instruction is one, whatever it repeats. One that faults
/// is none, until it is executed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Instructions {
    /// The kernel's.
    pub ring0: u64,
    /// The program's.
    pub ring3: u64,
}

impl Instructions {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ring0 + self.ring3
    }
}

/// Everything that was counted in one run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The kind of KVM, without which no figure means anything.
    pub kvm: Kind,
    /// The doors of this kernel.
    pub doors: Vec<DoorCalls>,
    /// The exception from which the last trapped call was carried out.
    pub last_trap: Option<&'static str>,
    /// Returns from KVM_RUN to the VMM.
    pub vmm_exits: u64,
    /// Exits from the guest to KVM, by KVM's own count, if it has one and it
    /// was asked for ([`crate::Builder::detailed_stats`]).
    pub kvm_exits: Option<u64>,
    /// Those among them that the host's own interrupts caused, its timer's
    /// above all: they depend on how long a run takes, not on what it does.
    pub irq_exits: Option<u64>,
    /// Instructions, if they were counted
    /// ([`crate::Builder::count_instructions`]).
    pub instructions: Option<Instructions>,
    /// Requests of the kernel.
    pub host_calls: HostCallStats,
    /// Page faults that the kernel handled.
    pub page_faults: u64,
    /// Pages that it mapped.
    pub pages_mapped: u64,
    /// Calls answered with ENOSYS.
    pub unknown_calls: u64,
    /// The last such call's number.
    pub last_unknown_call: Option<u64>,
    /// RAM in bytes.
    pub ram: u64,
    /// RAM that the host backed with memory, in bytes, if that was asked for.
    pub ram_resident: Option<u64>,
    /// Time.
    pub time: Phases,
}

impl Stats {
    /// Exits that the guest caused: all but those of the host's own interrupts.
    pub fn own_exits(&self) -> Option<u64> {
        stats_fd::own(self.kvm_exits, self.irq_exits)
    }

    /// Calls by `door`: native, trapped. SYSENTER's are those of all modes.
    pub fn calls(&self, door: Door) -> (u64, u64) {
        let name = DoorCalls::name(door);
        let found = self.doors.iter().find(|calls| calls.name == name);
        found.map_or((0, 0), |calls| (calls.native, calls.trapped))
    }
}

/// Time in the unit that reads best.
pub fn human_time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        ..1_000.0 => format!("{us:.0} us"),
        ..1_000_000.0 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |us| human_time(Duration::from_micros(us));
        writeln!(f, "  KVM               {}", self.kvm)?;
        for door in self.doors.iter().filter(|door| door.native + door.trapped > 0) {
            let calls = door.native + door.trapped;
            writeln!(f, "  {:<16}  {calls} calls, {}", door.name, door.delivery())?;
        }
        let exits = self.kvm_exits.map_or("not counted by KVM".to_owned(), |n| n.to_string());
        writeln!(f, "  VM exits          {exits} (of which to the VMM: {})", self.vmm_exits)?;
        if let Some(Instructions { ring0, ring3 }) = self.instructions {
            writeln!(f, "  instructions      {ring0} in ring 0, {ring3} in ring 3")?;
        }
        let calls: Vec<_> =
            self.host_calls.by_operation.iter().map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(f, "  requests          {}", calls.join(", "))?;
        if self.host_calls.refused > 0 {
            writeln!(f, "  refused           {}", self.host_calls.refused)?;
        }
        writeln!(
            f,
            "  page faults       {} (pages mapped: {})",
            self.page_faults, self.pages_mapped
        )?;
        if let Some(number) = self.last_unknown_call {
            let name = Abi::X86_64.name(number as u32).unwrap_or("unknown");
            let calls = self.unknown_calls;
            writeln!(
                f,
                "  unsupported       {calls} calls, the last one {number} ({name} by SYSCALL)"
            )?;
        }
        let ram = self.ram >> 10;
        match self.ram_resident {
            Some(resident) => {
                writeln!(f, "  memory            {} KiB touched of {ram} KiB", resident >> 10)?;
            }
            None => writeln!(f, "  memory            {ram} KiB")?,
        }
        let Phases { create_us, load_us, run_us, .. } = self.time;
        write!(
            f,
            "  time              create {}, load {}, run {}",
            us(create_us),
            us(load_us),
            us(run_us)
        )
    }
}
