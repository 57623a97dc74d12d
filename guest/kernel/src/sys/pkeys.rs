//! Protection keys (pkeys(7)), of which this CPU has none: pkey_alloc(2), pkey_free(2),
//! pkey_mprotect(2).

use crate::sys::define::syscall_define;
use crate::sys::mm::protect;
use trapgate_uapi::Errno;

syscall_define! {
    /// pkey_alloc(2): Linux finds a key that is free, and then a CPU without rights for it.
    fn pkey_alloc(_flags: u32, _rights: u64) { Err(Errno::EINVAL) }
}
syscall_define! {
    /// pkey_free(2): no key was given out.
    fn pkey_free(_key: i32) { Err(Errno::EINVAL) }
}
syscall_define! {
    /// pkey_mprotect(2): without a key it is mprotect(2).
    fn pkey_mprotect(address: u64, length: u64, bits: u64, key: i32) {
        if key != -1 {
            return Err(Errno::EINVAL);
        }
        protect(address, length, bits)
    }
}
