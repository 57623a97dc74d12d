//! execve(2): what comes of files of all kinds, and what of the caller is left.

mod bad;
pub(super) mod files;

use super::allocation::Snapshot;
use super::{DATA, Sandbox, TEXT, boot_info, free_frames};
use crate::process::prepare_return::prepare_return;
use crate::process::task::current;
use crate::sys::table::{SYS_CALL_TABLE_32, SYS_CALL_TABLE_64};
use core::sync::atomic::Ordering;
use files::{ET_DYN, ET_EXEC, RX, dynamic, elf, load, program, put};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{BootInfo, Range, feature};
use trapgate_abi::hypercall::Request;
use trapgate_abi::x86::selector;
use trapgate_arch::{cpu, fake, phys};
use trapgate_loader::image::Class;
use trapgate_uapi::Errno;
use trapgate_uapi::auxvec::{
    AT_BASE, AT_ENTRY, AT_EXECFN, AT_PHDR, AT_RANDOM, AT_SYSINFO, AT_SYSINFO_EHDR,
};
use trapgate_uapi::errno::from_return;
use trapgate_uapi::fcntl::O_RDWR;
use trapgate_uapi::syscall::{nr32, nr64};

/// Where the programs of these tests are linked to.
const BASE: u64 = 0x1000_0000;
/// Where the caller has its strings.
const STRINGS: u64 = DATA + 0x4000;

impl Sandbox {
    /// execve(2) by the x86-64 convention; the registers behind it.
    fn exec(&self, path: &str, argv: &[&str], envp: &[&str]) -> (Result<u64, Errno>, PtRegs) {
        let mut at = STRINGS;
        let path = self.string(&mut at, path);
        let array = |at: &mut u64, strings: &[&str]| {
            let words: Vec<u64> = strings.iter().map(|text| self.string(at, text)).collect();
            *at = at.next_multiple_of(8);
            let start = *at;
            for word in words.into_iter().chain([0]) {
                self.store(*at, &word.to_le_bytes());
                *at += 8;
            }
            start
        };
        let argv = array(&mut at, argv);
        let envp = array(&mut at, envp);
        self.exec_at([path, argv, envp])
    }

    fn string(&self, at: &mut u64, text: &str) -> u64 {
        let start = *at;
        self.store(start, text.as_bytes());
        self.store(start + text.len() as u64, &[0]);
        *at += text.len() as u64 + 1;
        start
    }

    fn exec_at(&self, [rdi, rsi, rdx]: [u64; 3]) -> (Result<u64, Errno>, PtRegs) {
        let mut regs = PtRegs { rdi, rsi, rdx, ..self.registers(nr64::EXECVE) };
        let result = SYS_CALL_TABLE_64[nr64::EXECVE as usize](&regs);
        regs.rax = result;
        prepare_return(&mut regs);
        (from_return(result), regs)
    }

    /// One that works.
    fn begin(&self, path: &str, argv: &[&str], envp: &[&str]) -> Begun {
        let (result, regs) = self.exec(path, argv, envp);
        assert_eq!(result, Ok(0));
        self.begun(regs)
    }

    fn begun(&self, regs: PtRegs) -> Begun {
        let width = if regs.cs == u64::from(selector::USER_CS) { 8 } else { 4 };
        let word = |at: u64| {
            let bytes: [u8; 8] = self.load(at);
            let mut word = [0; 8];
            word[..width].copy_from_slice(&bytes[..width]);
            u64::from_le_bytes(word)
        };
        let string = |mut at: u64| {
            let mut text = String::new();
            loop {
                let [byte] = self.load(at);
                if byte == 0 {
                    break text;
                }
                text.push(byte as char);
                at += 1;
            }
        };
        let mut at = regs.rsp;
        let mut next = || {
            at += width as u64;
            word(at - width as u64)
        };
        let argc = next();
        let mut strings = || -> Vec<String> {
            std::iter::from_fn(|| Some(next()).filter(|&pointer| pointer != 0))
                .map(string)
                .collect()
        };
        let (argv, envp) = (strings(), strings());
        assert_eq!(argc, argv.len() as u64);
        let auxv = std::iter::from_fn(|| Some((next(), next())).filter(|pair| pair.0 != 0));
        let auxv: Vec<_> = auxv.collect();
        let value = |key| auxv.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
        let execfn = string(value(AT_EXECFN).unwrap());
        Begun { regs, argv, envp, execfn, auxv }
    }

    /// What a program has at its pages, against its file.
    fn check_program(&self, base: u64, file: &[u8]) {
        assert_eq!(self.load::<16>(base), file[..16]);
        assert_eq!(self.load::<16>(base + 0x1ff0), file[0x1ff0..0x2000]);
        assert_eq!(self.load::<16>(base + 0x2800), file[0x1800..0x1810]);
        assert_eq!(self.load::<16>(base + 0x30f0), file[0x20f0..0x2100]);
        assert_eq!(self.load::<16>(base + 0x3100), [0; 16], "zeroes in the file's last page");
        assert_eq!(self.load::<16>(base + 0x5ff0), [0; 16], "and in the last of all");
    }
}

/// A program at its start.
struct Begun {
    regs: PtRegs,
    argv: Vec<String>,
    envp: Vec<String>,
    execfn: String,
    auxv: Vec<(u64, u64)>,
}

impl Begun {
    fn value(&self, key: u64) -> Option<u64> {
        self.auxv.iter().find(|pair| pair.0 == key).map(|pair| pair.1)
    }
}

const CLASSES: [Class; 2] = [Class::Elf64, Class::Elf32];

#[test]
fn a_static_program_begins_with_its_pages_and_strings() {
    for class in CLASSES {
        let sandbox = Sandbox::new();
        let file = program(class, ET_EXEC, BASE);
        put("/bin/prog", &file);
        let begun = sandbox.begin("/bin/prog", &["prog", "", "b c"], &["A=1", "B=2"]);
        sandbox.check_program(BASE, &file);
        assert_eq!(
            (begun.argv, begun.envp),
            (
                vec!["prog".into(), String::new(), "b c".into()],
                vec!["A=1".to_owned(), "B=2".into()]
            )
        );
        assert_eq!(begun.execfn, "/bin/prog");
        let PtRegs { rip, rsp, cs, ss, rax, rdx, rflags, .. } = begun.regs;
        assert_eq!(
            (rip, rax, rdx, rflags, ss),
            (BASE + 0x400, 0, 0, 0x202, selector::USER_DS.into())
        );
        assert_eq!(rsp % 16, 0);
        let right = if class == Class::Elf64 { selector::USER_CS } else { selector::USER32_CS };
        assert_eq!(cs, right.into());
        // The old program is gone.
        assert!(fake::user::load(TEXT).is_err());
        assert!(!current().process.memory.lock().mappings().iter().any(|it| it.contains("400000")));
        // Its heap is where its zeroes end.
        assert_eq!(sandbox.call(nr64::BRK, [0; 6]), Ok(BASE + 0x6000));
    }
}

#[test]
fn an_interpreter_begins_and_finds_the_program() {
    for class in CLASSES {
        let sandbox = Sandbox::new();
        let (file, linker) = (dynamic(class, ET_DYN, 0, "/lib/ld.so"), program(class, ET_DYN, 0));
        put("/bin/prog", &file);
        put("/lib/ld.so", &linker);
        let begun = sandbox.begin("/bin/prog", &["prog"], &[]);
        let base = begun.value(AT_BASE).unwrap();
        assert_eq!(begun.regs.rip, base + 0x400);
        sandbox.check_program(base, &linker);
        let pie = class.pie_base();
        sandbox.check_program(pie, &file);
        assert_eq!(begun.value(AT_ENTRY), Some(pie + 0x400));
        let header = if class == Class::Elf64 { 64 } else { 52 };
        assert_eq!(begun.value(AT_PHDR), Some(pie + header));
        assert_eq!(sandbox.call(nr64::BRK, [0; 6]), Ok(pie + 0x6000));
        // Below the vDSO, with nothing between them.
        let vdso = begun.value(AT_SYSINFO_EHDR).unwrap();
        assert_eq!(base + 0x6000, vdso - 0x1000);
    }
}

#[test]
fn a_movable_program_without_an_interpreter_is_one_itself_and_goes_to_the_mappings() {
    let sandbox = Sandbox::new();
    let file = program(Class::Elf64, ET_DYN, 0);
    put("/lib/ld.so", &file);
    let begun = sandbox.begin("/lib/ld.so", &["ld.so"], &[]);
    let base = begun.regs.rip - 0x400;
    sandbox.check_program(base, &file);
    assert_eq!(base + 0x6000, begun.value(AT_SYSINFO_EHDR).unwrap() - 0x1000);
    assert_eq!(begun.value(AT_BASE), Some(0));
    // The heap has room where the program that it loads goes.
    assert_eq!(sandbox.call(nr64::BRK, [0; 6]), Ok(Class::Elf64.pie_base()));
}

#[test]
fn the_vdso_is_lent_and_its_clock_told() {
    let sandbox = Sandbox::boot(BootInfo {
        clock: trapgate_abi::boot_info::ClockInfo {
            tsc_base: 5,
            multiplier: 6,
            realtime_ns: 7,
            monotonic_ns: 8,
        },
        ..boot_info()
    });
    phys::write(boot_info().vdso[0].start, b"vdso of 64 bits");
    phys::write(boot_info().vdso[1].start, b"vdso of 32 bits");
    put("/64", &program(Class::Elf64, ET_EXEC, BASE));
    put("/32", &program(Class::Elf32, ET_EXEC, BASE));
    let begun = sandbox.begin("/32", &["x"], &[]);
    let vdso = begun.value(AT_SYSINFO_EHDR).unwrap();
    assert_eq!(sandbox.load(vdso), *b"vdso of 32 bits");
    assert_eq!(begun.value(AT_SYSINFO), Some(vdso + boot_info().vdso[1].vsyscall));
    let pad = vdso + boot_info().vdso[1].landing_pad;
    assert_eq!(current().process.landing_pad.load(Ordering::Relaxed), pad);
    assert_eq!([0, 8, 16, 24].map(|at| sandbox.load_word(vdso - 0x1000 + at)), [5, 6, 7, 8]);
    // Who makes it writable has a copy; the next program has it as it was.
    assert_eq!(sandbox.call(nr64::MPROTECT, [vdso, 0x1000, 7, 0, 0, 0]), Ok(0));
    sandbox.store(vdso, b"changed");
    assert_eq!(sandbox.load(vdso), *b"changed 32 bits");
    sandbox_again(&sandbox);
    let begun = sandbox.begin("/64", &["x"], &[]);
    assert_eq!(begun.value(AT_SYSINFO), None);
    let vdso = begun.value(AT_SYSINFO_EHDR).unwrap();
    assert_eq!(sandbox.load(vdso), *b"vdso of 64 bits");
    sandbox_again(&sandbox);
    let begun = sandbox.begin("/32", &["x"], &[]);
    assert_eq!(sandbox.load(begun.value(AT_SYSINFO_EHDR).unwrap()), *b"vdso of 32 bits");
}

/// Maps what the next call's strings lie in.
fn sandbox_again(sandbox: &Sandbox) {
    let flags = 0x32; // MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
    let arguments = [DATA, 0x1_0000, 3, flags, u64::MAX, 0];
    assert_eq!(sandbox.call(nr64::MMAP, arguments), Ok(DATA));
}

#[test]
fn what_is_the_old_programs_goes_and_the_rest_stays() {
    let sandbox = Sandbox::new();
    put("/bin/a-name-that-is-too-long", &program(Class::Elf64, ET_EXEC, BASE));
    let call = |number, arguments: [u64; 3]| {
        let [a, b, c] = arguments;
        sandbox.call(number, [a, b, c, 8, 0, 0]).unwrap()
    };
    // A handler, and a signal that is ignored; one that is blocked.
    sandbox.store(DATA, [0x1234u64, 0, 0, 0].map(u64::to_le_bytes).as_flattened());
    call(nr64::RT_SIGACTION, [10, DATA, 0]);
    sandbox.store(DATA, &1u64.to_le_bytes());
    call(nr64::RT_SIGACTION, [12, DATA, 0]);
    sandbox.store(DATA, &(1u64 << 13).to_le_bytes());
    call(nr64::RT_SIGPROCMASK, [0, DATA, 0]);
    // Descriptor 3 closes, 4 stays.
    call(nr64::DUP3, [1, 3, 0o2_000_000]);
    call(nr64::DUP3, [1, 4, 0]);
    sandbox.store(DATA, [DATA, 0, 0x4000].map(u64::to_le_bytes).as_flattened());
    call(nr64::SIGALTSTACK, [DATA, 0, 0]);
    call(nr64::SET_TID_ADDRESS, [DATA, 0, 0]);
    call(nr64::SET_ROBUST_LIST, [DATA, 24, 0]);
    call(nr64::UMASK, [0o77, 0, 0]);
    assert!(cpu::set_fs_base(DATA) && cpu::set_user_gs_base(DATA));
    fake::set_xmm0(7);
    sandbox.begin("/bin/a-name-that-is-too-long", &["x"], &[]);
    let task = current();
    let process = &task.process;
    assert_eq!([10, 12].map(|signal| process.actions.get(signal).sa_handler), [0, 1]);
    assert_eq!(task.signals.blocked(), 1 << 13);
    let mut files = process.files.lock();
    assert_eq!([3, 4, 1].map(|fd| files.descriptor(fd).is_ok()), [false, true, true]);
    assert_eq!(task.alternate_stack.lock().top(), None);
    assert_eq!(task.clear_child_tid.load(Ordering::Relaxed), 0);
    assert_eq!(*task.robust_list.lock(), [0; 2]);
    assert_eq!(process.umask.load(Ordering::Relaxed), 0o77);
    assert_eq!(*task.name.lock(), *b"a-name-that-is-\0");
    assert_eq!((cpu::fs_base(), cpu::user_gs_base(), fake::xmm0()), (0, 0, 0));
    assert!(process.program.lock().file.is_some());
}

#[test]
fn segments_follow_the_programs_width() {
    let sandbox = Sandbox::new();
    put("/64", &program(Class::Elf64, ET_EXEC, BASE));
    put("/32", &program(Class::Elf32, ET_EXEC, BASE));
    fake::cpu::set_selectors([0, 0, 0x63, 0x6b]);
    sandbox.begin("/32", &["x"], &[]);
    let data = selector::USER_DS;
    assert_eq!(fake::cpu::selectors(), [data, data, 0, 0]);
    // A 32-bit program's mappings end below 4 GiB, whichever door it takes.
    let map = |sandbox: &Sandbox, address| {
        sandbox.call(nr64::MMAP, [address, 0x1000, 3, 0x32, u64::MAX, 0])
    };
    assert_eq!(map(&sandbox, 1 << 32), Err(Errno::ENOMEM));
    sandbox_again(&sandbox);
    sandbox.begin("/64", &["x"], &[]);
    assert_eq!(fake::cpu::selectors(), [0; 4]);
    assert_eq!(map(&sandbox, 1 << 32), Ok(1 << 32));
}

#[test]
fn i386s_call_has_arrays_of_32_bits() {
    let sandbox = Sandbox::new();
    put("/32", &program(Class::Elf32, ET_EXEC, BASE));
    sandbox.store(STRINGS, b"/32\0a1\0");
    sandbox
        .store(DATA, [STRINGS as u32, STRINGS as u32 + 4, 0].map(u32::to_le_bytes).as_flattened());
    let mut regs = PtRegs { rbx: STRINGS, rcx: DATA, ..sandbox.registers(nr32::EXECVE) };
    regs.rax = SYS_CALL_TABLE_32[nr32::EXECVE as usize](&regs);
    prepare_return(&mut regs);
    let begun = sandbox.begun(regs);
    assert_eq!((begun.argv, begun.envp), (vec!["/32".to_owned(), "a1".into()], vec![]));
}

#[test]
fn scripts_are_run_by_their_interpreters() {
    let sandbox = Sandbox::new();
    put("/bin/prog", &program(Class::Elf64, ET_EXEC, BASE));
    put("/s", b"#!/bin/prog -x  y \nrest\n");
    put("/t", b"#! /s\n");
    let begun = sandbox.begin("/t", &["gone", "a"], &["E=1"]);
    assert_eq!(begun.argv, ["/bin/prog", "-x  y", "/s", "/t", "a"]);
    assert_eq!((begun.envp, begun.execfn), (vec!["E=1".to_owned()], "/t".into()));
    assert_eq!(*current().name.lock(), *b"t\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn five_scripts_may_be_each_others_interpreters() {
    let sandbox = Sandbox::new();
    put("/0", &program(Class::Elf64, ET_EXEC, BASE));
    for number in 1..8 {
        put(&format!("/{number}"), format!("#!/{}\n", number - 1).as_bytes());
    }
    assert_eq!(sandbox.exec("/6", &["x"], &[]).0, Err(Errno::ELOOP));
    assert_eq!(sandbox.exec("/7", &["x"], &[]).0, Err(Errno::ELOOP));
    let begun = sandbox.begin("/5", &["x", "a"], &[]);
    assert_eq!(begun.argv, ["/0", "/1", "/2", "/3", "/4", "/5", "a"]);
}

#[test]
fn a_thousand_programs_lose_no_frame() {
    let sandbox = Sandbox::new();
    put("/64", &dynamic(Class::Elf64, ET_DYN, 0, "/lib/ld.so"));
    put("/lib/ld.so", &program(Class::Elf64, ET_DYN, 0));
    put("/32", &program(Class::Elf32, ET_EXEC, BASE));
    put("/bad", &dynamic(Class::Elf64, ET_DYN, 0, "/lib/none"));
    let mut frames = None;
    for round in 0..500 {
        for path in ["/64", "/32"] {
            sandbox.begin(path, &["x"], &["A=1"]);
            sandbox_again(&sandbox);
            assert_eq!(sandbox.exec("/none", &["x"], &[]).0, Err(Errno::ENOENT));
            assert_eq!(sandbox.exec("/bad", &["x"], &[]).0, Err(Errno::ENOENT));
        }
        // The heap and the page map of objects have taken theirs in the first rounds.
        if round == 3 {
            frames = Some(free_frames());
        }
    }
    assert_eq!(frames, Some(free_frames()));
}

#[test]
fn places_are_random_if_that_is_wanted_and_else_the_same() {
    let places = |features, words: [u64; 5]| {
        let sandbox = Sandbox::boot(BootInfo { features, seed: words, ..boot_info() });
        put("/bin/prog", &dynamic(Class::Elf64, ET_DYN, 0, "/lib/ld.so"));
        put("/lib/ld.so", &program(Class::Elf64, ET_DYN, 0));
        let begun = sandbox.begin("/bin/prog", &["x"], &[]);
        let keys = [AT_BASE, AT_ENTRY, AT_SYSINFO_EHDR, AT_RANDOM];
        let random: [u8; 16] = sandbox.load(begun.value(AT_RANDOM).unwrap());
        let brk = sandbox.call(nr64::BRK, [0; 6]).unwrap();
        sandbox_again(&sandbox);
        let map = sandbox.call(nr64::MMAP, [0, 0x1000, 3, 0x22, u64::MAX, 0]).unwrap();
        (keys.map(|key| begun.value(key).unwrap()), begun.regs.rsp, brk, map, random)
    };
    let (one, other) = ([3, 1, 4, 1, 5], [2, 7, 1, 8, 2]);
    let (first, second) = (places(0, one), places(0, other));
    assert_eq!((first.0, first.1, first.2, first.3), (second.0, second.1, second.2, second.3));
    assert_ne!(first.4, second.4, "AT_RANDOM is");
    let (third, fourth) = (places(feature::ASLR, one), places(feature::ASLR, other));
    for index in 0..4 {
        assert_ne!(third.0[index], first.0[index]);
        assert_ne!(third.0[index], fourth.0[index]);
    }
    assert!(third.1 != first.1 && third.2 != first.2 && third.3 != first.3);
    assert!(third.1 != fourth.1 && third.2 != fourth.2 && third.3 != fourth.3);
}

#[test]
fn random_numbers_are_the_hosts() {
    let sandbox = Sandbox::new();
    put("/bin/prog", &program(Class::Elf64, ET_EXEC, BASE));
    sandbox.machine.set_vmm(|request, segments, _| {
        assert_eq!(request, Request::Random);
        Ok(fake::fill(&segments[0], &[0xa5; 40]))
    });
    let begun = sandbox.begin("/bin/prog", &["x"], &[]);
    assert_eq!(sandbox.load(begun.value(AT_RANDOM).unwrap()), [0xa5; 16]);
}

#[test]
fn the_first_program_is_the_kernels_to_load_if_the_vmm_says_so() {
    const BLOCK: u64 = 0x9_8000;
    let bytes = b"/bin/prog\0prog\0-v\0A=1\0";
    let boot = BootInfo {
        exec: Range { start: BLOCK, end: BLOCK + bytes.len() as u64 },
        argc: 2,
        envc: 1,
        region_count: 0,
        ..boot_info()
    };
    let sandbox = Sandbox::boot(boot);
    phys::write(BLOCK, bytes);
    put("/bin/prog", &program(Class::Elf64, ET_EXEC, BASE));
    sandbox.machine.requests();
    let boot = current().process.boot;
    let regs = crate::process::exec::first(boot).unwrap();
    let begun = sandbox.begun(regs);
    assert_eq!(
        (begun.argv, begun.envp),
        (vec!["prog".to_owned(), "-v".into()], vec!["A=1".to_owned()])
    );
    assert_eq!((begun.execfn, begun.regs.rip), ("/bin/prog".into(), BASE + 0x400));
    assert_eq!(sandbox.machine.requests(), [], "it costs no request");
}

#[test]
fn a_program_is_not_written_while_it_runs_nor_run_while_it_is_written() {
    let sandbox = Sandbox::new();
    for path in ["/one", "/other"] {
        put(path, &program(Class::Elf64, ET_EXEC, BASE));
    }
    let open = |path: &str, flags: u32| {
        sandbox.string(&mut { STRINGS }, path);
        sandbox.call(nr64::OPEN, [STRINGS, flags.into(), 0, 0, 0, 0])
    };
    let truncate = |path: &str| {
        sandbox.string(&mut { STRINGS }, path);
        sandbox.call(nr64::TRUNCATE, [STRINGS, 0, 0, 0, 0, 0])
    };
    let fd = open("/one", O_RDWR).unwrap();
    assert_eq!(sandbox.exec("/one", &["one"], &[]).0, Err(Errno::ETXTBSY));
    sandbox.call(nr64::CLOSE, [fd, 0, 0, 0, 0, 0]).unwrap();
    sandbox.begin("/one", &["one"], &[]);
    // The caller's memory is gone, and so are its strings.
    let map = [DATA, 0x8000, 3, 0x32, u64::MAX, 0];
    sandbox.call(nr64::MMAP, map).unwrap();
    assert_eq!([open("/one", O_RDWR), truncate("/one")], [Err(Errno::ETXTBSY); 2]);
    assert!(open("/one", 0).is_ok());
    assert_eq!(sandbox.begin("/other", &["other"], &[]).argv, ["other"]);
    sandbox.call(nr64::MMAP, map).unwrap();
    assert!(open("/one", O_RDWR).is_ok(), "it does not run any more");
}
