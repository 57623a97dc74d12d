//! Files: what the VMM is asked, and what the program is told.

use super::{DATA, SIZE, Sandbox, TEXT};
use std::cell::RefCell;
use std::rc::Rc;
use trapgate_abi::hypercall::Request;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::fake::{bytes_of, fill};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{nr32, nr64};

/// A VMM that takes all that is written, and where it puts it.
fn taken(sandbox: &Sandbox) -> Rc<RefCell<Vec<u8>>> {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let into = taken.clone();
    sandbox.machine.set_vmm(move |request, segments, _| {
        assert!(matches!(request, Request::Write { file: 1, .. }), "{request:?}");
        let bytes: Vec<u8> = segments.iter().flat_map(bytes_of).collect();
        into.borrow_mut().extend_from_slice(&bytes);
        Ok(bytes.len() as u64)
    });
    taken
}

#[test]
fn write_shows_the_vmm_where_the_bytes_are() {
    let sandbox = Sandbox::new();
    let taken = taken(&sandbox);
    let at = DATA + PAGE_SIZE - 3;
    sandbox.store(at, b"hello\n");
    assert_eq!(sandbox.call(nr64::WRITE, [1, at, 6, 0, 0, 0]), Ok(6));
    assert_eq!(*taken.borrow(), b"hello\n");
    assert_eq!(sandbox.machine.requests(), [Request::Write { file: 1, flags: 0 }]);
}

#[test]
fn writev_gathers_what_lies_apart_for_one_request() {
    let sandbox = Sandbox::new();
    let taken = taken(&sandbox);
    sandbox.store(DATA, b"ab");
    sandbox.store(DATA + 3 * PAGE_SIZE, b"cd");
    let vectors = [DATA, 2, DATA + 3 * PAGE_SIZE, 2].map(u64::to_le_bytes);
    sandbox.store(DATA + 100, vectors.as_flattened());
    assert_eq!(sandbox.call(nr64::WRITEV, [1, DATA + 100, 2, 0, 0, 0]), Ok(4));
    // i386's structure of the same.
    let vectors = [DATA as u32, 2, (DATA + 3 * PAGE_SIZE) as u32, 2].map(u32::to_le_bytes);
    sandbox.store(DATA + 200, vectors.as_flattened());
    assert_eq!(sandbox.call_32(nr32::WRITEV, [1, DATA as u32 + 200, 2, 0, 0, 0]), Ok(4));
    assert_eq!(*taken.borrow(), b"abcdabcd");
    assert_eq!(sandbox.machine.requests().len(), 2);
}

#[test]
fn write_stops_at_the_first_bad_address() {
    let sandbox = Sandbox::new();
    let taken = taken(&sandbox);
    let end = DATA + SIZE;
    sandbox.store(end - 2, b"ok");
    assert_eq!(sandbox.call(nr64::WRITE, [1, end - 2, 100, 0, 0, 0]), Ok(2));
    assert_eq!(*taken.borrow(), b"ok");
    assert_eq!(sandbox.call(nr64::WRITE, [1, 8, 1, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.call(nr64::WRITE, [1, 1 << 63, 1, 0, 0, 0]), Err(Errno::EFAULT));
}

#[test]
fn read_lets_the_vmm_fill_memory_that_was_never_touched() {
    let sandbox = Sandbox::new();
    sandbox.machine.set_vmm(|_, segments, _| Ok(fill(&segments[0], b"input")));
    assert_eq!(sandbox.call(nr64::READ, [0, DATA + 10, 100, 0, 0, 0]), Ok(5));
    assert_eq!(sandbox.load(DATA + 9), *b"\0input\0");
    assert_eq!(sandbox.call(nr64::READ, [0, TEXT, 100, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.call(nr64::READ, [1, DATA, 100, 0, 0, 0]), Err(Errno::EBADF));
}

#[test]
fn a_pipe_without_readers_kills_the_writer() {
    let sandbox = Sandbox::new();
    sandbox.machine.set_vmm(|_, _, _| Err(Errno::EPIPE));
    let end = sandbox.last_call(nr64::WRITE, [1, DATA, 1, 0, 0, 0]);
    assert_eq!(end, Request::Killed { signal: 13 });
}

#[test]
fn a_closed_descriptor_is_ebadf_and_its_copy_is_not() {
    let sandbox = Sandbox::new();
    let taken = taken(&sandbox);
    assert_eq!(sandbox.call(nr64::DUP, [1, 0, 0, 0, 0, 0]), Ok(3));
    assert_eq!(sandbox.call(nr64::CLOSE, [1, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::WRITE, [1, DATA, 1, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(sandbox.call(nr64::WRITE, [3, DATA, 1, 0, 0, 0]), Ok(1));
    assert_eq!(*taken.borrow(), [0]);
}
