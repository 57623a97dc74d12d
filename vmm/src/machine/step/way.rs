//! What one step will execute: the next instruction, and after some the one that
//! follows.
//!
//! Called by [`super::Stepper`]; reads guest memory. What it finds are the
//! guest's claims: a wrong one makes the count wrong, and nothing else.

use super::halt::Halt;
use super::instruction::{self, Kind, LONGEST};
use super::tables::Tables;
use crate::machine::memory::GuestRam;
use kvm_bindings::kvm_regs;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::selector;

/// An instruction in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) kind: Kind,
    /// Its address.
    pub(super) rip: u64,
    /// The address after it.
    pub(super) next: u64,
}

impl Placed {
    /// Only the user's half of the addresses is ring 3's.
    pub(super) fn in_ring_3(&self) -> bool {
        self.rip >> 63 == 0
    }
}

/// A step on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The instruction at RIP.
    pub(super) first: Placed,
    /// What the step may execute besides: after a return, what it returns to.
    pub(super) then: Option<Placed>,
    /// If it is IRET: where the flags are that it pops, physical.
    pub(super) popped_flags: Option<u64>,
}

impl Begun {
    /// Whether what it executes last is ring 3's.
    pub(super) fn ends_in_ring_3(&self) -> bool {
        self.then.as_ref().unwrap_or(&self.first).in_ring_3()
    }

    /// What comes next. `long_mode` is CS.L.
    pub(super) fn look(
        ram: &GuestRam,
        tables: Tables,
        regs: &kvm_regs,
        long_mode: bool,
        halts: &[Halt],
    ) -> Begun {
        let fetch = |rip, long_mode| fetch(ram, tables, rip, long_mode, halts);
        let first = fetch(regs.rip, long_mode);
        let (then, popped_flags) = match first.kind {
            Kind::Sysret { to_64 } => {
                let target = if to_64 { regs.rcx } else { regs.rcx & 0xffff_ffff };
                (Some(fetch(target, to_64)), None)
            }
            Kind::Iret { word } => {
                let at = |index: u64| {
                    let found = tables.word(ram, regs.rsp.wrapping_add(index * word));
                    found.map(|(at, value)| (at, value & u64::MAX >> (64 - 8 * word)))
                };
                let target = at(0).map(|(_, rip)| {
                    let long_mode =
                        at(1).is_none_or(|(_, cs)| cs != u64::from(selector::USER32_CS));
                    fetch(rip, long_mode)
                });
                (target, at(2).map(|(at, _)| at))
            }
            Kind::Fence => (Some(fetch(first.next, long_mode)), None),
            _ => (None, None),
        };
        Begun { first, then, popped_flags }
    }
}

/// The instruction at `rip`. One that cannot be read will fault.
fn fetch(ram: &GuestRam, tables: Tables, rip: u64, long_mode: bool, halts: &[Halt]) -> Placed {
    let mut bytes = [0; LONGEST];
    let here = (PAGE_SIZE - rip % PAGE_SIZE).min(LONGEST as u64) as usize;
    let (first, rest) = bytes.split_at_mut(here);
    let read = |address: u64, bytes: &mut [u8]| {
        bytes.is_empty()
            || tables.physical(ram, address).is_some_and(|at| ram.read(at, bytes).is_ok())
    };
    let length = match (read(rip, first), read(rip.wrapping_add(here as u64), rest)) {
        (false, _) => 0,
        (true, false) => here,
        (true, true) => LONGEST,
    };
    if let Some(halt) = halts.iter().find(|halt| halt.address == rip) {
        bytes[0] = halt.byte;
    }
    let decoded = instruction::decode(&bytes[..length], long_mode);
    let (kind, length) = decoded.unwrap_or((Kind::Plain, 0));
    Placed { kind, rip, next: rip.wrapping_add(length) }
}
