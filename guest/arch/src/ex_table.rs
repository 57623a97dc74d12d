//! The exception table: which kernel instructions may fault on a user
//! address, and where to go on if they do.
//!
//! [`super::usercopy`] adds a row for each such instruction, and so does
//! `entry::sixth_argument`; the linker collects them; the image's `exception`
//! looks them up.

/// One row, as the assembler emits it: two addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The instruction that may fault.
    pub instruction: u64,
    /// Where to go on.
    pub fixup: u64,
}

/// The fixup for a fault at `rip`, if that instruction may fault.
pub fn lookup(table: &[Row], rip: u64) -> Option<u64> {
    table.iter().find(|row| row.instruction == rip).map(|row| row.fixup)
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
        let table = [Row { instruction: 10, fixup: 20 }, Row { instruction: 30, fixup: 40 }];
        assert_eq!(lookup(&table, 10), Some(20));
        assert_eq!(lookup(&table, 30), Some(40));
        assert_eq!(lookup(&table, 20), None);
        assert_eq!(lookup(&[], 10), None);
    }
}
