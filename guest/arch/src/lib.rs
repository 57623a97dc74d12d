//! The floor: the CPU. Names and numbers come from `trapgate_abi::x86`.
//!
//! Nothing here knows a system call, a task or a file. Where the roof's entry
//! points stand, `trapgate_abi::layout` says. What is unsafe below the entry is
//! here, behind functions that are not (but for `trapgate-job`, a room apart).
//!
//! | module | what it has |
//! |---|---|
//! | [`cpu`], [`cpuid`] | single instructions; what the CPU is |
//! | [`percpu`] | a CPU's block, which GS points to; who runs there |
//! | [`gdt`], [`idt`], [`tls`] | segments and gates; a program's own segments |
//! | [`paging`], [`page_map`], [`phys`] | page tables; an object's pages; memory by its physical address |
//! | [`stack`], [`switch`] | threads' kernel stacks, and from one to another |
//! | [`user_state`], [`fpu`] | what a CPU holds for a thread in ring 3 |
//! | [`usercopy`], [`ex_table`] | a program's memory, and the faults on it |
//! | [`hostpage`], [`log_ring`], [`trace_ring`] | what is shared with the VMM |
//! | [`heap`] | the kernel's own memory |
//! | `site`, `stamp` | what the instrumented image's assembly is made of |
//!
//! On the host, `fake` stands in for what only ring 0 can do: the same
//! functions, over plain memory. `cfg(target_os)` chooses; whoever is above
//! does not see the difference.

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod arc_cell;
pub mod cpu;
pub mod cpuid;
pub mod ex_table;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod fpu;
pub mod gdt;
pub mod heap;
pub mod hostpage;
pub mod idt;
pub mod log_ring;
pub mod page_map;
pub mod paging;
pub mod percpu;
pub mod phys;
#[cfg(target_os = "none")]
pub mod site;
#[cfg(target_os = "none")]
pub mod stack;
#[cfg(target_os = "none")]
pub mod stamp;
#[cfg(target_os = "none")]
pub mod switch;
pub mod tls;
pub mod trace_ring;
pub mod user_state;
pub mod usercopy;

#[cfg(not(target_os = "none"))]
pub use fake::{stack, switch};
