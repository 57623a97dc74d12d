//! What is on a program's stack before its first instruction: argc, argv, envp
//! and the auxiliary vector, as Linux's create_elf_tables leaves them.
//!
//! Called by the VMM's `boot`, which copies the bytes to the top of the stack mapping and
//! starts the program with RSP at [`InitialStack::pointer`]; calls nothing.
//! The layout is the System V ABI's "initial process stack", and in its details
//! (the order of entries, what is aligned and what is not) Linux's:
//!
//! ```text
//! top      ->  +----------------------------------+
//!              | 8 zero bytes                     |
//!              | execfn\0                         | <- AT_EXECFN
//!              | env[0]\0 ... env[m-1]\0          |    strings ascend in memory
//!              | argv[0]\0 ... argv[n-1]\0        |
//!              +----------------------------------+ down to a multiple of 16
//!              | platform\0                       | <- AT_PLATFORM
//!              | 16 random bytes                  | <- AT_RANDOM (unaligned)
//!              +----------------------------------+ padding, so that pointer
//!              | AT_NULL, 0                       |      is a multiple of 16
//!              | ...                              |
//!              | auxv: pairs of key and value     |
//!              | 0                                |
//!              | envp[0] ... envp[m-1]            |
//!              | 0                                |
//!              | argv[0] ... argv[n-1]            |
//! pointer  ->  | argc                             | one word, as all up to here
//!              +----------------------------------+
//! ```

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use thiserror::Error;
use trapgate_uapi::auxvec::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP,
    AT_HWCAP2, AT_MINSIGSTKSZ, AT_NULL, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM,
    AT_RANDOM, AT_SECURE, AT_SYSINFO, AT_SYSINFO_EHDR, AT_UID,
};

/// The longest argument or environment string with its NUL, in bytes: Linux's
/// MAX_ARG_STRLEN, 32 pages.
pub const MAX_STRING: usize = 32 * 4096;
/// What Linux lets all strings and their pointers take, in bytes, when the
/// stack's limit is the usual 8 MiB: a quarter of it.
pub const DEFAULT_LIMIT: usize = 2 << 20;

/// The size of a pointer in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WordSize {
    /// 4 bytes: i386 and x32.
    W32,
    /// 8 bytes: x86-64.
    #[default]
    W64,
}

impl WordSize {
    /// The size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::W32 => 4,
            Self::W64 => 8,
        }
    }
}

/// The auxiliary vector's values that are not addresses on the stack.
///
/// [`AuxValues::default`] has Linux's values for what never varies; the rest is
/// 0 or absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuxValues {
    /// AT_PHDR: the address of the program headers.
    pub phdr: u64,
    /// AT_PHENT: the size of one in bytes.
    pub phent: u64,
    /// AT_PHNUM: how many there are.
    pub phnum: u64,
    /// AT_ENTRY: the program's first instruction.
    pub entry: u64,
    /// AT_BASE: where the dynamic linker is; 0 without one.
    pub base: u64,
    /// AT_FLAGS: always 0.
    pub flags: u64,
    /// AT_HWCAP: CPUID.1:EDX.
    pub hwcap: u64,
    /// AT_HWCAP2: bit 0 ring-3 MWAIT, bit 1 FSGSBASE.
    pub hwcap2: u64,
    /// AT_PAGESZ in bytes.
    pub pagesz: u64,
    /// AT_CLKTCK: times(2)'s ticks a second.
    pub clktck: u64,
    /// AT_UID.
    pub uid: u32,
    /// AT_EUID.
    pub euid: u32,
    /// AT_GID.
    pub gid: u32,
    /// AT_EGID.
    pub egid: u32,
    /// AT_SECURE: 1 if the program must distrust its environment.
    pub secure: u64,
    /// AT_SYSINFO: the vDSO's `__kernel_vsyscall`; 32-bit programs only.
    pub sysinfo: Option<u64>,
    /// AT_SYSINFO_EHDR: the vDSO's ELF header.
    pub sysinfo_ehdr: Option<u64>,
    /// AT_MINSIGSTKSZ: what a signal frame needs, in bytes.
    pub minsigstksz: Option<u64>,
}

impl Default for AuxValues {
    fn default() -> Self {
        Self {
            phdr: 0,
            phent: 0,
            phnum: 0,
            entry: 0,
            base: 0,
            flags: 0,
            hwcap: 0,
            hwcap2: 0,
            pagesz: 4096,
            clktck: 100,
            uid: 0,
            euid: 0,
            gid: 0,
            egid: 0,
            secure: 0,
            sysinfo: None,
            sysinfo_ehdr: None,
            minsigstksz: None,
        }
    }
}

/// What [`build`] puts on the stack. Strings are without their NUL.
#[derive(Clone, Copy, Debug)]
pub struct StackRequest<'a> {
    /// The address after the stack mapping's last byte; a multiple of 16.
    pub top: u64,
    /// What the strings and their pointers may take, in bytes (E2BIG beyond;
    /// see [`DEFAULT_LIMIT`]). The stack mapping needs about 1 KiB more.
    pub limit: usize,
    /// The size of the program's pointers.
    pub word: WordSize,
    /// The arguments. If there are none, the program gets one that is empty,
    /// as in Linux since 5.18.
    pub argv: &'a [Vec<u8>],
    /// The environment.
    pub envp: &'a [Vec<u8>],
    /// The path by which the program was started.
    pub execfn: &'a [u8],
    /// The bytes of AT_RANDOM; libc seeds its stack protector from them.
    pub random: [u8; 16],
    /// AT_PLATFORM: `x86_64`, or `i686` for 32-bit programs.
    pub platform: &'a str,
    /// The other auxiliary values.
    pub auxv: AuxValues,
}

/// The stack, ready to be copied into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialStack {
    /// The program's first stack pointer; a multiple of 16.
    pub pointer: u64,
    /// What is at `pointer..top`.
    pub bytes: Vec<u8>,
}

/// Why a stack cannot be built.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StackError {
    /// One string is over [`MAX_STRING`]; Linux's E2BIG.
    #[error(
        "{what} is {length} bytes long, Linux takes at most {max} with its NUL: shorten it or pass it in another way"
    )]
    StringTooLong {
        /// Which string.
        what: String,
        /// Its length with its NUL, in bytes.
        length: usize,
        /// [`MAX_STRING`].
        max: usize,
    },
    /// All strings together are over the limit; Linux's E2BIG.
    #[error(
        "arguments and environment take {needed} bytes, at most {limit} fit: pass fewer, or clear the environment"
    )]
    TooBig {
        /// The strings with their NULs and their pointers, in bytes.
        needed: usize,
        /// The request's limit, in bytes.
        limit: usize,
    },
    /// A string has a NUL byte inside, where the program would see its end.
    #[error("{what} has a NUL byte at position {position}: remove it")]
    NulInside {
        /// Which string.
        what: String,
        /// The position of the NUL, in bytes.
        position: usize,
    },
    /// The stack cannot end at the address asked for.
    #[error(
        "a stack for pointers of {word} bytes cannot end at {top:#x}: give a multiple of 16 with room below"
    )]
    BadTop {
        /// The request's top.
        top: u64,
        /// The pointers' size in bytes.
        word: usize,
    },
}

/// Builds the initial stack.
///
/// # Errors
/// A [`StackError`]; those that are Linux's E2BIG say so.
pub fn build(request: &StackRequest<'_>) -> Result<InitialStack, StackError> {
    check_strings(request)?;
    let StackRequest { top, word, .. } = *request;
    let bad_top = || StackError::BadTop { top, word: word.bytes() };
    let highest = match word {
        WordSize::W32 => 1 << 32,
        WordSize::W64 => u64::MAX,
    };
    if top % 16 != 0 || top > highest {
        return Err(bad_top());
    }

    // The upper half, from low to high; addresses follow from its size.
    let no_args = [Vec::new()];
    let argv = if request.argv.is_empty() { &no_args } else { request.argv };
    let mut strings = Vec::new();
    let argv = push_all(&mut strings, argv);
    let envp = push_all(&mut strings, request.envp);
    let execfn = push(&mut strings, request.execfn);
    strings.extend([0; 8]);
    let strings_at = top.checked_sub(strings.len() as u64).ok_or_else(bad_top)?;

    let mut seeds = Vec::from(request.random);
    let platform = push(&mut seeds, request.platform.as_bytes());
    let aligned = strings_at & !15;
    let seeds_at = aligned.checked_sub(seeds.len() as u64).ok_or_else(bad_top)?;

    // The lower half, all words.
    let auxv = aux_entries(request, seeds_at, seeds_at + platform, strings_at + execfn);
    let mut words = vec![argv.len() as u64];
    words.extend(argv.iter().map(|offset| strings_at + offset));
    words.push(0);
    words.extend(envp.iter().map(|offset| strings_at + offset));
    words.push(0);
    words.extend(auxv.iter().flat_map(|&(key, value)| [key, value]));
    let size = (words.len() * word.bytes()) as u64;
    let pointer = seeds_at.checked_sub(size).ok_or_else(bad_top)? & !15;

    let mut bytes = Vec::with_capacity((top - pointer) as usize);
    for value in words {
        bytes.extend(&value.to_le_bytes()[..word.bytes()]);
    }
    bytes.resize((seeds_at - pointer) as usize, 0);
    bytes.extend(seeds);
    bytes.resize((strings_at - pointer) as usize, 0);
    bytes.extend(strings);
    Ok(InitialStack { pointer, bytes })
}

/// Appends `string` and its NUL; returns its offset.
fn push(to: &mut Vec<u8>, string: &[u8]) -> u64 {
    let offset = to.len() as u64;
    to.extend_from_slice(string);
    to.push(0);
    offset
}

fn push_all(to: &mut Vec<u8>, strings: &[Vec<u8>]) -> Vec<u64> {
    strings.iter().map(|string| push(to, string)).collect()
}

/// The auxiliary vector in Linux's order for x86, AT_NULL included.
fn aux_entries(
    request: &StackRequest<'_>,
    random: u64,
    platform: u64,
    execfn: u64,
) -> Vec<(u64, u64)> {
    let aux = &request.auxv;
    let sysinfo = aux.sysinfo.filter(|_| request.word == WordSize::W32);
    let first = [
        (AT_SYSINFO, sysinfo),
        (AT_SYSINFO_EHDR, aux.sysinfo_ehdr),
        (AT_MINSIGSTKSZ, aux.minsigstksz),
    ];
    let rest = [
        (AT_HWCAP, aux.hwcap),
        (AT_PAGESZ, aux.pagesz),
        (AT_CLKTCK, aux.clktck),
        (AT_PHDR, aux.phdr),
        (AT_PHENT, aux.phent),
        (AT_PHNUM, aux.phnum),
        (AT_BASE, aux.base),
        (AT_FLAGS, aux.flags),
        (AT_ENTRY, aux.entry),
        (AT_UID, aux.uid.into()),
        (AT_EUID, aux.euid.into()),
        (AT_GID, aux.gid.into()),
        (AT_EGID, aux.egid.into()),
        (AT_SECURE, aux.secure),
        (AT_RANDOM, random),
        (AT_HWCAP2, aux.hwcap2),
        (AT_EXECFN, execfn),
        (AT_PLATFORM, platform),
        (AT_NULL, 0),
    ];
    let present = |(key, value): (u64, Option<u64>)| value.map(|value| (key, value));
    first.into_iter().filter_map(present).chain(rest).collect()
}

/// The checks of execve(2): no string too long, not too much altogether.
fn check_strings(request: &StackRequest<'_>) -> Result<(), StackError> {
    // Linux counts the pointer of the argument that it adds where there is none.
    let pointers = request.argv.len().max(1) + request.envp.len();
    let mut needed = pointers * request.word.bytes();
    let mut check = |string: &[u8], what: &dyn Fn() -> String| {
        if let Some(position) = string.iter().position(|&b| b == 0) {
            return Err(StackError::NulInside { what: what(), position });
        }
        let length = string.len() + 1;
        if length > MAX_STRING {
            return Err(StackError::StringTooLong { what: what(), length, max: MAX_STRING });
        }
        needed = needed.saturating_add(length);
        Ok(())
    };
    check(request.execfn, &|| "the program's path".into())?;
    for (i, string) in request.argv.iter().enumerate() {
        check(string, &|| format!("argument {i}"))?;
    }
    for (i, string) in request.envp.iter().enumerate() {
        check(string, &|| format!("environment string {i}"))?;
    }
    let limit = request.limit;
    if needed > limit {
        return Err(StackError::TooBig { needed, limit });
    }
    Ok(())
}
