//! A row of a table of handlers, and the one indirect call on every call's way.
//!
//! In the instrumented image that call is two patch sites, of which one stays: the
//! call itself, or one that is made without the CPU's prediction of where it goes.
//! Around them are two of the trace (`trace`). Off, these cost no more than a NOP:
//! that is why they are here, and not around the call in Rust.
#![allow(unsafe_code, reason = "a row without a second check of its bound; inline assembly")]

use trapgate_arch::cpu::clamp_index_nospec;
#[cfg(not(feature = "instrumented"))]
use trapgate_kernel::sys::table::Handler;
use trapgate_kernel::sys::table::Table;

/// A row of a table for `COUNT` numbers and one row more.
#[derive(Clone, Copy)]
pub(super) struct Row<const COUNT: u32>(usize);

impl<const COUNT: u32> Row<COUNT> {
    /// A number's own, or the last.
    #[inline(always)]
    pub(super) fn of(number: u32) -> Row<COUNT> {
        Row(clamp_index_nospec::<COUNT>(number))
    }

    /// What stands there.
    #[cfg(not(feature = "instrumented"))]
    #[inline(always)]
    pub(super) fn handler<const N: usize>(self, table: &'static Table<N>) -> Handler {
        const { assert!(N == COUNT as usize + 1) };
        // SAFETY: the index is at most COUNT, and there is a row more than that.
        unsafe { *table.get_unchecked(self.0) }
    }

    /// Where it is in the table, for [`call`]; the table is of the right length.
    #[cfg(feature = "instrumented")]
    #[inline(always)]
    pub(super) fn index_in<const N: usize>(self, _: &'static Table<N>) -> usize {
        const { assert!(N == COUNT as usize + 1) };
        self.0
    }
}

/// The handler of `$row` in `$table`, called with `$regs`. The rest is the trace's.
#[cfg(not(feature = "instrumented"))]
macro_rules! call {
    ($table:ident, $row:expr, $regs:expr, $way:expr, [$entered:ident, $left:ident]) => {{
        let _ = $way;
        $row.handler(&$table)($regs)
    }};
}
/// The same, in one of two ways; between `$entered` and `$left`, if the run is
/// traced.
#[cfg(feature = "instrumented")]
macro_rules! call {
    ($table:ident, $row:expr, $regs:expr, $way:expr, [$entered:ident, $left:ident]) => {{
        let result: u64;
        // SAFETY: calls of functions by their own convention, the stack aligned at
        // each; the row is one of the table's; of the two sites in the middle one is
        // NOPs, and either both of the others are or none.
        #[allow(unsafe_code, reason = "the call is inline assembly")]
        unsafe {
            core::arch::asm!(
                trapgate_arch::site::site!(
                    "trace",
                    "push rdi
                     push rcx
                     call {entered}
                     pop rcx
                     pop rdi
                     push rax # the record
                     push rdi # the frame"
                ),
                trapgate_arch::site::site!("ordinary", "call qword ptr [{table} + rcx * 8]"),
                trapgate_arch::site::site!(
                    "retpoline",
                    "mov rax, [{table} + rcx * 8]
                     call {thunk}"
                ),
                trapgate_arch::site::site!(
                    "trace",
                    "pop rdi
                     pop rsi
                     mov [rdi + {rax_slot}], rax
                     push rax
                     push rax # keeps the call aligned
                     call {left}
                     pop rax
                     pop rax"
                ),
                table = sym $table,
                ordinary = const trapgate_abi::mitigation::keep::NO_RETPOLINE,
                retpoline = const trapgate_abi::mitigation::Step::Retpoline.bit(),
                trace = const trapgate_abi::mitigation::keep::TRACE,
                thunk = sym $crate::dispatch::row::jump_to_rax,
                entered = sym $crate::dispatch::trace::$entered,
                left = sym $crate::dispatch::trace::$left,
                rax_slot = const core::mem::offset_of!(trapgate_abi::PtRegs, rax),
                in("rcx") $row.index_in(&$table),
                in("rdi") &*$regs,
                in("rsi") $way,
                lateout("rax") result,
                clobber_abi("C"),
            );
        }
        result
    }};
}
pub(super) use call;

/// Goes on at rax, by a RET: what the CPU predicts for that is the address that
/// the CALL has just pushed, where there is nothing but waiting (Intel,
/// "Retpoline: A Branch Target Injection Mitigation").
#[cfg(feature = "instrumented")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn jump_to_rax() -> ! {
    core::arch::naked_asm!(
        "call 3f",
        "2: pause", // only ever speculatively
        "lfence",
        "jmp 2b",
        "3: mov [rsp], rax", // where it really goes
        "ret",
        "int3",
    )
}
