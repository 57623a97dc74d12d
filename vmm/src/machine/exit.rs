//! A KVM exit -> a closed enum. Pure, so that tests feed exits directly.

use crate::Error;
use kvm_ioctls::VcpuExit;
use trapgate_abi::hypercall::PORT;

/// Why the guest stopped running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The kernel has a request.
    HostCall,
    /// A signal came; the guest goes on unless it was told to stop.
    Interrupted,
    /// Something that this VMM's guests never do.
    Unexpected(Reason),
}

/// Exits that end a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// OUT to a port without a device.
    #[error("ring 0 wrote to I/O port {port:#x}, which has no device")]
    PortWrite {
        /// The port.
        port: u16,
    },
    /// IN from a port.
    #[error("ring 0 read from I/O port {port:#x}, which has no device")]
    PortRead {
        /// The port.
        port: u16,
    },
    /// An access to what is not RAM.
    #[error("access to guest-physical address {address:#x}, which is not RAM")]
    NotRam {
        /// The guest-physical address.
        address: u64,
    },
    /// HLT.
    #[error("ring 0 halted the CPU")]
    Halted,
    /// A triple fault.
    #[error("the CPU shut down (triple fault)")]
    Shutdown,
    /// The CPU refused the guest's state.
    #[error("the CPU refused the guest's state (hardware reason {reason:#x})")]
    FailEntry {
        /// VMX's or SVM's own reason.
        reason: u64,
    },
    /// KVM cannot go on.
    #[error("KVM cannot go on: {0}")]
    Internal(Internal),
    /// KVM cannot get at the memory.
    #[error("KVM cannot get at guest-physical address {address:#x}")]
    MemoryFault {
        /// The guest-physical address.
        address: u64,
    },
    /// What is left.
    #[error("KVM exit {0}, which this VMM does not know")]
    Other(String),
}

/// `KVM_EXIT_INTERNAL_ERROR`'s suberrors (KVM API, "kvm_run").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internal {
    /// `KVM_INTERNAL_ERROR_*`.
    pub suberror: u32,
    /// Its data.
    pub data: Vec<u64>,
}

impl std::fmt::Display for Internal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.suberror {
            1 => f.write_str("an instruction could not be emulated")?,
            2 => f.write_str("exceptions came at once")?,
            3 => f.write_str("delivery of an event caused an exit")?,
            4 => f.write_str("an exit reason that KVM does not know")?,
            number => write!(f, "internal error {number}")?,
        }
        if !self.data.is_empty() {
            write!(f, " (data {:x?})", self.data)?;
        }
        Ok(())
    }
}

/// What KVM_RUN came to.
///
/// # Errors
/// [`Error::Kvm`], if it failed, and not because a signal came.
pub(crate) fn of(result: Result<VcpuExit<'_>, kvm_ioctls::Error>) -> Result<Exit, Error> {
    match result {
        Ok(exit) => Ok(decode(&exit)),
        Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Ok(Exit::Interrupted),
        Err(error) => Err(Error::kvm("KVM_RUN")(error)),
    }
}

/// Decodes an exit. The details of an internal error are not in it:
/// `kvm_ioctls` leaves them in `kvm_run`, and `run` reads them there.
pub fn decode(exit: &VcpuExit<'_>) -> Exit {
    Exit::Unexpected(match exit {
        VcpuExit::IoOut(PORT, _) => return Exit::HostCall,
        VcpuExit::Intr | VcpuExit::IrqWindowOpen => return Exit::Interrupted,
        VcpuExit::IoOut(port, _) => Reason::PortWrite { port: *port },
        VcpuExit::IoIn(port, _) => Reason::PortRead { port: *port },
        VcpuExit::MmioRead(address, _) | VcpuExit::MmioWrite(address, _) => {
            Reason::NotRam { address: *address }
        }
        VcpuExit::Hlt => Reason::Halted,
        VcpuExit::Shutdown => Reason::Shutdown,
        VcpuExit::FailEntry(reason, _) => Reason::FailEntry { reason: *reason },
        VcpuExit::InternalError => Reason::Internal(Internal { suberror: 0, data: Vec::new() }),
        VcpuExit::MemoryFault { gpa, .. } => Reason::MemoryFault { address: *gpa },
        other => Reason::Other(format!("{other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_port_is_a_host_call_and_no_other() {
        assert_eq!(decode(&VcpuExit::IoOut(PORT, &[0])), Exit::HostCall);
        let other = decode(&VcpuExit::IoOut(PORT + 1, &[0]));
        assert_eq!(other, Exit::Unexpected(Reason::PortWrite { port: PORT + 1 }));
        let input = decode(&VcpuExit::IoIn(PORT, &mut [0]));
        assert_eq!(input, Exit::Unexpected(Reason::PortRead { port: PORT }));
    }

    #[test]
    fn every_other_exit_ends_the_sandbox_with_a_reason() {
        for exit in [
            VcpuExit::Hlt,
            VcpuExit::Shutdown,
            VcpuExit::FailEntry(5, 0),
            VcpuExit::MmioWrite(1 << 40, &[0]),
            VcpuExit::Unknown,
            VcpuExit::Nmi,
            VcpuExit::Unsupported(99),
        ] {
            let Exit::Unexpected(reason) = decode(&exit) else { panic!("{exit:?}") };
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(decode(&VcpuExit::Intr), Exit::Interrupted);
    }
}
