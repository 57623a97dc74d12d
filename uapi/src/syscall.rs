//! The system calls of the three ABIs: numbers, names and entry points.
//!
//! The kernel builds its dispatch arrays from the rows, during compilation; the
//! VMM, guest-rt and the tests take names and numbers from here. The rows come
//! from `tables/*.tbl` by way of `build.rs`; this file gives them their types
//! and the ways to look things up.
//!
//! Three traps, and how the rows deal with them:
//! - A name is not an entry point: i386 `getuid` runs `sys_getuid16`, and
//!   `getuid32` runs `sys_getuid`. Handlers are keyed by [`Row::entry`].
//! - A number means nothing without its ABI: 0 is `read` for x86-64 and
//!   `restart_syscall` for i386.
//! - 512 to 547 are x32's alone, under names that x86-64 has elsewhere. They
//!   are in [`X32`], never in [`X86_64`].

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The bit that marks an x32 number in EAX. Rows hold numbers without it;
/// the constants in [`nrx32`] have it, as programs do.
pub const X32_BIT: u32 = 0x4000_0000;

/// What a program puts into EAX for x32's `number`. For [`nrx32`].
const fn x32(number: u32) -> u32 {
    X32_BIT | number
}

/// One system call of one ABI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The number, without [`X32_BIT`].
    pub number: u32,
    /// The name, as in `asm/unistd.h` after `__NR_`.
    pub name: &'static str,
    /// The handler's key: what a 64-bit kernel runs for this call. Empty if the
    /// number is taken but nothing answers it; like `sys_ni_syscall`, and like
    /// a key that no handler has, that is ENOSYS.
    pub entry: &'static str,
    /// What a kernel of the ABI's own width would run. Differs from `entry`
    /// where the table has a compat entry.
    pub native_entry: &'static str,
    /// In how many registers its arguments are, 6 at most.
    pub arguments: u8,
}

impl Row {
    /// Whether `key` is this row's entry point. Strings cannot be compared with
    /// `==` in constant evaluation, where dispatch arrays are made.
    pub const fn has_entry(&self, key: &str) -> bool {
        let (entry, key) = (self.entry.as_bytes(), key.as_bytes());
        if entry.len() != key.len() {
            return false;
        }
        // From the end: entry points begin alike.
        let mut i = entry.len();
        while i > 0 {
            i -= 1;
            if entry[i] != key[i] {
                return false;
            }
        }
        true
    }
}

/// A convention for system calls: which numbers mean which calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Abi {
    /// 64-bit programs, by SYSCALL.
    X86_64,
    /// 64-bit code with 32-bit pointers, by SYSCALL with [`X32_BIT`].
    X32,
    /// 32-bit programs, and whoever uses INT 0x80.
    I386,
}

impl Abi {
    /// All calls of this ABI, by number, ascending.
    pub const fn rows(self) -> &'static [Row] {
        match self {
            Abi::X86_64 => X86_64,
            Abi::X32 => X32,
            Abi::I386 => I386,
        }
    }

    /// The row of `number` (for x32: without [`X32_BIT`]).
    pub const fn row(self, number: u32) -> Option<&'static Row> {
        let rows = self.rows();
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let row = &rows[middle];
            if row.number == number {
                return Some(row);
            } else if row.number < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        None
    }

    /// The name of call `number` (for x32: without [`X32_BIT`]).
    pub const fn name(self, number: u32) -> Option<&'static str> {
        match self.row(number) {
            Some(row) => Some(row.name),
            None => None,
        }
    }

    /// The number of the call named `name` (for x32: without [`X32_BIT`]).
    /// Looks at every row: for command lines and reports, not for hot paths.
    pub fn number(self, name: &str) -> Option<u32> {
        let row = self.rows().iter().find(|row| row.name == name)?;
        Some(row.number)
    }
}

/// Whether programs do without the call where it is not there, so that none
/// fails for its lack.
///
/// The rule: it is made because it is quicker or safer than what there was before
/// it, mostly by a C library or a language's run-time, and whoever makes it takes
/// ENOSYS for an answer, by going without or by older calls that this kernel has.
pub fn is_done_without(name: &str) -> bool {
    const DONE_WITHOUT: [&str; 10] = [
        // At the start of each program or thread.
        "rseq",
        "set_robust_list",
        "map_shadow_stack",
        // Barriers and seals that are a bonus.
        "membarrier",
        "mseal",
        // newfstatat, faccessat and close are there.
        "statx",
        "faccessat2",
        "close_range",
        // Copying within the kernel: read and write are there.
        "sendfile",
        "copy_file_range",
    ];
    DONE_WITHOUT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::{format, string::String};

    const ALL: [(Abi, usize); 3] =
        [(Abi::X86_64, X86_64_COUNT), (Abi::X32, X32_COUNT), (Abi::I386, I386_COUNT)];

    fn entry(abi: Abi, name: &str) -> &'static str {
        let number = abi.number(name).unwrap_or_else(|| panic!("{abi:?} has no {name}"));
        abi.row(number).unwrap().entry
    }

    #[test]
    fn numbers_ascend_without_duplicates_up_to_the_bound() {
        for (abi, count) in ALL {
            let rows = abi.rows();
            assert!(rows.is_sorted_by(|a, b| a.number < b.number), "{abi:?}");
            assert_eq!(rows.last().unwrap().number as usize + 1, count, "{abi:?}");
        }
    }

    #[test]
    fn names_are_unique_within_an_abi() {
        for (abi, _) in ALL {
            let names: BTreeSet<&str> = abi.rows().iter().map(|row| row.name).collect();
            assert_eq!(names.len(), abi.rows().len(), "{abi:?}");
        }
    }

    #[test]
    fn name_and_number_are_inverse() {
        for (abi, count) in ALL {
            for row in abi.rows() {
                assert_eq!(abi.name(row.number), Some(row.name));
                assert_eq!(abi.number(row.name), Some(row.number));
            }
            assert_eq!(abi.name(count as u32), None);
            assert_eq!(abi.name(u32::MAX), None);
            assert_eq!(abi.number("no_such_call"), None);
            assert_eq!(abi.number(""), None);
        }
    }

    #[test]
    fn tables_are_complete_up_to_linux_6_12() {
        assert_eq!((X86_64.len(), X86_64_COUNT), (375, 463));
        assert_eq!((X32.len(), X32_COUNT), (364, 548));
        assert_eq!((I386.len(), I386_COUNT), (452, 463));
        // The free numbers, by ABI; every other one is taken.
        let free = |abi: Abi, count: usize| -> String {
            let gaps = (0..count as u32).filter(|&n| abi.row(n).is_none());
            gaps.map(|n| format!("{n} ")).collect()
        };
        let range = |r: core::ops::Range<u32>| -> String { r.map(|n| format!("{n} ")).collect() };
        assert_eq!(free(Abi::X86_64, X86_64_COUNT), range(336..424));
        assert_eq!(free(Abi::I386, I386_COUNT), format!("222 223 251 285 {}415 ", range(387..393)));
    }

    #[test]
    fn calls_from_424_on_have_the_same_number_in_every_abi() {
        for number in 424..=462 {
            let name = Abi::X86_64.name(number);
            assert!(name.is_some(), "{number}");
            assert_eq!(Abi::X32.name(number), name);
            assert_eq!(Abi::I386.name(number), name);
        }
    }

    #[test]
    fn well_known_numbers_are_right() {
        assert_eq!((nr64::READ, nr32::READ), (0, 3));
        assert_eq!((nr64::WRITE, nr32::WRITE), (1, 4));
        assert_eq!((nr64::GETPID, nr32::GETPID), (39, 20));
        assert_eq!((nr64::EXIT, nr32::EXIT), (60, 1));
        assert_eq!((nr64::EXIT_GROUP, nr32::EXIT_GROUP), (231, 252));
        assert_eq!((nr64::ARCH_PRCTL, nr32::ARCH_PRCTL), (158, 384));
        assert_eq!((nr64::RSEQ, nr32::RSEQ), (334, 386));
        assert_eq!((nr64::MSEAL, nr32::MSEAL), (462, 462));
        assert_eq!((nr64::URETPROBE, Abi::I386.number("uretprobe")), (335, None));
        assert_eq!((nr32::RESTART_SYSCALL, nr32::SOCKETCALL, nr32::BREAK), (0, 102, 17));
        assert_eq!(nrx32::READ, 0x4000_0000);
        assert_eq!(nrx32::RT_SIGACTION, X32_BIT + 512);
    }

    #[test]
    fn entry_differs_from_name_where_linux_says_so() {
        for (abi, name, expected) in [
            (Abi::X86_64, "stat", "sys_newstat"),
            (Abi::X86_64, "fstat", "sys_newfstat"),
            (Abi::X86_64, "uname", "sys_newuname"),
            (Abi::X86_64, "umount2", "sys_umount"),
            (Abi::X86_64, "sendfile", "sys_sendfile64"),
            (Abi::X86_64, "prlimit64", "sys_prlimit64"),
            (Abi::I386, "umount", "sys_oldumount"),
            (Abi::I386, "umount2", "sys_umount"),
            (Abi::I386, "getuid", "sys_getuid16"),
            (Abi::I386, "getuid32", "sys_getuid"),
            (Abi::I386, "lchown", "sys_lchown16"),
            (Abi::I386, "lchown32", "sys_lchown"),
            (Abi::I386, "mmap2", "sys_mmap_pgoff"),
            (Abi::I386, "pread64", "sys_ia32_pread64"),
            (Abi::I386, "clock_gettime", "sys_clock_gettime32"),
            (Abi::I386, "clock_gettime64", "sys_clock_gettime"),
            (Abi::I386, "oldolduname", "sys_olduname"),
        ] {
            assert_eq!(entry(abi, name), expected, "{abi:?} {name}");
        }
    }

    #[test]
    fn i386_entry_is_the_compat_entry_and_keeps_the_native_one() {
        for (name, compat, native) in [
            ("open", "compat_sys_open", "sys_open"),
            ("mmap", "compat_sys_ia32_mmap", "sys_old_mmap"),
            ("select", "compat_sys_old_select", "sys_old_select"),
            ("stat64", "compat_sys_ia32_stat64", "sys_stat64"),
            ("fcntl", "compat_sys_fcntl64", "sys_fcntl"),
            ("vm86", "sys_ni_syscall", "sys_vm86"),
            ("read", "sys_read", "sys_read"),
            // Here the fifth column is only the place before `noreturn`.
            ("exit", "sys_exit", "sys_exit"),
        ] {
            let row = Abi::I386.row(Abi::I386.number(name).unwrap()).unwrap();
            assert_eq!((row.entry, row.native_entry), (compat, native), "{name}");
        }
    }

    #[test]
    fn row_without_entry_keeps_its_name_and_has_an_empty_key() {
        let row = Abi::I386.row(17).unwrap();
        assert_eq!((row.name, row.entry, row.native_entry), ("break", "", ""));
        assert_eq!(entry(Abi::X86_64, "uselib"), "");
        assert_eq!(entry(Abi::I386, "uselib"), "sys_uselib");
    }

    #[test]
    fn x32_rows_are_in_x32_only() {
        assert!(X86_64.iter().all(|row| row.number < 512));
        assert_eq!(X32.iter().filter(|row| row.number >= 512).count(), 36);
        // Same name, another number, another entry point.
        assert_eq!(Abi::X86_64.number("ioctl"), Some(16));
        assert_eq!(Abi::X32.number("ioctl"), Some(514));
        assert_eq!(Abi::X32.name(16), None);
        assert_eq!(entry(Abi::X86_64, "ioctl"), "sys_ioctl");
        assert_eq!(entry(Abi::X32, "ioctl"), "compat_sys_ioctl");
        assert_eq!(entry(Abi::X32, "rt_sigreturn"), "compat_sys_x32_rt_sigreturn");
        // A common row is the same in both.
        assert_eq!(Abi::X32.row(0), Abi::X86_64.row(0));
    }

    #[test]
    fn constants_agree_with_rows() {
        for (row, constant) in [
            (Abi::X86_64.row(nr64::_SYSCTL), "_sysctl"),
            (Abi::I386.row(nr32::_LLSEEK), "_llseek"),
            (Abi::X32.row(nrx32::PWRITEV2 & !X32_BIT), "pwritev2"),
        ] {
            assert_eq!(row.unwrap().name, constant);
        }
    }

    #[test]
    fn arguments_are_counted_in_registers() {
        for (abi, name, count) in [
            (Abi::X86_64, "getpid", 0),
            (Abi::X86_64, "exit_group", 1),
            (Abi::X86_64, "readlink", 3),
            (Abi::X86_64, "mmap", 6),
            (Abi::X86_64, "clone3", 2),
            (Abi::X32, "ioctl", 3),
            // One pointer, to six words.
            (Abi::I386, "mmap", 1),
            (Abi::I386, "mmap2", 6),
            // The offset is in two registers.
            (Abi::I386, "pread64", 5),
        ] {
            let row = abi.row(abi.number(name).unwrap()).unwrap();
            assert_eq!(row.arguments, count, "{abi:?} {name}");
        }
    }

    #[test]
    fn dispatch_arrays_can_be_built_in_constant_evaluation() {
        const fn handled(key: &str) -> [bool; I386_COUNT] {
            let mut array = [false; I386_COUNT];
            let mut i = 0;
            while i < I386.len() {
                array[I386[i].number as usize] = I386[i].has_entry(key);
                i += 1;
            }
            array
        }
        const GETUID: [bool; I386_COUNT] = handled("sys_getuid");
        const NAME: Option<&str> = Abi::X86_64.name(nr64::WRITE);
        assert!(GETUID[nr32::GETUID32 as usize]);
        assert_eq!(GETUID.iter().filter(|&&hit| hit).count(), 1);
        assert_eq!(NAME, Some("write"));
    }

    #[test]
    fn calls_that_programs_do_without_are_linuxs() {
        let rows = || Abi::X86_64.rows().iter().map(|row| row.name);
        assert_eq!(rows().filter(|name| is_done_without(name)).count(), 10);
        assert!(is_done_without("rseq") && !is_done_without("clone3"));
    }

    #[test]
    fn has_entry_wants_the_whole_key() {
        let row = Abi::X86_64.row(nr64::READ).unwrap();
        assert!(row.has_entry("sys_read"));
        for key in ["", "read", "sys_rea", "sys_readv", "sys_reaD", "tys_read"] {
            assert!(!row.has_entry(key), "{key}");
        }
    }
}
