//! getpid(2) by each door: the instruction, and what must stand around it.

use super::Measured;
use core::arch::asm;

#[cfg(target_arch = "x86_64")]
pub(super) mod native {
    use super::{Measured, asm};
    use trapgate_uapi::syscall::{nr32, nr64};

    /// Defines a door whose instruction stands alone.
    macro_rules! door {
        ($name:ident, $number:expr, $door:literal) => {
            pub(in super::super) struct $name;

            impl Measured for $name {
                #[inline(always)]
                fn with(&mut self) {
                    door!(asm $number, $door)
                }
                #[inline(always)]
                fn without(&mut self) {
                    door!(asm $number, "")
                }
            }
        };
        (asm $number:expr, $door:literal) => {
            // SAFETY: getpid touches no memory. What any door clobbers counts
            // as clobbered, so that the two functions are otherwise the same.
            unsafe {
                asm!($door, inlateout("rax") $number as u64 => _, lateout("rcx") _,
                     lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
                     options(nostack))
            }
        };
    }
    door!(Syscall, nr64::GETPID, "syscall");

    pub(in super::super) struct SyscallStamped;

    impl Measured for SyscallStamped {
        #[inline(always)]
        fn with(&mut self) {
            self.with_start(0);
        }
        #[inline(always)]
        fn with_start(&mut self, start: u32) {
            // SAFETY: getpid takes no argument and touches no memory.
            unsafe {
                asm!("syscall", inlateout("rax") nr64::GETPID => _, in("rdi") u64::from(start),
                     lateout("rcx") _, lateout("r11") _, options(nostack))
            }
        }
    }

    door!(Int80, nr32::GETPID, "int 0x80");
}

#[cfg(target_arch = "x86")]
pub(super) mod native {
    use super::{Measured, asm};
    use trapgate_rt::vsyscall;
    use trapgate_uapi::syscall::nr32;

    pub(in super::super) struct Int80;

    impl Measured for Int80 {
        #[inline(always)]
        fn with(&mut self) {
            // SAFETY: getpid touches no memory.
            unsafe { asm!("int 0x80", inlateout("eax") nr32::GETPID => _, options(nostack)) }
        }
        #[inline(always)]
        fn without(&mut self) {
            // SAFETY: does nothing.
            unsafe { asm!("", inlateout("eax") nr32::GETPID => _, options(nostack)) }
        }
    }

    /// Defines a door whose calls return to the vDSO's landing pad, which pops
    /// three registers and returns. Without the door, the program does that
    /// itself.
    macro_rules! fast_door {
        ($name:ident, $prepare:literal, $door:literal) => {
            pub(in super::super) struct $name;

            impl Measured for $name {
                #[inline(always)]
                fn with(&mut self) {
                    fast_door!(asm $prepare, $door, "ud2", "ud2", "ud2", "ud2")
                }
                #[inline(always)]
                fn without(&mut self) {
                    fast_door!(asm $prepare, "pop ebp", "pop edx", "pop ecx", "ret", "ud2")
                }
            }
        };
        (asm $prepare:literal, $($line:literal),*) => {
            // SAFETY: getpid touches no memory, and the stack is as it was.
            unsafe {
                asm!("call 2f", "jmp 3f", "2: push ecx", "push edx", "push ebp", $prepare,
                     $($line,)* "3:", inlateout("eax") nr32::GETPID => _)
            }
        };
    }
    fast_door!(Syscall, "mov ebp, ecx", "syscall");
    fast_door!(Sysenter, "mov ebp, esp", "sysenter");

    pub(in super::super) struct Vsyscall {
        address: u32,
    }

    impl Vsyscall {
        pub(in super::super) fn find() -> Option<Vsyscall> {
            vsyscall::address().map(|address| Vsyscall { address })
        }
    }

    impl Measured for Vsyscall {
        #[inline(always)]
        fn with(&mut self) {
            // SAFETY: the kernel told the function's address; getpid touches no
            // memory.
            unsafe { asm!("call {}", in(reg) self.address, inlateout("eax") nr32::GETPID => _) }
        }
        #[inline(always)]
        fn without(&mut self) {
            // SAFETY: does nothing.
            unsafe { asm!("/* {} */", in(reg) self.address, inlateout("eax") nr32::GETPID => _) }
        }
    }
}
