//! Files, mapped.

use super::*;
use crate::tests::free_frames;
use trapgate_abi::hypercall::Request;
use trapgate_arch::fake::user;
use trapgate_uapi::fcntl::{O_PATH, O_WRONLY};
use trapgate_uapi::mman::{
    MAP_FIXED, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, PROT_EXEC, PROT_READ,
    PROT_WRITE,
};
use trapgate_uapi::signal::SIGBUS;

const RW: u64 = PROT_READ | PROT_WRITE;
/// A flag that no mmap(2) knows.
const UNKNOWN: u64 = 1 << 25;

impl Sandbox {
    fn map_file(&self, fd: u64, length: u64, prot: u64, flags: u64, offset: u64) -> Answer {
        self.call(nr64::MMAP, [0, length, prot, flags, fd, offset])
    }

    /// A file of three pages and a half, each byte of which is its page's number.
    fn numbered(&self) -> u64 {
        let fd = self.open("/tmp/f", O_CREAT | O_RDWR).unwrap();
        for page in 0..4 {
            let length = if page == 3 { PAGE_SIZE / 2 } else { PAGE_SIZE };
            self.write(fd, &vec![b'0' + page; length as usize]).unwrap();
        }
        fd
    }
}

#[test]
fn a_mapping_has_what_the_file_has_and_zeroes_behind_its_end() {
    let sandbox = Sandbox::new();
    let fd = sandbox.numbered();
    for flags in [MAP_PRIVATE, MAP_SHARED] {
        let at = sandbox.map_file(fd, 4 * PAGE_SIZE, PROT_READ, flags, 0).unwrap();
        assert_eq!(sandbox.load(at + PAGE_SIZE - 1), *b"01");
        assert_eq!(sandbox.load(at + 3 * PAGE_SIZE + PAGE_SIZE / 2 - 1), *b"3\0");
        let from_two = sandbox.map_file(fd, PAGE_SIZE, PROT_READ, flags, 2 * PAGE_SIZE).unwrap();
        assert_eq!(sandbox.load(from_two), *b"2");
    }
}

#[test]
fn what_is_written_to_a_shared_mapping_is_in_the_file_and_to_a_private_one_is_not() {
    let sandbox = Sandbox::new();
    let fd = sandbox.numbered();
    let shared = sandbox.map_file(fd, 4 * PAGE_SIZE, RW, MAP_SHARED, 0).unwrap();
    let private = sandbox.map_file(fd, 4 * PAGE_SIZE, RW, MAP_PRIVATE, 0).unwrap();
    // The file stays as long as it is mapped.
    sandbox.close(fd);
    sandbox.store(private + 5, b"private");
    sandbox.store(shared + 7, b"shared");
    assert_eq!(sandbox.load(private + 5), *b"private0");
    assert_eq!(sandbox.load(private + PAGE_SIZE), *b"1");
    let again = sandbox.open("/tmp/f", O_RDONLY).unwrap();
    assert_eq!(sandbox.read(again), Ok((*b"0000000shared0", 14)));
    // A write(2) is seen by both, where the private one has not written.
    sandbox.with_path(nr64::TRUNCATE, "/tmp/f", [4 * PAGE_SIZE]).unwrap();
    let writer = sandbox.open("/tmp/f", O_WRONLY).unwrap();
    sandbox.call(nr64::LSEEK, [writer, 2 * PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    sandbox.write(writer, b"later").unwrap();
    for mapping in [shared, private] {
        assert_eq!(sandbox.load(mapping + 2 * PAGE_SIZE), *b"later2");
    }
}

#[test]
fn what_is_given_up_of_a_private_mapping_comes_from_the_file_again() {
    const DONTNEED: u64 = 4;
    let sandbox = Sandbox::new();
    let fd = sandbox.numbered();
    let at = sandbox.map_file(fd, PAGE_SIZE, RW, MAP_PRIVATE, PAGE_SIZE).unwrap();
    sandbox.store(at, b"x");
    sandbox.call(nr64::MADVISE, [at, PAGE_SIZE, DONTNEED, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.load(at), *b"11");
}

#[test]
fn beyond_the_files_end_is_sigbus_also_when_it_ends_later() {
    let sandbox = Sandbox::new();
    let fd = sandbox.numbered();
    for flags in [MAP_PRIVATE, MAP_SHARED] {
        let at = sandbox.map_file(fd, 8 * PAGE_SIZE, RW, flags, 0).unwrap();
        sandbox.store(at + 2 * PAGE_SIZE, b"x");
        let end = sandbox.end_of(|| sandbox.store(at + 4 * PAGE_SIZE, b"x"));
        assert_eq!(end, Request::Killed { signal: SIGBUS });
        sandbox.call(nr64::FTRUNCATE, [fd, PAGE_SIZE + 1, 0, 0, 0, 0]).unwrap();
        let end = sandbox.end_of(|| {
            sandbox.load::<1>(at + 2 * PAGE_SIZE);
        });
        assert_eq!(end, Request::Killed { signal: SIGBUS });
        assert_eq!(sandbox.load(at + PAGE_SIZE), *b"1\0");
        sandbox.call(nr64::FTRUNCATE, [fd, 4 * PAGE_SIZE, 0, 0, 0, 0]).unwrap();
        assert_eq!(sandbox.load(at + 2 * PAGE_SIZE), *b"\0", "what was cut off stays away");
    }
    // Opening it anew cuts it off, too.
    let at = sandbox.map_file(fd, PAGE_SIZE, PROT_READ, MAP_SHARED, 0).unwrap();
    sandbox.load::<1>(at);
    sandbox.open("/tmp/f", O_RDWR | trapgate_uapi::fcntl::O_TRUNC).unwrap();
    let end = sandbox.end_of(|| {
        sandbox.load::<1>(at);
    });
    assert_eq!(end, Request::Killed { signal: SIGBUS });
}

#[test]
fn a_file_is_mapped_as_it_is_open() {
    let sandbox = Sandbox::new();
    sandbox.close(sandbox.numbered());
    let open = |flags| sandbox.open("/tmp/f", flags).unwrap();
    let (read, write, path) = (open(O_RDONLY), open(O_WRONLY), open(O_PATH));
    let map = |fd, prot, flags| sandbox.map_file(fd, PAGE_SIZE, prot, flags, 0);
    assert_eq!(map(write, PROT_READ, MAP_PRIVATE), Err(Errno::EACCES));
    assert_eq!(map(write, RW, MAP_SHARED), Err(Errno::EACCES));
    assert_eq!(map(read, RW, MAP_SHARED), Err(Errno::EACCES));
    assert_eq!(map(path, PROT_READ, MAP_PRIVATE), Err(Errno::EBADF));
    assert_eq!(map(1, PROT_READ, MAP_PRIVATE), Err(Errno::EACCES), "a pipe's end for writing");
    assert_eq!(map(0, PROT_READ, MAP_PRIVATE), Err(Errno::ENODEV));
    assert_eq!(map(sandbox.open_directory("/tmp"), PROT_READ, MAP_SHARED), Err(Errno::ENODEV));
    assert_eq!(map(read, PROT_READ, MAP_SHARED_VALIDATE | UNKNOWN), Err(Errno::EOPNOTSUPP));
    assert_eq!(map(read, PROT_READ, MAP_SHARED | MAP_PRIVATE | 4), Err(Errno::EINVAL));
    assert!(map(read, PROT_READ, MAP_SHARED_VALIDATE).is_ok());
    assert!(map(read, PROT_READ, MAP_SHARED | UNKNOWN).is_ok());
    let at = map(read, RW | PROT_EXEC, MAP_PRIVATE).unwrap();
    sandbox.store(at, b"mine");
    // What was mapped to be read only stays so.
    let shared = map(read, PROT_READ, MAP_SHARED).unwrap();
    let protect = |at| sandbox.call(nr64::MPROTECT, [at, PAGE_SIZE, RW, 0, 0, 0]);
    assert_eq!((protect(shared), protect(at)), (Err(Errno::EACCES), Ok(0)));
    assert_eq!(sandbox.map_file(read, 0, PROT_READ, MAP_SHARED, 0), Err(Errno::EINVAL));
    assert_eq!(sandbox.map_file(read, 9, PROT_READ, MAP_SHARED, 9), Err(Errno::EINVAL));
    let far = 1 << 63;
    assert_eq!(sandbox.map_file(read, 9, PROT_READ, MAP_SHARED, far), Err(Errno::EOVERFLOW));
}

#[test]
fn dev_zero_is_memory_without_a_file_and_dev_null_cannot_be_mapped() {
    let sandbox = Sandbox::new();
    let zero = sandbox.open("/dev/zero", O_RDWR).unwrap();
    for flags in [MAP_PRIVATE, MAP_SHARED] {
        let at = sandbox.map_file(zero, PAGE_SIZE, RW, flags, 0).unwrap();
        assert_eq!(sandbox.load(at), [0; 4]);
        sandbox.store(at, b"x");
    }
    let null = sandbox.open("/dev/null", O_RDWR).unwrap();
    let refused = sandbox.map_file(null, PAGE_SIZE, RW, MAP_PRIVATE, 0);
    assert_eq!(refused, Err(Errno::ENODEV));
}

#[test]
fn a_populated_mapping_is_there_at_once_and_all_of_it_goes() {
    let sandbox = Sandbox::new();
    let fd = sandbox.numbered();
    let flags = MAP_PRIVATE | MAP_POPULATE;
    let round = || {
        let at = sandbox.map_file(fd, 4 * PAGE_SIZE, RW, flags, 0).unwrap();
        for page in 0..4 {
            assert!(user::store(at + page * PAGE_SIZE, b'x').is_ok(), "without a fault");
        }
        let over = [at, 4 * PAGE_SIZE, RW, flags | MAP_FIXED, fd, 0];
        assert_eq!(sandbox.call(nr64::MMAP, over), Ok(at));
        assert_eq!(sandbox.load(at), *b"0");
        sandbox.call(nr64::MUNMAP, [at, 4 * PAGE_SIZE, 0, 0, 0, 0]).unwrap();
        free_frames()
    };
    let before = round();
    assert_eq!(round(), before);
}
