//! What a step came to: counts it, and takes TF out of where the CPU has kept
//! it, before the guest goes on and could see it.
//!
//! The second half of [`Stepper`], called by its loop.

use super::instruction::Kind;
use super::way::{Begun, Placed};
use super::{Entries, Stepper, change_word, no_ram, set_regs, software};
use crate::Error;
use crate::machine::kvm::Vcpu;
use crate::machine::memory::GuestRam;
use trapgate_abi::x86::{rflags, vector};

/// Where an exception's stub has left things when it jumps on: vector, error
/// code, then what the CPU pushed.
mod frame {
    pub(super) const VECTOR: u64 = 0;
    pub(super) const RIP: u64 = 16;
    pub(super) const RFLAGS: u64 = 32;
}

/// Where the CPU has pushed the flags when it comes to a stub without an error
/// code: behind RIP and CS.
const PUSHED_RFLAGS: u64 = 16;

impl Stepper {
    /// A step is over.
    pub(super) fn arrived(
        &mut self,
        vcpu: &Vcpu,
        ram: &GuestRam,
        begun: &Begun,
    ) -> Result<(), Error> {
        if self.software && begun.ends_in_ring_3() {
            self.lost |=
                !software::take_back(vcpu, ram, self.tables, self.entries.debug, &mut self.regs)?;
        }
        let Some(last) = self.finish(vcpu, begun)? else { return Ok(()) };
        let rip = self.regs.rip;
        if last.kind == Kind::Repeated && rip == last.rip {
            return Ok(());
        }
        if self.software && last.in_ring_3() && rip >> 63 == 1 {
            // A fault, and a door too: KVM has gone on through one instruction.
            self.counted.ring0 += 1;
            return Ok(());
        }
        self.count(&last);
        if self.software && rip == self.entries.exception {
            self.clean_exception(vcpu, ram)?;
        }
        match last.kind {
            Kind::ReadsCounter if rip == last.next => {
                let now = self.counted.total();
                (self.regs.rax, self.regs.rdx) = (now & 0xffff_ffff, now >> 32);
                set_regs(vcpu, &self.regs)
            }
            Kind::PushesFlags if rip == last.next => self.clean_word(ram, self.regs.rsp),
            _ => Ok(()),
        }
    }

    /// The instruction that the step ended with; none if the first of two is
    /// counted here and the other was not executed.
    fn finish(&mut self, vcpu: &Vcpu, begun: &Begun) -> Result<Option<Placed>, Error> {
        let Some(then) = begun.then else { return Ok(Some(begun.first)) };
        if let Kind::Sysret { .. } = begun.first.kind {
            self.regs.r11 &= !rflags::TF;
            set_regs(vcpu, &self.regs)?;
        }
        self.count(&begun.first);
        Ok((self.regs.rip != then.rip).then_some(then))
    }

    /// At an entry point, by a door or by an exception.
    pub(super) fn entered(
        &mut self,
        vcpu: &Vcpu,
        ram: &GuestRam,
        begun: &Begun,
    ) -> Result<(), Error> {
        let Entries { syscall64, syscall32, int80, exception, .. } = self.entries;
        let rip = self.regs.rip;
        let mut last = Some(begun.first);
        if rip == exception {
            let number = self.tables.word(ram, self.regs.rsp.wrapping_add(frame::VECTOR));
            let pushed = self.tables.word(ram, self.regs.rsp.wrapping_add(frame::RIP));
            let (Some((_, number)), Some((_, pushed))) = (number, pushed) else {
                self.lost = true;
                return set_regs(vcpu, &self.regs);
            };
            // An IRET that faults has returned nowhere.
            if begun.then.is_none() || pushed != begun.first.rip {
                last = self.finish(vcpu, begun)?;
            }
            // A fault: the instruction will be executed again, or never.
            last = last.filter(|last| last.rip != pushed);
            // PUSH -1 where the CPU pushes no error code; PUSH the vector; JMP.
            self.counted.ring0 += 2 + u64::from(!vector::has_error_code(number as u8));
            self.clean_exception(vcpu, ram)?;
        } else {
            last = self.finish(vcpu, begun)?;
            if rip == syscall64 || rip == syscall32 {
                self.regs.r11 &= !rflags::TF;
            } else if rip == int80 {
                self.clean_word(ram, self.regs.rsp.wrapping_add(PUSHED_RFLAGS))?;
            }
        }
        if let Some(last) = last {
            self.count(&last);
        }
        set_regs(vcpu, &self.regs)
    }

    /// At the entry point that exceptions share.
    fn clean_exception(&mut self, vcpu: &Vcpu, ram: &GuestRam) -> Result<(), Error> {
        let rsp = self.regs.rsp;
        let pushed = self.tables.word(ram, rsp.wrapping_add(frame::RIP));
        if pushed.is_some_and(|(_, rip)| rip == self.entries.syscall64) {
            // A SYSCALL that arrives as an exception.
            self.regs.r11 &= !rflags::TF;
            set_regs(vcpu, &self.regs)?;
        }
        self.clean_word(ram, rsp.wrapping_add(frame::RFLAGS))
    }

    /// Takes TF out of flags in memory.
    fn clean_word(&mut self, ram: &GuestRam, address: u64) -> Result<(), Error> {
        match self.tables.word(ram, address) {
            Some((at, _)) => change_word(ram, at, |flags| flags & !rflags::TF).map_err(no_ram),
            None => {
                self.lost = true;
                Ok(())
            }
        }
    }
}
