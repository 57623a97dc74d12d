//! HLT in place of the first byte of an entry point: KVM then returns to the
//! VMM (KVM API, `KVM_EXIT_HLT`). The guest's kernel executes no other HLT.
//!
//! Called by [`super::Stepper`], which lifts a halt for as long as the entry
//! point's own instruction is executed.

use crate::machine::memory::{GuestRam, OutOfRam};
use trapgate_abi::layout::KERNEL_BASE;

/// HLT.
const HLT: u8 = 0xf4;

/// One halt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Halt {
    /// The entry point's address, virtual.
    pub(super) address: u64,
    /// The byte that it stands for.
    pub(super) byte: u8,
}

impl Halt {
    /// Places one. The kernel's image is in memory as it is linked.
    ///
    /// # Errors
    /// If there is no RAM.
    pub(super) fn place(ram: &GuestRam, address: u64) -> Result<Halt, OutOfRam> {
        let mut byte = [0];
        ram.read(address.wrapping_sub(KERNEL_BASE), &mut byte)?;
        let halt = Halt { address, byte: byte[0] };
        halt.put_back(ram)?;
        Ok(halt)
    }

    /// Takes it out.
    ///
    /// # Errors
    /// If there is no RAM.
    pub(super) fn lift(&self, ram: &GuestRam) -> Result<(), OutOfRam> {
        ram.write(self.address.wrapping_sub(KERNEL_BASE), &[self.byte])
    }

    /// Puts it back after [`Halt::lift`].
    ///
    /// # Errors
    /// If there is no RAM.
    pub(super) fn put_back(&self, ram: &GuestRam) -> Result<(), OutOfRam> {
        ram.write(self.address.wrapping_sub(KERNEL_BASE), &[HLT])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifted_halt_leaves_the_byte_that_was_there() {
        let ram = GuestRam::new(2 << 20).unwrap();
        ram.write(0x3000, &[0x0f, 0x05]).unwrap();
        let bytes = || ram.read_words::<1>(0x3000).unwrap()[0];
        let halt = Halt::place(&ram, KERNEL_BASE + 0x3000).unwrap();
        assert_eq!((bytes(), halt.byte), (0x05f4, 0x0f));
        halt.lift(&ram).unwrap();
        assert_eq!(bytes(), 0x050f);
        halt.put_back(&ram).unwrap();
        assert_eq!(bytes(), 0x05f4);
        assert!(Halt::place(&ram, KERNEL_BASE - 1).is_err());
    }
}
