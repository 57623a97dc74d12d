//! asm/sigcontext.h and asm/ucontext.h: what a signal's frame on the stack of the program
//! is made of. linux-raw-sys has none of these structures.

use crate::macros::structure;
use crate::siginfo::{CompatSiginfo, Siginfo};
use crate::signal::{CompatSigaltstack, Sigaltstack};

/// `uc_flags`: behind the x87 and SSE state is one of XSAVE's.
pub const UC_FP_XSTATE: u64 = 1;
/// `uc_flags`: the context has SS.
pub const UC_SIGCONTEXT_SS: u64 = 2;
/// `uc_flags`: SS is as it was, also where it is no good.
pub const UC_STRICT_RESTORE_SS: u64 = 4;

/// Where in FXSAVE's 512 bytes [`FpxSwBytes`] are.
pub const SW_RESERVED: u64 = 464;
/// [`FpxSwBytes::magic1`].
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// The word behind an extended state.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;

structure! {
    /// `struct _fpx_sw_bytes`: what of the extended state is there.
    #[derive(Default)]
    pub struct FpxSwBytes: 48 {
        pub magic1: u32,
        pub extended_size: u32,
        pub xfeatures: u64,
        pub xstate_size: u32,
        pub padding: [u32; 7],
    }
}

structure! {
    /// `struct sigcontext_64`: the registers.
    #[derive(Default)]
    pub struct Sigcontext: 256 {
        pub r8: u64,
        pub r9: u64,
        pub r10: u64,
        pub r11: u64,
        pub r12: u64,
        pub r13: u64,
        pub r14: u64,
        pub r15: u64,
        pub di: u64,
        pub si: u64,
        pub bp: u64,
        pub bx: u64,
        pub dx: u64,
        pub ax: u64,
        pub cx: u64,
        pub sp: u64,
        pub ip: u64,
        pub flags: u64,
        pub cs: u16,
        pub gs: u16,
        pub fs: u16,
        pub ss: u16,
        pub err: u64,
        pub trapno: u64,
        pub oldmask: u64,
        pub cr2: u64,
        pub fpstate: u64,
        pub reserved1: [u64; 8],
    }
}

structure! {
    /// `struct ucontext` of x86-64, as the kernel has it.
    pub struct Ucontext: 304 {
        pub uc_flags: u64,
        pub uc_link: u64,
        pub uc_stack: Sigaltstack,
        pub uc_mcontext: Sigcontext,
        pub uc_sigmask: u64,
    }
}

structure! {
    /// `struct rt_sigframe` of x86-64.
    pub struct RtSigframe: 440 {
        pub pretcode: u64,
        pub uc: Ucontext,
        pub info: Siginfo,
    }
}

structure! {
    /// `struct sigcontext_32`: i386's registers.
    #[derive(Default)]
    pub struct CompatSigcontext: 88 {
        pub gs: u32,
        pub fs: u32,
        pub es: u32,
        pub ds: u32,
        pub di: u32,
        pub si: u32,
        pub bp: u32,
        pub sp: u32,
        pub bx: u32,
        pub dx: u32,
        pub cx: u32,
        pub ax: u32,
        pub trapno: u32,
        pub err: u32,
        pub ip: u32,
        pub cs: u32,
        pub flags: u32,
        pub sp_at_signal: u32,
        pub ss: u32,
        pub fpstate: u32,
        pub oldmask: u32,
        pub cr2: u32,
    }
}

structure! {
    /// `struct ucontext_ia32`.
    pub struct CompatUcontext: 116 {
        pub uc_flags: u32,
        pub uc_link: u32,
        pub uc_stack: CompatSigaltstack,
        pub uc_mcontext: CompatSigcontext,
        pub uc_sigmask: [u32; 2],
    }
}

structure! {
    /// `struct sigframe_ia32`: what a handler without SA_SIGINFO finds.
    pub struct CompatSigframe: 736 {
        pub pretcode: u32,
        pub sig: i32,
        pub sc: CompatSigcontext,
        pub fpstate_unused: [u32; 156],
        pub extramask: u32,
        pub retcode: [u8; 8],
        pub __pad: u32,
    }
}

structure! {
    /// `struct rt_sigframe_ia32`.
    pub struct CompatRtSigframe: 268 {
        pub pretcode: u32,
        pub sig: i32,
        pub pinfo: u32,
        pub puc: u32,
        pub info: CompatSiginfo,
        pub uc: CompatUcontext,
        pub retcode: [u8; 8],
    }
}

structure! {
    /// `struct user_i387_ia32_struct` with what Linux puts behind it: the x87 state as
    /// FSAVE has it, in front of FXSAVE's.
    #[derive(Default)]
    pub struct FregsState: 112 {
        pub cwd: u32,
        pub swd: u32,
        pub twd: u32,
        pub fip: u32,
        pub fcs: u32,
        pub foo: u32,
        pub fos: u32,
        pub st_space: [u32; 20],
        pub status: u16,
        pub magic: u16,
    }
}
