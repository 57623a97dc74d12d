//! What is in the two images, instruction by instruction, and what is refused.

use super::*;
use crate::symbols::Symbols;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use trapgate_abi::kernel_note::NAME;
use trapgate_abi::mitigation::{Step, keep};

fn ram() -> GuestRam {
    GuestRam::new(4 << 20).unwrap()
}

fn load(image: &[u8], keep: u64) -> (GuestRam, Result<Kernel, Error>) {
    let ram = ram();
    let kernel = Kernel::load(image, &ram, &Hardening { keep, pti: false });
    (ram, kernel)
}

/// What is there for no instruction's sake: NOPs, and jumps over INT3s with these.
fn is_nothing(ram: &GuestRam, instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Nop | Mnemonic::Int3 => true,
        Mnemonic::Jmp => {
            let over = instruction.near_branch_target().wrapping_sub(instruction.next_ip());
            let mut skipped = vec![0; if over < 512 { over as usize } else { 0 }];
            let there = ram.read(instruction.next_ip() - KERNEL_BASE, &mut skipped).is_ok();
            there && !skipped.is_empty() && skipped.iter().all(|byte| *byte == 0xcc)
        }
        _ => false,
    }
}

/// The functions of an image with `part` in their names, by name, as they are in
/// memory.
fn functions(image: &[u8], ram: &GuestRam, part: &str) -> BTreeMap<String, Vec<Instruction>> {
    let file = object::File::parse(image).unwrap();
    let text = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let named = text.filter_map(|symbol| {
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
        (name.contains(part) && symbol.size() > 0).then_some((name, symbol))
    });
    let decoded = named.map(|(name, symbol)| {
        let mut bytes = vec![0; symbol.size() as usize];
        ram.read(symbol.address() - KERNEL_BASE, &mut bytes).unwrap();
        let decoder = Decoder::with_ip(64, &bytes, symbol.address(), DecoderOptions::NONE);
        (name, decoder.into_iter().collect())
    });
    decoded.collect()
}

/// The dispatch, up to its return: what is behind it is for what is rare.
fn dispatch(image: &[u8], ram: &GuestRam) -> BTreeMap<String, Vec<Instruction>> {
    let mut all = functions(image, ram, "::dispatch::syscall_");
    for code in all.values_mut() {
        let end = code.iter().position(|one| one.mnemonic() == Mnemonic::Ret);
        code.truncate(end.expect("it returns") + 1);
    }
    all
}

/// The functions that are on each call's way.
fn on_the_way(image: &[u8], ram: &GuestRam) -> BTreeMap<String, Vec<Instruction>> {
    let mut all = functions(image, ram, "trapgate_guest::entry::");
    all.append(&mut dispatch(image, ram));
    all
}

fn is_of_tables(instruction: &Instruction) -> bool {
    [instruction.op0_register(), instruction.op1_register()].contains(&Register::CR3)
}

#[test]
fn no_piece_is_both_written_and_executed() {
    for image in [PLAIN, INSTRUMENTED] {
        let described = describe(image).unwrap();
        assert_eq!(described.pieces.len(), 4);
        assert!(described.pieces.iter().all(|piece| !(piece.write && piece.exec)));
        assert_eq!(described.note.unwrap().abi_version, ABI_VERSION);
    }
}

#[test]
fn a_plain_image_has_no_step_no_stamp_no_nop_and_no_site() {
    let (ram, kernel) = load(PLAIN, keep::NO_RETPOLINE);
    assert!(kernel.unwrap().instruments.is_none());
    let way = on_the_way(PLAIN, &ram);
    assert!(way.len() > 10, "{:?}", way.keys());
    let absent = [Mnemonic::Nop, Mnemonic::Rdtsc, Mnemonic::Verw, Mnemonic::Lfence];
    for (name, code) in way {
        for one in code {
            assert!(!absent.contains(&one.mnemonic()) && !is_of_tables(&one), "{name}: {one:?}");
            // The one vector that may not trust GS asks for it.
            let may = name.ends_with("paranoid_exception");
            assert!(may || one.mnemonic() != Mnemonic::Wrmsr, "{name}");
            assert!(!is_nothing(&ram, &one), "{name}");
        }
    }
    // Nor what steps and stamps call.
    for part in ["::thunks::", "jump_to_rax", "trapgate_untrain", "stamp"] {
        assert!(functions(PLAIN, &ram, part).is_empty(), "{part}");
    }
}

#[test]
fn an_instrumented_image_without_steps_is_the_plain_one_and_nops() {
    let done = |image| {
        let (ram, kernel) = load(image, keep::NO_RETPOLINE);
        kernel.unwrap();
        let mut way = on_the_way(image, &ram);
        way.retain(|name, _| !name.contains("::thunks::") && !name.contains("stamped"));
        let done = |code: Vec<Instruction>| -> Vec<Mnemonic> {
            let some = code.iter().filter(|one| !is_nothing(&ram, one));
            some.map(Instruction::mnemonic).collect()
        };
        way.into_iter().map(|(name, code)| (name, done(code))).collect::<Vec<_>>()
    };
    let (plain, instrumented) = (done(PLAIN), done(INSTRUMENTED));
    assert_eq!(plain.len(), instrumented.len());
    for (one, other) in plain.iter().zip(&instrumented) {
        assert_eq!(one, other);
    }
}

#[test]
fn an_instrumented_door_has_the_chosen_steps_and_no_other() {
    for door in ["entry_syscall_64", "entry_syscall_64_stamped"] {
        let marks = |keep: u64| {
            let (ram, kernel) = load(INSTRUMENTED, keep);
            kernel.unwrap();
            let mut found = functions(INSTRUMENTED, &ram, "::entry::syscall64::");
            found.retain(|name, _| name.ends_with(door));
            let code: Vec<_> = found.into_values().flatten().collect();
            let count = |mnemonic| code.iter().filter(|one| one.mnemonic() == mnemonic).count();
            // To the kernel's tables once, and back with SYSRET: the other way back is
            // `return_to_user`'s.
            let tables = code.iter().filter(|one| one.op0_register().is_cr()).count();
            let stamps = if door.ends_with("stamped") { 4 } else { 0 };
            let timed = count(Mnemonic::Rdtsc) - stamps;
            (tables, count(Mnemonic::Wrmsr), timed, count(Mnemonic::Verw))
        };
        let no_retpoline = |step: Step| keep::NO_RETPOLINE | step.bit();
        assert_eq!(marks(keep::NO_RETPOLINE), (0, 0, 0, 0), "{door}");
        assert_eq!(marks(no_retpoline(Step::Pti)), (2, 0, 0, 0), "{door}");
        assert_eq!(marks(no_retpoline(Step::Ibrs)), (0, 2, 0, 0), "{door}");
        assert_eq!(marks(no_retpoline(Step::KstackOffset)), (0, 0, 1, 0), "{door}");
        assert_eq!(marks(no_retpoline(Step::Verw)), (0, 0, 0, 2), "{door}");
        assert_eq!(marks(Step::ALL.iter().map(|step| step.bit()).sum()), (2, 2, 1, 2), "{door}");
    }
}

#[test]
fn the_indirect_call_is_there_in_one_form() {
    let calls = |image, keep| {
        let (ram, kernel) = load(image, keep);
        kernel.unwrap();
        let code = dispatch(image, &ram);
        let calls = code.into_values().map(|code| {
            let calls: Vec<_> =
                code.iter().filter(|one| one.mnemonic() == Mnemonic::Call).collect();
            calls.iter().map(|one| one.is_call_near_indirect()).collect::<Vec<_>>()
        });
        calls.collect::<Vec<_>>()
    };
    assert_eq!(calls(PLAIN, keep::NO_RETPOLINE), [[true]; 2]);
    assert_eq!(calls(INSTRUMENTED, keep::NO_RETPOLINE), [[true]; 3]);
    assert_eq!(calls(INSTRUMENTED, Step::Retpoline.bit()), [[false]; 3]);
}

#[test]
fn both_images_answer_each_number_by_the_same_handler() {
    let tables = |image: &'static [u8]| {
        let (ram, _) = load(image, keep::NO_RETPOLINE);
        let (file, symbols) = (object::File::parse(image).unwrap(), Symbols::new(image));
        let named = file.symbols().filter(|one| one.kind() == SymbolKind::Data);
        let tables =
            named.filter(|one| one.name().is_ok_and(|name| name.contains("SYS_CALL_TABLE")));
        let mut tables: Vec<_> = tables
            .map(|table| {
                let name = format!("{:#}", rustc_demangle::demangle(table.name().unwrap()));
                let rows = (0..table.size()).step_by(8).map(|row| {
                    let [row] = ram.read_words(table.address() - KERNEL_BASE + row).unwrap();
                    symbols.lookup(row, 0).expect("a handler").to_string()
                });
                (name, rows.collect::<Vec<_>>())
            })
            .collect();
        tables.sort();
        tables
    };
    let plain = tables(PLAIN);
    assert!(plain.len() == 3 && plain.iter().all(|(_, rows)| rows.len() > 400));
    assert_eq!(plain, tables(INSTRUMENTED));
}

#[test]
fn a_kernel_of_another_version_is_refused() {
    let mut image = PLAIN.to_vec();
    let note = [&NAME[..], &ABI_VERSION.to_le_bytes()].concat();
    let at = image.windows(note.len()).position(|window| window == note).unwrap();
    image[at + NAME.len()] ^= 0xff;
    let error = load(&image, keep::NO_RETPOLINE).1.err().unwrap().to_string();
    assert!(error.contains("ABI version"), "{error}");
    assert!(load(&[], keep::NO_RETPOLINE).1.is_err());
}

#[test]
fn what_is_loaded_of_an_image_stays_below_what_is_built_behind_it() {
    let mut image = PLAIN.to_vec();
    let header = FileHeader64::<LittleEndian>::parse(PLAIN).unwrap();
    let (first, rows) =
        (header.e_phoff(LittleEndian), header.program_headers(LittleEndian, PLAIN).unwrap());
    let is_loaded = |row: &elf::ProgramHeader64<_>| row.p_type(LittleEndian) == elf::PT_LOAD;
    let last = rows.iter().rposition(is_loaded).unwrap();
    // The last one has a file of 2 MiB for the memory that it has.
    image.resize(4 << 20, 0xff);
    let at = first as usize + last * size_of::<elf::ProgramHeader64<LittleEndian>>() + 32;
    image[at..at + 8].copy_from_slice(&(2u64 << 20).to_le_bytes());
    let refused = load(&image, keep::NO_RETPOLINE).1.err().unwrap().to_string();
    assert!(refused.contains("another place"), "{refused}");
}

#[test]
fn a_plain_image_is_refused_where_steps_or_stamps_are_wanted() {
    for hardening in [
        Hardening { keep: keep::NO_RETPOLINE | Step::Verw.bit(), ..Hardening::NONE },
        Hardening { pti: true, ..Hardening::NONE },
        Hardening { keep: Step::Retpoline.bit(), ..Hardening::NONE },
    ] {
        let refused = Kernel::load(PLAIN, &ram(), &hardening).err();
        assert!(matches!(refused, Some(Error::Uninstrumented)), "{hardening:?}: {refused:?}");
    }
    let mut plain = Kernel::load(PLAIN, &ram(), &Hardening::NONE).unwrap();
    assert!(matches!(plain.stamp(), Err(Error::Uninstrumented)));
    // The other is good for both.
    let mut instrumented = Kernel::load(INSTRUMENTED, &ram(), &Hardening::NONE).unwrap();
    assert!(instrumented.stamp().is_ok());
}

/// The instrumented image with other words in its notes.
fn changed(change: impl Fn(&mut KernelNote, &mut Instruments)) -> Vec<u8> {
    let mut image = INSTRUMENTED.to_vec();
    let described = describe(&image).unwrap();
    let (mut note, mut instruments) = (described.note.unwrap(), described.instruments.unwrap());
    change(&mut note, &mut instruments);
    for (kind, words) in
        [(kernel_note::KERNEL, note.to_words()), (kernel_note::INSTRUMENTS, instruments.to_words())]
    {
        let head = [&kind.to_le_bytes()[..], NAME].concat();
        let at = image.windows(head.len()).position(|window| window == head).unwrap() + head.len();
        let words: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        image[at..at + words.len()].copy_from_slice(&words);
    }
    image
}

#[test]
fn a_table_of_sites_that_is_none_is_refused() {
    type Change = fn(&mut KernelNote, &mut Instruments);
    let changes: [(&str, Change); 9] = [
        ("it ends in the middle of a row", |_, it| it.sites_end -= 8),
        ("it begins in the middle of a row", |_, it| it.sites_start += 8),
        ("it is beyond the image", |_, it| it.sites_end = u64::MAX),
        ("it is empty", |_, it| it.sites_end = it.sites_start),
        ("its rows are shifted", |_, it| {
            it.sites_start += 8;
            it.sites_end -= 16;
        }),
        ("the entry's code is not on pages", |_, it| it.entry_start += 16),
        ("the entry's code is elsewhere", |_, it| it.entry_start = 0),
        ("the IDT is elsewhere", |note, _| note.idt = !(PAGE_SIZE - 1)),
        ("the second mapping is over the image", |_, it| it.untrain_alias = it.entry_start),
    ];
    for (what, change) in changes {
        let refused = load(&changed(change), keep::ALL).1;
        assert!(matches!(refused, Err(Error::Kernel(_))), "{what}");
    }
    assert!(load(&changed(|_, _| ()), keep::ALL).1.is_ok());
}
