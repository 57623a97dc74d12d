//! The machine as a 32-bit program sees it: the older unames, sysinfo(2),
//! affinity in 32-bit words, getrusage(2), futex(2).

use super::time::{Timespec32, read_if, read_time32, read_time64};
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::system::{
    Name, SysInfo, UTSNAME, find_pid, futex_by, resource_usage, set_affinity, system_info,
};
use crate::sys::time::Timespec;
use crate::user::UserPtr;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

/// What the older unames have of `struct utsname`: no domain.
const OLD_NAMES: usize = 5;

/// One field of `struct oldold_utsname`.
type ShortName = [u8; 9];

/// Eight characters of a name, and a NUL.
fn shorten(name: &Name) -> ShortName {
    let mut short = [0; 9];
    short[..8].copy_from_slice(&name[..8]);
    short
}

ia32_define! {
    /// uname(2) without the domain: number 109, `olduname`.
    fn uname(buffer: UserPtr<Name>) {
        buffer.write_slice(&UTSNAME[..OLD_NAMES]).map(|()| 0)
    }
}
ia32_define! {
    /// uname(2) as it was first: number 59, `oldolduname`.
    fn olduname(buffer: UserPtr<ShortName>) {
        let mut names = [ShortName::default(); OLD_NAMES];
        for (short, name) in names.iter_mut().zip(&UTSNAME) {
            *short = shorten(name);
        }
        buffer.write_slice(&names).map(|()| 0)
    }
}

plain_struct! {
    /// i386's `struct sysinfo` of sysinfo(2).
    pub struct CompatSysInfo {
        /// Seconds since boot.
        pub uptime: u32,
        /// Load averages.
        pub loads: [u32; 3],
        /// RAM in `unit`s.
        pub total_ram: u32,
        /// Free RAM.
        pub free_ram: u32,
        /// Shared and buffer memory, total and free swap.
        pub other_memory: [u32; 4],
        /// Processes.
        pub processes: u16,
        /// Padding.
        pub pad: u16,
        /// High memory.
        pub high: [u32; 2],
        /// Bytes in a unit.
        pub unit: u32,
        /// The rest of libc5's 64 bytes.
        pub rest: [u32; 2],
    }
}
const _: () = assert!(size_of::<CompatSysInfo>() == 64);

impl From<SysInfo> for CompatSysInfo {
    /// Memory of 4 GiB and more is counted in pages.
    fn from(info: SysInfo) -> Self {
        let swap = info.other_memory[2];
        let fits = u32::try_from(info.total_ram).is_ok() && u32::try_from(swap).is_ok();
        let unit = if fits { info.unit } else { info.unit.max(PAGE_SIZE) };
        let memory = |amount: u64| (amount * info.unit / unit) as u32;
        CompatSysInfo {
            uptime: info.uptime as u32,
            loads: info.loads.map(|load| load as u32),
            total_ram: memory(info.total_ram),
            free_ram: memory(info.free_ram),
            other_memory: info.other_memory.map(memory),
            processes: info.processes as u16,
            pad: 0,
            high: info.high.map(memory),
            unit: unit as u32,
            rest: [0; 2],
        }
    }
}

compat_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<CompatSysInfo>) {
        buffer.write(system_info().into()).map(|()| 0)
    }
}

/// Bytes of the kernel's own set of CPUs: the most that is written.
const KERNEL_MASK: u32 = 8;

compat_define! {
    /// sched_getaffinity(2): CPU 0. Answers the bytes written.
    fn sched_getaffinity(pid: i32, size: u32, mask: UserPtr<u8>) {
        if size == 0 || !size.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        find_pid(pid)?;
        let written = size.min(KERNEL_MASK);
        let set = 1u64.to_le_bytes();
        mask.write_slice(&set[..written as usize]).map(|()| written.into())
    }
}
compat_define! {
    /// sched_setaffinity(2)
    fn sched_setaffinity(pid: i32, size: u32, mask: UserPtr<u8>) { set_affinity(pid, size, mask) }
}
compat_define! {
    /// getrusage(2)
    fn getrusage(who: i32, usage: UserPtr<[u32; 18]>) {
        usage.write(resource_usage(who)?.map(|word| word as u32)).map(|()| 0)
    }
}
ia32_define! {
    /// futex(2) with a 32-bit time.
    fn futex_time32(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec32>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time32), bitset)
    }
}
ia32_define! {
    /// futex(2) with a 64-bit time.
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time64), bitset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn sysinfo_has_i386s_layout() {
        assert_eq!(offset_of!(CompatSysInfo, total_ram), 16);
        assert_eq!(offset_of!(CompatSysInfo, processes), 40);
        assert_eq!(offset_of!(CompatSysInfo, unit), 52);
    }

    #[test]
    fn memory_that_fits_is_counted_in_bytes() {
        let info =
            SysInfo { total_ram: 0xffff_f000, free_ram: 4097, unit: 1, ..SysInfo::default() };
        let compat = CompatSysInfo::from(info);
        assert_eq!((compat.total_ram, compat.free_ram, compat.unit), (0xffff_f000, 4097, 1));
    }

    #[test]
    fn memory_of_4_gib_and_more_is_counted_in_pages() {
        let info = SysInfo { total_ram: 5 << 30, free_ram: 8191, unit: 1, ..SysInfo::default() };
        let compat = CompatSysInfo::from(info);
        assert_eq!((compat.total_ram, compat.free_ram, compat.unit), (5 << 18, 1, 4096));
    }

    #[test]
    fn the_first_uname_has_eight_characters_of_each_name() {
        assert_eq!(&shorten(&UTSNAME[0]), b"Linux\0\0\0\0");
        assert_eq!(&shorten(&UTSNAME[2]), b"6.12.0-t\0");
    }
}
