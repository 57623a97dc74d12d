//! The tests of `image`: files built here byte by byte, so that each says what
//! it is about; and any bytes at all. What is different for 32-bit programs is in
//! [`super::tests32`].

use super::*;
use object::elf::{PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_INTERP, PT_LOAD};
use proptest::prelude::*;

/// A program header as the tests write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ph {
    pub(super) p_type: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) vaddr: u64,
    pub(super) filesz: u64,
    pub(super) memsz: u64,
    pub(super) align: u64,
}

pub(super) fn load(flags: u32, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> Ph {
    let (p_type, align) = (PT_LOAD.0, 0x1000);
    Ph { p_type, flags, offset, vaddr, filesz, memsz, align }
}

pub(super) const R: u32 = PF_R.0;
pub(super) const RW: u32 = PF_R.0 | PF_W.0;
pub(super) const RX: u32 = PF_R.0 | PF_X.0;
pub(super) const ET_EXEC: u16 = 2;
pub(super) const ET_DYN: u16 = 3;

/// An ELF file of `len` bytes; what is not a header counts up, never 0. Of
/// words that a 32-bit file is too narrow for, it has the lower half.
pub(super) fn elf_of(class: Class, e_type: u16, entry: u64, phdrs: &[Ph], len: usize) -> Vec<u8> {
    let (ident, machine, ehdr, phdr) = match class {
        Class::Elf32 => (1, 3u16, 52u16, 32u16),
        Class::Elf64 => (2, 62, 64, 56),
    };
    let words = |bytes: &mut Vec<u8>, words: &[u64]| {
        for word in words {
            match class {
                Class::Elf32 => bytes.extend((*word as u32).to_le_bytes()),
                Class::Elf64 => bytes.extend(word.to_le_bytes()),
            }
        }
    };
    let mut bytes = vec![0x7f, b'E', b'L', b'F', ident, 1, 1];
    bytes.resize(16, 0);
    bytes.extend(e_type.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    words(&mut bytes, &[entry, ehdr.into(), 0]);
    bytes.extend(0u32.to_le_bytes());
    for half in [ehdr, phdr, phdrs.len() as u16, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for p in phdrs {
        bytes.extend(p.p_type.to_le_bytes());
        if class == Class::Elf64 {
            bytes.extend(p.flags.to_le_bytes());
        }
        words(&mut bytes, &[p.offset, p.vaddr, p.vaddr, p.filesz, p.memsz]);
        if class == Class::Elf32 {
            bytes.extend(p.flags.to_le_bytes());
        }
        words(&mut bytes, &[p.align]);
    }
    bytes.extend((bytes.len()..len).map(|at| (at % 251 + 1) as u8));
    bytes
}

fn elf(e_type: u16, entry: u64, phdrs: &[Ph], len: usize) -> Vec<u8> {
    elf_of(Class::Elf64, e_type, entry, phdrs, len)
}

/// What a linker makes: headers and code, then data with BSS.
pub(super) fn typical_of(class: Class, e_type: u16, base: u64) -> Vec<u8> {
    let text = load(RX, 0, base, 0x800, 0x800);
    let data = load(RW, 0x800, base + 0x1800, 0x500, 0x2000);
    elf_of(class, e_type, base + 0x400, &[text, data], 0x1000)
}

fn typical(e_type: u16, base: u64) -> Vec<u8> {
    typical_of(Class::Elf64, e_type, base)
}

/// The memory that an image describes, as the loader fills it.
fn memory(image: &Image, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let fill = |s: &Segment| {
        let mut pages = vec![0; (s.end - s.start) as usize];
        let shown = s.bytes(bytes);
        pages[..shown.len()].copy_from_slice(shown);
        (s.start, pages)
    };
    image.segments.iter().map(fill).collect()
}

pub(super) fn read(image: &Image, bytes: &[u8], address: u64) -> Option<u8> {
    let memory = memory(image, bytes);
    let has = |(start, pages): &(u64, Vec<u8>)| {
        let offset = address.checked_sub(*start)? as usize;
        pages.get(offset).copied()
    };
    memory.iter().find_map(has)
}

pub(super) fn refused(bytes: &[u8]) -> ImageError {
    let error = parse(bytes).expect_err("should be refused");
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains(": "), "{text}");
    error
}

fn exec(phdrs: &[Ph]) -> Result<Image, ImageError> {
    parse(&elf(ET_EXEC, 0x40_0000, phdrs, 0x4000))
}

#[test]
fn typical_program_becomes_two_segments() {
    let bytes = typical(ET_EXEC, 0x40_0000);
    let image = parse(&bytes).unwrap();
    let [text, data] = &image.segments[..] else { panic!("{image:?}") };
    assert_eq!((text.start, text.end), (0x40_0000, 0x40_1000));
    assert_eq!(text.prot, Prot { read: true, write: false, exec: true });
    assert_eq!((data.start, data.end), (0x40_1000, 0x40_4000));
    assert_eq!(data.prot, Prot { read: true, write: true, exec: false });
    assert_eq!((image.entry, image.load_bias), (0x40_0400, 0));
    assert_eq!((image.phdr_addr, image.phdr_entry_size, image.phdr_count), (0x40_0040, 56, 2));
    assert_eq!((image.brk, image.memory_size()), (0x40_4000, 0x4000));
    assert_eq!(image.class, Class::Elf64);
    assert!(!image.exec_stack);
}

#[test]
fn pages_show_the_file_around_a_segment_and_bss_is_zero() {
    let bytes = typical(ET_EXEC, 0x40_0000);
    let image = parse(&bytes).unwrap();
    let at = |address| read(&image, &bytes, address);
    // memsz = filesz: the rest of the page is the rest of the file's page.
    assert_eq!(at(0x40_0fff), Some(bytes[0xfff]));
    // Before p_vaddr: the file's page too.
    assert_eq!(at(0x40_1000), Some(bytes[0]));
    assert_eq!(at(0x40_1cff), Some(bytes[0xcff]));
    // memsz > filesz: zero from there.
    assert_eq!(at(0x40_1d00), Some(0));
    assert_eq!(at(0x40_3fff), Some(0));
    assert_eq!(at(0x40_4000), None);
}

#[test]
fn last_page_ends_in_zeros_where_the_file_ends() {
    let bytes = elf(ET_EXEC, 0x40_0000, &[load(RX, 0, 0x40_0000, 0x100, 0x100)], 0x180);
    let image = parse(&bytes).unwrap();
    assert_eq!(image.segments[0].file, 0..0x180);
    assert_eq!(read(&image, &bytes, 0x40_0180), Some(0));
}

#[test]
fn static_pie_goes_to_the_pie_base() {
    let image = parse(&typical(ET_DYN, 0)).unwrap();
    assert_eq!(image.load_bias, PIE_BASE);
    assert_eq!(image.entry, PIE_BASE + 0x400);
    assert_eq!(image.phdr_addr, PIE_BASE + 0x40);
    assert_eq!(image.brk, PIE_BASE + 0x4000);
}

#[test]
fn static_pie_linked_to_an_address_goes_to_the_pie_base_too() {
    let image = parse(&typical(ET_DYN, 0x7000_0000_0000)).unwrap();
    assert_eq!(image.segments[0].start, PIE_BASE);
    assert_eq!(image.entry, PIE_BASE + 0x400);
}

#[test]
fn static_pie_is_aligned_as_its_segments_ask() {
    let with_align = |align| {
        let text = Ph { align, ..load(RX, 0, 0, 0x800, 0x800) };
        parse(&elf(ET_DYN, 0x400, &[text], 0x1000)).unwrap().load_bias
    };
    assert_eq!(with_align(0x20_0000), 0x5555_5540_0000);
    for ignored in [0, 1, 0x1000, 0x1001, 0x30_0000] {
        assert_eq!(with_align(ignored), PIE_BASE, "p_align {ignored:#x}");
    }
}

#[test]
fn segments_sharing_a_page_give_it_to_the_later_one() {
    let first = load(RX, 0, 0x40_0000, 0x1800, 0x1800);
    let second = load(RW, 0x1800, 0x40_1800, 0x100, 0x100);
    let image = exec(&[first, second]).unwrap();
    let ranges: Vec<_> = image.segments.iter().map(|s| (s.start, s.end, s.prot.write)).collect();
    assert_eq!(ranges, [(0x40_0000, 0x40_1000, false), (0x40_1000, 0x40_2000, true)]);
    assert_eq!(image.segments[1].file, 0x1000..0x2000);
    // The same in the other order: now the lower one has the page.
    let image = exec(&[second, first]).unwrap();
    let ranges: Vec<_> = image.segments.iter().map(|s| (s.start, s.end, s.prot.write)).collect();
    assert_eq!(ranges, [(0x40_0000, 0x40_2000, false)]);
}

#[test]
fn bss_pages_of_a_read_only_segment_are_writable_as_in_linux() {
    let image = exec(&[load(RX, 0, 0x40_0000, 0x800, 0x1800)]).unwrap();
    let [file, bss] = &image.segments[..] else { panic!("{image:?}") };
    assert_eq!((file.start, file.end, file.file.clone()), (0x40_0000, 0x40_1000, 0..0x800));
    assert_eq!(file.prot, Prot { read: true, write: false, exec: true });
    assert_eq!((bss.start, bss.end, bss.file.is_empty()), (0x40_1000, 0x40_2000, true));
    assert_eq!(bss.prot, Prot { read: true, write: true, exec: true });
}

#[test]
fn huge_bss_is_described_not_allocated() {
    let text = load(RX, 0, 0x40_0000, 0x100, 0x100);
    let bss = load(RW, 0x123, 0x1_0000_0000, 0, 4 << 30);
    let image = exec(&[text, bss]).unwrap();
    assert_eq!(image.segments.len(), 2);
    assert_eq!(image.memory_size(), (4 << 30) + 0x1000);
    assert_eq!(image.brk, 0x2_0000_0000);
}

#[test]
fn gnu_stack_decides_about_the_stack() {
    let text = load(RX, 0, 0x40_0000, 0x100, 0x100);
    let stack = |flags| Ph { p_type: PT_GNU_STACK.0, ..load(flags, 0, 0, 0, 0) };
    assert!(!exec(&[text]).unwrap().exec_stack);
    assert!(!exec(&[text, stack(RW)]).unwrap().exec_stack);
    assert!(exec(&[text, stack(RX)]).unwrap().exec_stack);
    // Of several the last one, as in Linux.
    assert!(exec(&[text, stack(RW), stack(RX)]).unwrap().exec_stack);
    assert!(!exec(&[text, stack(RX), stack(RW)]).unwrap().exec_stack);
}

#[test]
fn program_headers_outside_every_segment_have_no_address() {
    assert_eq!(exec(&[load(RX, 0x1000, 0x40_0000, 0x100, 0x100)]).unwrap().phdr_addr, 0);
}

#[test]
fn what_is_not_elf_is_named() {
    assert_eq!(refused(b""), ImageError::Empty);
    for bytes in [b"\x00".as_slice(), b"MZ\x90\x00", b"\xff\xfe", b"\x7fELG", b"\xe2\x82"] {
        assert_eq!(refused(bytes), ImageError::NotElf, "{bytes:?}");
    }
    let script = |interpreter: &str| ImageError::Script { interpreter: interpreter.into() };
    assert_eq!(refused(b"#!/bin/sh\necho"), script("/bin/sh"));
    assert_eq!(refused(b"#! \t/usr/bin/env python3\n"), script("/usr/bin/env"));
    assert_eq!(refused(b"#!/bin/\x1b[1m\n"), script("/bin/\\u{1b}[1m"));
    assert_eq!(refused(b"#!"), script(""));
}

#[test]
fn text_is_told_from_other_files() {
    // The cut at 1024 bytes goes through the last character.
    let long = format!("{}€uro\n", "x".repeat(1022));
    for text in ["int main(void) { return 0; }\n", "M", "\tgrün\r\n\x0c", &long] {
        assert_eq!(refused(text.as_bytes()), ImageError::Text, "{text:?}");
    }
    let late = [b"x".repeat(1024), vec![0]].concat();
    assert_eq!(refused(&late), ImageError::Text);
}

#[test]
fn a_shared_library_is_no_program_and_a_static_pie_is() {
    const DYNAMIC: usize = 0x900;
    let parsed = |entry, entries: &[(u64, u64)]| {
        let size = 16 * entries.len() as u64;
        let dynamic = Ph { p_type: PT_DYNAMIC.0, ..load(RW, DYNAMIC as u64, 0, size, size) };
        let mut bytes = elf(ET_DYN, entry, &[load(RX, 0, 0, 0x800, 0x800), dynamic], 0x1000);
        let words = entries.iter().flat_map(|(tag, value)| [*tag, *value]);
        let words: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        bytes[DYNAMIC..DYNAMIC + words.len()].copy_from_slice(&words);
        parse(&bytes).map(|image| image.entry - PIE_BASE)
    };
    let (needed, soname, pie) = ((1, 5), (14, 9), (0x6fff_fffb, 0x0800_0000));
    assert_eq!(parsed(0, &[soname, (0, 0)]), Err(ImageError::Library));
    assert_eq!(parsed(0x400, &[needed, (0, 0)]), Err(ImageError::Library));
    // What the linker says of a static PIE, old and new.
    assert_eq!(parsed(0x400, &[pie, (0, 0)]), Ok(0x400));
    assert_eq!(parsed(0x400, &[(0, 0)]), Ok(0x400));
    assert_eq!(parsed(0, &[pie, (0, 0)]), Ok(0));
    // A dynamic linker.
    assert_eq!(parsed(0x400, &[soname, (0, 0)]), Ok(0x400));
    // Behind the end of the table.
    assert_eq!(parsed(0x400, &[(0, 0), needed]), Ok(0x400));
}

#[test]
fn truncation_is_never_a_panic_and_says_what_is_missing() {
    let text = load(RX, 0, 0x40_0000, 0x1000, 0x1000);
    let data = load(RW, 0x1000, 0x40_1000, 0x800, 0x2000);
    let bytes = elf(ET_EXEC, 0x40_0400, &[text, data], 0x1800);
    assert!(parse(&bytes).is_ok());
    for len in 0..bytes.len() {
        let error = refused(&bytes[..len]);
        let right = match len {
            0 => error == ImageError::Empty,
            1..64 => matches!(error, ImageError::Truncated { what: "ELF header", needs: 64, .. }),
            64..176 => matches!(error, ImageError::Truncated { needs: 176, .. }),
            _ => matches!(error, ImageError::SegmentFileRange { .. }),
        };
        assert!(right, "length {len}: {error}");
    }
}

#[test]
fn header_of_another_platform_is_named() {
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = typical(ET_EXEC, 0x40_0000);
        changes.iter().for_each(|&(at, value)| bytes[at] = value);
        refused(&bytes)
    };
    let machine = |number| ImageError::WrongMachine { machine: Machine(number) };
    assert_eq!(with(&[(4, 1)]), ImageError::X32);
    assert_eq!(with(&[(18, 3)]), ImageError::WrongClass { class: 2, machine: Machine(3) });
    assert_eq!(with(&[(4, 9)]), ImageError::WrongClass { class: 9, machine: Machine(62) });
    assert_eq!(with(&[(4, 1), (18, 40)]), machine(40));
    assert_eq!(with(&[(18, 183)]), machine(183));
    assert_eq!(with(&[(18, 243)]), machine(243));
    assert_eq!(with(&[(18, 0xfe), (19, 0xfe)]), machine(0xfefe));
    let s390 = ImageError::WrongEndianness { data: 2, machine: Machine(22) };
    assert_eq!(with(&[(5, 2), (18, 0), (19, 22)]), s390);
    assert_eq!(with(&[(6, 0)]), ImageError::BadVersion { version: 0 });
    assert_eq!(with(&[(20, 7)]), ImageError::BadVersion { version: 7 });
    for (e_type, word) in [(0, "NONE"), (1, "REL"), (4, "CORE"), (9, "0x9")] {
        let error = with(&[(16, e_type)]);
        assert_eq!(error, ImageError::WrongType { found: FileType(e_type.into()) });
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(with(&[(54, 55)]), ImageError::BadPhdrSize { size: 55, expected: 56 });
    assert_eq!(with(&[(56, 0)]), ImageError::NoSegments);
    let many = ImageError::TooManySegments { count: 0xffff, max: 1170 };
    assert_eq!(with(&[(56, 0xff), (57, 0xff)]), many);
    assert!(matches!(with(&[(39, 0xff)]), ImageError::Truncated { .. }));
}

#[test]
fn dynamic_program_names_its_interpreter() {
    let exe = std::fs::read("/proc/self/exe").unwrap();
    if let Err(error) = parse(&exe) {
        let ImageError::Dynamic { interpreter } = error else { panic!("{error}") };
        assert!(interpreter.contains("ld-"), "{interpreter}");
    }
    let mut bytes = typical(ET_DYN, 0);
    bytes[0x900..0x908].copy_from_slice(b"/lib/ld\0");
    let with = |offset, filesz| {
        let interp = Ph { p_type: PT_INTERP.0, ..load(R, offset, 0, filesz, filesz) };
        let mut file = elf(ET_DYN, 0, &[interp], 0x900);
        file.extend_from_slice(&bytes[0x900..]);
        match refused(&file) {
            ImageError::Dynamic { interpreter } => interpreter,
            other => panic!("{other}"),
        }
    };
    assert_eq!(with(0x900, 8), "/lib/ld");
    assert_eq!(with(0x900, 3), "/li");
    assert_eq!(with(u64::MAX, u64::MAX), "");
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let text = load(RX, 0, 0x40_0000, 0x1000, 0x1000);
    let error = |phdrs: &[Ph]| refused(&elf(ET_EXEC, 0x40_0000, phdrs, 0x4000));
    let file_range =
        |offset, size| ImageError::SegmentFileRange { index: 0, offset, size, has: 0x4000 };
    assert_eq!(error(&[load(RX, 0, 0x40_0000, 0x4001, 0x4001)]), file_range(0, 0x4001));
    assert_eq!(error(&[load(RX, !0, 0x40_0fff, 2, 2)]), file_range(!0, 2));
    let more = ImageError::FileSizeExceedsMemSize { index: 0, file_size: 2, memory_size: 1 };
    assert_eq!(error(&[load(RX, 0, 0x40_0000, 2, 1)]), more);
    let bad = ImageError::MisalignedSegment { index: 0, address: 0x40_0008, offset: 0 };
    assert_eq!(error(&[load(RX, 0, 0x40_0008, 1, 1)]), bad);
    assert_eq!(error(&[load(RX, 0, 0x40_0000, 0, 0)]), ImageError::NoSegments);
    let overlap = ImageError::SegmentOverlap { first: 1, second: 0, address: 0x40_0000 };
    assert_eq!(error(&[text, load(RW, 0xfff, 0x3f_ffff, 2, 2)]), overlap);
    for (address, size) in [
        (0, 0x1000),
        (0xf000, 0x1001),
        (USER_END - 0x1000, 0x1001),
        (USER_END, 1),
        (0xffff_8000_0000_0000, 0x1000),
        (0xffff_ffff_ffff_f000, 0x1000),
        (0xffff_ffff_ffff_f000, 0x2000),
        (0x40_0000, u64::MAX),
    ] {
        let bss = load(RW, 0, address, 0, size);
        let outside = ImageError::SegmentOutOfRange { index: 1, address, size, end: USER_END };
        assert_eq!(error(&[text, bss]), outside);
    }
    assert!(exec(&[text, load(RW, 0, USER_END - 1, 0, 1)]).is_ok());
    assert!(exec(&[text, load(RW, 0, USER_MIN, 0, 1)]).is_ok());
}

#[test]
fn entry_must_be_in_a_segment() {
    let text = load(RX, 0, 0x40_0000, 0x800, 0x800);
    for entry in [0, 0x3f_ffff, 0x40_1000, u64::MAX] {
        let error = refused(&elf(ET_EXEC, entry, &[text], 0x1000));
        assert_eq!(error, ImageError::EntryOutsideSegments { entry });
    }
}

#[test]
fn most_program_headers_linux_takes_are_taken() {
    let page = |i: u64| load(RW, 0, 0x40_0000 + i * 0x1000, 0, 0x1000);
    let phdrs: Vec<_> = (0..1170).map(page).collect();
    let bytes = elf(ET_EXEC, 0x40_0000, &phdrs, 0);
    assert_eq!(parse(&bytes).unwrap().segments.len(), phdrs.len());
}

/// What the loader relies on, for every image that is let through.
pub(super) fn check(image: &Image, bytes: &[u8]) {
    let end = image.class.user_end();
    for s in &image.segments {
        assert!(s.start < s.end && s.start % PAGE == 0 && s.end % PAGE == 0, "{s:?}");
        assert!(s.start >= USER_MIN && s.end <= end, "{s:?}");
        assert!(s.file.start <= s.file.end && s.file.end <= bytes.len() as u64, "{s:?}");
        assert!(s.file.start % PAGE == 0, "{s:?}");
        assert!(s.start + (s.file.end - s.file.start) <= s.end, "{s:?}");
    }
    assert!(image.segments.windows(2).all(|pair| pair[0].end <= pair[1].start));
    assert!(image.segments.iter().any(|s| s.start <= image.entry && image.entry < s.end));
    assert_eq!(image.brk, image.segments.last().unwrap().end);
    assert!(image.memory_size() <= end - USER_MIN);
}

/// Program headers that are nearly right: small numbers on and around pages.
fn any_load() -> impl Strategy<Value = Ph> {
    let near = |most: u64| (0..most, prop_oneof![3 => Just(0u64), 1 => 0..PAGE]);
    (near(4), near(8), near(3), near(4), 0..8u32, 0..4u32).prop_map(
        |(offset, vaddr, filesz, bss, flags, kind)| {
            let at = |(page, byte): (u64, u64)| page * PAGE + byte;
            let congruent = at(vaddr) - at(vaddr) % PAGE + at(offset) % PAGE;
            let vaddr = if kind == 0 { at(vaddr) } else { congruent };
            let filesz = at(filesz);
            load(flags, at(offset), 0x40_0000 + vaddr, filesz, filesz + at(bss))
        },
    )
}

fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Elf32), Just(Class::Elf64)]
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(image) = parse(&bytes) {
            check(&image, &bytes);
        }
    }

    #[test]
    fn any_bytes_behind_a_good_ident_never_panic(
        class in any_class(),
        rest in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let mut bytes = typical_of(class, ET_EXEC, 0x40_0000)[..20].to_vec();
        bytes.extend(rest);
        if let Ok(image) = parse(&bytes) {
            check(&image, &bytes);
        }
    }

    #[test]
    fn any_change_to_a_program_never_panics(
        class in any_class(),
        dynamic in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in prop_oneof![Just(0x1000usize), 0usize..0x1000],
    ) {
        let mut bytes = match dynamic {
            true => typical_of(class, ET_DYN, 0),
            false => typical_of(class, ET_EXEC, 0x40_0000),
        };
        let headers = match class {
            Class::Elf32 => 116,
            Class::Elf64 => 176,
        };
        for (at, value) in changes {
            bytes[at.index(headers)] = value;
        }
        bytes.truncate(len);
        if let Ok(image) = parse(&bytes) {
            check(&image, &bytes);
        }
    }

    /// Against the plainest model: each byte of memory by itself, segments
    /// mapped one after the other.
    #[test]
    fn memory_is_what_mapping_one_by_one_gives(
        class in any_class(),
        phdrs in prop::collection::vec(any_load(), 1..6),
        entry in 0x40_0000..0x40_9000u64,
        len in 0x200usize..0x6000,
    ) {
        let bytes = elf_of(class, ET_EXEC, entry, &phdrs, len);
        let Ok(image) = parse(&bytes) else { return Ok(()) };
        check(&image, &bytes);
        let loads: Vec<_> = phdrs.iter().filter(|p| p.memsz > 0).collect();
        let filled = memory(&image, &bytes);
        for page in (0x40_0000..0x41_8000u64).step_by(PAGE as usize) {
            let covers = |p: &&&Ph| p.vaddr < page + PAGE && p.vaddr + p.memsz > page;
            let owner = loads.iter().rev().find(covers);
            let segment = image.segments.iter().position(|s| s.start <= page && page < s.end);
            prop_assert_eq!(owner.is_some(), segment.is_some(), "page {:#x}", page);
            let (Some(p), Some(segment)) = (owner, segment) else { continue };
            let has_file = p.filesz > 0 && p.vaddr + p.filesz > page;
            let write = p.flags & 2 != 0 || !has_file;
            prop_assert_eq!(image.segments[segment].prot.write, write);
            for address in page..page + PAGE {
                let shown = p.filesz > 0
                    && (p.memsz == p.filesz || address < p.vaddr + p.filesz);
                let offset = p.offset.wrapping_add(address.wrapping_sub(p.vaddr)) as usize;
                let expected = match shown {
                    true => bytes.get(offset).copied().unwrap_or(0),
                    false => 0,
                };
                let (start, pages) = &filled[segment];
                prop_assert_eq!(pages[(address - start) as usize], expected);
            }
        }
    }
}
