//! A guest instruction by instruction: the deterministic mode.
//!
//! Called by [`crate::machine::run`] in place of KVM_RUN; the guest is entered once for
//! each instruction (KVM API, "KVM_SET_GUEST_DEBUG"). Its time-stamp counter
//! then shows how many instructions it has executed, and nothing else: a
//! program that measures itself gets the same figures everywhere, every time.
//!
//! KVM steps by RFLAGS.TF, which the guest must not see and must not lose:
//!
//! - Doors and exceptions clear TF. So the kernel's entry points are halts
//!   ([`Halt`]), and there TF is taken out of where the CPU has kept it: R11,
//!   or the pushed flags. PUSHF's word is corrected too.
//! - SYSRET and IRET load flags without it. So it is put into R11, or into the
//!   frame, before. The CPU then stops at the instruction returned to, or
//!   after it, as its maker likes.
//!
//! INT3 would do the same, but QEMU's TCG does not intercept a nested guest's.
//! A software KVM interprets ring 0 and steps through it anyway: no halts
//! there.
//!
//! What is lost: a guest's own TF. If a step gets lost, the next exit shows it,
//! and then there is no count.

mod arrival;
mod halt;
mod instruction;
mod software;
mod tables;
mod way;

use crate::Error;
use crate::machine::exit::{self, Exit, Reason};
use crate::machine::kvm::{Kind as KvmKind, Vcpu};
use crate::machine::memory::{GuestRam, OutOfRam};
use halt::Halt;
use instruction::Kind;
use kvm_bindings::{KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, kvm_guest_debug, kvm_regs};
use kvm_ioctls::{SyncReg, VcpuExit};
use tables::Tables;
use trapgate_abi::kernel_note::KernelNote;
use trapgate_abi::layout::{KERNEL_BASE, VECTOR_STRIDE, VECTORS};
use trapgate_abi::x86::{rflags, vector};
use way::{Begun, Placed};

/// Guest instructions that were executed, each by itself.
///
/// A repeated string instruction is one, whatever it repeats. One that faults
/// is none, until it is executed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instructions {
    /// The kernel's.
    pub ring0: u64,
    /// The program's.
    pub ring3: u64,
}

impl Instructions {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ring0 + self.ring3
    }
}

/// Enters a guest once for each instruction.
pub(crate) struct Stepper {
    /// In place of the kernel's entry points; none on a software KVM.
    halts: Vec<Halt>,
    entries: Entries,
    software: bool,
    /// Those that the kernel starts with and keeps: what is in ring 3's own is in
    /// them, too.
    tables: Tables,
    counted: Instructions,
    /// The guest's registers, as it was left.
    regs: kvm_regs,
    /// An instruction that was begun: a host call, or a signal came.
    begun: Option<Begun>,
    lost: bool,
}

/// Where ring 0 begins.
struct Entries {
    syscall64: u64,
    syscall32: u64,
    int80: u64,
    /// What all exceptions share, behind their stubs.
    exception: u64,
    /// #DB's stub.
    debug: u64,
}

impl Stepper {
    /// For a guest that has not run yet. `note` says where its entry points
    /// are.
    ///
    /// # Errors
    /// [`Error::Kernel`], if its kernel has no exception stubs; [`Error::Kvm`].
    pub(crate) fn new(
        vcpu: &mut Vcpu,
        kind: KvmKind,
        ram: &GuestRam,
        note: &KernelNote,
    ) -> Result<Stepper, Error> {
        let stub = |number: u8| VECTORS + u64::from(number) * VECTOR_STRIDE;
        let mut bytes = [0; VECTOR_STRIDE as usize];
        let page_fault = stub(vector::PF);
        ram.read(page_fault - KERNEL_BASE, &mut bytes).map_err(no_ram)?;
        let exception = instruction::first_jump(&bytes, page_fault)
            .ok_or_else(|| Error::Kernel("it has no exception stubs".to_owned()))?;
        let entries = Entries {
            syscall64: note.syscall64,
            syscall32: note.syscall32,
            int80: stub(vector::SYSCALL),
            exception,
            debug: stub(vector::DB),
        };
        let software = kind == KvmKind::Software;
        let mut halts = Vec::new();
        if !software {
            let Entries { syscall64, syscall32, int80, exception, .. } = entries;
            for address in [syscall64, syscall32, note.sysenter, int80, exception] {
                halts.push(Halt::place(ram, address).map_err(no_ram)?);
            }
        }
        vcpu.fd.set_sync_valid_reg(SyncReg::Register);
        let counted = Instructions::default();
        let regs = vcpu.fd.get_regs().map_err(Error::kvm("KVM_GET_REGS"))?;
        let sregs = vcpu.fd.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?;
        let tables = Tables { cr3: sregs.cr3 };
        Ok(Stepper { halts, entries, software, tables, counted, regs, begun: None, lost: false })
    }

    /// What was counted, if every step was seen.
    pub(crate) fn counted(&self) -> Option<Instructions> {
        (!self.lost).then_some(self.counted)
    }

    /// Runs the guest to an exit that is not a step.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(crate) fn run(&mut self, vcpu: &mut Vcpu, ram: &GuestRam) -> Result<Exit, Error> {
        loop {
            let begun = match self.begun.take() {
                Some(begun) => begun,
                None => self.begin(vcpu, ram)?,
            };
            self.arm(vcpu, ram, &begun)?;
            let exit = self.enter(vcpu, ram, &begun)?;
            self.regs = vcpu.fd.sync_regs().regs;
            if let Some(at) = begun.popped_flags {
                change_word(ram, at, |flags| flags & !rflags::TF).map_err(no_ram)?;
            }
            match exit {
                // Some CPUs stop at the entry point, before the halt.
                None if self.is_entry(&begun, self.regs.rip) => self.entered(vcpu, ram, &begun)?,
                None => self.arrived(vcpu, ram, &begun)?,
                Some(Exit::Unexpected(Reason::Halted))
                    if self.is_entry(&begun, self.regs.rip.wrapping_sub(1)) =>
                {
                    // KVM has gone past the halt.
                    self.regs.rip -= 1;
                    self.entered(vcpu, ram, &begun)?;
                }
                Some(exit) => {
                    self.left(begun);
                    return Ok(exit);
                }
            }
        }
    }

    /// Looks at the next instruction.
    fn begin(&mut self, vcpu: &Vcpu, ram: &GuestRam) -> Result<Begun, Error> {
        let mut long_mode = true;
        if self.regs.rip >> 63 == 0 {
            let sregs = vcpu.fd.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?;
            long_mode = sregs.cs.l == 1;
        }
        Ok(Begun::look(ram, self.tables, &self.regs, long_mode, &self.halts))
    }

    /// Puts TF where a return takes it from.
    fn arm(&mut self, vcpu: &Vcpu, ram: &GuestRam, begun: &Begun) -> Result<(), Error> {
        if let Kind::Sysret { .. } = begun.first.kind {
            self.regs.r11 |= rflags::TF;
            set_regs(vcpu, &self.regs)?;
        }
        match begun.popped_flags {
            Some(at) => change_word(ram, at, |flags| flags | rflags::TF).map_err(no_ram),
            None => Ok(()),
        }
    }

    /// Executes it: `None` if that was a step.
    fn enter(&self, vcpu: &mut Vcpu, ram: &GuestRam, begun: &Begun) -> Result<Option<Exit>, Error> {
        let halt = self.halts.iter().find(|halt| halt.address == begun.first.rip);
        if let Some(halt) = halt {
            halt.lift(ram).map_err(no_ram)?;
        }
        let control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
        let debug = kvm_guest_debug { control, ..kvm_guest_debug::default() };
        // Each time: it is what sets TF.
        vcpu.fd.set_guest_debug(&debug).map_err(Error::kvm("KVM_SET_GUEST_DEBUG"))?;
        let exit = match vcpu.fd.run() {
            Ok(VcpuExit::Debug(_)) => Ok(None),
            result => exit::of(result).map(Some),
        };
        if let Some(halt) = halt {
            halt.put_back(ram).map_err(no_ram)?;
        }
        exit
    }

    /// Whether an entry point is at `rip`, and the step has led there.
    fn is_entry(&self, begun: &Begun, rip: u64) -> bool {
        begun.first.rip != rip && self.halts.iter().any(|halt| halt.address == rip)
    }

    /// KVM returned for something else: before the end of the instruction, or
    /// after it.
    fn left(&mut self, begun: Begun) {
        if self.regs.rip == begun.first.rip {
            self.begun = Some(begun);
        } else {
            self.lost |= self.regs.rip != begun.first.next;
            self.count(&begun.first);
        }
    }

    fn count(&mut self, one: &Placed) {
        let ring = if one.in_ring_3() { &mut self.counted.ring3 } else { &mut self.counted.ring0 };
        *ring += 1;
    }
}

fn set_regs(vcpu: &Vcpu, regs: &kvm_regs) -> Result<(), Error> {
    vcpu.fd.set_regs(regs).map_err(Error::kvm("KVM_SET_REGS"))
}

fn change_word(ram: &GuestRam, at: u64, change: impl Fn(u64) -> u64) -> Result<(), OutOfRam> {
    let [word] = ram.read_words(at)?;
    ram.write_words(at, &[change(word)])
}

fn no_ram(error: OutOfRam) -> Error {
    Error::Kernel(error.to_string())
}
