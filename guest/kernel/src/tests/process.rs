//! Who the program is, its limits, and its end.

use super::{DATA, HEAP, Sandbox};
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::_LINUX_CAPABILITY_VERSION_3;
use trapgate_uapi::prctl::{
    ARCH_GET_FS, ARCH_SET_FS, PR_GET_NAME, PR_GET_PDEATHSIG, PR_GET_SECUREBITS, PR_GET_TIMERSLACK,
    PR_SET_NAME,
};
use trapgate_uapi::resource::RLIMIT_NOFILE;
use trapgate_uapi::syscall::{nr32, nr64};

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
    sandbox.store(DATA, &[7; 4]);
    assert_eq!((prctl(PR_GET_PDEATHSIG, DATA), sandbox.load(DATA)), (Ok(0), [0; 4]));
    assert_eq!([prctl(PR_GET_SECUREBITS, 0), prctl(PR_GET_TIMERSLACK, 0)], [Ok(0), Ok(50_000)]);
}

#[test]
fn limits_can_be_lowered_and_raised_again_by_root_alone() {
    let sandbox = Sandbox::new();
    let set = |soft: u64, hard: u64| {
        sandbox.store(DATA, [soft, hard].map(u64::to_le_bytes).as_flattened());
        sandbox.call(nr64::PRLIMIT64, [0, RLIMIT_NOFILE.into(), DATA, DATA + 16, 0, 0])
    };
    assert_eq!(set(4, 8), Ok(0));
    assert_eq!(sandbox.load_word(DATA + 16), 1024);
    assert_eq!(set(4, 9), Ok(0));
    assert_eq!(set(4, (1 << 17) + 1), Err(Errno::EPERM));
    assert_eq!(sandbox.call(nr64::SETUID, [5, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(set(4, 10), Err(Errno::EPERM));
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

#[test]
fn users_and_groups_are_told_in_either_width() {
    let sandbox = Sandbox::new();
    let words = |words: [u32; 3]| words.map(u32::to_le_bytes).as_flattened().to_owned();
    sandbox.store(DATA, &words([70_000, 3, 65_535]));
    assert_eq!(sandbox.call(nr64::SETGROUPS, [3, DATA, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::GETGROUPS, [2, DATA, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(sandbox.call(nr64::GETGROUPS, [0, 0, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.call(nr64::GETGROUPS, [9, DATA, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.load::<12>(DATA)[..], words([3, 65_535, 70_000]));
    assert_eq!(sandbox.call_32(nr32::GETGROUPS, [3, DATA as u32, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.load(DATA), [3, 0, 0xff, 0xff, 0xfe, 0xff]);
    sandbox.store(DATA, &[1, 0, 0xff, 0xff]);
    let set_16 = |count| sandbox.call_32(nr32::SETGROUPS, [count, DATA as u32, 0, 0, 0, 0]);
    assert_eq!((set_16(2), set_16(1)), (Err(Errno::EINVAL), Ok(0)));
    assert_eq!(sandbox.call_32(nr32::SETREUID32, [u32::MAX, 70_000, 0, 0, 0, 0]), Ok(0));
    let told = [nr32::GETUID, nr32::GETEUID, nr32::GETEUID32];
    assert_eq!(told.map(|call| sandbox.call_32(call, [0; 6])), [Ok(0), Ok(65_534), Ok(70_000)]);
    assert_eq!(set_16(1), Err(Errno::EPERM));
    assert_eq!(sandbox.call_32(nr32::SETRESUID, [0xffff, 0, 0xffff, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::GETEUID, [0; 6]), Ok(0));
    let setfsuid = |id: u32| sandbox.call(nr64::SETFSUID, [id.into(), 0, 0, 0, 0, 0]);
    assert_eq!([setfsuid(5), setfsuid(u32::MAX), setfsuid(0)], [Ok(0), Ok(5), Ok(5)]);
    assert_eq!(sandbox.call(nr64::SETUID, [u32::MAX.into(), 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn capabilities_are_told_and_given_up_by_version() {
    let sandbox = Sandbox::new();
    let call = |number, version: u32, pid: i32, data| {
        sandbox.store(DATA, &version.to_le_bytes());
        sandbox.store(DATA + 4, &pid.to_le_bytes());
        sandbox.call(number, [DATA, data, 0, 0, 0, 0])
    };
    let get = |version, pid, data| call(nr64::CAPGET, version, pid, data);
    const LATEST: u32 = _LINUX_CAPABILITY_VERSION_3;
    // Whoever does not know the version asks without room.
    assert_eq!(get(0, 0, 0), Ok(0));
    assert_eq!(sandbox.load(DATA), LATEST.to_le_bytes());
    assert_eq!(get(0, 0, HEAP), Err(Errno::EINVAL));
    assert_eq!(get(LATEST, 0, DATA + 64), Ok(0));
    let sets: [u8; 24] = sandbox.load(DATA + 64);
    assert_eq!(sets[..8], [0xff; 8]);
    assert_eq!(sets[12..20], [0xff, 1, 0, 0, 0xff, 1, 0, 0]);
    assert_eq!(
        (get(LATEST, 7, DATA + 64), get(LATEST, -1, 0)),
        (Err(Errno::ESRCH), Err(Errno::EINVAL))
    );
    assert_eq!(get(LATEST, 0, HEAP), Err(Errno::EFAULT));
    sandbox.store(DATA + 64, &[0; 24]);
    let set = |pid| call(nr64::CAPSET, LATEST, pid, DATA + 64);
    assert_eq!((set(7), set(0)), (Err(Errno::EPERM), Ok(0)));
    assert_eq!(sandbox.call(nr64::SETUID, [5, 0, 0, 0, 0, 0]), Err(Errno::EPERM));
    sandbox.store(DATA + 64, &[1]);
    assert_eq!(set(0), Err(Errno::EPERM));
}

#[test]
fn a_32_bit_persona_has_another_machine() {
    let sandbox = Sandbox::new();
    let machine = || {
        assert_eq!(sandbox.call(nr64::UNAME, [DATA, 0, 0, 0, 0, 0]), Ok(0));
        sandbox.load::<7>(DATA + 4 * 65)
    };
    assert_eq!(machine(), *b"x86_64\0");
    assert_eq!(sandbox.call(nr64::PERSONALITY, [8, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(machine(), *b"i686\0\0\0");
    assert_eq!(sandbox.call(nr64::PERSONALITY, [u32::MAX.into(), 0, 0, 0, 0, 0]), Ok(8));
}

#[test]
fn a_socket_for_the_name_services_cache_is_not_there_and_no_missing_call() {
    let sandbox = Sandbox::new();
    let socket = |family| sandbox.call(nr64::SOCKET, [family, 1, 0, 0, 0, 0]);
    let socket_32 = |family| sandbox.call_32(nr32::SOCKET, [family, 1, 0, 0, 0, 0]);
    assert_eq!([socket(1), socket(2)], [Err(Errno::EAFNOSUPPORT), Err(Errno::ENOSYS)]);
    assert_eq!([socket_32(1), socket_32(2)], [Err(Errno::EAFNOSUPPORT), Err(Errno::ENOSYS)]);
}
