//! The embedded vDSOs, read as a dynamic linker and a disassembler read them.

use super::*;
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use object::read::elf::{Dyn, SectionHeader};

type Ehdr32 = FileHeader32<LittleEndian>;
type Ehdr64 = FileHeader64<LittleEndian>;

/// An exported symbol: its name, version, address, and whether it is weak.
type Export = (String, String, u64, bool);

/// The exported symbols, by name.
fn exports<H: FileHeader<Endian = LittleEndian>>(image: &[u8]) -> Vec<Export> {
    let header = H::parse(image).unwrap();
    let sections = header.sections(LE, image).unwrap();
    let table = sections.symbols(LE, image, elf::SHT_DYNSYM).unwrap();
    let versions = sections.versions(LE, image).unwrap().expect("it has versions");
    let export = |(index, symbol): (object::SymbolIndex, &H::Sym)| {
        let name = symbol.name(LE, table.strings()).unwrap();
        let version = versions.version_index(LE, index).index();
        let version = versions.version(version).unwrap().expect("a version").name();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let weak = symbol.st_bind() == elf::STB_WEAK;
        (text(name), text(version), symbol.st_value(LE).into(), weak)
    };
    let mut exports: Vec<_> =
        table.enumerate().filter(|(_, it)| it.st_type() == elf::STT_FUNC).map(export).collect();
    assert_eq!(exports.len() + 1, table.len(), "all but the first, which is none, are functions");
    exports.sort();
    exports
}

/// What every vDSO must be: one segment of few pages that nothing writes to,
/// both hash tables, versions, the name, no relocations, no needed library.
fn check_form<H: FileHeader<Endian = LittleEndian>>(image: &[u8], soname: &str) {
    let header = H::parse(image).unwrap();
    assert_eq!(header.e_type(LE), elf::ET_DYN);
    let headers = header.program_headers(LE, image).unwrap();
    let loads: Vec<_> = headers.iter().filter(|it| it.p_type(LE) == elf::PT_LOAD).collect();
    let [load] = loads[..] else { panic!("{} segments", loads.len()) };
    assert_eq!((load.p_offset(LE).into(), load.p_vaddr(LE).into()), (0, 0));
    assert_eq!(load.p_filesz(LE).into(), load.p_memsz(LE).into());
    assert!(load.p_memsz(LE).into() <= 0x1000, "one page");
    for header in headers {
        assert!(!header.p_flags(LE).contains(elf::PF_W));
    }
    let sections = header.sections(LE, image).unwrap();
    for section in sections.iter() {
        let kind = section.sh_type(LE);
        assert!(kind != elf::SHT_REL && kind != elf::SHT_RELA && kind != elf::SHT_NOBITS);
    }
    let dynamic = headers.iter().find_map(|it| it.dynamic(LE, image).unwrap()).unwrap();
    let value = |tag: elf::DynamicTag| {
        let entry = dynamic.iter().find(|entry| entry.tag(LE) == tag);
        entry.map(|entry| entry.val(LE))
    };
    for wanted in [elf::DT_HASH, elf::DT_GNU_HASH, elf::DT_VERSYM, elf::DT_VERDEF] {
        assert!(value(wanted).is_some(), "{wanted:#x}");
    }
    for unwanted in [elf::DT_NEEDED, elf::DT_REL, elf::DT_RELA, elf::DT_JMPREL, elf::DT_INIT] {
        assert_eq!(value(unwanted), None, "{unwanted:#x}");
    }
    let strings = value(elf::DT_STRTAB).unwrap();
    let name = strings + value(elf::DT_SONAME).unwrap();
    let found = image[name as usize..].split(|&byte| byte == 0).next().unwrap();
    assert_eq!(found, soname.as_bytes());
}

#[test]
fn both_images_are_shared_objects_without_relocations_or_writable_pages() {
    check_form::<Ehdr64>(IMAGE_64, "linux-vdso.so.1");
    check_form::<Ehdr32>(IMAGE_32, "linux-gate.so.1");
}

#[test]
fn the_64_bit_image_has_linuxs_functions_and_their_weak_names() {
    let exports = exports::<Ehdr64>(IMAGE_64);
    assert!(exports.iter().all(|(_, version, ..)| version == "LINUX_2.6"));
    let find = |name: &str| exports.iter().find(|export| export.0 == name).unwrap();
    let names = ["clock_getres", "clock_gettime", "getcpu", "gettimeofday", "time"];
    for name in names {
        let (prefixed, plain) = (find(&format!("__vdso_{name}")), find(name));
        assert_eq!(prefixed.2, plain.2, "{name} is the same function");
        assert!(!prefixed.3 && plain.3, "{name} is the weak one");
    }
    assert_eq!(exports.len(), 2 * names.len());
}

#[test]
fn the_32_bit_image_has_linuxs_functions() {
    let exports = exports::<Ehdr32>(IMAGE_32);
    let of = |version: &str| -> Vec<String> {
        exports.iter().filter(|it| it.1 == version).map(|it| it.0.clone()).collect()
    };
    let gate = ["__kernel_rt_sigreturn", "__kernel_sigreturn", "__kernel_vsyscall"];
    assert_eq!(of("LINUX_2.5"), gate);
    let clocks =
        ["clock_getres", "clock_gettime", "clock_gettime64", "getcpu", "gettimeofday", "time"];
    assert_eq!(of("LINUX_2.6"), clocks.map(|name| format!("__vdso_{name}")));
    assert_eq!(exports.len(), gate.len() + clocks.len());
}

/// The instructions of `__kernel_vsyscall` up to its end.
fn gate_code(door: FastDoor) -> (Vec<Mnemonic>, u64) {
    let vdso = Vdso::new(Class::Elf32, door).unwrap();
    let start = vdso.vsyscall.unwrap();
    let code = &vdso.bytes[start as usize..];
    let mut mnemonics = Vec::new();
    let mut behind = 0;
    for instruction in Decoder::with_ip(32, code, start, DecoderOptions::NONE).iter() {
        mnemonics.push(instruction.mnemonic());
        match instruction.mnemonic() {
            Mnemonic::Int => behind = instruction.next_ip(),
            Mnemonic::Ret => break,
            _ => {}
        }
    }
    assert_eq!(vdso.landing_pad, behind, "the landing pad is behind INT 0x80");
    (mnemonics, behind)
}

#[test]
fn the_slot_holds_the_door_and_int80_is_behind_it() {
    use Mnemonic::{Int, Mov, Nop, Pop, Push, Ret, Syscall, Sysenter};
    let around =
        |slot: &[Mnemonic]| [&[Push, Push, Push], slot, &[Int, Pop, Pop, Pop, Ret]].concat();
    assert_eq!(gate_code(FastDoor::Sysenter).0, around(&[Mov, Sysenter]));
    assert_eq!(gate_code(FastDoor::Syscall).0, around(&[Mov, Syscall]));
    assert_eq!(gate_code(FastDoor::Int80).0, around(&[Nop; 4]));
}

#[test]
fn a_64_bit_programs_landing_pad_has_the_32_bit_images_offset() {
    let (_, behind) = gate_code(FastDoor::Sysenter);
    let vdso = Vdso::new(Class::Elf64, FastDoor::Sysenter).unwrap();
    assert_eq!((vdso.landing_pad, vdso.vsyscall), (behind, None));
}

#[test]
fn what_lies_in_memory_names_no_section_headers() {
    for (class, table) in [(Class::Elf32, 32..36), (Class::Elf64, 40..48)] {
        let vdso = Vdso::new(class, FastDoor::Int80).unwrap();
        assert!(vdso.bytes[table].iter().all(|&byte| byte == 0));
        assert_eq!(&vdso.bytes[..4], b"\x7fELF");
    }
}

#[test]
fn the_makers_door_is_taken_and_none_on_a_software_kvm() {
    let (sysenter, syscall) = (feature::SYSENTER32, feature::SYSCALL32);
    assert_eq!(FastDoor::of(Kind::Vmx, sysenter), FastDoor::Sysenter);
    assert_eq!(FastDoor::of(Kind::Svm, syscall), FastDoor::Syscall);
    assert_eq!(FastDoor::of(Kind::Svm, feature::SMAP), FastDoor::Int80);
    for features in [sysenter, syscall, 0] {
        assert_eq!(FastDoor::of(Kind::Software, features), FastDoor::Int80);
    }
}

#[test]
fn neither_image_uses_vector_or_x87_registers() {
    for (bits, image) in [(32, IMAGE_32), (64, IMAGE_64)] {
        let text = text(image);
        for instruction in Decoder::new(bits, text, DecoderOptions::NONE).iter() {
            let text = instruction.to_string();
            assert!(!text.contains("mm") && !text.contains("%st"), "{text}");
        }
    }
}

/// The section of this name.
fn text(image: &[u8]) -> &[u8] {
    fn find<H: FileHeader<Endian = LittleEndian>>(image: &[u8]) -> Option<&[u8]> {
        let sections = H::parse(image).ok()?.sections(LE, image).ok()?;
        let (_, section) = sections.section_by_name(LE, b".text")?;
        section.data(LE, image).ok()
    }
    find::<Ehdr64>(image).or_else(|| find::<Ehdr32>(image)).expect("a .text")
}
