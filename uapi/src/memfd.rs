//! linux/memfd.h.

use crate::macros::constants;

constants! { "memfd_create(2)", general as u32:
    MFD_CLOEXEC MFD_ALLOW_SEALING MFD_NOEXEC_SEAL MFD_EXEC MFD_HUGETLB
}
