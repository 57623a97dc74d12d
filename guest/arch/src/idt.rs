//! The interrupt-descriptor table: a constant, because the stubs that it
//! points to stand at a known address (`layout::VECTORS`), a known distance
//! apart.
#![allow(unsafe_code, reason = "a link section")]

use super::gdt::ist;
use trapgate_abi::layout;
use trapgate_abi::x86::{selector, vector};

/// One gate: of the IDT (Intel SDM vol. 3, 6.14.1), or a call gate, whose two
/// words are two slots of the GDT (5.8.3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate(pub u64, pub u64);

const PRESENT: u64 = 1 << 47;
const CALL_GATE: u64 = 0xc << 40;
const INTERRUPT_GATE: u64 = 0xe << 40;

/// The whole table.
#[repr(C, align(16))]
pub struct Idt([Gate; 256]);

/// An interrupt gate to `handler`, with an interrupt stack of the TSS or 0, for
/// rings up to `dpl`.
pub const fn gate(handler: u64, ist: u8, dpl: u64) -> Gate {
    any_gate(INTERRUPT_GATE, handler, ist, dpl)
}

/// A call gate to `handler`, for rings up to `dpl`.
pub const fn call_gate(handler: u64, dpl: u64) -> Gate {
    any_gate(CALL_GATE, handler, 0, dpl)
}

const fn any_gate(kind: u64, handler: u64, ist: u8, dpl: u64) -> Gate {
    Gate(
        (handler & 0xffff)
            | (selector::KERNEL_CS as u64) << 16
            | (ist as u64) << 32
            | kind
            | dpl << 45
            | PRESENT
            | (handler >> 16 & 0xffff) << 48,
        handler >> 32,
    )
}

/// Interrupt gates for all vectors, handlers at `stubs` and each
/// `layout::VECTOR_STRIDE` bytes after. Ring 3 may use INT3, INTO and
/// INT 0x80; any other INT n of its own is #GP.
pub const fn table(stubs: u64) -> Idt {
    let mut gates = [Gate(0, 0); 256];
    let mut number = 0;
    while number < 256 {
        let stack = match number as u8 {
            vector::DF => ist::DOUBLE_FAULT,
            vector::NMI => ist::NMI,
            vector::MC => ist::MACHINE_CHECK,
            vector::DB => ist::DEBUG,
            _ => 0,
        };
        let dpl = match number as u8 {
            vector::BP | vector::OF | vector::SYSCALL => 3,
            _ => 0,
        };
        gates[number] = gate(stubs + number as u64 * layout::VECTOR_STRIDE, stack, dpl);
        number += 1;
    }
    Idt(gates)
}

impl Idt {
    /// The gate of a vector.
    pub const fn gate(&self, vector: u8) -> Gate {
        self.0[vector as usize]
    }
}

/// The table, in a page of its own, which ring 3's page tables can have. The VMM
/// loads IDTR with its address.
#[cfg_attr(target_os = "none", unsafe(link_section = ".entry.idt"))]
pub static IDT: Idt = table(layout::VECTORS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_point_to_their_stubs() {
        let Idt(gates) = table(layout::VECTORS);
        for (number, Gate(low, high)) in gates.into_iter().enumerate() {
            let target = low & 0xffff | low >> 48 << 16 | high << 32;
            assert_eq!(target, layout::VECTORS + 16 * number as u64);
            assert_eq!(low >> 16 & 0xffff, u64::from(selector::KERNEL_CS));
        }
    }

    #[test]
    fn ring_3_may_use_three_gates() {
        let Idt(gates) = table(layout::VECTORS);
        let open: Vec<usize> = (0..256).filter(|&number| gates[number].0 >> 45 & 3 == 3).collect();
        assert_eq!(open, [3, 4, 0x80]);
    }
}
