//! The first task, from what the VMM says.

use super::{DATA, HEAP, Sandbox, boot_info};
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

#[test]
fn the_first_task_is_process_1_and_costs_no_request() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.call(nr64::GETPID, [0; 6]), Ok(1));
    assert_eq!(sandbox.call(nr64::GETTID, [0; 6]), Ok(1));
    assert_eq!(sandbox.call(nr64::BRK, [0; 6]), Ok(HEAP));
    assert_eq!(sandbox.machine.requests(), []);
}

#[test]
fn a_call_without_a_handler_is_enosys() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.call(nr64::FORK, [0; 6]), Err(Errno::ENOSYS));
}

#[test]
fn the_clock_follows_the_counter_without_a_request() {
    // Two nanoseconds a tick.
    let clock = ClockInfo { tsc_base: 1000, multiplier: 2 << 32, realtime_ns: 0, monotonic_ns: 7 };
    let sandbox = Sandbox::boot(trapgate_abi::boot_info::BootInfo { clock, ..boot_info() });
    sandbox.machine.set_tsc(1000 + 2_000_000_000);
    const MONOTONIC: u64 = 1;
    assert_eq!(sandbox.call(nr64::CLOCK_GETTIME, [MONOTONIC, DATA, 0, 0, 0, 0]), Ok(0));
    assert_eq!([DATA, DATA + 8].map(|at| sandbox.load_word(at)), [4, 7]);
    assert_eq!(sandbox.machine.requests(), []);
}

#[test]
fn without_a_counter_that_is_a_clock_the_vmm_is_asked() {
    let sandbox = Sandbox::new();
    sandbox.machine.set_vmm(|request, _, _| match request {
        Request::Elapsed => Ok(3_000_000_005),
        other => panic!("{other:?}"),
    });
    assert_eq!(sandbox.call(nr64::CLOCK_GETTIME, [1, DATA, 0, 0, 0, 0]), Ok(0));
    assert_eq!([DATA, DATA + 8].map(|at| sandbox.load_word(at)), [3, 5]);
}
