//! The stack on which handlers run that want it: sigaltstack(2).

use trapgate_uapi::Errno;
use trapgate_uapi::signal::{SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Sigaltstack};

/// It, of a task; without a size there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlternateStack(Sigaltstack);

impl AlternateStack {
    /// Whether this stack pointer is on it.
    pub const fn has(&self, stack_pointer: u64) -> bool {
        stack_pointer > self.0.ss_sp && stack_pointer - self.0.ss_sp <= self.0.ss_size
    }

    /// Whether the task is on it, as far as anybody is told: one that is given up while a
    /// handler runs is nobody's.
    pub const fn is_in_use(&self, stack_pointer: u64) -> bool {
        self.0.ss_flags & SS_AUTODISARM == 0 && self.has(stack_pointer)
    }

    /// Its end, from where a handler's frame grows down; `None` if there is none.
    pub const fn top(&self) -> Option<u64> {
        match self.0.ss_size {
            0 => None,
            size => Some(self.0.ss_sp.wrapping_add(size)),
        }
    }

    /// What a program is told of it, with this stack pointer.
    pub fn told(&self, stack_pointer: u64) -> Sigaltstack {
        let state = match self.0.ss_size {
            0 => SS_DISABLE,
            _ if self.is_in_use(stack_pointer) => SS_ONSTACK,
            _ => 0,
        };
        Sigaltstack { ss_flags: state | self.0.ss_flags & SS_AUTODISARM, ..self.0 }
    }

    /// What a frame keeps of it.
    pub const fn kept(&self) -> Sigaltstack {
        self.0
    }

    /// A handler runs on it now.
    #[must_use]
    pub fn while_handling(self) -> AlternateStack {
        if self.0.ss_flags & SS_AUTODISARM == 0 { self } else { AlternateStack::default() }
    }

    /// Another one; `least` is how large it has to be.
    ///
    /// # Errors
    /// EPERM while the task is on the old one; EINVAL, ENOMEM.
    pub fn changed(
        &self,
        new: Sigaltstack,
        stack_pointer: u64,
        least: u64,
    ) -> Result<AlternateStack, Errno> {
        if self.is_in_use(stack_pointer) {
            return Err(Errno::EPERM);
        }
        let flags = new.ss_flags & SS_AUTODISARM;
        match new.ss_flags & !SS_AUTODISARM {
            SS_DISABLE => {
                Ok(AlternateStack(Sigaltstack { ss_flags: flags, ..Sigaltstack::default() }))
            }
            0 | SS_ONSTACK if new.ss_size < least => Err(Errno::ENOMEM),
            0 | SS_ONSTACK => {
                Ok(AlternateStack(Sigaltstack { ss_flags: new.ss_flags, __pad: 0, ..new }))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}
