//! Bytes in and out of files in memory.

use super::*;
use trapgate_uapi::fs::{SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};

fn pread<const N: usize>(sandbox: &Sandbox, fd: u64, offset: u64) -> Result<([u8; N], u64), Errno> {
    let got = sandbox.call(nr64::PREAD64, [fd, BUFFER, N as u64, offset, 0, 0])?;
    Ok((sandbox.load(BUFFER), got))
}

#[test]
fn what_was_written_is_read_across_pages_and_holes_are_zeroes() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let at = 2 * PAGE_SIZE - 3;
    sandbox.store(BUFFER, b"abcdef");
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 6, at, 0, 0]), Ok(6));
    assert_eq!(pread::<8>(&sandbox, fd, at), Ok((*b"abcdef\0\0", 6)));
    assert_eq!(pread::<4>(&sandbox, fd, at - 4), Ok((*b"\0\0\0\0", 4)));
    assert_eq!(pread::<4>(&sandbox, fd, 3), Ok(([0; 4], 4)));
    assert_eq!(pread::<1>(&sandbox, fd, at + 6), Ok(([0; 1], 0)));
    let stat = sandbox.stat("/tmp/file").unwrap();
    assert_eq!((stat.st_size as u64, stat.st_blocks), (at + 6, 16));
    // The position is where it was.
    assert_eq!(sandbox.read::<1>(fd), Ok(([0], 1)));
}

/// Where the memory ends within a quadword of what is copied, all of it that is there is.
#[test]
fn bytes_move_up_to_the_last_that_memory_has() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"0123456789abcdef"), Ok(16));
    let page = BUFFER + PAGE_SIZE;
    assert_eq!(sandbox.call(nr64::MUNMAP, [page, PAGE_SIZE, 0, 0, 0, 0]), Ok(0));
    for there in 0..16 {
        let expected = if there == 0 { Err(Errno::EFAULT) } else { Ok(there) };
        let at = page - there;
        assert_eq!(sandbox.call(nr64::PREAD64, [fd, at, 16, 0, 0, 0]), expected, "{there}");
        assert_eq!(sandbox.call(nr64::PWRITE64, [fd, at, 16, 16, 0, 0]), expected, "{there}");
    }
    assert_eq!(pread::<15>(&sandbox, fd, 16), Ok((*b"0123456789abcde", 15)));
}

#[test]
fn a_copy_of_a_descriptor_shares_the_position() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abcdef");
    let fd = sandbox.open("/tmp/file", O_RDWR).unwrap();
    let copy = sandbox.call(nr64::DUP, [fd, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.read::<2>(fd), Ok((*b"ab", 2)));
    assert_eq!(sandbox.read::<2>(copy), Ok((*b"cd", 2)));
    let other = sandbox.open("/tmp/file", O_RDWR).unwrap();
    assert_eq!(sandbox.read::<2>(other), Ok((*b"ab", 2)));
}

#[test]
fn truncating_frees_pages_and_what_grows_again_is_zeroes() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let free = super::super::free_frames();
    for page in 0..5 {
        sandbox.store(BUFFER, b"abcdef");
        let at = page * PAGE_SIZE;
        assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 6, at, 0, 0]), Ok(6));
    }
    assert_eq!(super::super::free_frames(), free - 6, "five pages and a table");
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, 3, 0, 0, 0, 0]), Ok(0));
    assert_eq!(super::super::free_frames(), free - 2);
    assert_eq!(sandbox.with_path(nr64::TRUNCATE, "/tmp/file", [8192]), Ok(0));
    assert_eq!(pread::<8>(&sandbox, fd, 0), Ok((*b"abc\0\0\0\0\0", 8)));
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(super::super::free_frames(), free);
    let end = i64::MAX as u64;
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, end, 0, 0, 0, 0]), Ok(0));
    sandbox.store(BUFFER, b"xy");
    assert_eq!(pread::<2>(&sandbox, fd, end - 1), Ok((*b"\0y", 1)));
    assert_eq!(sandbox.call(nr64::PWRITE64, [fd, BUFFER, 2, end - 2, 0, 0]), Ok(2));
    for at in [end - 2, end] {
        let beyond = [fd, BUFFER, 6, at, 0, 0];
        assert_eq!(sandbox.call(nr64::PWRITE64, beyond), Err(Errno::EINVAL));
    }
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, end + 1, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn seeking_finds_data_and_holes() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let page = PAGE_SIZE;
    sandbox.call(nr64::PWRITE64, [fd, BUFFER, 10, 2 * page + 5, 0, 0]).unwrap();
    sandbox.call(nr64::FTRUNCATE, [fd, 5 * page, 0, 0, 0, 0]).unwrap();
    let seek = |offset: i64, whence: u32| {
        sandbox.call(nr64::LSEEK, [fd, offset as u64, whence.into(), 0, 0, 0])
    };
    assert_eq!(seek(7, SEEK_SET), Ok(7));
    assert_eq!(seek(-3, SEEK_CUR), Ok(4));
    assert_eq!(seek(-5, SEEK_CUR), Err(Errno::EINVAL));
    assert_eq!(seek(-1, SEEK_END), Ok(5 * page - 1));
    assert_eq!(seek(0, SEEK_DATA), Ok(2 * page));
    assert_eq!(seek(2 * page as i64 + 7, SEEK_DATA), Ok(2 * page + 7));
    assert_eq!(seek(3 * page as i64, SEEK_DATA), Err(Errno::ENXIO));
    assert_eq!(seek(1, SEEK_HOLE), Ok(1));
    assert_eq!(seek(2 * page as i64, SEEK_HOLE), Ok(3 * page));
    assert_eq!(seek(5 * page as i64, SEEK_HOLE), Err(Errno::ENXIO));
    assert_eq!(seek(0, 5), Err(Errno::EINVAL));
}

#[test]
fn bad_addresses_end_a_transfer_where_they_begin() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", &[7; 100]);
    let fd = sandbox.open("/tmp/file", O_RDWR).unwrap();
    let end = DATA + super::super::SIZE;
    let call =
        |number, address: u64, length: u64| sandbox.call(number, [fd, address, length, 0, 0, 0]);
    assert_eq!(call(nr64::PREAD64, end - 10, 50), Ok(10));
    assert_eq!(call(nr64::PREAD64, end, 50), Err(Errno::EFAULT));
    assert_eq!(call(nr64::PREAD64, 1 << 63, 50), Err(Errno::EFAULT));
    assert_eq!(call(nr64::PREAD64, super::super::TEXT, 50), Err(Errno::EFAULT));
    assert_eq!(call(nr64::PWRITE64, end - 10, 50), Ok(10));
    assert_eq!(call(nr64::PWRITE64, end, 50), Err(Errno::EFAULT));
    assert_eq!(call(nr64::PWRITE64, end, 0), Ok(0));
}

#[test]
fn vectors_go_piece_by_piece() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let vectors = |pieces: [u64; 6]| {
        sandbox.store(BUFFER + 1024, pieces.map(u64::to_le_bytes).as_flattened());
        [fd, BUFFER + 1024, 3, 0, 0, 0]
    };
    sandbox.store(BUFFER, b"abcdef");
    let three = [BUFFER + 3, 3, 8, 0, BUFFER, 3];
    assert_eq!(sandbox.call(nr64::WRITEV, vectors(three)), Ok(6));
    assert_eq!(pread::<6>(&sandbox, fd, 0), Ok((*b"defabc", 6)));
    let mut with_offset = vectors([BUFFER, 1, BUFFER + 9, 2, 8, 9]);
    with_offset[3] = 2;
    assert_eq!(sandbox.call(nr64::PREADV, with_offset), Ok(3));
    assert_eq!(sandbox.load(BUFFER), *b"f");
    assert_eq!(sandbox.load(BUFFER + 9), *b"ab");
}

#[test]
fn what_is_too_much_for_the_file_system_is_enospc() {
    let sandbox = Sandbox::new();
    let fd = sandbox.open("/tmp/file", O_CREAT | O_RDWR).unwrap();
    let write = |at: u64| sandbox.call(nr64::PWRITE64, [fd, BUFFER, 1, at * PAGE_SIZE, 0, 0]);
    sandbox.store(BUFFER, b"x");
    let mut pages = 0;
    while write(pages) == Ok(1) {
        pages += 1;
    }
    assert_eq!(write(pages), Err(Errno::ENOSPC));
    assert_eq!(pages, (8 << 20) / PAGE_SIZE / 2, "half of memory");
    assert_eq!(sandbox.stat("/tmp/file").unwrap().st_size as u64, (pages - 1) * PAGE_SIZE + 1);
    assert_eq!(sandbox.call(nr64::FTRUNCATE, [fd, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(write(0), Ok(1));
}
