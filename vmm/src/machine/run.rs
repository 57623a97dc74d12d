//! The loop: enter, exit, service, again.
//!
//! [`super::Machine::run`] calls it. What it does at an exit, [`super::exit`]
//! says; a request of the kernel goes to whoever serves it ([`Serve`]), as words
//! that were copied out of guest memory once.

use super::control::Control;
use super::exit::{self, Exit, Internal, Reason};
use super::kvm::kick::Kickable;
use super::kvm::{Vcpu, Vm, fpu};
use super::log_ring::LogRing;
use super::memory::GuestRam;
use super::step::{Instructions, Stepper};
use crate::symbols::Symbols;
use crate::{Error, report};
use trapgate_abi::hypercall::files::{GIVEN_BACK, MAX_GIVEN_BACK};
use trapgate_abi::hypercall::{Malformed, Message, Request};
use trapgate_abi::kernel_note::KernelNote;
use trapgate_uapi::errno::to_return;

/// Who carries out what the kernel asks for.
pub trait Serve {
    /// Serves the request in a message, which is the guest's claim.
    ///
    /// # Errors
    /// [`Malformed`], if there is none in it.
    fn serve(&mut self, message: &Message) -> Result<Served, Malformed>;

    /// Releases handles that came with a request, before it is served; false, if the machine
    /// was told to stop meanwhile.
    fn release(&mut self, _handles: &[u64]) -> bool {
        true
    }
}

/// What comes of a request.
#[derive(Debug)]
pub enum Served {
    /// The reply: write it and go on.
    Reply(Box<Message>),
    /// The guest is done, in the way that this request says.
    End(Request),
    /// Its registers are to be exchanged: saved in the first area, unless that is 0, and
    /// loaded from the second ([`Request::SwapFpu`]).
    SwapFpu([u64; 2]),
    /// The machine was told to stop while the request waited.
    Stopped,
}

/// How a machine is run.
pub struct Manner<'a> {
    /// The guest kernel's image, for reports.
    pub kernel: &'a [u8],
    /// To count instructions, one at a time: what the kernel's image says of
    /// itself.
    pub count: Option<&'a KernelNote>,
    /// The exits after which a guest that measures them goes on, as if nothing
    /// had been there.
    pub pass: &'a mut dyn FnMut(&Reason) -> bool,
    /// Looks into RAM at each exit, before a request is served: what is traced.
    pub look: &'a mut dyn FnMut(&GuestRam),
}

/// How the guest ended.
pub enum GuestEnd {
    /// By a request, with the message that it came in.
    Request(Request, Box<Message>),
    /// It was told to stop.
    Stopped,
}

/// What came of a machine.
pub struct Ended {
    /// How the guest ended.
    pub end: GuestEnd,
    /// Exits to here; steps are none.
    pub exits: u64,
    /// Instructions, if they were counted and every step was seen.
    pub instructions: Option<Instructions>,
}

/// Runs a vCPU until the guest ends. On the vCPU's own thread.
pub(super) fn run(
    vcpu: &mut Vcpu,
    vm: &Vm,
    ram: &GuestRam,
    control: &Control,
    services: &mut dyn Serve,
    manner: Manner<'_>,
) -> Result<Ended, Error> {
    let mut stepper = None;
    if let Some(note) = manner.count {
        stepper = Some(Stepper::new(vcpu, vm.kind, ram, note)?);
    }
    let _kickable = Kickable::new(vcpu.fd.get_kvm_run())?;
    let mut log_ring = LogRing::of(vcpu.cpu);
    let host_call = vcpu.cpu.host_call_phys();
    let mut exits = 0;
    let end = loop {
        if control.is_stopped() {
            break GuestEnd::Stopped;
        }
        // A guest that is stepped is left alone: what it does is being counted.
        if control.is_interrupted() && stepper.is_none() {
            interrupt(vcpu, control)?;
        }
        let exit = match &mut stepper {
            Some(stepper) => stepper.run(vcpu, ram)?,
            None => exit::of(vcpu.fd.run()).map_err(|error| lost_or(vm, error))?,
        };
        exits += 1;
        log_ring.drain(ram);
        (manner.look)(ram);
        match exit {
            Exit::Interrupted => {
                vcpu.fd.set_kvm_immediate_exit(0);
                vcpu.close_window();
            }
            Exit::HostCall => {
                let out_of_ram = |_| Error::Kernel("RAM ends before its pages".to_owned());
                let words: [u64; GIVEN_BACK + 1] = ram.read_words(host_call).map_err(out_of_ram)?;
                let [message @ .., given_back] = words;
                if given_back != 0 && !take_back(ram, host_call, given_back, services)? {
                    break GuestEnd::Stopped;
                }
                match services.serve(&message).map_err(Error::Malformed)? {
                    Served::Reply(reply) => {
                        ram.write_words(host_call, &reply[..]).map_err(out_of_ram)?;
                    }
                    Served::SwapFpu(areas) => {
                        let result = to_return(fpu::swap(&vcpu.fd, vm, ram, areas));
                        ram.write_words(host_call, &[result]).map_err(out_of_ram)?;
                    }
                    Served::End(request) => break GuestEnd::Request(request, Box::new(message)),
                    Served::Stopped => break GuestEnd::Stopped,
                }
            }
            Exit::Unexpected(reason) if (manner.pass)(&reason) => {}
            Exit::Unexpected(reason) if let Some(error) = lost_to(vm, &reason) => {
                return Err(error);
            }
            Exit::Unexpected(reason) => return Err(stopped(vcpu, manner.kernel, reason)),
        }
    };
    Ok(Ended { end, exits, instructions: stepper.and_then(|stepper| stepper.counted()) })
}

/// Has handles released that are given back, so many, and tells the guest so.
fn take_back(
    ram: &GuestRam,
    host_call: u64,
    count: u64,
    services: &mut dyn Serve,
) -> Result<bool, Error> {
    if count > MAX_GIVEN_BACK as u64 {
        return Err(Error::Malformed(Malformed::Count(count)));
    }
    let out_of_ram = |_| Error::Kernel("RAM ends before its pages".to_owned());
    let list = host_call + 8 * GIVEN_BACK as u64;
    let all: [u64; MAX_GIVEN_BACK] = ram.read_words(list + 8).map_err(out_of_ram)?;
    ram.write_words(list, &[0]).map_err(out_of_ram)?;
    Ok(services.release(&all[..count as usize]))
}

/// What a failed KVM_RUN comes to: KVM answers EFAULT where a page of the image is
/// not there any more.
fn lost_or(vm: &Vm, error: Error) -> Error {
    match (&error, &vm.image) {
        (Error::Kvm { source, .. }, Some(image)) if source.raw_os_error() == Some(libc::EFAULT) => {
            image.what_was_lost()
        }
        _ => error,
    }
}

/// The same of an exit: later KVMs say where it was, and a KVM that interprets ring 0
/// takes such a page for a device's.
fn lost_to(vm: &Vm, reason: &Reason) -> Option<Error> {
    let image = vm.image.as_ref()?;
    let address = match reason {
        Reason::MemoryFault { address } => address,
        // A write to what is read-only comes so, too.
        Reason::NotRam { address } if image.is_shorter() => address,
        _ => return None,
    };
    let range = image.range();
    (range.start..range.end).contains(address).then(|| image.what_was_lost())
}

/// Interrupts the guest, or has KVM say when it can be.
fn interrupt(vcpu: &mut Vcpu, control: &Control) -> Result<(), Error> {
    if vcpu.interrupt()? {
        control.take_interrupt();
    }
    Ok(())
}

/// An error that says all there is to say about an unexpected exit.
fn stopped(vcpu: &mut Vcpu, kernel: &[u8], mut reason: Reason) -> Error {
    if let Reason::Internal(details) = &mut reason {
        *details = internal(vcpu);
    }
    let state = match (vcpu.fd.get_regs(), vcpu.fd.get_sregs()) {
        (Ok(regs), Ok(sregs)) => report::cpu_state(&regs, &sregs, &Symbols::new(kernel)),
        _ => "  (KVM does not tell the CPU's state)".to_owned(),
    };
    Error::Stopped { reason, state }
}

/// The details of an internal error, from `kvm_run`.
#[allow(unsafe_code, reason = "kvm_run has a union")]
fn internal(vcpu: &mut Vcpu) -> Internal {
    let run = vcpu.fd.get_kvm_run();
    // SAFETY: the exit reason was KVM_EXIT_INTERNAL_ERROR, so this is the
    // union's valid member; it is plain words.
    let details = unsafe { run.__bindgen_anon_1.internal };
    let count = (details.ndata as usize).min(details.data.len());
    Internal { suberror: details.suberror, data: details.data[..count].to_vec() }
}
