//! The program's side: what it does to its memory, through the page tables.

use super::{direct, floor};
use trapgate_abi::layout::{LARGE_PAGE_SIZE, PAGE_SIZE, USER_END};
use trapgate_abi::x86::{page_fault, pte};

/// What the CPU says of an access that the tables do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// CR2.
    pub address: u64,
    /// The error code.
    pub error_code: u64,
}

/// Where a user address is, if the tables allow the access, or did when they were
/// walked last: what the kernel changes and does not have forgotten stays as it was, an
/// entry and a table.
pub(super) fn walk(address: u64, write: bool) -> Result<*mut u8, PageFault> {
    let (page, offset) = (address / PAGE_SIZE, address % PAGE_SIZE);
    let known = floor().tlb.borrow().get(&page).copied();
    if let Some(entry) = known.filter(|entry| !write || entry & pte::W != 0) {
        return Ok(direct((entry & pte::ADDRESS) + offset));
    }
    // A page that faults is forgotten, too.
    floor().tlb.borrow_mut().remove(&page);
    let entry = walk_tables(address, write)?;
    floor().tlb.borrow_mut().insert(page, entry);
    Ok(direct((entry & pte::ADDRESS) + offset))
}

/// The leaf entry for a user address, if the tables allow the access.
fn walk_tables(address: u64, write: bool) -> Result<u64, PageFault> {
    let access = if write { page_fault::W } else { 0 };
    let fault = |present: u64| PageFault { address, error_code: access | present };
    if address >= USER_END {
        return Err(fault(0));
    }
    let large_page = address / LARGE_PAGE_SIZE;
    let known = floor().tables.borrow().get(&large_page).copied();
    let (mut table, mut entry) = (known.unwrap_or(floor().root.get()), 0);
    let levels: &[u32] = if known.is_some() { &[0] } else { &[3, 2, 1, 0] };
    for &level in levels {
        if level == 0 {
            floor().tables.borrow_mut().insert(large_page, table);
        }
        let slot = address >> (12 + 9 * level) & 511;
        // SAFETY: the kernel has made the tables; `direct` holds them to RAM.
        entry = unsafe { direct::<u64>(table + 8 * slot).read() };
        if entry & pte::P == 0 {
            return Err(fault(0));
        }
        if entry & pte::U == 0 || write && entry & pte::W == 0 {
            return Err(fault(page_fault::P));
        }
        table = entry & pte::ADDRESS;
    }
    Ok(entry)
}

/// Loads a byte.
///
/// # Errors
/// [`PageFault`].
pub fn load(address: u64) -> Result<u8, PageFault> {
    let byte = walk(address, false).map_err(from_ring_3)?;
    // SAFETY: it is in RAM.
    Ok(unsafe { byte.read() })
}

/// Loads all of the page that has this address.
///
/// # Errors
/// [`PageFault`].
pub fn load_page(address: u64) -> Result<[u8; PAGE_SIZE as usize], PageFault> {
    let page = walk(address & !(PAGE_SIZE - 1), false).map_err(from_ring_3)?;
    // SAFETY: the page is in RAM.
    Ok(unsafe { page.cast::<[u8; PAGE_SIZE as usize]>().read() })
}

/// Stores a byte.
///
/// # Errors
/// [`PageFault`].
pub fn store(address: u64, value: u8) -> Result<(), PageFault> {
    let byte = walk(address, true).map_err(from_ring_3)?;
    // SAFETY: it is in RAM.
    unsafe { byte.write(value) };
    Ok(())
}

fn from_ring_3(fault: PageFault) -> PageFault {
    floor().fault_address.set(fault.address);
    PageFault { error_code: fault.error_code | page_fault::U, ..fault }
}
