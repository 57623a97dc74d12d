//! The loop: run -> exit -> policy -> service -> resume.

use crate::Error;
use crate::host::{Served, Services};
use crate::machine::exit::{self, Exit, Internal, Reason};
use crate::machine::kvm::Vm;
use crate::machine::kvm::kick::Kickable;
use crate::machine::log_ring::LogRing;
use crate::machine::memory::GuestRam;
use crate::machine::step::Stepper;
use crate::symbols::Symbols;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trapgate_abi::hypercall::{Message, Request};
use trapgate_abi::layout::{PERCPU_PHYS, percpu};

/// Physical address of the host call page.
const HOST_CALL: u64 = PERCPU_PHYS + percpu::HOST_CALL;

/// How the guest ended.
pub(crate) enum GuestEnd {
    /// By a request, with the message that it came in.
    Request(Request, Box<Message>),
    /// It was told to stop.
    Stopped,
}

/// How a vCPU is run, and how often it came back.
pub(crate) struct Manner<'a> {
    /// Exits to here; steps are none.
    pub(crate) exits: u64,
    /// One instruction at a time, if there is one.
    pub(crate) stepper: Option<Stepper>,
    /// The exits after which a guest that measures them goes on, as if nothing
    /// had been there.
    pub(crate) pass: &'a mut dyn FnMut(&Reason) -> bool,
}

/// Runs a vCPU until the guest ends. On the vCPU's own thread. `kernel` is the
/// guest kernel's image, for reports.
///
/// # Errors
/// [`Error::Stopped`], if KVM leaves the guest for a reason that no guest of
/// ours has; [`Error::Malformed`]; [`Error::Kvm`].
pub(crate) fn run(
    vm: &mut Vm,
    ram: &Arc<GuestRam>,
    services: &mut Services,
    stop: &AtomicBool,
    kernel: &[u8],
    manner: &mut Manner<'_>,
) -> Result<GuestEnd, Error> {
    let _kickable = Kickable::new(vm.vcpu.get_kvm_run())?;
    let mut log_ring = LogRing::default();
    loop {
        if stop.load(Ordering::Acquire) {
            return Ok(GuestEnd::Stopped);
        }
        let exit = match &mut manner.stepper {
            Some(stepper) => stepper.run(vm, ram)?,
            None => exit::of(vm.vcpu.run())?,
        };
        manner.exits += 1;
        log_ring.drain(ram);
        match exit {
            Exit::Interrupted => vm.vcpu.set_kvm_immediate_exit(0),
            Exit::HostCall => {
                let out_of_ram = |_| Error::Kernel("RAM ends before its pages".to_owned());
                let message: Message = ram.read_words(HOST_CALL).map_err(out_of_ram)?;
                match services.serve(&message).map_err(Error::Malformed)? {
                    Served::Reply(reply) => {
                        ram.write_words(HOST_CALL, &reply[..]).map_err(out_of_ram)?;
                    }
                    Served::End(request) => {
                        return Ok(GuestEnd::Request(request, Box::new(message)));
                    }
                    Served::Stopped => return Ok(GuestEnd::Stopped),
                }
            }
            Exit::Unexpected(reason) if (manner.pass)(&reason) => {}
            Exit::Unexpected(reason) => return Err(stopped(vm, kernel, reason)),
        }
    }
}

/// An error that says all there is to say about an unexpected exit.
fn stopped(vm: &mut Vm, kernel: &[u8], mut reason: Reason) -> Error {
    if let Reason::Internal(details) = &mut reason {
        *details = internal(vm);
    }
    Error::Stopped { reason, state: crate::report::cpu_state(&vm.vcpu, &Symbols::new(kernel)) }
}

/// The details of an internal error, from `kvm_run`.
#[allow(unsafe_code, reason = "kvm_run has a union")]
fn internal(vm: &mut Vm) -> Internal {
    let run = vm.vcpu.get_kvm_run();
    // SAFETY: the exit reason was KVM_EXIT_INTERNAL_ERROR, so this is the
    // union's valid member; it is plain words.
    let details = unsafe { run.__bindgen_anon_1.internal };
    let count = (details.ndata as usize).min(details.data.len());
    Internal { suberror: details.suberror, data: details.data[..count].to_vec() }
}
