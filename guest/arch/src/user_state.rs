//! What a CPU holds for a thread in ring 3 besides the frame on its stack: selectors,
//! the bases of FS and GS, its segments in the GDT, and x87 and vector registers.
//!
//! Ring 3 changes most of it without a call (WRFSBASE, a segment's load), so it is
//! read back when the CPU is given to another thread.
#![allow(unsafe_code, reason = "reads and loads segment registers")]

use crate::{cpu, fpu, percpu, tls};
use trapgate_abi::layout::USER_END;
use trapgate_abi::x86::{TLS_ENTRIES, TLS_FIRST, msr, selector};
use trapgate_uapi::ldt::UserDesc;

/// Where FS and GS are among the selectors.
const FS: usize = 2;
const GS: usize = 3;

/// It, of a thread that no CPU has.
pub struct UserState {
    /// x87 and vector registers; none as long as the CPU has had no other thread's.
    fpu: Option<fpu::Area>,
    selectors: [u16; 4],
    fs_base: u64,
    gs_base: u64,
    segments: [u64; TLS_ENTRIES],
}

impl UserState {
    /// That of the thread which the CPU has: nothing is in it, and no room for x87 and
    /// vector registers.
    pub const fn in_cpu() -> UserState {
        UserState {
            fpu: None,
            selectors: [0; 4],
            fs_base: 0,
            gs_base: 0,
            segments: [0; TLS_ENTRIES],
        }
    }

    /// A new thread's, which begins with the segments that the CPU has now, and
    /// registers as after a reset. `None` if there is no memory.
    pub fn beside_this_one() -> Option<UserState> {
        let mut state = UserState { fpu: Some(fpu::Area::new()?), ..UserState::in_cpu() };
        state.save_segments();
        Some(state)
    }

    /// Makes room for x87 and vector registers, if there is none: before there is a
    /// second thread that could use them. False if there is no memory.
    pub fn make_room(&mut self) -> bool {
        if self.fpu.is_none() {
            self.fpu = fpu::Area::new();
        }
        self.fpu.is_some()
    }

    /// The room for x87 and vector registers.
    ///
    /// # Panics
    /// If nobody has made it.
    pub fn fpu(&mut self) -> &mut fpu::Area {
        self.fpu.as_mut().expect("there is room before there is a second thread")
    }

    /// Sets the base of FS that it is loaded with; false for an address that is not the
    /// user's.
    pub fn set_fs_base(&mut self, base: u64) -> bool {
        let is_users = base < USER_END;
        if is_users {
            self.fs_base = base;
            self.selectors[FS] = 0;
        }
        is_users
    }

    /// Sets entry `number` of its segments to what `desc` asks for. FS or GS that hold it
    /// are loaded with the new one. False: refused.
    pub fn set_segment(&mut self, number: usize, desc: &UserDesc) -> bool {
        assert!(tls::is_entry(number));
        let Some(descriptor) = tls::descriptor(desc) else { return false };
        self.segments[number - TLS_FIRST] = descriptor;
        let selector = (number as u16) << 3 | 3;
        let (new, base) = match descriptor {
            0 => (0, 0),
            _ => (selector, desc.base_addr.into()),
        };
        for (register, to) in [(FS, &mut self.fs_base), (GS, &mut self.gs_base)] {
            if self.selectors[register] == selector {
                *to = base;
            }
        }
        // An entry that holds nothing cannot be loaded.
        for held in self.selectors.iter_mut().filter(|held| **held == selector) {
            *held = new;
        }
        true
    }

    /// Takes all from the CPU but x87 and vector registers.
    pub fn save_segments(&mut self) {
        self.selectors = registers::selectors();
        self.fs_base = cpu::fs_base();
        self.gs_base = cpu::user_gs_base();
        for (index, segment) in self.segments.iter_mut().enumerate() {
            *segment = tls::entry(TLS_FIRST + index);
        }
    }

    /// Gives the CPU what a program begins with, but x87 and vector registers: `data` as
    /// its data segments' selector, which is of a segment of ring 3, or 0.
    pub fn begin(data: u16) {
        UserState { selectors: [data, data, 0, 0], ..UserState::in_cpu() }.load_segments();
    }

    /// Gives all to the CPU but x87 and vector registers.
    pub fn load_segments(&self) {
        for (index, &segment) in self.segments.iter().enumerate() {
            // SAFETY: it was one of these entries.
            unsafe { percpu::set_descriptor(TLS_FIRST + index, segment) };
        }
        if self.selectors != [0; 4] || registers::selectors() != [0; 4] {
            // Selectors before bases, which they load too.
            registers::load_selectors(self.selectors);
        }
        // SAFETY: both were bases of ring 3's. WRFSBASE and its kin let them be any
        // canonical address.
        unsafe {
            cpu::write_msr(msr::FS_BASE, self.fs_base);
            cpu::write_msr(msr::KERNEL_GS_BASE, self.gs_base);
        }
    }
}

/// DS, ES, FS and GS, as the CPU has them for the running thread.
pub fn selectors() -> [u16; 4] {
    registers::selectors()
}

/// Loads those of DS, ES, FS and GS that are to be others, the requested privilege level
/// apart. What ring 3 could not load is null.
pub fn set_selectors(wanted: [u16; 4]) {
    let held = registers::selectors();
    for (register, (held, wanted)) in held.into_iter().zip(wanted).enumerate() {
        if held | 3 != wanted | 3 {
            registers::load_selector(
                register,
                if is_loadable(wanted | 3) { wanted | 3 } else { 0 },
            );
        }
    }
}

/// Whether ring 3 can load this selector, with level 3, into a data segment register.
fn is_loadable(selector: u16) -> bool {
    let number = usize::from(selector >> 3);
    let is_fixed = [selector::USER_DS, selector::USER_CS, selector::USER32_CS].contains(&selector);
    // Bit 2: a local table, which there is not.
    is_fixed || selector & 4 == 0 && tls::is_entry(number) && tls::entry(number) != 0
}

#[cfg(target_os = "none")]
mod registers {
    use super::{FS, GS};
    use core::arch::asm;

    /// DS, ES, FS and GS.
    pub(super) fn selectors() -> [u16; 4] {
        let [ds, es, fs, gs]: [u16; 4];
        // SAFETY: reads registers.
        unsafe {
            asm!("mov {:x}, ds", "mov {:x}, es", "mov {:x}, fs", "mov {:x}, gs",
                out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
                options(nomem, nostack, preserves_flags));
        }
        [ds, es, fs, gs]
    }

    /// Loads them.
    pub(super) fn load_selectors([ds, es, fs, gs]: [u16; 4]) {
        // SAFETY: ring 3 had them loaded, with the segments that the GDT has again, so
        // ring 0 can load them; ring 0 uses none of these segments. GS is loaded between
        // two SWAPGS with interrupts off: its base is the user's meanwhile.
        unsafe {
            asm!("mov ds, {:x}", "mov es, {:x}", "mov fs, {:x}",
                "swapgs", "mov gs, {:x}", "swapgs",
                in(reg) ds, in(reg) es, in(reg) fs, in(reg) gs,
                options(nostack, preserves_flags));
        }
    }

    /// Loads one of them, by its place among them.
    pub(super) fn load_selector(register: usize, selector: u16) {
        // SAFETY: null, or a data segment of ring 3's that the GDT has; else as above.
        unsafe {
            match register {
                0 => asm!("mov ds, {:x}", in(reg) selector, options(nostack, preserves_flags)),
                1 => asm!("mov es, {:x}", in(reg) selector, options(nostack, preserves_flags)),
                FS => asm!("mov fs, {:x}", in(reg) selector, options(nostack, preserves_flags)),
                GS => asm!("swapgs", "mov gs, {:x}", "swapgs", in(reg) selector,
                    options(nostack, preserves_flags)),
                _ => unreachable!("there are four"),
            }
        }
    }
}

/// The host's are not the program's.
#[cfg(not(target_os = "none"))]
mod registers {
    pub(super) fn selectors() -> [u16; 4] {
        crate::fake::cpu::selectors()
    }

    pub(super) fn load_selectors(selectors: [u16; 4]) {
        crate::fake::cpu::set_selectors(selectors);
    }

    pub(super) fn load_selector(register: usize, selector: u16) {
        let mut all = selectors();
        all[register] = selector;
        crate::fake::cpu::set_selectors(all);
    }
}
