//! Measures the doors of legacy protected mode (EFER.LMA = 0): the only mode in
//! which an AMD CPU has SYSENTER.
//!
//! Each attempt is a VM of its own without a program: the kernel leaves long
//! mode, its own ring-3 code goes through one door, and the kernel comes back
//! (guest: `legacy`). What is measured is the CPU's way in and out, with paging
//! off and one instruction in ring 0; it is no system call.
//!
//! ```no_run
//! use trapgate::legacy::{self, Door, Options};
//!
//! let report = legacy::measure(&Options::new(Door::Sysenter))?;
//! println!("{}", report.delivery);
//! # Ok::<(), trapgate::Error>(())
//! ```

mod report;

pub use report::{Batch, Delivery, Door, Report, Sample};

use crate::boot;
use crate::error::Error;
use crate::exit::Reason;
use crate::host::Services;
use crate::image::symbols::Symbols;
use crate::kernel;
use crate::kvm::{Vm, vm};
use crate::memory::{GuestRam, LEAST};
use crate::policy::Policy;
use crate::report::KernelReport;
use crate::run::{self, GuestEnd};
use crate::sandbox::{Running, features};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::hypercall::Request as HostRequest;
use trapgate_abi::layout::LARGE_PAGE_SIZE;
use trapgate_abi::legacy::{MAX_BATCHES, MAX_CALLS, MAX_SAMPLES, Request};

/// What to measure, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The door.
    pub door: Door,
    /// Single calls, 1 to [`MAX_SAMPLES`].
    pub samples: u64,
    /// Batches, 1 to [`MAX_BATCHES`].
    pub batches: u64,
    /// Calls in a batch, 1 to [`MAX_CALLS`].
    pub calls_per_batch: u64,
    /// Wall-clock time after which an attempt counts as not delivered.
    pub timeout: Duration,
    /// The guest kernel: an ELF image of this ABI version.
    pub kernel: Cow<'static, [u8]>,
}

impl Options {
    /// Enough for percentiles on a real CPU: 10,000 single calls, 20 batches of
    /// 1,000 calls, a minute.
    pub fn new(door: Door) -> Options {
        Options {
            door,
            samples: 10_000,
            batches: 20,
            calls_per_batch: 1_000,
            timeout: Duration::from_secs(60),
            kernel: Cow::Borrowed(kernel::IMAGE),
        }
    }

    /// As the kernel wants to hear it.
    fn request(&self) -> Result<Request, Error> {
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
            door: self.door.number(),
            samples: self.samples,
            batches: self.batches,
            calls: self.calls_per_batch,
            results: 0,
        })
    }
}

/// Measures one door in a VM of its own.
///
/// A KVM that cannot run legacy mode is a [`Delivery::NotDelivered`], and no
/// error.
///
/// # Errors
/// [`Error::Amount`]; and [`Error`], for whatever keeps a VM from running, or if
/// the guest kernel fails.
pub fn measure(options: &Options) -> Result<Report, Error> {
    let request = options.request()?;
    let kvm = vm::open()?;
    let size = (LEAST + request.results_size()).next_multiple_of(LARGE_PAGE_SIZE);
    let ram = Arc::new(GuestRam::new(size)?);
    let mut vm = Vm::new(&kvm, ram.clone())?;
    let (prepared, request) = boot::prepare_legacy(
        &ram,
        &options.kernel,
        request,
        features(&vm),
        log::max_level() as u64,
    )?;
    vm.set_initial_state(&prepared)?;
    // It needs no time, and gets none.
    prepared
        .finish(&ram, ClockInfo::default())
        .map_err(|error| Error::Kernel(error.to_string()))?;

    let stop = Arc::<AtomicBool>::default();
    let image = options.kernel.clone();
    let (in_vm, stop_in_vm) = (ram.clone(), stop.clone());
    let running = Running::spawn(stop, Some(options.timeout), move || {
        // Only its end may be asked for: no file, no clock, no randomness.
        let policy = Policy::only([]);
        let files = [None, None, None];
        let mut services = Services::new(in_vm.clone(), policy, files, stop_in_vm.clone());
        let end = run::run(&mut vm, &in_vm, &mut services, &stop_in_vm, &image, &mut 0, &mut None)?;
        match end {
            GuestEnd::Request(HostRequest::Exit { status: 0 }, _) => Ok(true),
            GuestEnd::Stopped => Ok(false),
            GuestEnd::Request(request, message) => {
                let symbols = Symbols::new(&image);
                let report = KernelReport::new(&request, &message, &in_vm, &symbols);
                Err(Error::KernelFailed(Box::new(report)))
            }
        }
    })?;
    let not_delivered = |reason: String| Report {
        delivery: Delivery::NotDelivered { reason },
        ..Report::nothing(options.door, options.calls_per_batch)
    };
    match running.join().0 {
        Ok(true) => Report::read(options.door, &request, &ram),
        Ok(false) => Ok(not_delivered(format!("it hung for {:?}", options.timeout))),
        Err(error) => not_done(error).map(not_delivered),
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
    use crate::exit::Internal;

    #[test]
    fn amounts_that_nobody_can_measure_are_refused() {
        let with = |samples, batches, calls_per_batch| Options {
            samples,
            batches,
            calls_per_batch,
            ..Options::new(Door::Int80)
        };
        assert!(with(1, 1, 1).request().is_ok());
        assert!(with(MAX_SAMPLES, MAX_BATCHES, MAX_CALLS).request().is_ok());
        for bad in [
            with(0, 1, 1),
            with(1, 0, 1),
            with(1, 1, 0),
            with(MAX_SAMPLES + 1, 1, 1),
            with(1, MAX_BATCHES + 1, 1),
            with(1, 1, MAX_CALLS + 1),
            with(u64::MAX, u64::MAX, u64::MAX),
        ] {
            assert!(matches!(bad.request(), Err(Error::Amount { .. })), "{bad:?}");
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
