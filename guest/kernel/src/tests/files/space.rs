//! What files take of memory, and bytes from file to file.

use super::*;
use crate::tests::{boot_info, free_frames};
use std::cell::RefCell;
use std::rc::Rc;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::Request;
use trapgate_arch::fake::bytes_of;
use trapgate_uapi::falloc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE};
use trapgate_uapi::statfs::Statfs;

#[test]
fn memory_for_a_range_and_holes_in_it() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let allocate = |mode: u32, offset: u64, length: u64| {
        sandbox.call(nr64::FALLOCATE, [fd, mode.into(), offset, length, 0, 0])
    };
    let stat = || {
        let stat = sandbox.stat("/tmp/file").unwrap();
        (stat.st_size as u64, stat.st_blocks / 8)
    };
    let page = PAGE_SIZE;
    assert_eq!((allocate(0, 0, 3 * page), stat()), (Ok(0), (3 * page, 3)));
    assert_eq!(allocate(FALLOC_FL_KEEP_SIZE, 3 * page, 10), Ok(0));
    assert_eq!(stat(), (3 * page, 4));
    for at in 0..3 {
        sandbox.store(BUFFER, &[7; 4096]);
        sandbox.call(nr64::PWRITE64, [fd, BUFFER, page, at * page, 0, 0]).unwrap();
    }
    let free = free_frames();
    let punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
    assert_eq!(allocate(punch, page - 2, page + 4), Ok(0));
    assert_eq!((stat(), free_frames()), ((3 * page, 3), free + 1));
    let read = |at: u64| {
        sandbox.call(nr64::PREAD64, [fd, BUFFER, 8, at, 0, 0]).unwrap();
        sandbox.load::<8>(BUFFER)
    };
    assert_eq!(read(page - 4), [7, 7, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(2 * page - 2), [0, 0, 0, 0, 7, 7, 7, 7]);
    assert_eq!(allocate(punch, 10, 2), Ok(0));
    assert_eq!(read(8), [7, 7, 0, 0, 7, 7, 7, 7]);
    assert_eq!(allocate(FALLOC_FL_PUNCH_HOLE, 0, 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(allocate(0, 0, 0), Err(Errno::EINVAL));
    assert_eq!(allocate(0, i64::MAX as u64, 1), Err(Errno::EFBIG));
}

#[test]
fn bytes_go_from_file_to_file_and_to_the_host() {
    let sandbox = Sandbox::new();
    let long: Vec<u8> = (0..5000u32).map(|byte| byte as u8).collect();
    sandbox.file("/tmp/from", &long[..4096]);
    let from = sandbox.open("/tmp/from", O_RDWR).unwrap();
    sandbox.store(BUFFER, &long[4096..]);
    sandbox.call(nr64::PWRITE64, [from, BUFFER, 904, 4096, 0, 0]).unwrap();
    let to = sandbox.open("/tmp/to", O_CREAT | O_RDWR).unwrap();
    sandbox.store(BUFFER, &10u64.to_le_bytes());
    let copy = |length| sandbox.call(nr64::COPY_FILE_RANGE, [from, BUFFER, to, 0, length, 0]);
    assert_eq!(copy(6000), Ok(4990));
    assert_eq!(sandbox.load_word(BUFFER), 5000);
    assert_eq!(copy(6000), Ok(0));
    assert_eq!(sandbox.stat("/tmp/to").unwrap().st_size, 4990);
    sandbox.call(nr64::PREAD64, [to, BUFFER, 8, 4086, 0, 0]).unwrap();
    assert_eq!(sandbox.load::<8>(BUFFER), long[4096..4104]);
    let taken = Rc::new(RefCell::new(Vec::new()));
    let into = taken.clone();
    sandbox.machine.set_vmm(move |request, segments, _| {
        assert!(matches!(request, Request::Write { file: 1, .. }), "{request:?}");
        let bytes: Vec<u8> = segments.iter().flat_map(bytes_of).collect();
        into.borrow_mut().extend_from_slice(&bytes);
        Ok(bytes.len() as u64)
    });
    assert_eq!(sandbox.call(nr64::SENDFILE, [1, from, 0, 9999, 0, 0]), Ok(5000));
    assert_eq!(*taken.borrow(), long);
    assert_eq!(sandbox.call(nr64::SENDFILE, [1, 0, 0, 9, 0, 0]), Err(Errno::EINVAL));
}

/// `f_blocks` and `f_bfree` at a path.
fn room(sandbox: &Sandbox, path: &str) -> (u64, u64) {
    sandbox.with_path(nr64::STATFS, path, [BUFFER]).unwrap();
    let statfs: Statfs = sandbox.structure(BUFFER);
    (statfs.f_blocks, statfs.f_bfree)
}

#[test]
fn each_file_system_in_memory_has_as_much_room_as_the_vmm_says() {
    // A page in part is a page.
    let sandbox = Sandbox::boot(BootInfo { disk: 3 * PAGE_SIZE - 1, ..boot_info() });
    for directory in ["", "/tmp", "/dev/shm"] {
        let path = format!("{directory}/file");
        let fd = sandbox.open(&path, O_CREAT | O_RDWR).unwrap();
        let write = |at: u64| sandbox.call(nr64::PWRITE64, [fd, BUFFER, 1, at * PAGE_SIZE, 0, 0]);
        assert_eq!(room(&sandbox, &path), (3, 3));
        for at in 0..3 {
            assert_eq!(write(2 * at), Ok(1));
            assert_eq!(room(&sandbox, &path), (3, 2 - at));
        }
        assert_eq!(write(1), Err(Errno::ENOSPC));
        assert_eq!(
            sandbox.call(nr64::FALLOCATE, [fd, 0, 0, 4 * PAGE_SIZE, 0, 0]),
            Err(Errno::ENOSPC)
        );
        assert_eq!(write(0), Ok(1), "what is there can be written again");
        assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, 1, 0, 0, 0, 0]), Ok(0));
        assert_eq!((write(1), room(&sandbox, &path)), (Ok(1), (3, 1)));
    }
}

#[test]
fn where_nothing_is_said_half_of_memory_may_be_files() {
    let boot = boot_info();
    let sandbox = Sandbox::boot(boot);
    assert_eq!(room(&sandbox, "/tmp").0, boot.ram_size / PAGE_SIZE / 2);
}
