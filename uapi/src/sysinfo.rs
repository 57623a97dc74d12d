//! linux/sysinfo.h: sysinfo(2).

use crate::macros::structure;

structure! {
    /// `struct sysinfo` of x86-64.
    #[derive(Default)]
    pub struct Sysinfo: 112 {
        pub uptime: i64,
        pub loads: [u64; 3],
        pub totalram: u64,
        pub freeram: u64,
        pub sharedram: u64,
        pub bufferram: u64,
        pub totalswap: u64,
        pub freeswap: u64,
        pub procs: u16,
        pub pad: u16,
        pub __pad1: u32,
        pub totalhigh: u64,
        pub freehigh: u64,
        pub mem_unit: u32,
        pub __pad2: u32,
    }
}
#[cfg(target_arch = "x86_64")]
crate::macros::same_layout!(Sysinfo = system::sysinfo {
    uptime loads totalram freeram sharedram bufferram totalswap freeswap procs pad totalhigh
    freehigh mem_unit
});

structure! {
    /// `struct sysinfo` of i386; `_f` is the rest of libc5's 64 bytes.
    #[derive(Default)]
    pub struct CompatSysinfo: 64 = "x86" system::sysinfo {
        pub uptime: i32,
        pub loads: [u32; 3],
        pub totalram: u32,
        pub freeram: u32,
        pub sharedram: u32,
        pub bufferram: u32,
        pub totalswap: u32,
        pub freeswap: u32,
        pub procs: u16,
        pub pad: u16,
        pub totalhigh: u32,
        pub freehigh: u32,
        pub mem_unit: u32,
        pub _f: [u8; 8],
    }
}

impl From<&Sysinfo> for CompatSysinfo {
    /// Memory of 4 GiB and more is counted in pages.
    fn from(info: &Sysinfo) -> Self {
        const PAGE_SIZE: u32 = 4096;
        let fits = |amount: u64| u32::try_from(amount).is_ok();
        let mem_unit = match fits(info.totalram) && fits(info.totalswap) {
            true => info.mem_unit,
            false => info.mem_unit.max(PAGE_SIZE),
        };
        let memory = |amount: u64| (amount * u64::from(info.mem_unit) / u64::from(mem_unit)) as u32;
        CompatSysinfo {
            uptime: info.uptime as i32,
            loads: info.loads.map(|load| load as u32),
            totalram: memory(info.totalram),
            freeram: memory(info.freeram),
            sharedram: memory(info.sharedram),
            bufferram: memory(info.bufferram),
            totalswap: memory(info.totalswap),
            freeswap: memory(info.freeswap),
            procs: info.procs,
            pad: 0,
            totalhigh: memory(info.totalhigh),
            freehigh: memory(info.freehigh),
            mem_unit,
            _f: [0; 8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow(totalram: u64, freeram: u64) -> (u32, u32, u32) {
        let info = Sysinfo { totalram, freeram, mem_unit: 1, ..Sysinfo::default() };
        let compat = CompatSysinfo::from(&info);
        (compat.totalram, compat.freeram, compat.mem_unit)
    }

    #[test]
    fn memory_that_fits_is_counted_in_bytes() {
        assert_eq!(narrow(0xffff_f000, 4097), (0xffff_f000, 4097, 1));
    }

    #[test]
    fn memory_of_4_gib_and_more_is_counted_in_pages() {
        assert_eq!(narrow(5 << 30, 8191), (5 << 18, 1, 4096));
    }
}
