//! What is on a program's stack before its first instruction: argc, argv, envp
//! and the auxiliary vector, as Linux's create_elf_tables leaves them.
//!
//! Called by whoever loads a program, the VMM's `boot` or the kernel's execve: it copies
//! [`InitialStack::pieces`] to the top of the stack mapping, which holds zeroes, and
//! starts the program with RSP at [`InitialStack::pointer`]. Calls nothing. No
//! allocation but can say that it failed.
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

mod strings;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use thiserror::Error;
use trapgate_uapi::auxvec::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP,
    AT_HWCAP2, AT_MINSIGSTKSZ, AT_NULL, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM,
    AT_RANDOM, AT_SECURE, AT_SYSINFO, AT_SYSINFO_EHDR, AT_UID,
};

pub use strings::{DEFAULT_LIMIT, LEAST_LIMIT, MAX_STRING, POINTER, Strings, limit};

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

/// What [`build`] puts on the stack.
#[derive(Clone, Copy, Debug)]
pub struct StackRequest<'a> {
    /// The address after the stack mapping's last byte; a multiple of 16.
    pub top: u64,
    /// The size of the program's pointers.
    pub word: WordSize,
    /// The arguments and the environment.
    pub strings: &'a Strings,
    /// The path by which the program was started, without a NUL.
    pub execfn: &'a [u8],
    /// The bytes of AT_RANDOM; libc seeds its stack protector from them.
    pub random: [u8; 16],
    /// AT_PLATFORM: `x86_64`, or `i686` for 32-bit programs.
    pub platform: &'a str,
    /// The other auxiliary values.
    pub auxv: AuxValues,
}

/// The stack, ready to be copied into memory.
#[derive(Debug)]
pub struct InitialStack<'a> {
    /// The program's first stack pointer; a multiple of 16.
    pub pointer: u64,
    /// The words from there on, and what lies between them and the strings.
    lower: Vec<u8>,
    /// Where in them the auxiliary vector is.
    auxv: Range<usize>,
    strings_at: u64,
    strings: &'a [u8],
    execfn: &'a [u8],
}

impl InitialStack<'_> {
    /// What is at which address. All else from the pointer to the stack's top is zero.
    pub fn pieces(&self) -> [(u64, &[u8]); 3] {
        let execfn_at = self.strings_at + self.strings.len() as u64;
        [(self.pointer, &self.lower), (self.strings_at, self.strings), (execfn_at, self.execfn)]
    }

    /// Where the auxiliary vector is, its end among it.
    pub fn auxv(&self) -> Range<u64> {
        let Range { start, end } = self.auxv;
        self.pointer + start as u64..self.pointer + end as u64
    }
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
    /// There is no memory for it.
    #[error("there is no memory to lay out the program's stack: free some, and try again")]
    NoMemory,
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

/// What Linux puts above the strings, in bytes: zeroes.
const ABOVE: u64 = 8;

/// Builds the initial stack.
///
/// # Errors
/// [`StackError::BadTop`], [`StackError::NoMemory`].
pub fn build<'a>(request: &StackRequest<'a>) -> Result<InitialStack<'a>, StackError> {
    let &StackRequest { top, word, strings, execfn, .. } = request;
    let bad_top = || StackError::BadTop { top, word: word.bytes() };
    let highest = match word {
        WordSize::W32 => 1 << 32,
        WordSize::W64 => u64::MAX,
    };
    if top % 16 != 0 || top > highest {
        return Err(bad_top());
    }

    // The upper half: its size says where it begins.
    let size = strings.bytes.len() as u64 + execfn.len() as u64 + 1 + ABOVE;
    let strings_at = top.checked_sub(size).ok_or_else(bad_top)?;
    let execfn_at = strings_at + strings.bytes.len() as u64;
    let platform = request.platform.as_bytes();
    let seeds = (request.random.len() + platform.len() + 1) as u64;
    let seeds_at = (strings_at & !15).checked_sub(seeds).ok_or_else(bad_top)?;
    let platform_at = seeds_at + request.random.len() as u64;

    // The lower half, all words.
    let auxv = aux_entries(request, seeds_at, platform_at, execfn_at);
    let count = 1 + strings.argc + 1 + strings.envc + 1 + 2 * auxv.clone().count();
    let size = (count * word.bytes()) as u64;
    let pointer = seeds_at.checked_sub(size).ok_or_else(bad_top)? & !15;

    let mut lower = Vec::new();
    let length = (strings_at - pointer) as usize;
    lower.try_reserve_exact(length).map_err(|_| StackError::NoMemory)?;
    // As much as is reserved, and no more.
    let mut push = |value: u64| lower.extend_from_slice(&value.to_le_bytes()[..word.bytes()]);
    push(strings.argc as u64);
    let mut starts = strings.starts().map(|start| strings_at + start);
    starts.by_ref().take(strings.argc).for_each(&mut push);
    push(0);
    starts.take(strings.envc).for_each(&mut push);
    push(0);
    auxv.clone().flat_map(|(key, value)| [key, value]).for_each(&mut push);
    let auxv_end = lower.len();
    let auxv = auxv_end - 2 * auxv.count() * word.bytes()..auxv_end;
    lower.resize((seeds_at - pointer) as usize, 0);
    lower.extend_from_slice(&request.random);
    lower.extend_from_slice(platform);
    lower.resize(length, 0);
    Ok(InitialStack { pointer, lower, auxv, strings_at, strings: &strings.bytes, execfn })
}

/// The auxiliary vector in Linux's order for x86, AT_NULL included.
fn aux_entries(
    request: &StackRequest<'_>,
    random: u64,
    platform: u64,
    execfn: u64,
) -> impl Iterator<Item = (u64, u64)> + Clone + use<> {
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
    first.into_iter().filter_map(present).chain(rest)
}
