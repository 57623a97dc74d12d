//! What stands in for the instructions of ring 0.

use super::{Halted, floor, heap};
use trapgate_abi::hypercall::PORT;
use trapgate_abi::layout::{PAGE_SIZE, USER_END};
use trapgate_abi::x86::msr;

/// CR2.
pub fn fault_address() -> u64 {
    floor().fault_address.get()
}

/// DR6: nobody steps.
pub fn take_debug_status() -> u64 {
    0
}

/// CR3.
pub fn page_table() -> u64 {
    floor().root.get()
}

/// Loads CR3.
///
/// # Safety
/// As on the real floor.
pub unsafe fn set_page_table(root: u64) {
    floor().set_root(root);
}

/// Forgets the page, and all tables on the way to any; counts it.
pub fn invalidate_page(address: u64) {
    floor().tlb.borrow_mut().remove(&(address / PAGE_SIZE));
    floor().tables.borrow_mut().clear();
    floor().flushes.update(|[pages, all]| [pages + 1, all]);
}

/// Forgets all pages, and counts it.
pub fn flush_tlb() {
    floor().set_root(floor().root.get());
    floor().flushes.update(|[pages, all]| [pages, all + 1]);
}

/// Writes a model-specific register.
///
/// # Safety
/// As on the real floor.
pub unsafe fn write_msr(msr: u32, value: u64) {
    // The fake's own memory.
    heap::aside(|| floor().msrs.borrow_mut().insert(msr, value));
}

/// Reads a model-specific register; one that was not written is 0.
pub fn read_msr(msr: u32) -> u64 {
    floor().msrs.borrow().get(&msr).copied().unwrap_or(0)
}

/// What the test has set.
pub fn tsc() -> u64 {
    floor().tsc.get()
}

/// Calls the test's VMM.
pub fn out(port: u16) {
    assert_eq!(port, PORT, "nothing is behind that port");
    floor().exit();
}

/// Ends this CPU's work: unwinds to [`super::Machine::run`].
pub fn halt() -> ! {
    heap::aside(|| std::panic::resume_unwind(Box::new(Halted)))
}

/// DS, ES, FS and GS.
pub fn selectors() -> [u16; 4] {
    floor().selectors.get()
}

/// Loads them.
pub fn set_selectors(selectors: [u16; 4]) {
    floor().selectors.set(selectors);
}

/// The user's base of FS.
pub fn fs_base() -> u64 {
    read_msr(msr::FS_BASE)
}

/// Sets it; false for an address that is not the user's.
pub fn set_fs_base(base: u64) -> bool {
    set_base(msr::FS_BASE, base)
}

/// The user's base of GS.
pub fn user_gs_base() -> u64 {
    read_msr(msr::KERNEL_GS_BASE)
}

/// Sets it; false for an address that is not the user's.
pub fn set_user_gs_base(base: u64) -> bool {
    set_base(msr::KERNEL_GS_BASE, base)
}

fn set_base(register: u32, base: u64) -> bool {
    let is_users = base < USER_END;
    if is_users {
        heap::aside(|| floor().msrs.borrow_mut().insert(register, base));
    }
    is_users
}
