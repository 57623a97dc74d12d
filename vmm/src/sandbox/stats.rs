//! What a run cost: counted by the kernel, by KVM and by the VMM.
//!
//! `text` says it in words for `--stats`, [`record`] as JSON for `--stats-json`.

#[cfg(feature = "serde")]
pub mod record;
mod text;

pub use crate::host::HostCallStats;
pub use crate::machine::Instructions;

use crate::doors::{self, Door, Instruction, Mode};
use crate::machine::kvm::{Kind, stats_fd};
use std::time::Instant;
use trapgate_abi::counters::Counters;
use trapgate_uapi::syscall::{self, Abi, X32_BIT};

/// How a door's calls arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

    /// All of them. Either count is the guest's claim, whatever it may be.
    fn all(&self) -> u64 {
        self.native.saturating_add(self.trapped)
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
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Phases {
    /// Making the VM: RAM, /dev/kvm, vCPU, CPUID.
    pub create_us: u64,
    /// Kernel, program and page tables into memory; the vCPU's state.
    pub load_us: u64,
    /// From the first instruction to the last exit.
    pub run_us: u64,
    /// When that began, for who measures starts more finely.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub run_began: Option<Instant>,
}

/// Everything that was counted in one run.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    pub ram_bytes: u64,
    /// RAM that the host backed with memory, in bytes, if that was asked for.
    pub ram_resident_bytes: Option<u64>,
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

    /// The name of the last call that the kernel does not have. `None` if there
    /// was none, if Linux has none either, or if calls came by both tables and
    /// the number has a name in each.
    pub fn last_unknown_name(&self) -> Option<&'static str> {
        let number = u32::try_from(self.last_unknown_call?).ok()?;
        let long = Door { instruction: Instruction::Syscall, mode: Mode::Long };
        let long = DoorCalls::name(long);
        let used = |by_long: bool| {
            let mut doors = self.doors.iter().filter(|door| (door.name == long) == by_long);
            doors.any(|door| door.all() > 0)
        };
        let x32 = number & X32_BIT != 0;
        let name = match x32 {
            true => Abi::X32.name(number & !X32_BIT),
            false => Abi::X86_64.name(number),
        };
        match (used(true), used(false)) {
            (true, true) if name == Abi::I386.name(number) => name,
            (true, false) => name,
            (false, true) => Abi::I386.name(number),
            _ => None,
        }
    }

    /// The call that a failed program may have failed for: the last one that
    /// the kernel does not have, if it is one that programs do not do without.
    pub fn missing_call(&self) -> Option<&'static str> {
        self.last_unknown_name().filter(|name| !syscall::is_done_without(name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a run that made two calls by SYSCALL.
    pub(crate) fn sample() -> Stats {
        let mut host_calls = HostCallStats::default();
        host_calls.by_operation.extend([("exit", 1), ("write", 2)]);
        Stats {
            kvm: Kind::Svm,
            doors: DoorCalls::of(&Counters { syscall64_native: 2, ..Counters::default() }),
            last_trap: None,
            vmm_exits: 3,
            kvm_exits: Some(4),
            irq_exits: Some(0),
            instructions: None,
            host_calls,
            page_faults: 1,
            pages_mapped: 16,
            unknown_calls: 0,
            last_unknown_call: None,
            ram_bytes: 256 << 20,
            ram_resident_bytes: Some(430_080),
            time: Phases { create_us: 812, load_us: 1_250, run_us: 2_000_000, run_began: None },
        }
    }

    #[test]
    fn an_unknown_call_is_named_by_the_table_of_the_doors_that_were_used() {
        let with = |number, counters: Counters| Stats {
            doors: DoorCalls::of(&counters),
            unknown_calls: 1,
            last_unknown_call: Some(number),
            ..sample()
        };
        let long = Counters { syscall64_native: 1, ..Counters::default() };
        let i386 = Counters { int80_compat_trapped: 1, ..Counters::default() };
        let both = Counters { syscall64_native: 1, int80_trapped: 1, ..Counters::default() };
        assert_eq!(with(29, long).last_unknown_name(), Some("shmget"));
        assert_eq!(with(29, i386).last_unknown_name(), Some("pause"));
        assert_eq!(with(29, both).last_unknown_name(), None);
        // The same in every table.
        assert_eq!(with(435, both).last_unknown_name(), Some("clone3"));
        assert_eq!(with(u64::from(X32_BIT) + 514, long).last_unknown_name(), Some("ioctl"));
        assert_eq!(with(5000, long).last_unknown_name(), None);
        assert_eq!(with(u64::MAX, long).last_unknown_name(), None);
    }

    #[test]
    fn counters_that_a_guest_has_made_up_are_told_as_they_are() {
        let counters = Counters::from_words(&[u64::MAX; Counters::WORDS]);
        let stats = Stats {
            doors: DoorCalls::of(&counters),
            page_faults: counters.page_faults,
            pages_mapped: counters.pages_mapped,
            unknown_calls: counters.unknown_calls,
            last_unknown_call: Some(counters.last_unknown_call),
            ..sample()
        };
        assert_eq!(stats.missing_call(), None);
        assert!(stats.to_string().contains(&format!("{} calls", u64::MAX)), "{stats}");
    }

    #[test]
    fn a_call_that_every_library_does_without_is_not_missing() {
        let with = |number| Stats { last_unknown_call: Some(number), ..sample() };
        assert_eq!(with(334).last_unknown_name(), Some("rseq"));
        assert_eq!(with(334).missing_call(), None);
        assert_eq!(with(435).missing_call(), Some("clone3"));
        assert_eq!(sample().missing_call(), None);
    }
}
