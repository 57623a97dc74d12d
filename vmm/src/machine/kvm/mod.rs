//! KVM: opening it, making a VM with one vCPU, and the state that the vCPU
//! starts in.

pub(crate) mod access;
pub(crate) mod clock;
pub mod cpuid;
pub(crate) mod kick;
pub mod kind;
pub mod maker;
pub mod state;
pub mod stats_fd;
pub mod vm;

pub use kind::Kind;
pub use maker::Maker;
pub use vm::Vm;
