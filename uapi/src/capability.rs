//! linux/capability.h: what root may do, in pieces.

use crate::macros::{constants, structure};

constants! { "capabilities(7)", general as u32:
    CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_SETGID CAP_SETUID
    CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_SYS_CHROOT CAP_SYS_RESOURCE CAP_MKNOD CAP_MAC_OVERRIDE
    CAP_SYS_ADMIN
    CAP_WAKE_ALARM CAP_BLOCK_SUSPEND
    CAP_SYS_NICE CAP_IPC_LOCK CAP_IPC_OWNER CAP_LAST_CAP
}
constants! { "capget(2)", general as u32:
    _LINUX_CAPABILITY_VERSION_1 _LINUX_CAPABILITY_VERSION_2 _LINUX_CAPABILITY_VERSION_3
}

structure! {
    /// `struct __user_cap_header_struct`, the same for either width.
    pub struct CapHeader: 8 = "x86_64" general::__user_cap_header_struct {
        pub version: u32,
        pub pid: i32,
    }
}

structure! {
    /// `struct __user_cap_data_struct`: 32 capabilities of each set.
    #[derive(Default)]
    pub struct CapData: 12 = "x86_64" general::__user_cap_data_struct {
        pub effective: u32,
        pub permitted: u32,
        pub inheritable: u32,
    }
}
