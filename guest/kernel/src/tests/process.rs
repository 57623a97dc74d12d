//! Who the program is, its limits, and its end.

use super::{DATA, HEAP, Sandbox};
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::{ARCH_GET_FS, ARCH_SET_FS, PR_GET_NAME, PR_SET_NAME};
use trapgate_uapi::resource::RLIMIT_NOFILE;
use trapgate_uapi::syscall::nr64;

#[test]
fn exit_ends_the_sandbox_with_the_low_byte() {
    let sandbox = Sandbox::new();
    let end = sandbox.last_call(nr64::EXIT_GROUP, [0x1_07, 0, 0, 0, 0, 0]);
    assert_eq!(end, Request::Exit { status: 7 });
}

#[test]
fn prctl_cuts_the_tasks_name_and_tells_it() {
    let sandbox = Sandbox::new();
    let prctl = |option: i32, first| sandbox.call(nr64::PRCTL, [option as u64, first, 0, 0, 0, 0]);
    sandbox.store(DATA, b"a name of more than fifteen bytes\0");
    assert_eq!(prctl(PR_SET_NAME, DATA), Ok(0));
    assert_eq!(prctl(PR_GET_NAME, DATA + 64), Ok(0));
    assert_eq!(sandbox.load(DATA + 64), *b"a name of more \0");
    assert_eq!(prctl(PR_SET_NAME, HEAP), Err(Errno::EFAULT));
    assert_eq!(prctl(-1, 0), Err(Errno::EINVAL));
}

#[test]
fn limits_can_be_lowered_and_not_raised_again() {
    let sandbox = Sandbox::new();
    let set = |soft: u64, hard: u64| {
        sandbox.store(DATA, [soft, hard].map(u64::to_le_bytes).as_flattened());
        sandbox.call(nr64::PRLIMIT64, [0, RLIMIT_NOFILE.into(), DATA, DATA + 16, 0, 0])
    };
    assert_eq!(set(4, 8), Ok(0));
    assert_eq!(sandbox.load_word(DATA + 16), 1024);
    assert_eq!(set(4, 9), Err(Errno::EPERM));
    assert_eq!(set(5, 4), Err(Errno::EINVAL));
    assert_eq!(sandbox.call(nr64::DUP, [0, 0, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.call(nr64::DUP, [0, 0, 0, 0, 0, 0]), Err(Errno::EMFILE));
}

#[test]
fn a_base_of_fs_is_the_users_or_refused() {
    let sandbox = Sandbox::new();
    let arch_prctl =
        |code: i32, address| sandbox.call(nr64::ARCH_PRCTL, [code as u64, address, 0, 0, 0, 0]);
    assert_eq!(arch_prctl(ARCH_SET_FS, HEAP), Ok(0));
    assert_eq!(arch_prctl(ARCH_GET_FS, DATA), Ok(0));
    assert_eq!(sandbox.load_word(DATA), HEAP);
    assert_eq!(arch_prctl(ARCH_SET_FS, 1 << 47), Err(Errno::EPERM));
}
