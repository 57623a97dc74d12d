//! The cache of ldconfig(8): where libraries are, by their names.

use super::elf::Class;
use super::to_path;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// Where it is.
pub(super) const PATH: &str = "/etc/ld.so.cache";

/// What it begins with, since glibc 2.2.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Bytes of its head, and of an entry.
const HEAD: usize = 48;
const ENTRY: usize = 24;

/// `flags` of an entry: a library of glibc's for x86-64, or for i386.
const X86_64: u32 = 0x0303;
const I386: u32 = 0x0003;

/// The paths in it, by name and flags.
#[derive(Debug, Default)]
pub(super) struct LdCache(HashMap<(Vec<u8>, u32), Vec<u8>>);

impl LdCache {
    /// The host's; an empty one, if there is none that can be read.
    pub(super) fn of_this_host() -> LdCache {
        fs::read(PATH).map(|bytes| LdCache::of(&bytes)).unwrap_or_default()
    }

    fn of(bytes: &[u8]) -> LdCache {
        // A table of the oldest form may be in front.
        let start = bytes.windows(MAGIC.len()).position(|part| part == MAGIC);
        let table = bytes.get(start.unwrap_or(bytes.len())..).unwrap_or_default();
        let mut paths = HashMap::new();
        let count = word(table, MAGIC.len()).unwrap_or(0);
        for number in 0..count as usize {
            let at = HEAD + number * ENTRY;
            let Some(entry) = table.get(at..at + ENTRY) else { break };
            let words = (word(entry, 0), word(entry, 4), word(entry, 8));
            let (Some(flags), Some(name), Some(path)) = words else { break };
            // Of what is only for certain CPUs, the common form is somewhere, too.
            if entry[16..] == [0; 8]
                && let (Some(name), Some(path)) = (string(table, name), string(table, path))
            {
                paths.entry((name, flags)).or_insert(path);
            }
        }
        LdCache(paths)
    }

    /// The path of a library.
    pub(super) fn find(&self, name: &[u8], class: Class) -> Option<PathBuf> {
        let flags = match class {
            Class::X86_64 => X86_64,
            Class::I386 => I386,
        };
        self.0.get(&(name.to_vec(), flags)).map(|path| to_path(path).to_owned())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn string(table: &[u8], at: u32) -> Option<Vec<u8>> {
    let text = table.get(at as usize..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(text[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A cache of these entries: flags, name, path, whether it is for certain CPUs.
    fn cache(entries: &[(u32, &str, &str, bool)]) -> Vec<u8> {
        let mut strings = Vec::new();
        let start = HEAD + entries.len() * ENTRY;
        let mut table = MAGIC.to_vec();
        table.extend((entries.len() as u32).to_le_bytes());
        table.resize(HEAD, 0);
        for (flags, name, path, special) in entries {
            let mut place = |text: &str| {
                let at = (start + strings.len()) as u32;
                strings.extend(text.bytes().chain([0]));
                at
            };
            for word in [*flags, place(name), place(path), 0, u32::from(*special), 0] {
                table.extend(word.to_le_bytes());
            }
        }
        table.extend(strings);
        table
    }

    #[test]
    fn a_library_is_found_by_name_and_class() {
        let bytes = cache(&[
            (X86_64, "liba.so", "/special/liba.so", true),
            (X86_64, "liba.so", "/lib64/liba.so", false),
            (I386, "liba.so", "/lib32/liba.so", false),
        ]);
        for bytes in [bytes.clone(), [&b"ld.so-1.7.0 and a table"[..], &bytes].concat()] {
            let cache = LdCache::of(&bytes);
            let find = |class| cache.find(b"liba.so", class);
            assert_eq!(find(Class::X86_64).as_deref(), Some(Path::new("/lib64/liba.so")));
            assert_eq!(find(Class::I386).as_deref(), Some(Path::new("/lib32/liba.so")));
            assert_eq!(cache.find(b"libb.so", Class::I386), None);
        }
        // Whatever is missing of it.
        for length in 0..bytes.len() {
            LdCache::of(&bytes[..length]);
        }
        let mut many = bytes;
        many[MAGIC.len()..MAGIC.len() + 4].fill(0xff);
        LdCache::of(&many);
    }
}
