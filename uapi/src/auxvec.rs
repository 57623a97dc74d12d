//! linux/auxvec.h and asm/auxvec.h: keys of the auxiliary vector, which tells a
//! program what it cannot know.

use crate::macros::constants;

constants! { "getauxval(3)", auxvec as u64:
    AT_NULL AT_PHDR AT_PHENT AT_PHNUM AT_PAGESZ AT_BASE AT_FLAGS AT_ENTRY AT_UID AT_EUID
    AT_GID AT_EGID AT_PLATFORM AT_HWCAP AT_CLKTCK AT_SECURE AT_RANDOM AT_HWCAP2 AT_EXECFN
    AT_SYSINFO_EHDR AT_MINSIGSTKSZ
}
/// The vDSO's `__kernel_vsyscall`; i386 only.
pub const AT_SYSINFO: u64 = 32;
#[cfg(target_arch = "x86")]
const _: () = assert!(AT_SYSINFO == linux_raw_sys::auxvec::AT_SYSINFO as u64);
