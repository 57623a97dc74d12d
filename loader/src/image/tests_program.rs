//! [`Program`]: what the kernel asks, of files that are not in memory.

use super::tests::{ET_DYN, ET_EXEC, Ph, RW, RX, elf_of, load, typical_of};
use super::*;
use object::elf::{PT_INTERP, PT_LOAD};
use std::cell::{Cell, RefCell};
use trapgate_uapi::Errno;

/// A file that cannot be read behind its first `good` bytes, and notes what was asked.
struct Disk<'a> {
    bytes: &'a [u8],
    good: u64,
    asked: RefCell<Vec<(u64, usize)>>,
}

impl Source for Disk<'_> {
    type Error = Errno;

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.asked.borrow_mut().push((offset, bytes.len()));
        let Ok(length) = self.bytes.read_at(offset, bytes);
        if offset + length as u64 > self.good { Err(Errno::EIO) } else { Ok(length) }
    }
}

fn disk(bytes: &[u8]) -> Disk<'_> {
    Disk { bytes, good: u64::MAX, asked: RefCell::default() }
}

fn errno(bytes: &[u8]) -> Errno {
    match Program::read(&disk(bytes)) {
        Ok(_) => panic!("a program"),
        Err(refusal) => number(refusal),
    }
}

fn number(refusal: Refusal<Errno>) -> Errno {
    match refusal {
        Refusal::File(errno) => errno,
        Refusal::Image(error) => error.errno(),
    }
}

const CLASSES: [Class; 2] = [Class::Elf64, Class::Elf32];
const END: u64 = 0x7fff_ffff_f000;

/// A program with this interpreter's path, of `size` bytes as PT_INTERP says.
fn with_interpreter(class: Class, path: &[u8], size: u64) -> Vec<u8> {
    let interp = Ph { p_type: PT_INTERP.0, ..load(RX, 0x1000, 0x1000, size, size) };
    let text = load(RX, 0, 0, 0x1000, 0x1000);
    let mut bytes = elf_of(class, ET_DYN, 0x400, &[interp, text], 0x1000);
    bytes.extend(path);
    bytes
}

#[test]
fn of_a_file_the_headers_are_read_and_nothing_else() {
    for (class, header) in [(Class::Elf64, 64), (Class::Elf32, 52)] {
        let bytes = typical_of(class, ET_EXEC, 0x40_0000);
        let file = disk(&bytes);
        let program = Program::read(&file).unwrap();
        let table = 2 * if class == Class::Elf64 { 56 } else { 32 };
        assert_eq!(*file.asked.borrow(), [(0, 64), (header, table)]);
        assert!(program.class == class && !program.movable);
        assert!(program.interpreter(&file).unwrap().is_none());
        // The same as of a file in memory.
        assert_eq!(program.place(0, class.user_end()), parse(&bytes));
    }
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let bytes = typical_of(Class::Elf64, ET_EXEC, 0x40_0000);
    for good in [0, 63, 64, 175] {
        let file = Disk { good, ..disk(&bytes) };
        assert!(matches!(Program::read(&file), Err(Refusal::File(Errno::EIO))), "{good}");
    }
    assert!(Program::read(&Disk { good: 176, ..disk(&bytes) }).is_ok());
}

#[test]
fn an_interpreter_is_named_as_linux_takes_its_name() {
    for class in CLASSES {
        let named = |path: &[u8], size: usize| {
            let bytes = with_interpreter(class, path, size as u64);
            let file = disk(&bytes);
            let name = Program::read(&file).unwrap().interpreter(&file);
            name.map(Option::unwrap).map_err(number)
        };
        assert_eq!(named(b"/lib/ld\0", 8), Ok(b"/lib/ld".to_vec()));
        // It ends at its first NUL, and must end in one.
        assert_eq!(named(b"/a\0b\0", 5), Ok(b"/a".to_vec()));
        assert_eq!(named(b"\0\0", 2), Ok(vec![]));
        assert_eq!(named(b"/a\0b\0", 4), Err(Errno::ENOEXEC));
        assert_eq!(named(b"\0", 1), Err(Errno::ENOEXEC));
        assert_eq!(named(b"", 0), Err(Errno::ENOEXEC));
        assert_eq!(named(b"/a\0", 4), Err(Errno::ENOEXEC), "behind the file's end");
        let long = |length: usize| [&vec![b'a'; length - 1][..], b"\0"].concat();
        assert_eq!(named(&long(4096), 4096).map(|path| path.len()), Ok(4095));
        assert_eq!(named(&long(4097), 4097), Err(Errno::ENOEXEC));
    }
    let bytes = with_interpreter(Class::Elf64, b"/lib/ld\0", 8);
    let file = Disk { good: 0x1000, ..disk(&bytes) };
    let path = Program::read(&file).unwrap().interpreter(&file);
    assert!(matches!(path, Err(Refusal::File(Errno::EIO))));
}

#[test]
fn a_movable_program_goes_where_the_caller_says() {
    for class in CLASSES {
        let bytes = typical_of(class, ET_DYN, 0x7000_0000);
        let program = Program::read(&disk(&bytes)).unwrap();
        assert_eq!(program.extent(), Some(Extent { size: 0x4000, align: 0x1000 }));
        let image = program.place(0x1234_5000, END).unwrap();
        assert_eq!(image.segments[0].start, 0x1234_5000);
        assert_eq!(image.entry, 0x1234_5400);
        assert_eq!(image.brk, 0x1234_9000);
        assert!(program.place(0x1234_5000, 0x1234_9000).is_ok());
        let error = program.place(0x1234_5000, 0x1234_8000).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
    }
}

#[test]
fn a_program_whose_addresses_wrap_has_no_extent() {
    let far = load(RW, 0, 0xffff_ffff_ffff_f000, 0, 0x1000);
    let bytes = elf_of(Class::Elf64, ET_DYN, 0, &[load(RX, 0, 0, 0x100, 0x100), far], 0x1000);
    let program = Program::read(&disk(&bytes)).unwrap();
    assert_eq!(program.extent(), None);
}

#[test]
fn pages_are_described_whatever_the_files_length() {
    let text = load(RX, 0, 0x40_0000, 0x2800, 0x2800);
    let data = load(RW, 0x2800, 0x40_3800, 0x100, 0x900);
    let bytes = elf_of(Class::Elf64, ET_EXEC, 0x40_0000, &[text, data], 0x300);
    let image = Program::read(&disk(&bytes)).unwrap().place(0, END).unwrap();
    let files: Vec<_> = image.segments.iter().map(|segment| segment.file.clone()).collect();
    // Whole pages, or as far as the segment has bytes.
    assert_eq!(files, [0..0x3000, 0x2000..0x2900]);
    // The VMM wants all of it.
    assert!(matches!(parse(&bytes), Err(ImageError::SegmentFileRange { .. })));
}

#[test]
fn segments_on_top_of_each_other_are_mapped_one_after_the_other() {
    let lower = load(RX, 0, 0x40_0000, 0x3000, 0x3000);
    let upper = load(RW, 0x1000, 0x40_1000, 0x1000, 0x1000);
    let bytes = elf_of(Class::Elf64, ET_EXEC, 0x40_0000, &[lower, upper], 0x3000);
    let image = Program::read(&disk(&bytes)).unwrap().place(0, END).unwrap();
    let starts: Vec<_> = image.segments.iter().map(|s| (s.start, s.prot.write)).collect();
    assert_eq!(starts, [(0x40_0000, false), (0x40_1000, true), (0x40_2000, false)]);
    assert!(matches!(parse(&bytes), Err(ImageError::SegmentOverlap { .. })));
}

#[test]
fn each_refusal_is_a_number_of_linuxs() {
    let typical = typical_of(Class::Elf64, ET_EXEC, 0x40_0000);
    let with = |at: usize, value: u8| {
        let mut bytes = typical.clone();
        bytes[at] = value;
        errno(&bytes)
    };
    assert_eq!(errno(b""), Errno::ENOEXEC);
    assert_eq!(errno(b"#!/bin/sh\n"), Errno::ENOEXEC);
    assert_eq!(errno(&typical[..63]), Errno::ENOEXEC);
    assert_eq!(errno(&typical[..175]), Errno::ENOEXEC);
    // Machine, type, size and number of the program headers.
    for (at, value) in [(18, 40), (16, 1), (54, 55), (56, 0), (57, 0xff)] {
        assert_eq!(with(at, value), Errno::ENOEXEC, "byte {at}");
    }
    let one = |phdr| errno(&elf_of(Class::Elf64, ET_EXEC, 0x40_0000, &[phdr], 0x1000));
    assert_eq!(one(load(RX, 0, 0x40_0008, 1, 1)), Errno::EINVAL);
    assert_eq!(one(load(RX, 0, 0x40_0000, 2, 1)), Errno::EINVAL);
    let placed = |phdr| {
        let bytes = elf_of(Class::Elf64, ET_EXEC, 0x40_0000, &[phdr], 0x1000);
        Program::read(&disk(&bytes)).unwrap().place(0, END).map_err(|error| error.errno())
    };
    assert_eq!(placed(load(RX, 0, END, 1, 1)), Err(Errno::EINVAL));
    assert_eq!(placed(load(RX, !0xfff, 0x40_0000, 0xfff, 0xfff)), Err(Errno::EINVAL));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_no_panic() {
    /// Another file at each reading.
    struct Changing(Vec<Vec<u8>>, Cell<usize>);
    impl Source for Changing {
        type Error = Errno;
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
            let file = &self.0[self.1.get() % self.0.len()];
            self.1.set(self.1.get() + 1);
            let Ok(length) = file[..].read_at(offset, bytes);
            Ok(length)
        }
    }
    let files: Vec<Vec<u8>> = vec![
        typical_of(Class::Elf64, ET_DYN, 0),
        with_interpreter(Class::Elf32, b"/a\0", 3),
        vec![0xff; 0x2000],
        vec![],
        vec![PT_LOAD.0 as u8; 0x1000],
    ];
    for first in 0..files.len() {
        for second in 0..files.len() {
            let file = Changing(vec![files[first].clone(), files[second].clone()], Cell::new(0));
            let Ok(program) = Program::read(&file) else { continue };
            let _ = program.interpreter(&file);
            let _ = (program.extent(), program.place(0x1000_0000, END));
        }
    }
}
