//! The definition of a system call: one `syscall_define!` expands to the
//! layers that a reader of Linux knows (include/linux/syscalls.h,
//! arch/x86/include/asm/syscall_wrapper.h):
//!
//! ```text
//! __x64_sys_NAME(regs)    takes the arguments from SYSCALL's registers
//! __ia32_sys_NAME(regs)   takes them from INT 0x80's, 32 bits each
//! __se_sys_NAME(longs)    sign and zero extension to the parameters' types
//! __do_sys_NAME(typed…)   the body: what the man page says
//! ```
//!
//! A body returns [`SysResult`]; the negative number is made here and nowhere
//! else.

use trapgate_uapi::Errno;
use trapgate_uapi::errno::to_return;

/// What a handler answers: the call's result or its error.
pub type SysResult = Result<u64, Errno>;

/// The value for RAX: the result, or the negative error number.
#[inline(always)]
pub const fn encode(result: SysResult) -> u64 {
    to_return(result)
}

/// Defines one system call in four layers.
macro_rules! syscall_define {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        pastey::paste! {
            $(#[$meta])*
            #[inline(always)]
            fn [<__do_sys_ $name>]($($arg: $ty),*) -> $crate::sys::define::SysResult $body

            #[inline(always)]
            #[allow(unused_variables, reason = "a call may have no arguments")]
            fn [<__se_sys_ $name>](registers: $crate::sys::args::Registers) -> u64 {
                let [$($arg,)* ..] = registers;
                $crate::sys::define::encode([<__do_sys_ $name>](
                    $(<$ty as $crate::sys::args::Argument>::from_register($arg)),*
                ))
            }

            #[doc = concat!("`", stringify!($name), "` by the x86-64 convention.")]
            pub(crate) extern "C-unwind" fn [<__x64_sys_ $name>](regs: &trapgate_abi::PtRegs) -> u64 {
                [<__se_sys_ $name>]($crate::sys::args::x64(regs))
            }

            #[doc = concat!("`", stringify!($name), "` by the i386 convention.")]
            pub(crate) extern "C-unwind" fn [<__ia32_sys_ $name>](regs: &trapgate_abi::PtRegs) -> u64 {
                [<__se_sys_ $name>]($crate::sys::args::ia32(regs))
            }
        }
    };
}

/// Defines one system call for i386 alone, by the entry point's full name:
/// the layers of [`syscall_define`], less SYSCALL's.
macro_rules! ia32_layers {
    ([$entry:ident] $(#[$meta:meta])* ($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        pastey::paste! {
            $(#[$meta])*
            #[inline(always)]
            fn [<__do_ $entry>]($($arg: $ty),*) -> $crate::sys::define::SysResult $body

            #[inline(always)]
            #[allow(unused_variables, reason = "a call may have no arguments")]
            fn [<__se_ $entry>](registers: $crate::sys::args::Registers) -> u64 {
                let [$($arg,)* ..] = registers;
                $crate::sys::define::encode([<__do_ $entry>](
                    $(<$ty as $crate::sys::args::Argument>::from_register($arg)),*
                ))
            }

            #[doc = concat!("`", stringify!($entry), "` by the i386 convention.")]
            pub(crate) extern "C-unwind" fn [<__ia32_ $entry>](regs: &trapgate_abi::PtRegs) -> u64 {
                [<__se_ $entry>]($crate::sys::args::ia32(regs))
            }
        }
    };
}

/// Defines a compat call, Linux's `COMPAT_SYSCALL_DEFINE` (include/linux/compat.h):
///
/// ```text
/// __ia32_compat_sys_NAME(regs)    takes the arguments from INT 0x80's registers
/// __se_compat_sys_NAME(longs)     extension to the parameters' types
/// __do_compat_sys_NAME(typed…)    the body
/// ```
///
/// A `long` or `off_t` of the man page is an `i32` here.
macro_rules! compat_define {
    ($(#[$meta:meta])* fn $name:ident($($args:tt)*) $body:block) => {
        pastey::paste! {
            $crate::sys::define::ia32_layers! {
                [[<compat_sys_ $name>]] $(#[$meta])* ($($args)*) $body
            }
        }
    };
}

/// Defines an i386 call whose entry point has a native name: one that only
/// i386 has, like `sys_getuid16`, or one that Linux answers differently to
/// 32-bit callers (its `in_compat_syscall()`), like `sys_readv`.
macro_rules! ia32_define {
    ($(#[$meta:meta])* fn $name:ident($($args:tt)*) $body:block) => {
        pastey::paste! {
            $crate::sys::define::ia32_layers! {
                [[<sys_ $name>]] $(#[$meta])* ($($args)*) $body
            }
        }
    };
}

/// Defines the outermost layer of a call whose body wants the caller's registers, too,
/// by the whole name and the convention of its arguments.
macro_rules! with_registers {
    ($(#[$meta:meta])* fn $name:ident by $convention:ident
        ($registers:ident; $($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        pub(crate) extern "C-unwind" fn $name($registers: &trapgate_abi::PtRegs) -> u64 {
            let [$($arg,)* ..] = $crate::sys::args::$convention($registers);
            $(let $arg = <$ty as $crate::sys::args::Argument>::from_register($arg);)*
            let body = || -> $crate::sys::define::SysResult { $body };
            $crate::sys::define::encode(body())
        }
    };
}
pub(crate) use {compat_define, ia32_define, ia32_layers, syscall_define, with_registers};
