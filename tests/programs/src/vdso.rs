//! A reader of the vDSO, as a C library has one: from the ELF header that
//! AT_SYSINFO_EHDR names to symbols and their versions (gABI, "Dynamic
//! Linking"; LSB, "Symbol Versioning").

use crate::PAGE;
use core::ffi::CStr;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

/// `DT_*` of the dynamic section.
mod tag {
    pub(super) const HASH: u64 = 4;
    pub(super) const STRTAB: u64 = 5;
    pub(super) const SYMTAB: u64 = 6;
    pub(super) const SONAME: u64 = 14;
    pub(super) const GNU_HASH: u64 = 0x6fff_fef5;
    pub(super) const VERSYM: u64 = 0x6fff_fff0;
    pub(super) const VERDEF: u64 = 0x6fff_fffc;
}

/// The vDSO in this program's memory.
#[derive(Clone, Copy)]
pub struct Vdso {
    /// Address of its ELF header.
    pub base: u64,
    dynamic: u64,
    /// What to add to its addresses.
    bias: u64,
    /// Its size in bytes, whole pages, with section headers if it has them:
    /// that much of the file is mapped.
    pub size: u64,
}

/// A symbol that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    index: u64,
    /// Where it is in memory.
    pub address: u64,
}

/// Reads a value out of the image.
fn get<T: Copy>(address: u64) -> T {
    // SAFETY: an address inside the image, which no Rust object owns; `T` is a
    // number wherever this is called.
    unsafe { (address as *const T).read_unaligned() }
}

fn text(address: u64) -> &'static [u8] {
    // SAFETY: a string of the image's string table.
    unsafe { CStr::from_ptr(address as *const _) }.to_bytes()
}

impl Vdso {
    /// The vDSO at this address; `None` if there is no ELF header, or not what
    /// a vDSO has.
    pub fn at(base: u64) -> Option<Vdso> {
        if get::<[u8; 6]>(base) != *b"\x7fELF\x02\x01" {
            return None;
        }
        let (mut dynamic, mut bias, mut end) = (None, None, 0);
        let first = base + get::<u64>(base + 32);
        for header in (0..u64::from(get::<u16>(base + 56))).map(|index| first + index * 56) {
            let (offset, address) = (get::<u64>(header + 8), get::<u64>(header + 16));
            match get::<u32>(header) {
                PT_LOAD if bias.is_none() => {
                    bias = Some(base.wrapping_add(offset).wrapping_sub(address));
                    end = offset + get::<u64>(header + 40);
                }
                PT_DYNAMIC => dynamic = Some(base + offset),
                _ => {}
            }
        }
        let sections = get::<u64>(base + 40) + 64 * u64::from(get::<u16>(base + 60));
        let size = end.max(sections).next_multiple_of(PAGE);
        Some(Vdso { base, dynamic: dynamic?, bias: bias?, size })
    }

    fn value(self, wanted: u64) -> Option<u64> {
        let mut at = self.dynamic;
        while get::<u64>(at) != 0 {
            if get::<u64>(at) == wanted {
                return Some(get(at + 8));
            }
            at += 16;
        }
        None
    }

    fn table(self, wanted: u64) -> Option<u64> {
        // Linux's is not relocated, whatever glibc does to other objects.
        self.value(wanted).map(|value| self.bias.wrapping_add(value))
    }

    fn string(self, offset: u64) -> Option<&'static [u8]> {
        Some(text(self.table(tag::STRTAB)? + offset))
    }

    /// Its name.
    pub fn soname(self) -> Option<&'static [u8]> {
        self.string(self.value(tag::SONAME)?)
    }

    /// The symbol at this index, if that is its name.
    fn symbol(self, index: u64, name: &[u8]) -> Option<Symbol> {
        let symbol = self.table(tag::SYMTAB)? + index * 24;
        let found = self.string(get::<u32>(symbol).into())? == name;
        found.then(|| Symbol { index, address: self.bias.wrapping_add(get(symbol + 8)) })
    }

    /// By DT_HASH.
    pub fn by_hash(self, name: &str) -> Option<Symbol> {
        let table = self.table(tag::HASH)?;
        let word = |index: u64| u64::from(get::<u32>(table + 4 * index));
        let (buckets, hash) = (word(0), u64::from(sysv_hash(name.as_bytes())));
        let mut index = word(2 + hash % buckets);
        while index != 0 {
            if let Some(symbol) = self.symbol(index, name.as_bytes()) {
                return Some(symbol);
            }
            index = word(2 + buckets + index);
        }
        None
    }

    /// By DT_GNU_HASH.
    pub fn by_gnu_hash(self, name: &str) -> Option<Symbol> {
        let table = self.table(tag::GNU_HASH)?;
        let word = |at: u64| u64::from(get::<u32>(at));
        let (buckets, first, filters) = (word(table), word(table + 4), word(table + 8));
        let bucket_table = table + 16 + 8 * filters;
        let hash = gnu_hash(name.as_bytes());
        let mut index = word(bucket_table + 4 * (u64::from(hash) % buckets));
        if index < first {
            return None;
        }
        loop {
            let chained = get::<u32>(bucket_table + 4 * (buckets + index - first));
            if chained | 1 == hash | 1
                && let Some(symbol) = self.symbol(index, name.as_bytes())
            {
                return Some(symbol);
            }
            if chained & 1 != 0 {
                return None;
            }
            index += 1;
        }
    }

    /// The symbol's version, and whether its hash is right.
    pub fn version(self, symbol: Symbol) -> Option<(&'static [u8], bool)> {
        let versions = self.table(tag::VERSYM)?;
        let wanted = get::<u16>(versions + 2 * symbol.index) & 0x7fff;
        let mut at = self.table(tag::VERDEF)?;
        loop {
            if get::<u16>(at + 4) == wanted {
                let name = self.string(get::<u32>(at + u64::from(get::<u32>(at + 12))).into())?;
                return Some((name, get::<u32>(at + 8) == sysv_hash(name)));
            }
            match get::<u32>(at + 16) {
                0 => return None,
                next => at += u64::from(next),
            }
        }
    }
}

/// gABI, "Hash Table".
fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

/// The one of DT_GNU_HASH.
fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}
