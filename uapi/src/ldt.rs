//! asm/ldt.h: segments that a 32-bit program asks for.

use crate::macros::{same_layout, structure};

structure! {
    /// `struct user_desc` of set_thread_area(2), and of modify_ldt(2) in both
    /// widths. What C has as single bits is `flags`.
    #[derive(Default)]
    pub struct UserDesc: 16 {
        pub entry_number: u32,
        pub base_addr: u32,
        pub limit: u32,
        pub flags: u32,
    }
}
same_layout!(UserDesc = general::user_desc { entry_number base_addr limit });

/// The bits of [`UserDesc::flags`].
pub mod flag {
    /// `seg_32bit`
    pub const SEG_32BIT: u32 = 1 << 0;
    /// `contents`, two bits: 0 data, 1 data that grows down, 2 code, 3
    /// conforming code.
    pub const CONTENTS: u32 = 3 << 1;
    /// The greatest `contents` that is data.
    pub const EXPAND_DOWN: u32 = 1 << 1;
    /// `read_exec_only`
    pub const READ_EXEC_ONLY: u32 = 1 << 3;
    /// `limit_in_pages`
    pub const LIMIT_IN_PAGES: u32 = 1 << 4;
    /// `seg_not_present`
    pub const SEG_NOT_PRESENT: u32 = 1 << 5;
    /// `useable`: the descriptor's bit for software.
    pub const USEABLE: u32 = 1 << 6;
    /// All that mean something; 64-bit programs know an eighth, `lm`, which is
    /// never obeyed.
    pub const ALL: u32 = 0x7f;
}

/// `func` of modify_ldt(2) that reads the table.
pub const LDT_READ: i32 = 0;
/// `func` of modify_ldt(2) that reads the default table.
pub const LDT_READ_DEFAULT: i32 = 2;
