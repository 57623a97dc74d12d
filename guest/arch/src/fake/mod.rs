//! The floor for tests on the host: the same functions over plain memory.
//!
//! RAM is a piece of the heap, and the direct map is an offset into it. The
//! areas of CPUs are where `trapgate_abi::layout` has them, in that RAM. User
//! addresses are found by walking the page tables in it, a request to the VMM
//! calls a closure of the test, and the time-stamp counter shows what the test
//! says. The CPU does not run ring 3: a test plays the program, with a frame of
//! registers and with [`user`].
//!
//! The kernel's statics are one kernel's, so there is one [`Machine`] at a time;
//! the next test waits.
#![allow(unsafe_code, reason = "stands in for memory and registers")]

pub mod cpu;
pub(crate) mod fpu;
pub mod heap;
mod machine;
pub mod stack;
pub mod switch;
pub mod user;
pub mod usercopy;

pub use machine::{
    Halted, Machine, TraceRing, bytes_of, fill, given_back, set_tsc, set_xmm0, xmm0,
};

use crate::paging::PageTables;
use core::cell::Cell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use machine::Floor;
use trapgate_abi::layout::{Cpu, PAGE_SIZE, percpu};

/// The floor that stands.
static FLOOR: AtomicPtr<Floor> = AtomicPtr::new(null_mut());

fn floor() -> &'static Floor {
    let floor = FLOOR.load(Ordering::Acquire);
    assert!(!floor.is_null(), "the test has made no fake::Machine");
    // SAFETY: a Machine put it there, and takes it away when nobody runs on it.
    unsafe { &*floor }
}

/// Where the kernel sees physical address `physical`. An address on the edge of
/// RAM may be asked for, but is nobody's.
pub fn direct<T>(physical: u64) -> *mut T {
    let ram = &floor().ram;
    let size = ram.len() as u64 * PAGE_SIZE;
    assert!(physical <= size, "physical address {physical:#x} is beyond RAM");
    ram.as_ptr().cast::<u8>().cast_mut().wrapping_add(physical as usize).cast()
}

/// A word of this CPU's block, by its distance from GS.
pub fn block_word(offset: usize) -> &'static Cell<u64> {
    let block = Cpu::FIRST.area_phys() + percpu::BLOCK;
    // SAFETY: the block is in RAM, and one thread at a time runs on a CPU.
    unsafe { &*direct(block + offset as u64) }
}

/// Page tables whose top one is a page of zeroes at `root`; `isolated`: and ring 3's is
/// another one behind it.
pub fn page_tables(root: u64, isolated: bool) -> PageTables {
    let _ = direct::<u8>(root + 2 * PAGE_SIZE);
    // SAFETY: whatever the tables map is in the fake's RAM, or `direct` refuses it.
    unsafe { PageTables::new(root, isolated) }
}
