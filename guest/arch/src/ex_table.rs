//! The exception table: which kernel instructions may fault on a user
//! address, and where to go on if they do.
//!
//! [`super::usercopy`] adds a row for each such instruction, and so does
//! `entry::sixth_argument`; the linker collects them; the image's `exception`
//! looks them up.

/// One row, as the assembler emits it: two addresses, and a word.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The instruction that may fault.
    pub instruction: u64,
    /// Where to go on.
    pub fixup: u64,
    /// 1, if a missing page is put there first. 0: it goes on at the fixup in any
    /// case, for it holds locks that whoever fetches pages needs.
    pub served: u64,
}

/// The row for a fault at `rip`, if that instruction may fault.
pub fn lookup(table: &[Row], rip: u64) -> Option<Row> {
    table.iter().find(|row| row.instruction == rip).copied()
}

/// The kernel's table.
#[cfg(target_os = "none")]
#[allow(unsafe_code, reason = "the table's bounds are linker symbols")]
pub fn kernel() -> &'static [Row] {
    unsafe extern "C" {
        static __ex_table_start: Row;
        static __ex_table_end: Row;
    }
    // SAFETY: kernel.ld places both symbols around the rows, in read-only
    // memory that lives as long as the kernel.
    unsafe {
        let start = &raw const __ex_table_start;
        let end = &raw const __ex_table_end;
        core::slice::from_raw_parts(start, end.offset_from(start) as usize)
    }
}

/// No row: only the kernel faults on purpose.
#[cfg(not(target_os = "none"))]
pub fn kernel() -> &'static [Row] {
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_instructions_have_a_fixup() {
        let table = [[10, 20, 1], [30, 40, 0]].map(|[instruction, fixup, served]| Row {
            instruction,
            fixup,
            served,
        });
        assert_eq!(lookup(&table, 10), Some(table[0]));
        assert_eq!(lookup(&table, 30), Some(table[1]));
        assert_eq!(lookup(&table, 20), None);
        assert_eq!(lookup(&[], 10), None);
    }
}
