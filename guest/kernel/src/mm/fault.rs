//! Page faults on user addresses: which access it was, and whether there is a page
//! for it now.
//!
//! `process::exception` calls it, and knows what to do if there is none.

use super::frames;
use super::object::clean;
use super::space::{AddressSpace, FRAMES_AT_ONCE, FaultError};
use super::vma::Prot;
use spin::Mutex;
use trapgate_abi::layout::USER_END;
use trapgate_abi::x86::page_fault;
use trapgate_arch::percpu;

/// The access that a page-fault error code tells of.
pub const fn access_of(error_code: u64) -> Prot {
    if error_code & page_fault::W != 0 {
        Prot::WRITE
    } else if error_code & page_fault::I != 0 {
        Prot::EXEC
    } else {
        Prot::READ
    }
}

/// Makes the page of `address` accessible.
///
/// # Errors
/// [`FaultError`], if there is no page for the access.
pub fn serve(
    memory: &Mutex<AddressSpace>,
    address: u64,
    error_code: u64,
) -> Result<(), FaultError> {
    percpu::count!(page_faults, 1);
    if address >= USER_END {
        return Err(FaultError::NotMapped);
    }
    frames::stock(FRAMES_AT_ONCE);
    match memory.lock().fault(address, access_of(error_code)) {
        Ok(_) => return Ok(()),
        Err(FaultError::Absent | FaultError::OutOfMemory) => {}
        Err(error) => return Err(error),
    }
    fetch(memory, address, access_of(error_code))
}

/// The same where a page of an object may have to be brought first, or others have to be
/// given up for it. Nothing is locked.
///
/// # Errors
/// [`FaultError`], if there is no page for the access.
#[cold]
pub fn fetch(memory: &Mutex<AddressSpace>, address: u64, access: Prot) -> Result<(), FaultError> {
    loop {
        frames::stock(FRAMES_AT_ONCE);
        let missing = match memory.lock().fault(address, access) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match missing {
            FaultError::Absent => {
                let behind = memory.lock().object_behind(address);
                let (mapped, page) = behind.ok_or(FaultError::NotMapped)?;
                mapped.object.bring(page)?;
            }
            FaultError::OutOfMemory if clean::give_up(FRAMES_AT_ONCE) > 0 => {}
            error => return Err(error),
        }
    }
}

/// Whether the page of `address`, where `AddressSpace::pieces` has stopped, was one that
/// had to be brought, and is there now. Nothing is locked, and no request is written.
pub fn was_absent(memory: &Mutex<AddressSpace>, address: u64, access: Prot) -> bool {
    let fault = memory.lock().fault(address, access);
    fault == Err(FaultError::Absent) && fetch(memory, address, access).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_tell_the_access() {
        assert_eq!(access_of(page_fault::U | page_fault::W | page_fault::P), Prot::WRITE);
        assert_eq!(access_of(page_fault::U | page_fault::I), Prot::EXEC);
        assert_eq!(access_of(page_fault::U), Prot::READ);
    }
}
