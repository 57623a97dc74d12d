//! The entry path's protections against other people's speculation: steps that
//! Linux puts on its way into and out of ring 0, each a switch here.
//!
//! The plain kernel image has nothing of them. The instrumented one has all, each
//! step's code a [`Site`]; the VMM loads it if a step is on, and overwrites the
//! sites of the others with NOPs before the first instruction.

use crate::wire::wire_struct;

/// One protection, by the name that the command line uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// Page-table isolation: ring 3 runs on tables in which of the kernel there
    /// is only what an entry needs (Meltdown; Linux: `SWITCH_TO_KERNEL_CR3`).
    Pti,
    /// IA32_SPEC_CTRL.IBRS on at entry, off at exit (Spectre v2, Retbleed;
    /// Linux: `IBRS_ENTER`).
    Ibrs,
    /// Makes the CPU forget what it learned of the kernel's returns (Retbleed,
    /// SRSO on AMD; Linux: `UNTRAIN_RET`).
    Untrain,
    /// Clears the branch history by a loop of branches (BHI; Linux:
    /// `CLEAR_BRANCH_HISTORY`).
    BhiClear,
    /// Moves the kernel's stack by a random distance at each call (Linux:
    /// `randomize_kstack_offset`).
    KstackOffset,
    /// The dispatch's indirect call goes through a return that predicts
    /// harmlessly (Spectre v2; Linux: `CALL_NOSPEC`).
    Retpoline,
    /// Clears the CPU's buffers at exit (MDS, TAA, RFDS, TSA; Linux:
    /// `CLEAR_CPU_BUFFERS`).
    Verw,
    /// A fence after an exception's SWAPGS (Spectre v1; Linux:
    /// `FENCE_SWAPGS_USER_ENTRY`, `FENCE_SWAPGS_KERNEL_ENTRY`).
    SwapgsFence,
}

impl Step {
    /// All there are.
    pub const ALL: [Step; 8] = [
        Step::Pti,
        Step::Ibrs,
        Step::Untrain,
        Step::BhiClear,
        Step::KstackOffset,
        Step::Retpoline,
        Step::Verw,
        Step::SwapgsFence,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Pti => "pti",
            Step::Ibrs => "ibrs",
            Step::Untrain => "untrain",
            Step::BhiClear => "bhi-clear",
            Step::KstackOffset => "kstack-offset",
            Step::Retpoline => "retpoline",
            Step::Verw => "verw",
            Step::SwapgsFence => "swapgs-fence",
        }
    }

    /// Its bit in a set.
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// When a [`Site`]'s code is kept: a bit each, so that all that hold are a set.
/// The first bits are the steps' own ([`Step::bit`]).
pub mod keep {
    use super::Step;

    /// The first bit that is no step's.
    const NEXT: u64 = 1 << Step::ALL.len();
    /// The step [`Step::Retpoline`] is off: the ordinary indirect call.
    pub const NO_RETPOLINE: u64 = NEXT;
    /// The step [`Step::Untrain`] is on, in the form for AMD families 17h and
    /// 18h.
    pub const UNTRAIN_ZEN2: u64 = NEXT << 1;
    /// The same, in the form for family 19h and later.
    pub const UNTRAIN_ZEN4: u64 = NEXT << 2;
    /// Calls are traced ([`crate::trace`]).
    pub const TRACE: u64 = NEXT << 3;
    /// Every bit that a site can have.
    pub const ALL: u64 = (NEXT - 1) | NO_RETPOLINE | UNTRAIN_ZEN2 | UNTRAIN_ZEN4 | TRACE;
}

wire_struct! {
    /// One piece of code that is there for one reason.
    pub struct Site {
        /// Virtual address of its first byte.
        pub address: u64,
        /// Its length in bytes.
        pub length: u64,
        /// One bit of [`keep`]: when it stays.
        pub keep: u64,
    }
}

/// The most bytes of a [`Site`].
pub const MAX_SITE: u64 = 64;
/// The most sites of a kernel image.
pub const MAX_SITES: u64 = 256;

/// The distance between the two top page tables of [`Step::Pti`], in bytes, and
/// the bit by which their addresses differ: the kernel's has it clear, ring 3's
/// has it set. So one OR or AND of CR3 changes over.
pub const PTI_USER_TABLE: u64 = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_a_bit_and_a_name_of_its_own() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step.bit(), 1 << index);
            let same = Step::ALL.iter().filter(|other| other.name() == step.name()).count();
            assert_eq!(same, 1);
            assert_eq!(keep::ALL & step.bit(), step.bit());
        }
    }
}
