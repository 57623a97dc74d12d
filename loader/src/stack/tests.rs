//! The tests of `stack`: what was built is parsed back as a libc would, and
//! compared with the stack that Linux gave to this very process.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::FileExt;

const TOP: u64 = 0x7fff_ffff_e000;

fn strings(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn packed(argv: &[Vec<u8>], envp: &[Vec<u8>]) -> Strings {
    Strings::pack(argv, envp, b"/bin/prog", usize::MAX).unwrap()
}

fn request(strings: &Strings) -> StackRequest<'_> {
    StackRequest {
        top: TOP,
        word: WordSize::W64,
        strings,
        execfn: b"/bin/prog",
        random: *b"0123456789abcdef",
        platform: "x86_64",
        auxv: AuxValues {
            phdr: 0x40_0040,
            phent: 56,
            phnum: 4,
            entry: 0x40_1000,
            hwcap: 0x178b_fbff,
            hwcap2: 2,
            uid: 1000,
            ..AuxValues::default()
        },
    }
}

/// A stack as a libc's start code sees it.
#[derive(Debug, PartialEq)]
struct Parsed {
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
    auxv: Vec<(u64, u64)>,
    random: Vec<u8>,
    execfn: Vec<u8>,
    platform: Vec<u8>,
    /// The address after the last word.
    words_end: u64,
    /// The address of the lowest string.
    strings_at: u64,
}

/// A stack in memory: its lowest address, and what is from there on.
struct Filled {
    pointer: u64,
    bytes: Vec<u8>,
}

/// Fills memory that holds zeroes, as whoever loads a program does.
fn fill(request: &StackRequest<'_>) -> Filled {
    let stack = build(request).unwrap();
    let pointer = stack.pointer;
    let mut bytes = vec![0; (request.top - pointer) as usize];
    for (address, piece) in stack.pieces() {
        let at = (address - pointer) as usize;
        bytes[at..at + piece.len()].copy_from_slice(piece);
    }
    Filled { pointer, bytes }
}

struct Reader<'a> {
    stack: &'a Filled,
    word: WordSize,
    at: u64,
}

impl Reader<'_> {
    fn bytes(&self, address: u64) -> &[u8] {
        &self.stack.bytes[(address - self.stack.pointer) as usize..]
    }

    fn word(&mut self) -> u64 {
        let size = self.word.bytes();
        let mut value = [0; 8];
        value[..size].copy_from_slice(&self.bytes(self.at)[..size]);
        self.at += size as u64;
        u64::from_le_bytes(value)
    }

    fn string(&self, address: u64) -> Vec<u8> {
        let bytes = self.bytes(address);
        let end = bytes.iter().position(|&b| b == 0).expect("a NUL");
        bytes[..end].to_vec()
    }

    fn pointers(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| Some(self.word()).filter(|&p| p != 0)).collect()
    }
}

fn parse(stack: &Filled, word: WordSize) -> Parsed {
    assert_eq!(stack.pointer % 16, 0);
    let at = stack.pointer;
    let mut reader = Reader { stack, word, at };
    let argc = reader.word();
    let argv = reader.pointers();
    assert_eq!(argc, argv.len() as u64);
    let envp = reader.pointers();
    let mut auxv = Vec::new();
    while auxv.last().is_none_or(|&(key, _)| key != AT_NULL) {
        auxv.push((reader.word(), reader.word()));
    }
    let value = |key| auxv.iter().find(|pair| pair.0 == key).expect("the key").1;
    Parsed {
        words_end: reader.at,
        strings_at: argv[0],
        random: reader.bytes(value(AT_RANDOM))[..16].to_vec(),
        execfn: reader.string(value(AT_EXECFN)),
        platform: reader.string(value(AT_PLATFORM)),
        argv: argv.iter().map(|&p| reader.string(p)).collect(),
        envp: envp.iter().map(|&p| reader.string(p)).collect(),
        auxv,
    }
}

#[test]
fn program_reads_back_what_was_asked_for() {
    let (argv, envp) = (strings(&["prog", "", "b c"]), strings(&["A=1", "PATH=/bin"]));
    let packed = packed(&argv, &envp);
    let request = request(&packed);
    let stack = fill(&request);
    assert_eq!(stack.pointer + stack.bytes.len() as u64, TOP);
    let parsed = parse(&stack, WordSize::W64);
    assert_eq!((&parsed.argv, &parsed.envp), (&argv, &envp));
    assert_eq!(parsed.random, request.random);
    assert_eq!((&parsed.execfn[..], &parsed.platform[..]), (&b"/bin/prog"[..], &b"x86_64"[..]));
    let value = |key| parsed.auxv.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
    assert_eq!(value(AT_PHDR), Some(0x40_0040));
    assert_eq!(value(AT_ENTRY), Some(0x40_1000));
    assert_eq!(value(AT_PAGESZ), Some(4096));
    assert_eq!(value(AT_UID), Some(1000));
    assert_eq!(value(AT_SYSINFO_EHDR), None);
    assert_eq!(value(AT_MINSIGSTKSZ), None);
}

#[test]
fn strings_are_contiguous_below_eight_zero_bytes() {
    let (argv, envp) = (strings(&["prog", "x"]), strings(&["A=1"]));
    let stack = fill(&request(&packed(&argv, &envp)));
    assert!(stack.bytes.ends_with(b"prog\0x\0A=1\0/bin/prog\0\0\0\0\0\0\0\0\0"));
}

#[test]
fn optional_values_come_first_and_sysinfo_only_for_32_bit() {
    let argv = strings(&["prog"]);
    let packed = packed(&argv, &[]);
    let mut request = request(&packed);
    request.auxv.sysinfo = Some(1);
    request.auxv.sysinfo_ehdr = Some(2);
    request.auxv.minsigstksz = Some(3);
    let keys = |request: &StackRequest<'_>| -> Vec<_> {
        let parsed = parse(&fill(request), request.word);
        parsed.auxv.iter().take(4).map(|pair| pair.0).collect()
    };
    assert_eq!(keys(&request), [AT_SYSINFO_EHDR, AT_MINSIGSTKSZ, AT_HWCAP, AT_PAGESZ]);
    request.word = WordSize::W32;
    request.top = 0xffff_e000;
    assert_eq!(keys(&request), [AT_SYSINFO, AT_SYSINFO_EHDR, AT_MINSIGSTKSZ, AT_HWCAP]);
}

#[test]
fn no_arguments_become_one_empty_argument() {
    let parsed = parse(&fill(&request(&packed(&[], &[]))), WordSize::W64);
    assert_eq!(parsed.argv, strings(&[""]));
    assert_eq!(parsed.envp, strings(&[]));
}

#[test]
fn too_long_a_string_is_refused_at_linuxs_limit() {
    let argv = vec![b"prog".to_vec(), vec![b'a'; MAX_STRING - 1]];
    let pack = |argv: &[Vec<u8>]| Strings::pack(argv, &[], b"/bin/prog", DEFAULT_LIMIT);
    assert!(pack(&argv).is_ok());
    let argv = vec![b"prog".to_vec(), vec![b'a'; MAX_STRING]];
    let error = pack(&argv).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 1 is 131073 bytes long, Linux takes at most 131072 with its NUL: shorten it or \
         pass it in another way"
    );
}

#[test]
fn all_strings_and_pointers_count_against_the_limit() {
    let (argv, envp) = (strings(&["prog"]), strings(&["A=1"]));
    let needed = 5 + 4 + "/bin/prog".len() + 1 + 2 * 8;
    let with = |limit| Strings::pack(&argv, &envp, b"/bin/prog", limit);
    assert!(with(needed).is_ok());
    let limit = needed - 1;
    assert_eq!(with(limit).unwrap_err(), StackError::TooBig { needed, limit });
}

#[test]
fn nul_inside_a_string_is_refused() {
    let bad = vec![b"A=1".to_vec(), b"B\0".to_vec()];
    let what = |error| match error {
        Err(StackError::NulInside { what, position: 1 }) => what,
        other => panic!("{other:?}"),
    };
    let pack = |argv, envp, execfn| Strings::pack(argv, envp, execfn, DEFAULT_LIMIT);
    assert_eq!(what(pack(&[], &bad, b"a")), "environment string 1");
    assert_eq!(what(pack(&bad[1..], &[], b"a")), "argument 0");
    assert_eq!(what(pack(&[], &[], b"a\0")), "the program's path");
}

#[test]
fn top_that_cannot_be_is_refused() {
    for (top, word) in
        [(0, WordSize::W64), (64, WordSize::W64), (TOP + 8, WordSize::W64), (TOP, WordSize::W32)]
    {
        let packed = packed(&[], &[]);
        let error = build(&StackRequest { top, word, ..request(&packed) }).unwrap_err();
        assert_eq!(error, StackError::BadTop { top, word: word.bytes() });
    }
}

/// The stack that Linux built for this process. Nothing has changed it since,
/// except that the test harness's frames are below.
fn native_stack() -> Filled {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // proc_pid_stat(5): startstack is field 28; field 3 follows the name.
    let after_name = stat.rsplit(')').next().unwrap();
    let pointer = after_name.split_whitespace().nth(28 - 3).unwrap().parse().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let (_, rest) = line.split_once('-').unwrap();
    let top = u64::from_str_radix(rest.split_whitespace().next().unwrap(), 16).unwrap();
    let mut bytes = vec![0; (top - pointer) as usize];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    memory.read_exact_at(&mut bytes, pointer).unwrap();
    Filled { pointer, bytes }
}

#[test]
fn stack_is_what_linux_built_for_this_process() {
    let native = native_stack();
    let linux = parse(&native, WordSize::W64);
    let value = |key| linux.auxv.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
    let known = |key| value(key).unwrap();
    let top = native.pointer + native.bytes.len() as u64;
    let platform = String::from_utf8(linux.platform.clone()).unwrap();
    let ours = fill(&StackRequest {
        top,
        word: WordSize::W64,
        strings: &packed(&linux.argv, &linux.envp),
        execfn: &linux.execfn,
        random: linux.random[..].try_into().unwrap(),
        platform: &platform,
        auxv: AuxValues {
            phdr: known(AT_PHDR),
            phent: known(AT_PHENT),
            phnum: known(AT_PHNUM),
            entry: known(AT_ENTRY),
            base: known(AT_BASE),
            hwcap: known(AT_HWCAP),
            hwcap2: known(AT_HWCAP2),
            uid: known(AT_UID) as u32,
            euid: known(AT_EUID) as u32,
            gid: known(AT_GID) as u32,
            egid: known(AT_EGID) as u32,
            sysinfo_ehdr: value(AT_SYSINFO_EHDR),
            minsigstksz: value(AT_MINSIGSTKSZ),
            ..AuxValues::default()
        },
    });
    let parsed = parse(&ours, WordSize::W64);

    // The strings: byte for byte, at the same addresses.
    assert_eq!(parsed.strings_at, linux.strings_at);
    let from = |stack: &Filled| stack.bytes[(linux.strings_at - stack.pointer) as usize..].to_vec();
    assert_eq!(from(&ours), from(&native));
    assert_eq!((&parsed.argv, &parsed.envp), (&linux.argv, &linux.envp));

    // The auxiliary vector: the same order and values, but for what ours does
    // not have, and for what is below Linux's random gap.
    let ours_has = |key| parsed.auxv.iter().any(|pair| pair.0 == key);
    let moved = [AT_RANDOM, AT_PLATFORM];
    let compare = |auxv: &[(u64, u64)]| -> Vec<(u64, u64)> {
        let auxv = auxv.iter().filter(|pair| ours_has(pair.0));
        auxv.map(|&(key, v)| (key, if moved.contains(&key) { 0 } else { v })).collect()
    };
    assert_eq!(compare(&parsed.auxv), compare(&linux.auxv));
    // AT_RSEQ_FEATURE_SIZE and AT_RSEQ_ALIGN: rseq(2) is not there.
    let missing = linux.auxv.iter().map(|pair| pair.0).filter(|&key| !ours_has(key));
    assert!(
        missing.clone().all(|key| [27, 28].contains(&key)),
        "{:?}",
        missing.collect::<Vec<_>>()
    );

    // Between them: the platform right above the random bytes, its end at a
    // multiple of 16, as little padding as alignment allows.
    for stack in [&parsed, &linux] {
        let value = |key| stack.auxv.iter().find(|pair| pair.0 == key).unwrap().1;
        assert_eq!(value(AT_PLATFORM) - value(AT_RANDOM), 16);
        assert_eq!((value(AT_PLATFORM) + platform.len() as u64 + 1) % 16, 0);
        assert!(value(AT_RANDOM) - stack.words_end < 16);
    }
}

proptest! {
    #[test]
    fn any_strings_are_read_back(
        argv in prop::collection::vec(prop::collection::vec(1u8.., 0..40), 1..20),
        envp in prop::collection::vec(prop::collection::vec(1u8.., 0..40), 0..20),
        execfn in prop::collection::vec(1u8.., 0..40),
        narrow in any::<bool>(),
    ) {
        let (word, top) = match narrow {
            true => (WordSize::W32, 1 << 32),
            false => (WordSize::W64, TOP),
        };
        let packed = packed(&argv, &envp);
        let request = StackRequest { word, top, execfn: &execfn, ..request(&packed) };
        let stack = fill(&request);
        prop_assert_eq!(stack.pointer + stack.bytes.len() as u64, top);
        let parsed = parse(&stack, word);
        prop_assert_eq!(&parsed.argv, &argv);
        prop_assert_eq!(&parsed.envp, &envp);
        prop_assert_eq!(&parsed.execfn, &execfn);
        prop_assert_eq!(&parsed.random, &request.random);
        // Nothing but padding lies between what was parsed.
        let needed = stack.bytes.len() as u64 - (top - parsed.strings_at);
        prop_assert!(parsed.words_end - stack.pointer + 16 + 7 + 30 >= needed);
    }
}
