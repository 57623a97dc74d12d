//! Page faults on user addresses: which access it was, and whether there is a page
//! for it now.
//!
//! `process::exception` calls it, and knows what to do if there is none.

use super::frames;
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
    memory.lock().fault(address, access_of(error_code)).map(drop)
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
