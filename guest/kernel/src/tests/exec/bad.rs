//! Programs that cannot be: the caller is told and is as it was, or dies as on Linux.

use super::files::{Ph, put_damaged, put_link, put_secret};
use super::*;
use trapgate_loader::stack::MAX_STRING;
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use trapgate_uapi::signal::{SIGBUS, SIGSEGV};

/// It is refused with this error, and nothing has changed.
fn refused(sandbox: &Sandbox, path: &str, errno: Errno) {
    // What the call itself touches.
    let _ = sandbox.exec("/none", &["x"], &["A=1"]);
    let _ = sandbox.exec(path, &["x"], &["A=1"]);
    let before = Snapshot::take();
    let (result, regs) = sandbox.exec(path, &["x"], &["A=1"]);
    assert_eq!(result, Err(errno), "{path}");
    assert_eq!(regs.rip, TEXT, "{path}");
    let changes = before.differences(&Snapshot::take());
    assert!(changes.is_empty(), "{path}: {changes:#?}");
}

/// Linux finds it out when the caller's memory is gone.
fn kills(sandbox: &Sandbox, path: &str) {
    let end = sandbox.end_of(|| {
        let result = sandbox.exec(path, &["x"], &[]);
        panic!("{path}: the program goes on with {:?}", result.0);
    });
    assert_eq!(end, Request::Killed { signal: SIGSEGV }, "{path}");
}

#[test]
fn what_is_no_program_is_enoexec() {
    let sandbox = Sandbox::new();
    let good = program(Class::Elf64, ET_EXEC, BASE);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let files: Vec<Vec<u8>> = vec![
        vec![],
        b"text".to_vec(),
        b"#!\n".to_vec(),
        good[..63].to_vec(),
        good[..100].to_vec(),
        // Machine, type, size and number of the program headers, and where they are.
        with(18, 40),
        with(16, 1),
        with(54, 55),
        with(56, 0),
        with(57, 0xff),
        with(39, 0xff),
        dynamic(Class::Elf64, ET_DYN, 0, ""),
    ];
    for (number, file) in files.iter().enumerate() {
        put(&format!("/{number}"), file);
        refused(&sandbox, &format!("/{number}"), Errno::ENOEXEC);
    }
}

#[test]
fn what_cannot_be_opened_or_read_says_why() {
    let sandbox = Sandbox::new();
    put_secret("/secret");
    put("/script", b"#!/secret\n");
    put("/lost", b"#!/nowhere\n");
    put("/directory", b"#!\0\n");
    let good = program(Class::Elf64, ET_EXEC, BASE);
    put_damaged("/header", &good, 0);
    refused(&sandbox, "/header", Errno::EIO);
    refused(&sandbox, "/secret", Errno::EACCES);
    refused(&sandbox, "/script", Errno::EACCES);
    refused(&sandbox, "/lost", Errno::ENOENT);
    refused(&sandbox, "/directory", Errno::EACCES);
    refused(&sandbox, "/none", Errno::ENOENT);
    refused(&sandbox, "", Errno::ENOENT);
}

#[test]
fn an_interpreter_that_cannot_be_is_named_by_its_own_errors() {
    let sandbox = Sandbox::new();
    put_secret("/secret");
    put("/text", &[b'x'; 100]);
    put("/short", b"\x7fELF");
    put("/32", &program(Class::Elf32, ET_DYN, 0));
    let mut object = program(Class::Elf64, ET_DYN, 0);
    object[54] = 1;
    put("/headers", &object);
    for (interpreter, errno) in [
        ("/none", Errno::ENOENT),
        ("/secret", Errno::EACCES),
        ("/text", Errno::ELIBBAD),
        ("/short", Errno::EIO),
        ("/32", Errno::ELIBBAD),
        ("/headers", Errno::ELIBBAD),
    ] {
        put("/prog", &dynamic(Class::Elf64, ET_DYN, 0, interpreter));
        refused(&sandbox, "/prog", errno);
    }
    let long = Ph { kind: 3, ..load(4, 0x1000, 0, 5000, 5000) };
    let text = load(RX, 0, 0, 0x1000, 0x1000);
    put("/prog", &elf(Class::Elf64, ET_DYN, 0, &[long, text], 0x3000));
    refused(&sandbox, "/prog", Errno::ENOEXEC);
}

#[test]
fn more_than_there_is_memory_for_kills_as_on_linux() {
    let sandbox = Sandbox::new();
    let text = load(RX, 0, BASE, 0x400, 0x400);
    let bss = load(RX | 2, 0, BASE + 0x10_0000, 0, 1 << 40);
    put("/bss", &elf(Class::Elf64, ET_EXEC, BASE, &[text, bss], 0x400));
    kills(&sandbox, "/bss");
}

#[test]
fn a_damaged_segment_kills_as_on_linux() {
    let text = load(RX, 0, BASE, 0x400, 0x400);
    let interpreted = dynamic(Class::Elf64, ET_DYN, 0, "/lib/ld.so");
    let exec = |headers: &[Ph]| elf(Class::Elf64, ET_EXEC, BASE, headers, 0x2000);
    let far = 0x7fff_ffff_f000;
    for file in [
        // Unaligned; larger in the file than in memory; beyond all addresses; in the
        // stack; a file offset that wraps; a first instruction in the kernel's half.
        exec(&[text, load(RX, 0, BASE + 0x1_0008, 0x10, 0x10)]),
        exec(&[text, load(RX, 0, BASE + 0x1_0000, 0x20, 0x10)]),
        exec(&[text, load(RX, 0, far, 0x10, 0x10)]),
        exec(&[text, load(RX, 0, 0, 0x10, 0x10)]),
        exec(&[text, load(RX, 0, far - 0x1000, 0x10, 0x10)]),
        exec(&[text, load(RX, !0xfff, BASE + 0x1_0000, 0x10, 0x10)]),
        elf(Class::Elf64, ET_EXEC, u64::MAX, &[text], 0x400),
        elf(Class::Elf64, ET_DYN, 0, &[load(RX, 0, 0, 8, 8), load(RX, 0, !0xfff, 8, 8)], 0x400),
    ] {
        let sandbox = Sandbox::new();
        put("/prog", &file);
        kills(&sandbox, "/prog");
    }
    for linker in [
        exec(&[load(RX, 0, BASE + 8, 8, 8)]),
        // It is where the program is.
        program(Class::Elf64, ET_EXEC, Class::Elf64.pie_base()),
    ] {
        let sandbox = Sandbox::new();
        put("/prog", &interpreted);
        put("/lib/ld.so", &linker);
        kills(&sandbox, "/prog");
    }
    // The page that has bytes and zeroes: beyond the file's end, or it cannot be read.
    let sandbox = Sandbox::new();
    put("/prog", &program(Class::Elf64, ET_EXEC, BASE)[..0x1800]);
    kills(&sandbox, "/prog");
    drop(sandbox);
    let sandbox = Sandbox::new();
    put_damaged("/prog", &program(Class::Elf64, ET_EXEC, BASE), 0x1000);
    kills(&sandbox, "/prog");
}

#[test]
fn a_segment_may_have_more_than_the_file_which_is_sigbus_when_it_is_touched() {
    let sandbox = Sandbox::new();
    let text = load(RX, 0, BASE, 1 << 40, 1 << 40);
    put("/prog", &elf(Class::Elf64, ET_EXEC, BASE, &[text], 0x1800));
    sandbox.begin("/prog", &["x"], &[]);
    assert_eq!(sandbox.load(BASE + 0x1800), [0; 16], "zeroes to the page's end");
    let end = sandbox.end_of(|| {
        let byte: [u8; 1] = sandbox.load(BASE + 0x2000);
        panic!("{byte:?}");
    });
    assert_eq!(end, Request::Killed { signal: SIGBUS });
}

#[test]
fn segments_that_overlap_are_mapped_one_over_the_other() {
    let sandbox = Sandbox::new();
    let lower = load(RX, 0, BASE, 0x3000, 0x3000);
    let upper = load(6, 0x1000, BASE + 0x1000, 0x1000, 0x1000);
    let file = elf(Class::Elf64, ET_EXEC, BASE, &[lower, upper], 0x3000);
    put("/prog", &file);
    sandbox.begin("/prog", &["x"], &[]);
    assert_eq!(sandbox.load::<16>(BASE + 0x1000), file[0x1000..0x1010]);
    sandbox.store(BASE + 0x1000, &[1]);
    assert!(fake::user::store(BASE + 0x2000, 1).is_err());
}

#[test]
fn pointers_that_are_bad_are_efault_wherever_they_are() {
    let sandbox = Sandbox::new();
    put("/prog", &program(Class::Elf64, ET_EXEC, BASE));
    sandbox.store(DATA, b"/prog\0");
    let nowhere = 0x7777_0000;
    // An array with one bad pointer, and one that goes over the end of memory.
    sandbox.store(DATA + 0x100, [DATA, nowhere, 0].map(u64::to_le_bytes).as_flattened());
    let end = DATA + 0x1_0000 - 8;
    sandbox.store(end, &DATA.to_le_bytes());
    // A string without an end.
    sandbox.store(DATA + 0xffff - 8, b"");
    let efault = |arguments: [u64; 3]| {
        let before = Snapshot::take();
        assert_eq!(sandbox.exec_at(arguments).0, Err(Errno::EFAULT), "{arguments:x?}");
        assert!(before.differences(&Snapshot::take()).is_empty());
    };
    for bad in [nowhere, 1, u64::MAX, 0xffff_8000_0000_0000, 1 << 47] {
        efault([bad, 0, 0]);
        efault([DATA, bad, 0]);
        efault([DATA, 0, bad]);
    }
    for array in [DATA + 0x100, end] {
        efault([DATA, array, 0]);
        efault([DATA, 0, array]);
    }
    // No arrays at all are empty ones; then the program has one argument, which is
    // empty.
    let (result, regs) = sandbox.exec_at([DATA, 0, 0]);
    assert_eq!(result, Ok(0));
    let begun = sandbox.begun(regs);
    assert_eq!((begun.argv, begun.envp), (vec![String::new()], vec![]));
}

#[test]
fn too_long_a_string_and_too_many_are_e2big() {
    let sandbox = Sandbox::new();
    put("/prog", &program(Class::Elf64, ET_EXEC, BASE));
    const LONG: u64 = 0x7000_0000;
    let size = 0x3_0000u64;
    sandbox.call(nr64::MMAP, [LONG, size, 3, 0x32, u64::MAX, 0]).unwrap();
    sandbox.store(DATA, b"/prog\0");
    let string = |length: usize| {
        sandbox.store(LONG, &vec![b'x'; length]);
        sandbox.store(LONG + length as u64, &[0]);
    };
    let array = |pointers: &[u64]| {
        let bytes: Vec<u8> = pointers.iter().chain(&[0]).flat_map(|p| p.to_le_bytes()).collect();
        sandbox.store(DATA + 0x100, &bytes);
    };
    array(&[LONG]);
    string(MAX_STRING);
    assert_eq!(sandbox.exec_at([DATA, DATA + 0x100, 0]).0, Err(Errno::E2BIG));
    assert_eq!(sandbox.exec_at([DATA, 0, DATA + 0x100]).0, Err(Errno::E2BIG));
    string(MAX_STRING - 1);
    // Sixteen of them are the limit of a stack of 8 MiB, with their pointers too much.
    array(&[LONG; 16]);
    assert_eq!(sandbox.exec_at([DATA, DATA + 0x100, 0]).0, Err(Errno::E2BIG));
    // A smaller stack leaves less.
    array(&[LONG]);
    sandbox.store(DATA + 0x200, [0x4000u64, u64::MAX].map(u64::to_le_bytes).as_flattened());
    const STACK: u64 = 3;
    assert_eq!(sandbox.call(nr64::SETRLIMIT, [STACK, DATA + 0x200, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.exec_at([DATA, DATA + 0x100, 0]).0, Err(Errno::E2BIG));
    string(MAX_STRING - 100);
    let (result, regs) = sandbox.exec_at([DATA, DATA + 0x100, 0]);
    assert_eq!(result, Ok(0));
    assert_eq!(sandbox.begun(regs).argv[0].len(), MAX_STRING - 100);
}

#[test]
fn execveat_takes_a_descriptor_and_names_the_program_after_it() {
    let sandbox = Sandbox::new();
    put("/bin/prog", &program(Class::Elf64, ET_EXEC, BASE));
    put("/bin/script", b"#!/bin/prog\n");
    put_secret("/secret");
    let open = |path: &[u8], flags: u64| {
        sandbox.store(DATA, path);
        sandbox.call(nr64::OPEN, [DATA, flags, 0, 0, 0, 0]).unwrap() as i32
    };
    put_link("/bin/link", "prog");
    let execveat = |directory: i32, path: &[u8], flags: u64| {
        sandbox.store(DATA, path);
        let [rdi, rsi, r8] = [directory as u32 as u64, DATA, flags];
        let mut regs = PtRegs { rdi, rsi, r8, ..sandbox.registers(nr64::EXECVEAT) };
        regs.rax = SYS_CALL_TABLE_64[nr64::EXECVEAT as usize](&regs);
        let result = from_return(regs.rax);
        prepare_return(&mut regs);
        result.map(|_| {
            let execfn = sandbox.begun(regs).execfn;
            sandbox_again(&sandbox);
            execfn
        })
    };
    const CLOSES: u64 = 0o2_000_000;
    let (empty, no_link) = (u64::from(AT_EMPTY_PATH), u64::from(AT_SYMLINK_NOFOLLOW));
    assert_eq!(execveat(AT_FDCWD, b"\0", 0), Err(Errno::ENOENT));
    assert_eq!(execveat(AT_FDCWD, b"\0", empty), Err(Errno::EACCES));
    assert_eq!(execveat(AT_FDCWD, b"/bin/prog\0", 1), Err(Errno::EINVAL));
    assert_eq!(execveat(AT_FDCWD, b"bin/prog\0", 0), Ok("bin/prog".into()));
    let (directory, file, secret) =
        (open(b"/bin\0", 0), open(b"/bin/prog\0", 0), open(b"/secret\0", 0));
    let name = format!("/dev/fd/{directory}/prog");
    assert_eq!(execveat(directory, b"prog\0", 0), Ok(name));
    assert_eq!(execveat(file, b"\0", empty), Ok(format!("/dev/fd/{file}")));
    assert_eq!(execveat(file, b"prog\0", 0), Err(Errno::ENOTDIR));
    assert_eq!(execveat(directory, b"\0", empty), Err(Errno::EACCES));
    assert_eq!(execveat(secret, b"\0", empty), Err(Errno::EACCES));
    assert_eq!(execveat(1, b"\0", empty), Err(Errno::EACCES));
    assert_eq!(execveat(99, b"\0", empty), Err(Errno::EBADF));
    assert_eq!(execveat(99, b"/bin/prog\0", 0), Ok("/bin/prog".into()));
    // A link is followed, unless that is not wanted.
    assert_eq!(execveat(directory, b"link\0", 0), Ok(format!("/dev/fd/{directory}/link")));
    assert_eq!(execveat(directory, b"link\0", no_link), Err(Errno::ELOOP));
    // A script whose name is closed cannot be read by its interpreter.
    assert_eq!(execveat(directory, b"script\0", 0), Ok(format!("/dev/fd/{directory}/script")));
    let closes = open(b"/bin\0", CLOSES);
    assert_eq!(execveat(closes, b"script\0", 0), Err(Errno::ENOENT));
}

#[test]
fn what_is_no_regular_file_cannot_be_run() {
    let sandbox = Sandbox::new();
    put("/bin/prog", &program(Class::Elf64, ET_EXEC, BASE));
    refused(&sandbox, "/bin", Errno::EACCES);
    refused(&sandbox, "/dev/null", Errno::EACCES);
    refused(&sandbox, "/bin/prog/x", Errno::ENOTDIR);
    refused(&sandbox, "/bin/prog/", Errno::ENOTDIR);
}
