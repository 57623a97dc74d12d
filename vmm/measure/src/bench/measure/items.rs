//! The groups `doors` and `calls`: what there is to measure in them. How it is
//! measured, `probed` knows.

use crate::bench::measure::probe::Width;
use crate::bench::record::Group;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate_abi::bench::Operation;

/// Something that the probe measures.
pub(crate) struct Item {
    pub(crate) group: Group,
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    pub(crate) width: Width,
    /// The door that it is about.
    pub(crate) door: Option<Door>,
}

impl Item {
    /// The CPU's mode, where there is a choice.
    pub(crate) fn mode(&self) -> Option<&'static str> {
        match (self.group, self.width) {
            (Group::Calls, _) => None,
            (_, Width::W32) => Some("compat"),
            (_, Width::W64) => Some("64-bit"),
        }
    }
}

const fn door(name: &'static str, operation: Operation, width: Width, of: Instruction) -> Item {
    let mode = match width {
        Width::W32 => Mode::Compat,
        Width::W64 => Mode::Long,
    };
    let door = Some(Door { instruction: of, mode });
    Item { group: Group::Doors, name, operation, width, door }
}

const fn other(group: Group, name: &'static str, operation: Operation) -> Item {
    Item { group, name, operation, width: Width::W64, door: None }
}

/// All of them, in the order in which they are measured and shown.
pub(crate) const ITEMS: [Item; 17] = {
    use Instruction::{Int80, Syscall, Sysenter};
    use Width::{W32, W64};
    [
        door("SYSCALL", Operation::Syscall, W64, Syscall),
        door("INT 0x80", Operation::Int80, W64, Int80),
        door("SYSCALL", Operation::Syscall, W32, Syscall),
        door("SYSENTER", Operation::Sysenter, W32, Sysenter),
        door("INT 0x80", Operation::Int80, W32, Int80),
        Item {
            group: Group::Doors,
            name: "__kernel_vsyscall",
            operation: Operation::Vsyscall,
            width: W32,
            door: None,
        },
        other(Group::Doors, "vDSO clock_gettime", Operation::Vdso),
        other(Group::Doors, "empty function", Operation::Function),
        // The same as the first door: beside the other calls, what they cost
        // more than nothing.
        other(Group::Calls, "getpid", Operation::Syscall),
        other(Group::Calls, "clock_gettime", Operation::ClockGettime),
        other(Group::Calls, "brk", Operation::Brk),
        other(Group::Calls, "write 1 byte", Operation::Write1),
        other(Group::Calls, "write 64 KiB", Operation::Write64K),
        other(Group::Calls, "read 1 byte", Operation::Read1),
        other(Group::Calls, "mmap + munmap", Operation::MmapMunmap),
        other(Group::Calls, "page fault", Operation::PageFault),
        other(Group::Calls, "CPUID", Operation::Cpuid),
    ]
};
