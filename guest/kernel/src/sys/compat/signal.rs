//! Signals: structures of 32-bit words, and the calls from before there were
//! more than 32 signals.
//!
//! A set of 64 signals lies in memory as on x86-64: two words, the lower one
//! first.

use crate::process::task::current;
use crate::signal::action::{SA_IA32_ABI, SignalAction};
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::signal::{MASK_SIZE, SignalStack, change_action, change_stack, write_pending};
use crate::user::UserPtr;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

plain_struct! {
    /// i386's `struct sigaction` of rt_sigaction(2).
    pub struct CompatSigaction {
        /// `SIG_DFL`, `SIG_IGN` or an address.
        pub handler: u32,
        /// `SA_*`.
        pub flags: u32,
        /// The return trampoline.
        pub restorer: u32,
        /// Signals to block meanwhile.
        pub mask: [u32; 2],
    }
}
const _: () = assert!(size_of::<CompatSigaction>() == 20);

plain_struct! {
    /// `struct old_sigaction` of sigaction(2).
    pub struct CompatOldSigaction {
        /// `SIG_DFL`, `SIG_IGN` or an address.
        pub handler: u32,
        /// Signals up to 32 to block meanwhile.
        pub mask: u32,
        /// `SA_*`.
        pub flags: u32,
        /// The return trampoline.
        pub restorer: u32,
    }
}
const _: () = assert!(size_of::<CompatOldSigaction>() == 16);

impl From<CompatSigaction> for SignalAction {
    fn from(action: CompatSigaction) -> Self {
        SignalAction {
            handler: action.handler.into(),
            flags: action.flags.into(),
            restorer: action.restorer.into(),
            mask: super::join(action.mask[0], action.mask[1]),
        }
    }
}

impl From<SignalAction> for CompatSigaction {
    fn from(action: SignalAction) -> Self {
        CompatSigaction {
            handler: action.handler as u32,
            flags: action.flags as u32,
            restorer: action.restorer as u32,
            mask: [action.mask as u32, (action.mask >> 32) as u32],
        }
    }
}

impl From<CompatOldSigaction> for SignalAction {
    fn from(action: CompatOldSigaction) -> Self {
        SignalAction {
            handler: action.handler.into(),
            flags: action.flags.into(),
            restorer: action.restorer.into(),
            mask: action.mask.into(),
        }
    }
}

impl From<SignalAction> for CompatOldSigaction {
    fn from(action: SignalAction) -> Self {
        CompatOldSigaction {
            handler: action.handler as u32,
            mask: action.mask as u32,
            flags: action.flags as u32,
            restorer: action.restorer as u32,
        }
    }
}

compat_define! {
    /// rt_sigaction(2)
    fn rt_sigaction(
        number: i32,
        new: UserPtr<CompatSigaction>,
        old: UserPtr<CompatSigaction>,
        mask_size: u64,
    ) {
        if mask_size != MASK_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = || if new.is_null() { Ok(None) } else { new.read().map(|new| Some(new.into())) };
        old.write_if(change_action(number, new, SA_IA32_ABI)?.into()).map(|()| 0)
    }
}
compat_define! {
    /// sigaction(2) as it was first.
    fn sigaction(
        number: i32,
        new: UserPtr<CompatOldSigaction>,
        old: UserPtr<CompatOldSigaction>,
    ) {
        let new = || if new.is_null() { Ok(None) } else { new.read().map(|new| Some(new.into())) };
        old.write_if(change_action(number, new, SA_IA32_ABI)?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// signal(2) as System V has it: the handler is for one time, and its
    /// signal is not blocked meanwhile. Answers the old handler.
    fn signal(number: i32, handler: u64) {
        const RESETHAND: u64 = 0x8000_0000;
        const NODEFER: u64 = 0x4000_0000;
        let flags = RESETHAND | NODEFER;
        let new = SignalAction { handler, flags, ..SignalAction::default() };
        change_action(number, || Ok(Some(new)), SA_IA32_ABI).map(|old| old.handler)
    }
}
compat_define! {
    /// rt_sigprocmask(2)
    fn rt_sigprocmask(how: i32, new: UserPtr<u64>, old: UserPtr<u64>, mask_size: u64) {
        if mask_size != MASK_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(current().signals.change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}
compat_define! {
    /// sigprocmask(2) of the first 32 signals; the others stay.
    fn sigprocmask(how: i32, new: UserPtr<u32>, old: UserPtr<u32>) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        old.write_if(current().signals.change_mask(how, new, u32::MAX.into())? as u32).map(|()| 0)
    }
}
compat_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}
compat_define! {
    /// sigpending(2) of the first 32 signals.
    fn sigpending(set: UserPtr<u32>) {
        set.write(current().signals.pending() as u32).map(|()| 0)
    }
}

plain_struct! {
    /// i386's `stack_t` of sigaltstack(2).
    pub struct CompatSignalStack {
        /// Lowest address.
        pub address: u32,
        /// `SS_*`.
        pub flags: u32,
        /// Bytes.
        pub size: u32,
    }
}
const _: () = assert!(size_of::<CompatSignalStack>() == 12);

impl From<CompatSignalStack> for SignalStack {
    fn from(stack: CompatSignalStack) -> Self {
        SignalStack {
            address: stack.address.into(),
            flags: stack.flags.into(),
            size: stack.size.into(),
        }
    }
}

impl From<SignalStack> for CompatSignalStack {
    fn from(stack: SignalStack) -> Self {
        CompatSignalStack {
            address: stack.address as u32,
            flags: stack.flags as u32,
            size: stack.size as u32,
        }
    }
}

compat_define! {
    /// sigaltstack(2)
    fn sigaltstack(new: UserPtr<CompatSignalStack>, old: UserPtr<CompatSignalStack>) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        old.write_if(change_stack(new)?.into()).map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn actions_have_i386s_layout() {
        assert_eq!(offset_of!(CompatSigaction, mask), 12);
        assert_eq!(offset_of!(CompatOldSigaction, mask), 4);
        assert_eq!(offset_of!(CompatOldSigaction, restorer), 12);
    }

    #[test]
    fn actions_convert_both_ways() {
        let action = SignalAction {
            handler: 0x8049_1234,
            flags: 0xc400_0004,
            restorer: 0xf7fc_1000,
            mask: 0x8000_0001_0000_0002,
        };
        let compat = CompatSigaction::from(action);
        assert_eq!(compat.mask, [2, 0x8000_0001]);
        assert_eq!(SignalAction::from(compat), action);
        // The old form has but 32 signals.
        let old = SignalAction::from(CompatOldSigaction::from(action));
        assert_eq!(old, SignalAction { mask: 2, ..action });
    }

    #[test]
    fn signal_stacks_convert_both_ways() {
        let stack = CompatSignalStack { address: 0xffff_0000, flags: 1 << 31, size: 0x4000 };
        let wide = SignalStack::from(stack);
        assert_eq!((wide.address, wide.flags, wide.size), (0xffff_0000, 1 << 31, 0x4000));
        let back = CompatSignalStack::from(wide);
        assert_eq!((back.address, back.flags, back.size), (0xffff_0000, 1 << 31, 0x4000));
    }
}
