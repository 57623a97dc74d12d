//! Addresses of a program or of our kernel -> `function+0x12`.
//!
//! Called by the crash report of a user program and by the kernel's fault
//! report, and only then: nobody pays for symbols before something went wrong.
//! Uses the `object` crate to read them and `rustc-demangle` to make Rust names
//! readable. A file without symbols, or with damaged ones, is an empty table:
//! a report without names is better than no report.

use std::fmt;

use object::{
    Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable, SectionKind,
    SymbolIndex, SymbolKind,
};

use trapgate_loader::text::printable;

/// The functions of one ELF file (32- or 64-bit), sorted by address. Names stay
/// in the file: a hostile one has many, and long ones.
#[derive(Debug, Default)]
pub struct Symbols<'data> {
    file: Option<object::File<'data>>,
    functions: Vec<Function>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    /// In the file's addresses, without load bias.
    start: u64,
    /// Exclusive.
    end: u64,
    /// Which symbol it is, and whether of .dynsym.
    index: SymbolIndex,
    dynamic: bool,
}

/// The most symbols that are looked at, and the most bytes of a name.
const MOST_SYMBOLS: usize = 1 << 18;
const LONGEST_NAME: usize = 512;

/// A place in a function, shown as `name+0x12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The function's name, demangled if it is a Rust one.
    pub name: String,
    /// The distance from its first instruction, in bytes.
    pub offset: u64,
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.name, self.offset)
    }
}

/// How far back to look for a function that reaches the address, when the
/// nearest symbol (a shorter function inside of it) does not.
const NESTED: usize = 16;

impl<'data> Symbols<'data> {
    /// Reads .symtab, or .dynsym if that is all there is.
    pub fn new(bytes: &'data [u8]) -> Self {
        let Ok(file) = object::File::parse(bytes) else {
            return Self::default();
        };
        let symbols = file.symbols().take(MOST_SYMBOLS);
        let mut found: Vec<_> = symbols.filter_map(|s| function(&file, &s, false)).collect();
        if found.is_empty() {
            let symbols = file.dynamic_symbols().take(MOST_SYMBOLS);
            found.extend(symbols.filter_map(|s| function(&file, &s, true)));
        }
        // Of several names for one address the best rank is kept.
        found.sort_by_key(|(rank, f)| (f.start, *rank, f.index.0));
        found.dedup_by_key(|(_, f)| f.start);
        let functions = found.into_iter().map(|(_, f)| f).collect();
        Self { file: Some(file), functions }
    }

    /// The name of a function, as long as it may be.
    fn name(&self, function: &Function) -> Option<&'data [u8]> {
        let file = self.file.as_ref()?;
        let table =
            if function.dynamic { file.dynamic_symbol_table()? } else { file.symbol_table()? };
        let name = table.symbol_by_index(function.index).ok()?.name_bytes().ok()?;
        Some(&name[..name.len().min(LONGEST_NAME)])
    }

    /// Whether there is no symbol at all.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The function that has `addr` in it, for a file whose addresses were
    /// moved by `load_bias` (see [`trapgate_loader::image::Image::load_bias`]).
    pub fn lookup(&self, addr: u64, load_bias: u64) -> Option<Symbol> {
        let addr = addr.wrapping_sub(load_bias);
        let function = self.find(addr)?;
        Some(Symbol { name: shown(self.name(function)?), offset: addr - function.start })
    }

    /// The function that has the byte at `offset` of the file in it.
    pub fn at_offset(&self, offset: u64) -> Option<Symbol> {
        let address = self.file.as_ref()?.segments().find_map(|segment| {
            let (start, size) = segment.file_range();
            let distance = offset.checked_sub(start).filter(|distance| *distance < size)?;
            segment.address().checked_add(distance)
        });
        self.lookup(address?, 0)
    }

    /// The nearest function that reaches an address of the file's.
    fn find(&self, addr: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|f| f.start <= addr);
        self.functions[..after].iter().rev().take(NESTED).find(|f| addr < f.end)
    }
}

/// A name for people: demangled, and nothing in it steers a terminal, for a
/// hostile program chooses its names.
fn shown(name: &[u8]) -> String {
    let mangled = String::from_utf8_lossy(name);
    printable(format!("{:#}", rustc_demangle::demangle(&mangled)).as_bytes())
}

/// The symbol as a function, and its rank among names of one address (lower is
/// better): functions before bare labels, those with a size before those
/// without, global before weak before local.
fn function<'data, S: ObjectSymbol<'data>>(
    file: &object::File<'data>,
    symbol: &S,
    dynamic: bool,
) -> Option<((bool, bool, u8), Function)> {
    let label = match symbol.kind() {
        SymbolKind::Text => false,
        // STT_NOTYPE: what an assembler makes of a label.
        SymbolKind::Unknown => true,
        _ => return None,
    };
    symbol.name_bytes().ok().filter(|name| !name.is_empty())?;
    let section = file.section_by_index(symbol.section_index()?).ok()?;
    if label && section.kind() != SectionKind::Text {
        return None;
    }
    let (start, size) = (symbol.address(), symbol.size());
    let end = match size {
        // Assembly rarely gives sizes: then it may reach to the section's end,
        // and the next symbol cuts it off.
        0 => section.address().checked_add(section.size())?,
        _ => start.checked_add(size)?,
    };
    let binding = match (symbol.is_weak(), symbol.is_global()) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => 2,
    };
    let index = symbol.index();
    Some(((label, size == 0, binding), Function { start, end, index, dynamic }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_own_function_is_found_by_its_address() {
        let exe = std::fs::read("/proc/self/exe").unwrap();
        let symbols = Symbols::new(&exe);
        let here = our_own_function_is_found_by_its_address as *const () as u64;
        // The test is position-independent: take the bias from another symbol.
        let needle = b"our_own_function_is_found_by_its_address";
        let named = |f: &&Function| {
            symbols.name(f).is_some_and(|n| n.windows(needle.len()).any(|w| w == needle))
        };
        let candidates: Vec<_> = symbols.functions.iter().filter(named).collect();
        let symbol = candidates.iter().find_map(|f| {
            let bias = here.wrapping_sub(f.start);
            symbols.lookup(here + 1, bias)
        });
        let symbol = symbol.expect("a test binary has symbols");
        assert_eq!(symbol.offset, 1);
        assert!(symbol.name.contains("symbols::tests::our_own"), "{symbol}");
        assert!(symbol.to_string().ends_with("+0x1"), "{symbol}");
        assert!(!symbol.name.contains("17h"), "hash shown: {symbol}");
    }

    fn table(functions: &[(u64, u64)]) -> Symbols<'static> {
        let function = |&(start, end): &(u64, u64)| Function {
            start,
            end,
            index: SymbolIndex(0),
            dynamic: false,
        };
        Symbols { file: None, functions: functions.iter().map(function).collect() }
    }

    #[test]
    fn address_is_in_the_nearest_function_that_reaches_it() {
        let symbols = table(&[(0x100, 0x200), (0x110, 0x120)]);
        let start = |addr| symbols.find(addr).map(|f| f.start);
        assert_eq!(start(0xff), None);
        assert_eq!(start(0x100), Some(0x100));
        assert_eq!(start(0x11f), Some(0x110));
        assert_eq!(start(0x120), Some(0x100));
        assert_eq!(start(0x200), None);
    }

    #[test]
    fn control_characters_in_a_name_are_escaped() {
        assert_eq!(shown(b"a\x1b[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn no_symbols_is_an_empty_table() {
        assert!(Symbols::new(b"").is_empty());
        assert!(Symbols::new(b"\x7fELF nonsense").is_empty());
        assert_eq!(Symbols::default().lookup(1, 0), None);
    }

    #[test]
    fn damaged_symbols_never_panic() {
        let mut exe = std::fs::read("/proc/self/exe").unwrap();
        // The section headers are where the damage matters.
        let shoff = u64::from_le_bytes(exe[0x28..0x30].try_into().unwrap()) as usize;
        for at in (shoff..exe.len()).step_by(7) {
            let old = exe[at];
            exe[at] = 0xff;
            // Reading all symbols each time would take minutes: a prefix of
            // the file without them shows the same code paths.
            let file = object::File::parse(&*exe);
            let count =
                file.map(|f| f.symbols().take(50).filter_map(|s| function(&f, &s, false)).count());
            assert!(count.unwrap_or(0) <= 50);
            exe[at] = old;
        }
        exe.truncate(shoff);
        assert!(Symbols::new(&exe).lookup(0x1000, 0).is_none());
    }

    /// Nothing, and how an ELF file of each class begins.
    const IDENTS: &[&[u8]] = &[b"", b"\x7fELF\x01\x01\x01", b"\x7fELF\x02\x01\x01"];

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(
            ident in prop::sample::select(IDENTS),
            rest in prop::collection::vec(any::<u8>(), 0..512),
        ) {
            Symbols::new(&[ident, &rest].concat()).lookup(0x40_0000, 0);
        }
    }
}
