//! KVM: opening it, making a VM and its vCPU, and the state that the vCPU starts
//! in.

pub(crate) mod access;
pub mod clock;
pub mod cpuid;
pub mod fpu;
pub mod initial;
mod interrupt;
pub(crate) mod kick;
pub mod kind;
pub mod maker;
pub mod state;
pub mod stats_fd;
pub mod vcpu;
pub mod vm;

pub use initial::Entry;
pub use kind::Kind;
pub use maker::Maker;
pub use state::CpuState;
pub use vcpu::Vcpu;
pub use vm::Vm;
