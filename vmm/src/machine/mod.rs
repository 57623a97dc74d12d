//! The machine: RAM, the vCPU and its thread, and the loop that enters it.

pub mod affinity;
pub mod exit;
pub mod kvm;
pub(crate) mod log_ring;
pub mod memory;
pub(crate) mod run;
pub(crate) mod step;
pub(crate) mod vcpu_thread;
