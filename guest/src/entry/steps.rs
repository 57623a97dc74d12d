//! The steps of `trapgate_abi::mitigation` as pieces of entry code.
//!
//! A door's text names the steps where Linux has them (arch/x86/entry), each by a
//! macro of this file. In the plain image all of them are empty. In the
//! instrumented one a step is its code, as a patch site: with a row in the image's
//! table, by which the VMM overwrites it with NOPs if the step is off. Sites
//! without an instruction between them become one NOP, so no label stands between
//! two of them.

/// The asm block of a naked function: `entry_asm!([text], operands)`. The
/// instrumented image's has the operands of the steps besides.
#[cfg(not(feature = "instrumented"))]
macro_rules! entry_asm {
    ([$($line:expr),* $(,)?], $($operands:tt)*) => {
        core::arch::naked_asm!($($line,)* $($operands)*)
    };
}
#[cfg(feature = "instrumented")]
macro_rules! entry_asm {
    ([$($line:expr),* $(,)?], $($operands:tt)*) => {
        core::arch::naked_asm!(
            $($line,)*
            // Each operand must be named, and no door has all steps.
            "# {pti} {user_table} {kernel_table} {ibrs} {spec_ctrl} {ibrs_on} {untrain2} {untrain4}",
            "# {bhi} {clear_history} {kstack} {kstack_slot} {verw} {verw_slot} {fence} {trace}",
            "# {scratch} {entry_frame} {thread_stack} {frame_words} {frame_above}",
            $($operands)*
            pti = const ::trapgate_abi::mitigation::Step::Pti.bit(),
            user_table = const ::trapgate_abi::mitigation::PTI_USER_TABLE,
            // As a signed number, which is how the instruction has it.
            kernel_table = const !(::trapgate_abi::mitigation::PTI_USER_TABLE as i64),
            ibrs = const ::trapgate_abi::mitigation::Step::Ibrs.bit(),
            spec_ctrl = const ::trapgate_abi::x86::msr::SPEC_CTRL,
            ibrs_on = const ::trapgate_abi::x86::SPEC_CTRL_IBRS,
            untrain2 = const ::trapgate_abi::mitigation::keep::UNTRAIN_ZEN2,
            untrain4 = const ::trapgate_abi::mitigation::keep::UNTRAIN_ZEN4,
            bhi = const ::trapgate_abi::mitigation::Step::BhiClear.bit(),
            clear_history = sym $crate::entry::thunks::clear_branch_history,
            kstack = const ::trapgate_abi::mitigation::Step::KstackOffset.bit(),
            kstack_slot = const ::core::mem::offset_of!(::trapgate_arch::percpu::PerCpu, kstack_offset),
            verw = const ::trapgate_abi::mitigation::Step::Verw.bit(),
            verw_slot = const ::core::mem::offset_of!(::trapgate_arch::percpu::PerCpu, verw_selector),
            fence = const ::trapgate_abi::mitigation::Step::SwapgsFence.bit(),
            trace = const ::trapgate_abi::mitigation::keep::TRACE,
            scratch = const ::core::mem::offset_of!(::trapgate_arch::percpu::PerCpu, user_rsp),
            entry_frame = const
                ::core::mem::offset_of!(::trapgate_arch::percpu::PerCpu, entry_frame),
            thread_stack = const
                ::core::mem::offset_of!(::trapgate_arch::percpu::PerCpu, syscall_stack),
            frame_words = const ::trapgate_abi::PtRegs::WORDS,
            frame_above = const $crate::entry::FRAME_ABOVE,
        )
    };
}

/// Code that the instrumented image has, for one step, and the plain one has not.
#[cfg(not(feature = "instrumented"))]
macro_rules! step {
    ($keep:literal, $code:expr) => {
        ""
    };
}
#[cfg(feature = "instrumented")]
macro_rules! step {
    ($keep:literal, $code:expr) => {
        ::trapgate_arch::site::site!($keep, $code)
    };
}

/// pti: to the kernel's page tables. Loses `$scratch`.
macro_rules! kernel_tables {
    ($scratch:literal) => {
        step!(
            "pti",
            concat!(
                concat!("mov ", $scratch, ", cr3\n"),
                concat!("and ", $scratch, ", {kernel_table}\n"),
                concat!("mov cr3, ", $scratch),
            )
        )
    };
}

/// The same where the flags are still to be saved; ring 3 was on its own tables.
/// Loses rsp.
macro_rules! kernel_tables_keep_flags {
    () => {
        step!(
            "pti",
            "mov rsp, cr3
             lea rsp, [rsp - {user_table}]
             mov cr3, rsp"
        )
    };
}

/// pti: to ring 3's page tables; all registers are the user's already, or rsp
/// points to the entry stack.
macro_rules! user_tables {
    () => {
        step!(
            "pti",
            "mov gs:[{scratch}], rax
             mov rax, cr3
             or rax, {user_table}
             mov cr3, rax
             mov rax, gs:[{scratch}]"
        )
    };
}

/// Moves the frame that rsp points to, which is complete, to the running thread's
/// stack. The names are those of the operands. Loses rbx, rcx, rdi; rsi stays.
macro_rules! move_to_thread_stack {
    ($stack:literal, $above:literal, $words:literal) => {
        concat!(
            "mov rbx, rsi
             mov rsi, rsp\n",
            concat!("mov rdi, gs:[", $stack, "]\n"),
            concat!("sub rdi, ", $above, "\n"),
            "mov rsp, rdi\n",
            concat!("mov ecx, ", $words, "\n"),
            "rep movsq
             mov rsi, rbx",
        )
    };
}

/// pti: ring 3's tables have no thread's stack, so the CPU has pushed onto the
/// entry stack. The complete frame moves to the thread's stack (Linux:
/// `sync_regs`). Loses rbx, rcx, rdi; rsi stays.
macro_rules! to_thread_stack {
    () => {
        step!("pti", move_to_thread_stack!("{thread_stack}", "{frame_above}", "{frame_words}"))
    };
}

/// pti: the frame moves to the entry stack, from which IRETQ can load it. rsp = a
/// complete frame, before and after. Loses rcx, rsi, rdi.
macro_rules! to_entry_stack {
    () => {
        step!(
            "pti",
            "mov rsi, rsp
             mov rdi, gs:[{entry_frame}]
             mov ecx, {frame_words}
             rep movsq
             mov rsp, gs:[{entry_frame}]"
        )
    };
}

/// pti: a door that has popped all registers, and cannot leave by SYSRET, goes
/// `return_to_user`'s way, which is by the entry stack. rsp = `orig_rax`, with what
/// was popped still below.
macro_rules! leave_by_entry_stack {
    () => {
        step!(
            "pti",
            "lea rsp, [rsp - {popped}]
             jmp {leave}"
        )
    };
}

/// ibrs: the kernel's indirect branches are not steered by ring 3. Loses rax,
/// rcx, rdx.
macro_rules! ibrs_on {
    () => {
        step!(
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
    () => {
        step!(
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
    () => {
        concat!(
            step!("untrain2", "call trapgate_untrain_zen2"),
            step!("untrain4", "call __untrain_zen4"),
        )
    };
}

/// What stands before the kernel's first branch that ring 3 may have prepared.
/// Loses rax, rcx, rdx.
macro_rules! guard_branches {
    () => {
        concat!(ibrs_on!(), untrain!(), step!("bhi", "call {clear_history}"),)
    };
}

/// What stands before the dispatch of a call. Loses rax; rbx, which the callee
/// keeps, holds the stack pointer. For the trace, esi is the door's `{way}`.
macro_rules! before_call {
    () => {
        concat!(
            "# {way}\n", // also where the line below is nothing
            step!("trace", "mov esi, {way}"),
            step!(
                "kstack",
                "mov rbx, rsp
                 mov eax, gs:[{kstack_slot}]
                 and eax, 0x3f0 # 6 random bits; calls stay aligned
                 sub rsp, rax"
            ),
        )
    };
}

/// And behind it. The time that the call took is hard to know to the cycle: its
/// low bits are the next call's distance.
macro_rules! after_call {
    () => {
        concat!(
            step!(
                "kstack",
                "mov rsp, rbx
                 rdtsc
                 mov ecx, gs:[{kstack_slot}]
                 ror ecx, 5
                 xor eax, ecx
                 mov gs:[{kstack_slot}], eax"
            ),
            ibrs_off!(),
        )
    };
}

/// verw: the last that touches the kernel's memory. gs = this CPU's block;
/// flags are lost.
macro_rules! clear_buffers {
    () => {
        step!("verw", "verw word ptr gs:[{verw_slot}]")
    };
}

/// swapgs-fence: what follows does not run ahead with the wrong gs.
macro_rules! fence {
    () => {
        step!("fence", "lfence")
    };
}

/// For vectors that may come anywhere. pti, ibrs: the kernel's, and what there
/// was into r12 and r13d. Loses rax, rcx, rdx.
macro_rules! save_and_switch {
    () => {
        concat!(
            step!(
                "pti",
                "mov r12, cr3
                 mov rax, r12
                 and rax, {kernel_table}
                 mov cr3, rax"
            ),
            step!(
                "ibrs",
                "mov ecx, {spec_ctrl}
                 rdmsr
                 mov r13d, eax
                 mov eax, {ibrs_on}
                 xor edx, edx
                 wrmsr"
            ),
            untrain!(),
        )
    };
}

/// And back.
macro_rules! restore {
    () => {
        concat!(
            step!(
                "ibrs",
                "mov ecx, {spec_ctrl}
                 mov eax, r13d
                 xor edx, edx
                 wrmsr"
            ),
            step!("pti", "mov cr3, r12"),
        )
    };
}
