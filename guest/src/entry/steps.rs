//! The steps of `trapgate_abi::mitigation` as pieces of entry code, each a patch
//! site, and what makes a door's two twins out of one text.
//!
//! A door's text names the steps where Linux has them (arch/x86/entry). In the
//! `plain` twin a step is nothing at all. In the `hardened` twin it is its code,
//! with a row in the image's table of sites: the VMM overwrites it with NOPs if
//! the step is off. Sites without an instruction between them become one NOP, so
//! no label stands between two of them.

/// The operands of the steps.
pub(super) mod operand {
    use core::mem::offset_of;
    use trapgate_abi::mitigation::{PTI_USER_TABLE, Step, keep};
    use trapgate_abi::x86::{self, msr};
    use trapgate_arch::percpu::PerCpu;

    pub(in crate::entry) const PTI: u64 = Step::Pti.bit();
    pub(in crate::entry) const USER_TABLE: u64 = PTI_USER_TABLE;
    /// As a signed number, which is how the instruction has it.
    pub(in crate::entry) const KERNEL_TABLE: i64 = !(PTI_USER_TABLE as i64);
    pub(in crate::entry) const IBRS: u64 = Step::Ibrs.bit();
    pub(in crate::entry) const SPEC_CTRL: u32 = msr::SPEC_CTRL;
    pub(in crate::entry) const IBRS_ON: u64 = x86::SPEC_CTRL_IBRS;
    pub(in crate::entry) const UNTRAIN_ZEN2: u64 = keep::UNTRAIN_ZEN2;
    pub(in crate::entry) const UNTRAIN_ZEN4: u64 = keep::UNTRAIN_ZEN4;
    pub(in crate::entry) const BHI: u64 = Step::BhiClear.bit();
    pub(in crate::entry) const KSTACK: u64 = Step::KstackOffset.bit();
    pub(in crate::entry) const KSTACK_SLOT: usize = offset_of!(PerCpu, kstack_offset);
    pub(in crate::entry) const VERW: u64 = Step::Verw.bit();
    pub(in crate::entry) const VERW_SLOT: usize = offset_of!(PerCpu, verw_selector);
    pub(in crate::entry) const FENCE: u64 = Step::SwapgsFence.bit();
}

/// The asm block of a naked function: `entry_asm!(twin, [text], operands)`. The
/// hardened twin's gets the operands of the steps.
macro_rules! entry_asm {
    (plain, [$($line:expr),* $(,)?], $($operands:tt)*) => {
        core::arch::naked_asm!($($line,)* $($operands)*)
    };
    (hardened, [$($line:expr),* $(,)?], $($operands:tt)*) => {
        core::arch::naked_asm!(
            $($line,)*
            // Each operand must be named, and no door has all steps.
            "# {pti} {user_table} {kernel_table} {ibrs} {spec_ctrl} {ibrs_on} {untrain2} {untrain4}",
            "# {bhi} {clear_history} {kstack} {kstack_slot} {verw} {verw_slot} {fence}",
            $($operands)*
            pti = const $crate::entry::steps::operand::PTI,
            user_table = const $crate::entry::steps::operand::USER_TABLE,
            kernel_table = const $crate::entry::steps::operand::KERNEL_TABLE,
            ibrs = const $crate::entry::steps::operand::IBRS,
            spec_ctrl = const $crate::entry::steps::operand::SPEC_CTRL,
            ibrs_on = const $crate::entry::steps::operand::IBRS_ON,
            untrain2 = const $crate::entry::steps::operand::UNTRAIN_ZEN2,
            untrain4 = const $crate::entry::steps::operand::UNTRAIN_ZEN4,
            bhi = const $crate::entry::steps::operand::BHI,
            clear_history = sym $crate::entry::thunks::clear_branch_history,
            kstack = const $crate::entry::steps::operand::KSTACK,
            kstack_slot = const $crate::entry::steps::operand::KSTACK_SLOT,
            verw = const $crate::entry::steps::operand::VERW,
            verw_slot = const $crate::entry::steps::operand::VERW_SLOT,
            fence = const $crate::entry::steps::operand::FENCE,
        )
    };
}

/// Code that is there for one step, and in no plain twin.
macro_rules! step {
    (plain, $keep:literal, $code:expr) => {
        ""
    };
    (hardened, $keep:literal, $code:expr) => {
        trapgate_arch::site::site!($keep, $code)
    };
}

/// pti: to the kernel's page tables. Loses `$scratch`.
macro_rules! kernel_tables {
    ($twin:ident, $scratch:literal) => {
        step!(
            $twin,
            "pti",
            concat!(
                concat!("mov ", $scratch, ", cr3\n"),
                concat!("and ", $scratch, ", {kernel_table}\n"),
                concat!("mov cr3, ", $scratch),
            )
        )
    };
}

/// pti: to ring 3's page tables; all registers are the user's already. rsp =
/// above what has been popped: there is room below.
macro_rules! user_tables {
    ($twin:ident) => {
        step!(
            $twin,
            "pti",
            "push rax
             mov rax, cr3
             or rax, {user_table}
             mov cr3, rax
             pop rax"
        )
    };
}

/// ibrs: the kernel's indirect branches are not steered by ring 3. Loses rax,
/// rcx, rdx.
macro_rules! ibrs_on {
    ($twin:ident) => {
        step!(
            $twin,
            "ibrs",
            "mov ecx, {spec_ctrl}
             mov eax, {ibrs_on}
             xor edx, edx
             wrmsr"
        )
    };
}

/// ibrs: ring 3 need not pay for it. Loses rax, rcx, rdx.
macro_rules! ibrs_off {
    ($twin:ident) => {
        step!(
            $twin,
            "ibrs",
            "mov ecx, {spec_ctrl}
             xor eax, eax
             xor edx, edx
             wrmsr"
        )
    };
}

/// untrain: in the form that this CPU's family wants. Loses rax.
macro_rules! untrain {
    ($twin:ident) => {
        concat!(
            step!($twin, "untrain2", "call trapgate_untrain_zen2"),
            step!($twin, "untrain4", "call __untrain_zen4"),
        )
    };
}

/// What stands before the kernel's first branch that ring 3 may have prepared.
/// Loses rax, rcx, rdx.
macro_rules! guard_branches {
    ($twin:ident) => {
        concat!(ibrs_on!($twin), untrain!($twin), step!($twin, "bhi", "call {clear_history}"),)
    };
}

/// What stands before the dispatch of a call. Loses rax; rbx, which the callee
/// keeps, holds the stack pointer.
macro_rules! before_call {
    ($twin:ident) => {
        step!(
            $twin,
            "kstack",
            "mov rbx, rsp
             mov eax, gs:[{kstack_slot}]
             and eax, 0x3f0 # 6 random bits; calls stay aligned
             sub rsp, rax"
        )
    };
}

/// And behind it. The time that the call took is hard to know to the cycle: its
/// low bits are the next call's distance.
macro_rules! after_call {
    ($twin:ident) => {
        concat!(
            step!(
                $twin,
                "kstack",
                "mov rsp, rbx
                 rdtsc
                 mov ecx, gs:[{kstack_slot}]
                 ror ecx, 5
                 xor eax, ecx
                 mov gs:[{kstack_slot}], eax"
            ),
            ibrs_off!($twin),
        )
    };
}

/// verw: the last that touches the kernel's memory. gs = this CPU's block;
/// flags are lost.
macro_rules! clear_buffers {
    ($twin:ident) => {
        step!($twin, "verw", "verw word ptr gs:[{verw_slot}]")
    };
}

/// swapgs-fence: what follows does not run ahead with the wrong gs.
macro_rules! fence {
    ($twin:ident) => {
        step!($twin, "fence", "lfence")
    };
}

/// For vectors that may come anywhere. pti, ibrs: the kernel's, and what there
/// was into r12 and r13d. Loses rax, rcx, rdx.
macro_rules! save_and_switch {
    ($twin:ident) => {
        concat!(
            step!(
                $twin,
                "pti",
                "mov r12, cr3
                 mov rax, r12
                 and rax, {kernel_table}
                 mov cr3, rax"
            ),
            step!(
                $twin,
                "ibrs",
                "mov ecx, {spec_ctrl}
                 rdmsr
                 mov r13d, eax
                 mov eax, {ibrs_on}
                 xor edx, edx
                 wrmsr"
            ),
            untrain!($twin),
        )
    };
}

/// And back.
macro_rules! restore {
    ($twin:ident) => {
        concat!(
            step!(
                $twin,
                "ibrs",
                "mov ecx, {spec_ctrl}
                 mov eax, r13d
                 xor edx, edx
                 wrmsr"
            ),
            step!($twin, "pti", "mov cr3, r12"),
        )
    };
}
