//! What a container's runtime keeps from its programs: mounts, namespaces, and what
//! changes the machine. It is EPERM here as there, and so no program takes another way
//! that it would take where a call is not known.

use crate::sys::define::syscall_define;
use trapgate_uapi::Errno;

macro_rules! refused {
    ($($name:ident: $page:literal)*) => {
        $(
            syscall_define! {
                #[doc = $page]
                fn $name() { Err(Errno::EPERM) }
            }
        )*
    };
}

refused! {
    mount: "mount(2)"
    umount: "umount2(2)"
    pivot_root: "pivot_root(2)"
    unshare: "unshare(2)"
    setns: "setns(2)"
    swapon: "swapon(2)"
    swapoff: "swapoff(2)"
    reboot: "reboot(2)"
    sethostname: "sethostname(2)"
    setdomainname: "setdomainname(2)"
    bpf: "bpf(2)"
    perf_event_open: "perf_event_open(2)"
    fanotify_init: "fanotify_init(2)"
}
