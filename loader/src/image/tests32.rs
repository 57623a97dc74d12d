//! 32-bit programs: what [`super::tests`] says of 64-bit ones, where a word's
//! width matters; and programs of real compilers.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::elf::{PT_GNU_STACK, PT_INTERP, PT_LOAD};
use object::{Object as _, ObjectSymbol as _};

use super::tests::{
    ET_DYN, ET_EXEC, Ph, R, RW, RX, check, elf_of, load, read, refused, typical_of,
};
use super::*;

const TOP: u64 = 0xffff_f000;

fn elf(e_type: u16, entry: u64, phdrs: &[Ph], len: usize) -> Vec<u8> {
    elf_of(Class::Elf32, e_type, entry, phdrs, len)
}

fn typical(e_type: u16, base: u64) -> Vec<u8> {
    typical_of(Class::Elf32, e_type, base)
}

fn exec(phdrs: &[Ph]) -> Result<Image, ImageError> {
    parse(&elf(ET_EXEC, 0x804_8000, phdrs, 0x4000))
}

#[test]
fn typical_i386_program_becomes_two_segments() {
    let bytes = typical(ET_EXEC, 0x804_8000);
    let image = parse(&bytes).unwrap();
    check(&image, &bytes);
    assert_eq!(image.class, Class::Elf32);
    let [text, data] = &image.segments[..] else { panic!("{image:?}") };
    assert_eq!((text.start, text.end), (0x804_8000, 0x804_9000));
    assert_eq!(text.prot, Prot { read: true, write: false, exec: true });
    assert_eq!((data.start, data.end), (0x804_9000, 0x804_c000));
    assert_eq!(data.prot, Prot { read: true, write: true, exec: false });
    assert_eq!((image.entry, image.load_bias, image.brk), (0x804_8400, 0, 0x804_c000));
    assert_eq!((image.phdr_addr, image.phdr_entry_size, image.phdr_count), (0x804_8034, 32, 2));
    assert_eq!(read(&image, &bytes, 0x804_8fff), Some(bytes[0xfff]));
    assert_eq!(read(&image, &bytes, 0x804_9cff), Some(bytes[0xcff]));
    assert_eq!(read(&image, &bytes, 0x804_9d00), Some(0));
}

#[test]
fn static_pie_goes_to_the_32_bit_pie_base() {
    for linked_to in [0, 0x7000_0000, 0xf000_0000] {
        let bytes = typical(ET_DYN, linked_to);
        let image = parse(&bytes).unwrap();
        check(&image, &bytes);
        assert_eq!(image.load_bias, PIE_BASE32.wrapping_sub(linked_to));
        assert_eq!(image.segments[0].start, PIE_BASE32);
        assert_eq!(image.entry, PIE_BASE32 + 0x400);
        assert_eq!(image.phdr_addr, PIE_BASE32 + 0x34);
        assert_eq!(image.brk, PIE_BASE32 + 0x4000);
    }
}

#[test]
fn static_pie_is_aligned_as_its_segments_ask() {
    let with_align = |align| {
        let text = Ph { align, ..load(RX, 0, 0, 0x800, 0x800) };
        parse(&elf(ET_DYN, 0x400, &[text], 0x1000)).map(|image| image.load_bias)
    };
    assert_eq!(with_align(0x20_0000), Ok(0x5640_0000));
    assert_eq!(with_align(0x4000_0000), Ok(0x4000_0000));
    for ignored in [0, 1, 0x1000, 0x1001, 0x30_0000] {
        assert_eq!(with_align(ignored), Ok(PIE_BASE32), "p_align {ignored:#x}");
    }
    let nowhere =
        ImageError::SegmentOutOfRange { index: 0, address: 0, size: 0x800, end: USER_END32 };
    assert_eq!(with_align(0x8000_0000), Err(nowhere));
}

#[test]
fn stack_is_executable_unless_gnu_stack_says_otherwise() {
    let text = load(RX, 0, 0x804_8000, 0x100, 0x100);
    let data = load(RW, 0, 0x804_9000, 0x100, 0x100);
    let stack = |flags| Ph { p_type: PT_GNU_STACK.0, ..load(flags, 0, 0, 0, 0) };
    assert!(!exec(&[text, stack(RW)]).unwrap().exec_stack);
    assert!(exec(&[text, stack(RX)]).unwrap().exec_stack);
    assert!(!exec(&[text, stack(RX), stack(RW)]).unwrap().exec_stack);
    let image = exec(&[text, data]).unwrap();
    assert!(image.exec_stack);
    // Of READ_IMPLIES_EXEC this is all: segments are as they ask.
    assert!(!image.segments[1].prot.exec);
}

#[test]
fn truncation_is_never_a_panic_and_says_what_is_missing() {
    let text = load(RX, 0, 0x804_8000, 0x1000, 0x1000);
    let data = load(RW, 0x1000, 0x804_9000, 0x800, 0x2000);
    let bytes = elf(ET_EXEC, 0x804_8400, &[text, data], 0x1800);
    assert!(parse(&bytes).is_ok());
    for len in 0..bytes.len() {
        let error = refused(&bytes[..len]);
        let right = match len {
            0 => error == ImageError::Empty,
            // Nothing says yet that it is 32-bit.
            1..5 => matches!(error, ImageError::Truncated { what: "ELF header", needs: 64, .. }),
            5..52 => matches!(error, ImageError::Truncated { what: "ELF header", needs: 52, .. }),
            52..116 => matches!(error, ImageError::Truncated { needs: 116, .. }),
            _ => matches!(error, ImageError::SegmentFileRange { .. }),
        };
        assert!(right, "length {len}: {error}");
    }
}

#[test]
fn header_of_another_platform_is_named() {
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = typical(ET_EXEC, 0x804_8000);
        changes.iter().for_each(|&(at, value)| bytes[at] = value);
        refused(&bytes)
    };
    assert_eq!(with(&[(18, 62)]), ImageError::X32);
    for wrong in [0, 2, 9] {
        let wrong_class = ImageError::WrongClass { class: wrong, machine: Machine(3) };
        assert_eq!(with(&[(4, wrong)]), wrong_class);
    }
    assert_eq!(with(&[(18, 40)]), ImageError::WrongMachine { machine: Machine(40) });
    let powerpc = ImageError::WrongEndianness { data: 2, machine: Machine(20) };
    assert_eq!(with(&[(5, 2), (18, 0), (19, 20)]), powerpc);
    assert_eq!(with(&[(6, 0)]), ImageError::BadVersion { version: 0 });
    assert_eq!(with(&[(20, 7)]), ImageError::BadVersion { version: 7 });
    for (e_type, word) in [(0, "NONE"), (1, "REL"), (4, "CORE"), (9, "0x9")] {
        let error = with(&[(16, e_type)]);
        assert_eq!(error, ImageError::WrongType { found: FileType(e_type.into()) });
        assert!(error.to_string().contains(word), "{error}");
    }
    // A 64-bit program header's size, too.
    for size in [31, 33, 56] {
        let size_error = ImageError::BadPhdrSize { size, expected: 32 };
        assert_eq!(with(&[(42, size as u8)]), size_error);
    }
    assert_eq!(with(&[(44, 0)]), ImageError::NoSegments);
    let many = ImageError::TooManySegments { count: 0xffff, max: 2048 };
    assert_eq!(with(&[(44, 0xff), (45, 0xff)]), many);
    assert!(matches!(with(&[(31, 0xff)]), ImageError::Truncated { .. }));
}

#[test]
fn dynamic_program_names_its_interpreter() {
    let with = |offset, filesz| {
        let interp = Ph { p_type: PT_INTERP.0, ..load(R, offset, 0, filesz, filesz) };
        let mut file = elf(ET_DYN, 0, &[interp], 0x900);
        file.extend(b"/lib/ld-linux.so.2\0");
        match refused(&file) {
            ImageError::Dynamic { interpreter } => interpreter,
            other => panic!("{other}"),
        }
    };
    assert_eq!(with(0x900, 19), "/lib/ld-linux.so.2");
    assert_eq!(with(0x900, 3), "/li");
    assert_eq!(with(0xffff_ffff, 0xffff_ffff), "");
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let text = load(RX, 0, 0x804_8000, 0x1000, 0x1000);
    let error = |phdrs: &[Ph]| refused(&elf(ET_EXEC, 0x804_8000, phdrs, 0x4000));
    let file_range =
        |offset, size| ImageError::SegmentFileRange { index: 0, offset, size, has: 0x4000 };
    assert_eq!(error(&[load(RX, 0, 0x804_8000, 0x4001, 0x4001)]), file_range(0, 0x4001));
    // Offset and size that wrap in 32 bits.
    assert_eq!(error(&[load(RX, 0xffff_ffff, 0x804_8fff, 2, 2)]), file_range(0xffff_ffff, 2));
    let more = ImageError::FileSizeExceedsMemSize { index: 0, file_size: 2, memory_size: 1 };
    assert_eq!(error(&[load(RX, 0, 0x804_8000, 2, 1)]), more);
    let bad = ImageError::MisalignedSegment { index: 0, address: 0x804_8008, offset: 0 };
    assert_eq!(error(&[load(RX, 0, 0x804_8008, 1, 1)]), bad);
    assert_eq!(error(&[load(RX, 0, 0x804_8000, 0, 0)]), ImageError::NoSegments);
    let overlap = ImageError::SegmentOverlap { first: 1, second: 0, address: 0x804_8000 };
    assert_eq!(error(&[text, load(RW, 0xfff, 0x804_7fff, 2, 2)]), overlap);
}

#[test]
fn segments_outside_of_the_32_bit_address_space_are_refused() {
    let text = load(RX, 0, 0x804_8000, 0x1000, 0x1000);
    for (address, size) in [
        (0, 0x1000),
        (0xf000, 0x1001),
        (USER_END32 - 0x1000, 0x1001),
        (USER_END32, 1),
        (TOP, 0x1000),
        // The last byte below 4 GiB; over it; and around to the first page.
        (0xffff_ffff, 1),
        (TOP, 0x1001),
        (TOP, 0x2_0000),
        (0x804_a000, 0xffff_ffff),
        (0xffff_ffff, 0xffff_ffff),
    ] {
        let phdrs = [text, load(RW, 0, address, 0, size)];
        let error = refused(&elf(ET_EXEC, 0x804_8000, &phdrs, 0x4000));
        let end = USER_END32;
        assert_eq!(error, ImageError::SegmentOutOfRange { index: 1, address, size, end });
        assert!(error.to_string().contains("0x10000..0xff7fe000"), "{error}");
    }
    assert!(exec(&[text, load(RW, 0, USER_END32 - 1, 0, 1)]).is_ok());
    assert!(exec(&[text, load(RW, 0, USER_MIN, 0, 1)]).is_ok());
    // What fits into the file's addresses and not above the PIE base.
    let far = load(RW, 0, USER_END32 - PIE_BASE32, 0, 1);
    let error = refused(&elf(ET_DYN, 0, &[load(RX, 0, 0, 0x1000, 0x1000), far], 0x4000));
    assert!(matches!(error, ImageError::SegmentOutOfRange { index: 1, .. }), "{error}");
}

#[test]
fn huge_bss_is_described_not_allocated() {
    let text = load(RX, 0, 0x804_8000, 0x100, 0x100);
    let bss = load(RW, 0, 0x1000_0000, 0, USER_END32 - 0x1000_0000);
    let image = exec(&[text, bss]).unwrap();
    assert_eq!((image.brk, image.segments.len()), (USER_END32, 2));
    assert!(image.memory_size() > 3 << 30);
}

#[test]
fn entry_must_be_in_a_segment() {
    let text = load(RX, 0, 0x804_8000, 0x800, 0x800);
    for entry in [0, 0x804_7fff, 0x804_9000, 0xffff_ffff] {
        let error = refused(&elf(ET_EXEC, entry, &[text], 0x1000));
        assert_eq!(error, ImageError::EntryOutsideSegments { entry });
    }
}

#[test]
fn most_program_headers_linux_takes_are_taken() {
    let page = |i: u64| load(RW, 0, 0x804_8000 + i * 0x1000, 0, 0x1000);
    let phdrs: Vec<_> = (0..2048).map(page).collect();
    let bytes = elf(ET_EXEC, 0x804_8000, &phdrs, 0);
    assert_eq!(parse(&bytes).unwrap().segments.len(), phdrs.len());
}

#[test]
fn any_two_changed_header_bytes_are_never_a_panic() {
    let whole = typical(ET_DYN, 0);
    let values = [0, 1, 0x7f, 0x80, 0xff];
    for (first, second) in (0..116).flat_map(|a| (a..116).map(move |b| (a, b))) {
        for value in values {
            let mut bytes = whole.clone();
            bytes[first] = value;
            bytes[second] = value;
            if let Ok(image) = parse(&bytes) {
                check(&image, &bytes);
            }
        }
    }
}

/// A place of our own for what compilers make; gone with the value.
struct Workshop(PathBuf);

impl Workshop {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trapgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The program that the command's compiler makes of the source; or none,
    /// loudly, if it cannot make even the plainest program.
    fn build(&self, compiler: &[impl AsRef<OsStr>], source: &str, text: &str) -> Option<Vec<u8>> {
        let (source, program) = (self.0.join(source), self.0.join("program"));
        std::fs::write(&source, text).unwrap();
        if run(compiler, &source, &program) {
            return Some(std::fs::read(&program).unwrap());
        }
        // As trapgate_tests::missing: `cargo xtask test` counts it.
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        let words: Vec<_> = compiler.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        let line = format!("SKIPPED: {test}: {}\n", words.join(" "));
        let _ = std::io::stderr().write_all(line.as_bytes());
        None
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `gcc -m32` with these arguments: the system's, or what `cargo xtask setup`
/// unpacked below the target directory, from which this program comes.
fn gcc_32(arguments: &[&str]) -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let mut above = own.ancestors().map(|dir| dir.join("xtask/packages/gcc32/bin/gcc-m32"));
    let compiler = match above.find(|file| file.is_file()) {
        Some(unpacked) => vec![unpacked.to_str().unwrap().to_owned()],
        None => vec!["gcc".to_owned(), "-m32".to_owned()],
    };
    compiler.into_iter().chain(arguments.iter().map(|&text| text.to_owned())).collect()
}

fn run(compiler: &[impl AsRef<OsStr>], source: &Path, program: &Path) -> bool {
    let mut command = Command::new(&compiler[0]);
    command.args(&compiler[1..]).arg(source).arg("-o").arg(program);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What is true of every program that a compiler makes.
fn check_real(bytes: &[u8], bias: u64) {
    let image = parse(bytes).unwrap();
    check(&image, bytes);
    assert_eq!((image.class, image.load_bias), (Class::Elf32, bias));
    assert!(!image.exec_stack);
    let file = object::File::parse(bytes).unwrap();
    let start = file.symbols().find(|symbol| symbol.name() == Ok("_start")).unwrap();
    assert_eq!(start.address().wrapping_add(image.load_bias), image.entry);
    // The program headers, read back from memory as AT_PHDR has them.
    let size = usize::from(image.phdr_entry_size) * usize::from(image.phdr_count);
    let in_memory = |i| read(&image, bytes, image.phdr_addr + i as u64);
    let phdrs: Option<Vec<u8>> = (0..size).map(in_memory).collect();
    let phdrs = phdrs.expect("a linker puts program headers into a segment");
    assert_eq!(phdrs, bytes[52..52 + size]);
    assert_eq!(phdrs[..4], PT_LOAD.0.to_le_bytes());
}

const C: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";

#[test]
fn static_program_of_gcc_m32_is_read() {
    let workshop = Workshop::new("gcc-m32");
    if let Some(bytes) = workshop.build(&gcc_32(&["-static", "-no-pie"]), "hello.c", C) {
        check_real(&bytes, 0);
    }
}

#[test]
fn static_pie_of_gcc_m32_is_read() {
    let workshop = Workshop::new("gcc-m32-pie");
    if let Some(bytes) = workshop.build(&gcc_32(&["-static-pie"]), "hello.c", C) {
        check_real(&bytes, PIE_BASE32);
    }
}

#[test]
fn musl_program_of_rustc_i686_is_read() {
    let workshop = Workshop::new("rustc-i686");
    let compiler = ["rustc", "--target", "i686-unknown-linux-musl"];
    if let Some(bytes) = workshop.build(&compiler, "hello.rs", "fn main() { println!(\"hello\") }")
    {
        let bias = if bytes[16] == 3 { PIE_BASE32 } else { 0 };
        check_real(&bytes, bias);
    }
}

#[test]
fn assembly_without_gnu_stack_gets_an_executable_stack() {
    let workshop = Workshop::new("gcc-m32-asm");
    let compiler = gcc_32(&["-nostdlib", "-static", "-no-pie"]);
    let text = ".globl _start\n_start: movl $1, %eax\n int $0x80\n";
    if let Some(bytes) = workshop.build(&compiler, "hello.s", text) {
        let image = parse(&bytes).unwrap();
        assert!(image.exec_stack);
        assert_eq!(image.segments.iter().filter(|s| s.prot.exec).count(), 1);
    }
}
