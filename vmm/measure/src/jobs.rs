//! Jobs: VMs that measure something of the CPU or of KVM instead of running a
//! program. What is measured is no system call, but what system calls are made
//! of.
//!
//! Each item is a VM of its own, so that one that fails hides no other. The
//! kernel measures it in ring 0 or by ring-3 code of its own (guest: `job`), and
//! leaves ticks of the time-stamp counter in memory, which are read once, within
//! bounds, as claims. [`legacy`], [`bare`] and [`exits`] say what there is.
//!
//! ```no_run
//! use trapgate_measure::jobs::{Options, bare};
//!
//! let trip = bare::measure(bare::RoundTrip::Syscall, &Options::default())?;
//! println!("{}", trip.delivery.word());
//! # Ok::<(), trapgate::Error>(())
//! ```

pub mod bare;
pub mod exits;
pub mod legacy;
mod results;

pub use results::{Batch, Measured, Sample};
pub(crate) use results::{Context, Results};

use std::borrow::Cow;
use std::time::Duration;
use trapgate::boot;
use trapgate::boot::kernel;
use trapgate::error::Error;
use trapgate::host::Services;
use trapgate::host::policy::Policy;
use trapgate::machine::exit::Reason;
use trapgate::machine::kvm::{cpuid, vm};
use trapgate::machine::memory::LEAST;
use trapgate::machine::{GuestEnd, Limits, Machine, Manner};
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::hypercall::Request as HostRequest;
use trapgate_abi::job::{MAX_BATCHES, MAX_CALLS, MAX_SAMPLES, Request};
use trapgate_abi::layout::LARGE_PAGE_SIZE;

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Single calls, 1 to [`MAX_SAMPLES`].
    pub samples: u64,
    /// Batches, 1 to [`MAX_BATCHES`].
    pub batches: u64,
    /// Calls in a batch, 1 to [`MAX_CALLS`].
    pub calls_per_batch: u64,
    /// Wall-clock time after which an attempt counts as failed.
    pub timeout: Duration,
    /// The host CPU that the vCPU stays on.
    pub cpu: Option<usize>,
    /// The guest kernel: an ELF image of this ABI version.
    pub kernel: Cow<'static, [u8]>,
}

impl Default for Options {
    /// Enough for percentiles on a real CPU: 10,000 single calls, 20 batches of
    /// 1,000 calls, a minute.
    fn default() -> Options {
        Options {
            samples: 10_000,
            batches: 20,
            calls_per_batch: 1_000,
            timeout: Duration::from_secs(60),
            cpu: None,
            kernel: Cow::Borrowed(kernel::PLAIN),
        }
    }
}

impl Options {
    /// As the kernel wants to hear it.
    fn request(&self, kind: u64, item: u64) -> Result<Request, Error> {
        for (what, given, most) in [
            ("samples", self.samples, MAX_SAMPLES),
            ("batches", self.batches, MAX_BATCHES),
            ("calls in a batch", self.calls_per_batch, MAX_CALLS),
        ] {
            if !(1..=most).contains(&given) {
                return Err(Error::Amount { what, given, most });
            }
        }
        Ok(Request {
            kind,
            item,
            samples: self.samples,
            batches: self.batches,
            calls: self.calls_per_batch,
            ..Request::default()
        })
    }
}

/// What came of a VM.
pub(crate) enum Attempt {
    /// The kernel did its job.
    Done(Results),
    /// This KVM did not let it; why, in one line.
    NotDone(String),
}

impl Attempt {
    /// What it means.
    pub(crate) fn measured(self, context: &Context<'_>) -> Measured {
        match self {
            Attempt::Done(results) => results.measured(context),
            Attempt::NotDone(why) => Measured::failed(why),
        }
    }
}

/// Does one job in a VM of its own. `expected` are the exits that the VMM must
/// let pass for it, one a call; any other still ends the VM.
///
/// # Errors
/// [`Error::Amount`]; and [`Error`], for whatever keeps a VM from running, or if
/// the guest kernel fails.
pub(crate) fn attempt(
    kind: u64,
    item: u64,
    options: &Options,
    expected: Option<fn(&Reason) -> bool>,
) -> Result<Attempt, Error> {
    let request = options.request(kind, item)?;
    let size = (LEAST + request.results_size()).next_multiple_of(LARGE_PAGE_SIZE);
    let mut machine = Machine::new(&vm::open()?, size)?;
    let ram = machine.ram().clone();
    let vm = machine.vm();
    let request = Request { rdtscp: cpuid::ring0_has_rdtscp(vm).into(), ..request };
    let (features, log_level) = (boot::features(vm), log::max_level() as u64);
    let (prepared, request) =
        boot::prepare_job(&ram, &options.kernel, request, features, machine.cpus(), log_level)?;
    machine.begin(&prepared.entry())?;
    // It needs neither time nor files, and gets none.
    prepared
        .finish(&ram, ClockInfo::default(), Default::default())
        .map_err(|error| Error::Kernel(error.to_string()))?;

    let image = options.kernel.clone();
    let limits = Limits { cpu: options.cpu, timeout: Some(options.timeout) };
    let thread = machine.spawn(limits, move |machine| {
        // No file, no clock, no randomness: its end is all that it may ask for,
        // and what does nothing.
        let (ram, control) = (machine.ram().clone(), machine.control().clone());
        let mut services = Services::new(ram, Policy::only([]), [None, None, None], control);
        let mut passed = 0;
        let mut pass = |reason: &Reason| {
            let pass = passed < request.all_calls() && expected.is_some_and(|is| is(reason));
            passed += u64::from(pass);
            pass
        };
        let manner = Manner { kernel: &image, count: None, pass: &mut pass, look: &mut |_| {} };
        match machine.run(&mut services, manner)?.end {
            GuestEnd::Request(HostRequest::Exit { status: 0 }, _) => {
                let nulls = services.stats.by_operation.get(HostRequest::Discard.name());
                Ok(Some(passed + nulls.copied().unwrap_or(0)))
            }
            GuestEnd::Stopped => Ok(None),
            GuestEnd::Request(request, message) => {
                Err(machine.kernel_failed(&request, &message, &image))
            }
        }
    })?;
    match thread.join().0 {
        Ok(Some(served)) => Results::read(&request, served, &ram).map(Attempt::Done),
        Ok(None) => Ok(Attempt::NotDone(format!("it hung for {:?}", options.timeout))),
        Err(error) => not_done(error).map(Attempt::NotDone),
    }
}

/// What KVM made of the attempt, in one line; or the error, if it is not KVM's.
fn not_done(error: Error) -> Result<String, Error> {
    match error {
        Error::Stopped { reason: Reason::Internal(details), .. } => Ok(format!(
            "this KVM ended it with KVM_EXIT_INTERNAL_ERROR, suberror {}: {details}",
            details.suberror
        )),
        Error::Stopped { reason: Reason::Shutdown, .. } => {
            Ok("this KVM ended it with KVM_EXIT_SHUTDOWN: a triple fault".to_owned())
        }
        Error::Stopped { reason: Reason::FailEntry { reason }, .. } => {
            Ok(format!("this KVM ended it with KVM_EXIT_FAIL_ENTRY, hardware reason {reason:#x}"))
        }
        Error::Kvm { call: "KVM_RUN", source } => {
            Ok(format!("this KVM refused to run it: {source}"))
        }
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate::machine::exit::Internal;

    #[test]
    fn amounts_that_nobody_can_measure_are_refused() {
        let with = |samples, batches, calls_per_batch| Options {
            samples,
            batches,
            calls_per_batch,
            ..Options::default()
        };
        assert!(with(1, 1, 1).request(1, 1).is_ok());
        assert!(with(MAX_SAMPLES, MAX_BATCHES, MAX_CALLS).request(1, 1).is_ok());
        for bad in [
            with(0, 1, 1),
            with(1, 0, 1),
            with(1, 1, 0),
            with(MAX_SAMPLES + 1, 1, 1),
            with(1, MAX_BATCHES + 1, 1),
            with(1, 1, MAX_CALLS + 1),
            with(u64::MAX, u64::MAX, u64::MAX),
        ] {
            assert!(matches!(bad.request(1, 1), Err(Error::Amount { .. })), "{bad:?}");
        }
    }

    #[test]
    fn what_kvm_cannot_do_is_one_line_and_what_the_kernel_cannot_is_an_error() {
        let internal = Internal { suberror: 1, data: vec![5] };
        for (reason, part) in [
            (Reason::Internal(internal), "KVM_EXIT_INTERNAL_ERROR, suberror 1"),
            (Reason::Shutdown, "KVM_EXIT_SHUTDOWN"),
            (Reason::FailEntry { reason: 0x8000_0021 }, "0x80000021"),
        ] {
            let text = not_done(Error::Stopped { reason, state: "rip\nrsp".to_owned() }).unwrap();
            assert!(text.contains(part) && !text.contains('\n'), "{text}");
        }
        let halted = Error::Stopped { reason: Reason::Halted, state: String::new() };
        assert!(not_done(halted).is_err());
        assert!(not_done(Error::Defect).is_err());
    }
}
