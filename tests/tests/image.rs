//! The kernel's two images: what must not be in them, and where things are; and what
//! must not be in 32-bit programs.

use iced_x86::{Code, Decoder, DecoderOptions, Formatter, GasFormatter, Instruction};
use iced_x86::{CpuidFeature, InstructionInfoFactory};
use object::elf::{self, FileHeader32, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol};
use trapgate::boot::kernel::{INSTRUMENTED, PLAIN};
use trapgate::symbols::Symbols;
use trapgate_abi::layout::{KERNEL_BASE, PAGE_SIZE, VECTOR_STRIDE, VECTORS};
use trapgate_abi::x86::vector;
use trapgate_tests::programs::{bytes, names_32};

const LE: LittleEndian = LittleEndian;
/// Exception vectors of the CPU.
const VECTOR_COUNT: u64 = 256;
/// Kernel functions that save and restore the program's state, and so may
/// touch it.
const STATE_ROUTINES: &[&str] = &[
    "trapgate_arch::fpu::registers::save_xsaveopt",
    "trapgate_arch::fpu::registers::save_xsave",
    "trapgate_arch::fpu::registers::save_fxsave",
    "trapgate_arch::fpu::registers::load_xrstor",
    "trapgate_arch::fpu::registers::load_fxrstor",
];

const IMAGES: [(&str, &[u8]); 2] = [("plain", PLAIN), ("instrumented", INSTRUMENTED)];

/// The segments that are loaded.
fn segments(image: &'static [u8]) -> Vec<&'static ProgramHeader64<LittleEndian>> {
    let header = FileHeader64::<LittleEndian>::parse(image).expect("the kernel is an ELF file");
    let headers = header.program_headers(LE, image).expect("it has program headers");
    headers.iter().filter(|segment| segment.p_type(LE) == elf::PT_LOAD).collect()
}

/// Every instruction that is executable: 64-bit ones, but in the section of
/// legacy mode, which is the last one.
fn instructions(image: &'static [u8]) -> Vec<Instruction> {
    let file = object::File::parse(image).expect("the kernel is an ELF file");
    let legacy = file.section_by_name(".legacy").expect("it has legacy mode's code").address();
    let mut all = Vec::new();
    for segment in segments(image) {
        if segment.p_flags(LE).contains(elf::PF_X) {
            let code = segment.data(LE, image).expect("the segment is in the file");
            let start = segment.p_vaddr(LE);
            let (long, short) = code.split_at((legacy - start) as usize);
            all.extend(Decoder::with_ip(64, long, start, DecoderOptions::NONE).iter());
            let physical = legacy - KERNEL_BASE;
            all.extend(Decoder::with_ip(32, short, physical, DecoderOptions::NONE).iter());
        }
    }
    all
}

/// Whether an instruction reads or writes x87, MMX, SSE, AVX or AMX state, or
/// their control registers.
fn touches_fpu_state(info: &mut InstructionInfoFactory, instruction: &Instruction) -> bool {
    let registers = info.info(instruction).used_registers();
    let by_register = registers.iter().any(|used| {
        let register = used.register();
        register.is_vector_register()
            || register.is_mm()
            || register.is_st()
            || register.is_k()
            || register.is_tmm()
    });
    // x87 instructions use the top of its stack without naming it.
    let x87 = [CpuidFeature::FPU, CpuidFeature::FPU287, CpuidFeature::FPU387];
    let by_feature = instruction.cpuid_features().iter().any(|feature| x87.contains(feature));
    let by_code = matches!(
        instruction.code(),
        Code::Ldmxcsr_m32
            | Code::Stmxcsr_m32
            | Code::VEX_Vldmxcsr_m32
            | Code::VEX_Vstmxcsr_m32
            | Code::Wait
            | Code::Emms
            | Code::VEX_Vzeroupper
            | Code::VEX_Vzeroall
            | Code::Fxsave_m512byte
            | Code::Fxsave64_m512byte
            | Code::Fxrstor_m512byte
            | Code::Fxrstor64_m512byte
    ) || format!("{:?}", instruction.mnemonic()).starts_with("Xsave")
        || format!("{:?}", instruction.mnemonic()).starts_with("Xrstor");
    by_register || by_feature || by_code
}

#[test]
fn the_kernel_has_no_fpu_or_vector_instruction() {
    let mut info = InstructionInfoFactory::new();
    let mut formatter = GasFormatter::new();
    for (image_name, image) in IMAGES {
        let symbols = Symbols::new(image);
        let all = instructions(image);
        assert!(all.len() > 1000, "only {} instructions found", all.len());
        let mut found = Vec::new();
        for instruction in &all {
            let at = instruction.ip();
            let symbol = symbols.lookup(at, 0);
            let name = symbol.map_or_else(|| "?".to_owned(), |symbol| symbol.to_string());
            let function = name.split('+').next().unwrap_or_default();
            if STATE_ROUTINES.contains(&function) {
                continue;
            }
            if instruction.is_invalid() || touches_fpu_state(&mut info, instruction) {
                let mut text = String::new();
                formatter.format(instruction, &mut text);
                found.push(format!("{at:#x} <{name}>: {text}"));
            }
        }
        assert!(
            found.is_empty(),
            "{} of {} instructions of the {image_name} image touch the program's FPU state, or are \
             none:\n{}",
            found.len(),
            all.len(),
            found.join("\n"),
        );
    }
}

/// The name of the function that an instruction is in.
fn function_at(symbols: &Symbols, at: u64) -> String {
    let symbol = symbols.lookup(at, 0).map_or_else(|| "?".to_owned(), |symbol| symbol.to_string());
    symbol.split('+').next().unwrap_or_default().to_owned()
}

/// What leaves ring 0 for ring 3, by the function that it is in: the entry's, not the
/// jobs', which run no program.
fn ways_out(all: &[Instruction], symbols: &Symbols) -> Vec<(String, Code)> {
    let leaves = |code| {
        matches!(code, Code::Iretq | Code::Iretd | Code::Sysretq | Code::Sysretd)
            || matches!(code, Code::Sysexitq | Code::Sysexitd | Code::Retfq | Code::Retfd)
    };
    let mut found: Vec<_> = all
        .iter()
        .filter(|instruction| leaves(instruction.code()))
        // Legacy mode's are at physical addresses, and run no program either.
        .filter(|instruction| instruction.ip() >= KERNEL_BASE)
        .map(|instruction| (function_at(symbols, instruction.ip()), instruction.code()))
        .filter(|(function, _)| !function.starts_with("trapgate_job::"))
        .collect();
    found.sort_by_key(|(function, code)| (function.clone(), *code as u32));
    found.dedup();
    found
}

#[test]
fn ring_3_is_reached_by_prepare_return_and_by_nothing_else() {
    const LEAVE: &str = "trapgate_guest::entry::leave::return_to_user";
    const COMPAT: &str = "trapgate_guest::entry::leave::return_to_compat";
    const IRET: &str = "trapgate_guest::entry::leave::iret_to_user";
    const DOOR: &str = "trapgate_guest::entry::syscall64::entry_syscall_64";
    const STAMPED: &str = "trapgate_guest::entry::syscall64::entry_syscall_64_stamped";
    for (image_name, image) in IMAGES {
        let symbols = Symbols::new(image);
        let all = instructions(image);
        let instrumented = image_name == "instrumented";
        // The instructions: the first two go back to ring 0 only.
        let mut expected = vec![
            ("trapgate_guest::entry::vectors::exception", Code::Iretq),
            ("trapgate_guest::entry::vectors::paranoid_exception", Code::Iretq),
            (IRET, Code::Iretq),
            (COMPAT, Code::Sysretd),
            (DOOR, Code::Sysretq),
        ];
        expected.extend(instrumented.then_some((STAMPED, Code::Sysretq)));
        expected.sort_by_key(|&(function, code)| (function.to_owned(), code as u32));
        let found = ways_out(&all, &symbols);
        let found: Vec<_> = found.iter().map(|(name, code)| (name.as_str(), *code)).collect();
        assert_eq!(found, expected, "{image_name}");
        // Who jumps to the ways out: each has called somebody before who ends in
        // prepare_return.
        let at = |index: usize| function_at(&symbols, all[index].ip());
        let mut called = Vec::new();
        for (index, instruction) in all.iter().enumerate() {
            let leaves = instruction.is_jmp_short_or_near() || instruction.is_jcc_short_or_near();
            let target = instruction.near_branch_target();
            let to = if leaves { function_at(&symbols, target) } else { String::new() };
            let own = at(index);
            let within = [LEAVE, COMPAT, IRET].contains(&own.as_str());
            if !within && [LEAVE, COMPAT, IRET].contains(&to.as_str()) {
                let before = all[..index]
                    .iter()
                    .rev()
                    .take_while(|earlier| function_at(&symbols, earlier.ip()) == own);
                let call = before.into_iter().find(|earlier| earlier.is_call_near());
                let call = call.unwrap_or_else(|| panic!("{image_name}: {own} calls nobody"));
                called.push(function_at(&symbols, call.near_branch_target()));
            }
        }
        called.sort();
        called.dedup();
        let calls_work = |name: &str| {
            all.iter().any(|instruction| {
                function_at(&symbols, instruction.ip()) == name
                    && (instruction.is_call_near() || instruction.is_jmp_near())
                    && function_at(&symbols, instruction.near_branch_target())
                        .ends_with("prepare_return::do_work")
            })
        };
        for name in &called {
            // Steps of the instrumented image that stand between the call and the jump
            // call thunks, not Rust.
            assert!(calls_work(name), "{image_name}: {name} does not end in prepare_return");
        }
        assert!(called.len() >= 6, "{image_name}: only {called:?}");
    }
}

#[test]
fn the_32_bit_programs_have_no_fpu_or_vector_instruction() {
    // A software KVM interprets them, integer instructions only.
    let mut info = InstructionInfoFactory::new();
    let mut formatter = GasFormatter::new();
    let (mut programs, mut found) = (0, Vec::new());
    // One is about what happens to those instructions there.
    for name in names_32().filter(|name| *name != "beyond-integers.32") {
        programs += 1;
        let bytes = bytes(name);
        let header = FileHeader32::<LittleEndian>::parse(bytes).expect("it is a 32-bit ELF file");
        let headers = header.program_headers(LE, bytes).expect("it has program headers");
        let mut count = 0;
        for segment in headers.iter().filter(|segment| segment.p_type(LE) == elf::PT_LOAD) {
            if !segment.p_flags(LE).contains(elf::PF_X) {
                continue;
            }
            let code = segment.data(LE, bytes).expect("the segment is in the file");
            let start = segment.p_vaddr(LE).into();
            for instruction in Decoder::with_ip(32, code, start, DecoderOptions::NONE) {
                count += 1;
                if touches_fpu_state(&mut info, &instruction) {
                    let mut text = String::new();
                    formatter.format(&instruction, &mut text);
                    found.push(format!("{name} at {:#x}: {text}", instruction.ip()));
                }
            }
        }
        assert!(count > 100, "only {count} instructions found in {name}");
    }
    assert!(programs > 5, "only {programs} programs found");
    assert!(found.is_empty(), "{} instructions:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_check_for_fpu_instructions_finds_them() {
    let mut info = InstructionInfoFactory::new();
    let mut touches = |code: &[u8]| {
        let instruction = Decoder::new(64, code, DecoderOptions::NONE).decode();
        assert!(!instruction.is_invalid(), "{code:02x?}");
        touches_fpu_state(&mut info, &instruction)
    };
    for (name, code) in [
        ("fld1", &[0xd9, 0xe8][..]),
        ("fninit", &[0xdb, 0xe3]),
        ("fwait", &[0x9b]),
        ("emms", &[0x0f, 0x77]),
        ("movq mm0, rax", &[0x48, 0x0f, 0x6e, 0xc0]),
        ("pxor xmm0, xmm0", &[0x66, 0x0f, 0xef, 0xc0]),
        ("cvttsd2si rax, xmm0", &[0xf2, 0x48, 0x0f, 0x2c, 0xc0]),
        ("vzeroupper", &[0xc5, 0xf8, 0x77]),
        ("vpxor ymm0, ymm0, ymm0", &[0xc5, 0xfd, 0xef, 0xc0]),
        ("ldmxcsr [rax]", &[0x0f, 0xae, 0x10]),
        ("fxsave [rax]", &[0x0f, 0xae, 0x00]),
        ("xsave [rax]", &[0x0f, 0xae, 0x20]),
        ("xrstor64 [rax]", &[0x48, 0x0f, 0xae, 0x28]),
    ] {
        assert!(touches(code), "{name}");
    }
    for (name, code) in [
        ("lfence", &[0x0f, 0xae, 0xe8][..]),
        ("mov rax, cr4", &[0x0f, 0x20, 0xe0]),
        ("pause", &[0xf3, 0x90]),
        ("movnti [rax], rcx", &[0x48, 0x0f, 0xc3, 0x08]),
        ("rep movsq", &[0xf3, 0x48, 0xa5]),
        ("xsetbv", &[0x0f, 0x01, 0xd1]),
    ] {
        assert!(!touches(code), "{name}");
    }
}

#[test]
fn no_page_of_the_kernel_is_both_writable_and_executable() {
    for (name, image) in IMAGES {
        let mut pages: Vec<_> = Vec::new();
        for segment in segments(image) {
            let flags = segment.p_flags(LE);
            let (start, size) = (segment.p_vaddr(LE), segment.p_memsz(LE));
            let both = flags.contains(elf::PF_W) && flags.contains(elf::PF_X);
            assert!(!both, "{name}: segment at {start:#x} is writable and executable");
            let (first, last) = (start / PAGE_SIZE, (start + size - 1) / PAGE_SIZE);
            pages.push((first, last, start));
        }
        pages.sort_unstable();
        for pair in pages.windows(2) {
            let shared = pair[0].1 >= pair[1].0;
            assert!(
                !shared,
                "{name}: segments at {:#x} and {:#x} share a page",
                pair[0].2, pair[1].2
            );
        }
    }
}

#[test]
fn the_plain_image_has_nothing_of_the_trace() {
    let count = |image: &'static [u8]| {
        let file = object::File::parse(image).expect("the kernel is an ELF file");
        let names = file.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        names
            .filter(|name| {
                ["trace_ring", "traced", "8dispatch5trace"].iter().any(|part| name.contains(part))
            })
            .count()
    };
    assert_eq!(count(PLAIN), 0);
    assert!(count(INSTRUMENTED) >= 4, "the names are looked for as they are");
}

#[test]
fn the_exception_stubs_stand_where_the_layout_says() {
    for (name, image) in IMAGES {
        let segments = segments(image);
        let text = segments.iter().find(|segment| segment.p_flags(LE).contains(elf::PF_X));
        let text = text.expect("something is executable");
        assert_eq!(text.p_vaddr(LE), VECTORS, "{name}: the stubs are the image's first bytes");
        let code = text.data(LE, image).expect("the segment is in the file");
        let stubs_end = VECTORS + VECTOR_COUNT * VECTOR_STRIDE;
        for number in 0..VECTOR_COUNT {
            let at = number * VECTOR_STRIDE;
            let stub = &code[at as usize..(at + VECTOR_STRIDE) as usize];
            let decoder = Decoder::with_ip(64, stub, VECTORS + at, DecoderOptions::NONE);
            let mut pushed = Vec::new();
            let mut target = 0;
            for instruction in decoder {
                if instruction.is_jmp_short_or_near() {
                    target = instruction.near_branch_target();
                    break;
                }
                assert!(!instruction.is_invalid(), "{name}, vector {number}: {stub:02x?}");
                pushed.push(instruction.immediate(0) as i64);
            }
            let number_ = number as u8;
            // The system call gate's stub is the door; the others push an error
            // code unless the CPU did, and the vector.
            let expected = match (number_ == vector::SYSCALL, vector::has_error_code(number_)) {
                (true, _) => vec![],
                (false, true) => vec![number as i64],
                (false, false) => vec![-1, number as i64],
            };
            assert_eq!(pushed, expected, "{name}, vector {number} pushes other words: {stub:02x?}");
            assert!(target >= stubs_end, "{name}, vector {number} goes to {target:#x}");
        }
    }
}
