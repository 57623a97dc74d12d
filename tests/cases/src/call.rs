//! Calls by either door, as a script names them: x86-64's names, for i386 the call
//! that does the same with 64-bit offsets. `old:NAME` is i386's own of that name.

#![allow(unsafe_code, reason = "makes system calls")]

use crate::constants;
use crate::memory::{self, Arena};
use crate::show::{self, Answer, Output, Shape};
use crate::tokens::{expand, number};
use trapgate_rt::{int80, syscall64};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::Abi;

/// Whose calls: by which door, and with which structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    X86_64,
    I386,
}

/// Names that i386 has for calls of x86-64's, with whole offsets, users and sizes.
const I386_NAMES: [(&str, &str); 35] = [
    ("lseek", "_llseek"),
    ("mmap", "mmap2"),
    ("stat", "stat64"),
    ("lstat", "lstat64"),
    ("fstat", "fstat64"),
    ("newfstatat", "fstatat64"),
    ("statfs", "statfs64"),
    ("fstatfs", "fstatfs64"),
    ("truncate", "truncate64"),
    ("ftruncate", "ftruncate64"),
    ("fcntl", "fcntl64"),
    ("sendfile", "sendfile64"),
    ("fadvise64", "fadvise64_64"),
    ("chown", "chown32"),
    ("lchown", "lchown32"),
    ("fchown", "fchown32"),
    ("setuid", "setuid32"),
    ("setgid", "setgid32"),
    ("getuid", "getuid32"),
    ("getgid", "getgid32"),
    ("geteuid", "geteuid32"),
    ("getegid", "getegid32"),
    ("setreuid", "setreuid32"),
    ("setregid", "setregid32"),
    ("getresuid", "getresuid32"),
    ("getresgid", "getresgid32"),
    ("getgroups", "getgroups32"),
    ("setresuid", "setresuid32"),
    ("setresgid", "setresgid32"),
    ("setgroups", "setgroups32"),
    ("setfsuid", "setfsuid32"),
    ("setfsgid", "setfsgid32"),
    ("getrlimit", "ugetrlimit"),
    ("timerfd_settime", "timerfd_settime64"),
    ("timerfd_gettime", "timerfd_gettime64"),
];

/// A 64-bit call of the program's own, not of a case.
pub(crate) fn raw64(name: &str, args: &[u64]) -> Result<u64, Errno> {
    by_door(Width::X86_64, name, args)
}

fn by_door(width: Width, name: &str, args: &[u64]) -> Result<u64, Errno> {
    let abi = match width {
        Width::X86_64 => Abi::X86_64,
        Width::I386 => Abi::I386,
    };
    let number = abi.number(name).unwrap_or_else(|| panic!("{abi:?} has no {name}"));
    let mut registers = [0; 6];
    registers[..args.len()].copy_from_slice(args);
    from_return(match width {
        // SAFETY: scripts name memory that the compiler knows nothing of, and what the
        // program itself passes is a caller's own.
        Width::X86_64 => unsafe { syscall64::call(number.into(), registers) },
        Width::I386 => {
            let registers = registers.map(|word| word & 0xffff_ffff);
            // SAFETY: as above.
            unsafe { int80::call(number.into(), registers) as i32 as u64 }
        }
    })
}

/// Makes the calls of cases.
pub(crate) struct Calls {
    pub(crate) width: Width,
    /// What shmget(2) has answered last: `SHM`.
    segment: u64,
}

/// What a call is made with.
struct Prepared {
    arena: Arena,
    registers: Vec<u64>,
    outputs: Vec<Output>,
}

impl Calls {
    pub(crate) const fn new(width: Width) -> Calls {
        Calls { width, segment: u64::MAX }
    }

    /// A call, with its arguments as words.
    pub(crate) fn make(&mut self, name: &str, args: &[&str]) -> Answer {
        let mut prepared =
            Prepared { arena: Arena::new(), registers: Vec::new(), outputs: Vec::new() };
        let old = name.strip_prefix("old:");
        let two = name.starts_with("preadv") || name.starts_with("pwritev");
        for word in args {
            self.argument(&mut prepared, word, two, old.is_some());
        }
        let Prepared { mut arena, mut registers, outputs } = prepared;
        let by_i386 = self.width == Width::I386;
        let own = I386_NAMES.iter().find(|(of_x86_64, _)| *of_x86_64 == name);
        let real = match own {
            _ if !by_i386 => name,
            None => old.unwrap_or(name),
            Some((_, of_i386)) => of_i386,
        };
        let mut position = None;
        match real {
            "_llseek" if name == "lseek" => {
                let [fd, offset, whence] = registers[..] else { panic!("lseek has 3 arguments") };
                let result = arena.room(8);
                position = Some(result);
                registers = vec![fd, offset >> 32, offset, result, whence];
            }
            "mmap2" if name == "mmap" => registers[5] = (registers[5] as i64 >> 12) as u64,
            "statfs64" | "fstatfs64" => registers.insert(1, show::STATFS64_I386 as u64),
            _ => {}
        }
        assert!(registers.len() <= 6, "{name}: too many arguments");
        let mut result = by_door(self.width, real, &registers);
        if let (Some(at), Ok(_)) = (position, result) {
            result = Ok(show::word(&memory::read(at, 8), 0, 8));
        }
        if let ("shmget", Ok(id)) = (name, result) {
            self.segment = id;
        }
        Answer::new(name, self.width, result, outputs)
    }

    /// An address: `M`, `M+0x1000` or a number.
    pub(crate) fn address(&self, word: &str) -> u64 {
        match word.strip_prefix('M') {
            Some("") => memory::MAPS,
            Some(offset) => {
                let offset = offset.strip_prefix('+').and_then(number);
                memory::MAPS + offset.unwrap_or_else(|| panic!("{word}: what offset?"))
            }
            None => number(word).unwrap_or_else(|| panic!("{word}: what address?")),
        }
    }

    /// One word of a call, into registers. `two`: an offset takes two in any width.
    fn argument(&self, prepared: &mut Prepared, word: &str, two: bool, old: bool) {
        if let Some(offset) = word.strip_prefix('@') {
            let value = number(offset).unwrap_or_else(|| panic!("{word}: what offset?"));
            prepared.registers.push(value);
            match self.width {
                Width::I386 if !old => prepared.registers.push(value >> 32),
                _ if two => prepared.registers.push(0),
                _ => {}
            }
            return;
        }
        let value = self.value(prepared, word, old);
        prepared.registers.push(value);
    }

    /// What one register is to hold.
    fn value(&self, prepared: &mut Prepared, word: &str, old: bool) -> u64 {
        let Prepared { arena, outputs, .. } = prepared;
        let first = word.chars().next().expect("a word is not empty");
        match first {
            '0'..='9' | '-' if let Some(value) = number(word) => value,
            '<' => match word[1..].strip_suffix('!') {
                Some(text) => arena.at_the_end(&expand(text)),
                None => arena.bytes(&expand(&word[1..])),
            },
            '>' => self.output(prepared, &word[1..], old),
            // A structure that is written and read.
            '~' => {
                let value = number(&word[1..]).unwrap_or_else(|| panic!("{word}: what number?"));
                let at = arena.bytes(&value.to_le_bytes());
                outputs.push(Output { at, length: 8, shape: Shape::Number });
                at
            }
            '&' => match &word[1..] {
                "BAD" => memory::END,
                "KERNEL" => 0xffff_8880_0000_0000,
                "RO" => memory::READ_ONLY,
                "EDGE" => arena.at_the_end(b"edge"),
                // An address that 32 bits do not hold is none for either.
                "HIGH" => 0x8000_0000_0000_0000,
                _ => panic!("{word}: what pointer?"),
            },
            '[' => self.words(prepared, word),
            'M' if word == "M" || word.starts_with("M+") => self.address(word),
            'S' if word == "SHM" => self.segment,
            'A'..='Z' => constants::of(word),
            _ => match word.split_once('(') {
                Some((kind @ ("iov" | "flock" | "flock64" | "how"), rest)) => {
                    let rest = rest.strip_suffix(')').expect("parentheses close");
                    self.structure(prepared, kind, rest, old)
                }
                _ => {
                    let mut bytes = expand(word);
                    bytes.push(0);
                    arena.bytes(&bytes)
                }
            },
        }
    }

    /// `[1,2]`: machine words; `[q:1,2]` `[d:1,2]`: of 8 and 4 bytes.
    fn words(&self, prepared: &mut Prepared, word: &str) -> u64 {
        let inner = &word[1..word.len() - 1];
        let (size, list) = match inner.split_once(':') {
            Some(("q", list)) => (8, list),
            Some(("d", list)) => (4, list),
            _ => (self.word(), inner),
        };
        let mut bytes = Vec::new();
        for item in list.split(',').filter(|item| !item.is_empty()) {
            let value = self.value(prepared, item, false);
            bytes.extend_from_slice(&value.to_le_bytes()[..size]);
        }
        prepared.arena.bytes(&bytes)
    }

    const fn word(&self) -> usize {
        match self.width {
            Width::X86_64 => 8,
            Width::I386 => 4,
        }
    }

    /// `>10`: ten bytes; `>10!4`: only four of them are there; `>stat` and others.
    fn output(&self, prepared: &mut Prepared, what: &str, old: bool) -> u64 {
        let Prepared { arena, outputs, .. } = prepared;
        let (length, shape) = match what {
            "stat" if old => (show::STAT_OLD_I386, Shape::StatOld),
            "stat" => (144, Shape::Stat),
            "statx" => (256, Shape::Statx),
            "statfs" => (120, Shape::Statfs),
            "segment" => (112, Shape::Segment),
            _ => match what.split_once('!') {
                Some((_, there)) => {
                    let there = there.parse().expect("how many bytes are there");
                    return arena.at_the_end(&vec![b'-'; there]);
                }
                None => (what.parse().expect("how many bytes"), Shape::Bytes),
            },
        };
        let at = arena.room(length);
        outputs.push(Output { at, length, shape });
        at
    }

    fn structure(&self, prepared: &mut Prepared, kind: &str, text: &str, old: bool) -> u64 {
        let items: Vec<&str> = text.split(',').filter(|item| !item.is_empty()).collect();
        if kind == "iov" {
            return self.vectors(prepared, &items);
        }
        let values: Vec<u64> = items.iter().map(|item| self.value(prepared, item, old)).collect();
        if kind == "how" {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            return prepared.arena.bytes(&bytes);
        }
        let [which, whence, start, length] = values[..] else { panic!("flock({text})") };
        let size = show::flock_size(self.width, kind == "flock64");
        let layout = show::flock_layout(self.width, kind == "flock64");
        let mut bytes = vec![0; size];
        for (value, (offset, length)) in [which, whence, start, length, 0].into_iter().zip(layout) {
            bytes[offset..offset + length].copy_from_slice(&value.to_le_bytes()[..length]);
        }
        let at = prepared.arena.bytes(&bytes);
        let shape = Shape::Flock { large: kind == "flock64" };
        prepared.outputs.push(Output { at, length: size, shape });
        at
    }

    /// Vectors for readv(2) and writev(2): `<text`, `>10`, `&BAD`, each with `:length`
    /// if it is to say another one.
    fn vectors(&self, prepared: &mut Prepared, items: &[&str]) -> u64 {
        let mut bytes = Vec::new();
        for item in items {
            let (item, said) = match item.split_once(':') {
                Some((item, said)) => (item, Some(number(said).expect("a length"))),
                None => (*item, None),
            };
            let length = match item.split_at(1) {
                ("<", text) => expand(text.trim_end_matches('!')).len() as u64,
                (">", length) => number(length).expect("a length"),
                _ => 0,
            };
            let at = self.value(prepared, item, false);
            for value in [at, said.unwrap_or(length)] {
                bytes.extend_from_slice(&value.to_le_bytes()[..self.word()]);
            }
        }
        prepared.arena.bytes(&bytes)
    }
}
