//! What a container's runtime keeps from its programs: mounts, namespaces, and what
//! changes the machine. It is EPERM here as there, and so no program takes another way
//! that it would take where a call is not known. And what a Linux can be built without:
//! there programs shall take another way, and nobody is told that a call is missing.

use crate::sys::define::syscall_define;
use trapgate_uapi::Errno;

macro_rules! answered {
    ($error:ident: $($name:ident: $page:literal)*) => {
        $(
            syscall_define! {
                #[doc = $page]
                fn $name() { Err(Errno::$error) }
            }
        )*
    };
}

answered! { EPERM:
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
    open_by_handle_at: "open_by_handle_at(2)"
    syslog: "syslog(2)"
}

answered! { ENOSYS:
    inotify_init: "inotify_init(2)"
    inotify_init1: "inotify_init1(2)"
    inotify_add_watch: "inotify_add_watch(2)"
    inotify_rm_watch: "inotify_rm_watch(2)"
    io_uring_setup: "io_uring_setup(2)"
    io_uring_enter: "io_uring_enter(2)"
    io_uring_register: "io_uring_register(2)"
    get_mempolicy: "get_mempolicy(2)"
    set_mempolicy: "set_mempolicy(2)"
    set_mempolicy_home_node: "set_mempolicy_home_node(2)"
    mbind: "mbind(2)"
    migrate_pages: "migrate_pages(2)"
    move_pages: "move_pages(2)"
}
