//! How the tables are made, at build: from the rows of `uapi/tables` and the lists
//! beside this file, by entry point.

use trapgate_abi::PtRegs;
use trapgate_uapi::syscall::Row;

/// What stands in a table: the outermost layer of a definition. The result is
/// what the program finds in RAX. (Nothing unwinds in ring 0; on the host, the end
/// of the program does, up to the test.)
pub type Handler = extern "C-unwind" fn(&PtRegs) -> u64;

/// A table for numbers below `N - 1`. The last row is for all others, so that
/// the index needs no branch.
pub type Table<const N: usize> = [Handler; N];

/// The handlers of one entry point.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) x64: Handler,
    /// `None`: structures or arguments have another form for i386, whose
    /// handler is a [`CompatEntry`].
    pub(super) ia32: Option<Handler>,
    /// What there is of it, if not all: for the documents. Not in the image.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documents'"))]
    pub(super) note: Option<&'static str>,
}

/// A handler of i386 alone, by its entry point.
pub(super) struct CompatEntry {
    pub(super) name: &'static str,
    pub(super) handler: Handler,
    /// As [`Entry::note`], where no call of x86-64's says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documents'"))]
    pub(super) note: Option<&'static str>,
}

/// What stands in parentheses behind a call, if anything.
macro_rules! note {
    () => {
        None
    };
    ($note:expr) => {
        Some($note)
    };
}
pub(super) use note;

/// The list of entries: `both` serve i386 callers as they are, `x64` do not. What a
/// call lacks stands in parentheses behind it.
macro_rules! entries {
    ($($module:ident {
        both: $($both:ident $(($both_note:expr))?)*;
        x64: $($x64:ident $(($x64_note:expr))?)*;
    })*) => {
        pastey::paste! {
            &[$(
                $(Entry {
                    name: concat!("sys_", stringify!($both)),
                    x64: $module::[<__x64_sys_ $both>],
                    ia32: Some($module::[<__ia32_sys_ $both>]),
                    note: note!($($both_note)?),
                },)*
                $(Entry {
                    name: concat!("sys_", stringify!($x64)),
                    x64: $module::[<__x64_sys_ $x64>],
                    ia32: None,
                    note: note!($($x64_note)?),
                },)*
            )*]
        }
    };
}
pub(super) use entries;

/// The list of i386's own entries: `compat` have a compat entry in Linux too,
/// `native` have not, but mean something else to a 32-bit caller or have none
/// but such.
macro_rules! compat_entries {
    ($($module:ident {
        compat: $($compat:ident $(($compat_note:expr))?)*;
        native: $($native:ident $(($native_note:expr))?)*;
    })*) => {
        pastey::paste! {
            &[$(
                $(CompatEntry {
                    name: concat!("compat_sys_", stringify!($compat)),
                    handler: compat::$module::[<__ia32_compat_sys_ $compat>],
                    note: note!($($compat_note)?),
                },)*
                $(CompatEntry {
                    name: concat!("sys_", stringify!($native)),
                    handler: compat::$module::[<__ia32_sys_ $native>],
                    note: note!($($native_note)?),
                },)*
            )*]
        }
    };
}
pub(super) use compat_entries;

/// The entry that a row names.
pub(super) const fn find(row: &Row, entries: &'static [Entry]) -> Option<&'static Entry> {
    let mut index = 0;
    while index < entries.len() {
        if row.has_entry(entries[index].name) {
            return Some(&entries[index]);
        }
        index += 1;
    }
    None
}

/// The same of i386's own.
pub(super) const fn find_compat(
    row: &Row,
    entries: &'static [CompatEntry],
) -> Option<&'static CompatEntry> {
    let mut index = 0;
    while index < entries.len() {
        if row.has_entry(entries[index].name) {
            return Some(&entries[index]);
        }
        index += 1;
    }
    None
}

/// A table by SYSCALL's convention: `none` answers what nothing else does, `beyond`
/// numbers that are too large.
pub(super) const fn x64<const N: usize>(
    rows: &[Row],
    entries: &'static [Entry],
    none: Handler,
    beyond: Handler,
) -> Table<N> {
    let mut table: Table<N> = [none; N];
    table[N - 1] = beyond;
    let mut index = 0;
    while index < rows.len() {
        if let Some(entry) = find(&rows[index], entries) {
            table[rows[index].number as usize] = entry.x64;
        }
        index += 1;
    }
    table
}

/// The table by i386's convention; its own entries come first.
pub(super) const fn ia32<const N: usize>(
    rows: &[Row],
    compat: &'static [CompatEntry],
    entries: &'static [Entry],
    none: Handler,
) -> Table<N> {
    let mut table: Table<N> = [none; N];
    let mut index = 0;
    while index < rows.len() {
        if let Some(entry) = find_compat(&rows[index], compat) {
            table[rows[index].number as usize] = entry.handler;
        } else if let Some(Entry { ia32: Some(handler), .. }) = find(&rows[index], entries) {
            table[rows[index].number as usize] = *handler;
        }
        index += 1;
    }
    table
}

/// Whether a row names this entry point.
pub(super) const fn is_named(rows: &[Row], entry: &str) -> bool {
    let mut index = 0;
    while index < rows.len() {
        if rows[index].has_entry(entry) {
            return true;
        }
        index += 1;
    }
    false
}
