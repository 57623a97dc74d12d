//! Memory: mmap(2) in its two i386 forms, mremap(2). Both answer places below
//! 4 GiB.

use crate::mm::space::map::Window;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::mm::{map_memory, remap_memory};
use crate::user::UserPtr;
use trapgate_abi::layout::PAGE_SIZE;

compat_define! {
    /// mmap(2), as i386 had it first: a pointer to all six arguments.
    fn ia32_mmap(arguments: UserPtr<[u32; 6]>) {
        let [address, length, prot, flags, fd, offset] = arguments.read()?.map(u64::from);
        map_memory([address, length, prot, flags], fd as u32, offset, Window::COMPAT)
    }
}
ia32_define! {
    /// mmap2(2): the offset is in pages.
    fn mmap_pgoff(address: u64, length: u64, prot: u64, flags: u64, fd: u32, page: u64) {
        map_memory([address, length, prot, flags], fd, page * PAGE_SIZE, Window::COMPAT)
    }
}
ia32_define! {
    /// mremap(2)
    fn mremap(address: u64, old_length: u64, new_length: u64, flags: u64, to: u64) {
        remap_memory([address, old_length, new_length, flags, to], Window::COMPAT)
    }
}
