//! System V's shared memory.

use super::{DATA, Sandbox, free_frames};
use crate::process::task::current;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{nr32, nr64};

/// Where segments are attached.
const AT: u64 = 0x7000_0000;

fn get(sandbox: &Sandbox, key: u64, size: u64, flags: u64) -> Result<u64, Errno> {
    sandbox.call(nr64::SHMGET, [key, size, flags, 0, 0, 0])
}

fn attach(sandbox: &Sandbox, id: u64, at: u64) -> Result<u64, Errno> {
    sandbox.call(nr64::SHMAT, [id, at, 0, 0, 0, 0])
}

fn control(sandbox: &Sandbox, id: u64, command: u64) -> Result<u64, Errno> {
    sandbox.call(nr64::SHMCTL, [id, command, DATA, 0, 0, 0])
}

#[test]
fn a_removed_segment_lasts_as_long_as_somebody_has_it() {
    let sandbox = Sandbox::new();
    sandbox.store(DATA, &[0; 112]);
    let id = get(&sandbox, 0, 3 * PAGE_SIZE, 0o600).unwrap();
    assert_eq!(attach(&sandbox, id, AT), Ok(AT));
    sandbox.store(AT, &[7]);
    let before = free_frames();
    let child = current().process.memory.lock().fork().unwrap();
    assert_eq!((control(&sandbox, id, 2), sandbox.load(DATA + 88)), (Ok(0), [2]), "two attaches");
    assert_eq!(control(&sandbox, id, 0), Ok(0));
    assert_eq!(sandbox.call(nr64::SHMDT, [AT, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!((control(&sandbox, id, 2), sandbox.load(DATA + 88)), (Ok(0), [1]), "the child's");
    assert_eq!(attach(&sandbox, id, AT), Ok(AT));
    assert_eq!(sandbox.load(AT), [7]);
    assert_eq!(sandbox.call(nr64::SHMDT, [AT, 0, 0, 0, 0, 0]), Ok(0));
    drop(child);
    assert_eq!(control(&sandbox, id, 2), Err(Errno::EINVAL));
    assert!(free_frames() > before, "its memory comes back");
}

#[test]
fn numbers_of_segments_do_not_come_again() {
    let sandbox = Sandbox::new();
    let first = get(&sandbox, 5, 1, 0o1600).unwrap();
    assert_eq!(get(&sandbox, 5, 1, 0o1600), Ok(first));
    assert_eq!(get(&sandbox, 5, 1, 0o3600), Err(Errno::EEXIST));
    assert_eq!(control(&sandbox, first, 0), Ok(0));
    assert_eq!(get(&sandbox, 5, 1, 0o600), Err(Errno::ENOENT));
    let second = get(&sandbox, 5, 1, 0o1600).unwrap();
    assert_ne!(first, second);
    assert_eq!(control(&sandbox, first, 2), Err(Errno::EINVAL));
}

#[test]
fn there_are_no_more_segments_than_linux_has() {
    let sandbox = Sandbox::new();
    let made = (0..5000).take_while(|_| get(&sandbox, 0, 1, 0o600).is_ok()).count();
    assert_eq!(made, 4096);
    assert_eq!(get(&sandbox, 0, 1, 0o600), Err(Errno::ENOSPC));
}

#[test]
fn i386_has_one_call_for_all_of_it() {
    let sandbox = Sandbox::new();
    sandbox.store(DATA, &[0; 128]);
    let ipc = |call, first, second, third, pointer| {
        sandbox.call_32(nr32::IPC, [call, first, second, third, pointer, 0])
    };
    let id = ipc(23, 0, 4096, 0o600, 0).unwrap();
    assert_eq!(ipc(21, id, 0, DATA as u32, AT as u32), Ok(0));
    assert_eq!(sandbox.load(DATA), (AT as u32).to_le_bytes());
    assert_eq!(ipc(24, id, 0x102, 0, DATA as u32), Ok(0));
    assert_eq!((sandbox.load(DATA + 36), sandbox.load(DATA + 72)), ([0, 16], [1]));
    assert_eq!(ipc(24, id, 2, 0, DATA as u32), Err(Errno::EINVAL), "the first structures");
    assert_eq!((ipc(22, 0, 0, 0, AT as u32), ipc(24, id, 0x100, 0, 0)), (Ok(0), Ok(0)));
    assert_eq!(ipc(1, 0, 0, 0, 0), Err(Errno::ENOSYS), "semaphores");
}
