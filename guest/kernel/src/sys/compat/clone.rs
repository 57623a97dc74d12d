//! clone(2) and clone3(2) of i386, whose thread-local storage is a segment.

use super::tls::entry_number;
use crate::process::clone::Tls;
use crate::sys::absent;
use crate::sys::clone::{Convention, clone_by, clone3_by};
use crate::sys::define::with_registers;
use crate::user::UserPtr;
use trapgate_arch::tls::descriptor;
use trapgate_uapi::Errno;
use trapgate_uapi::ldt::UserDesc;
use trapgate_uapi::sched::CloneArgs;

/// The segment that is described at an address. It is one by its number.
fn segment(address: u64) -> Result<Tls, Errno> {
    let desc = UserPtr::<UserDesc>::new(address).read()?;
    if descriptor(&desc).is_none() {
        return Err(Errno::EINVAL);
    }
    Ok(Tls::Segment(entry_number(desc.entry_number)?, desc))
}

const I386: Convention = Convention { read_tls: segment, note: absent::note_of_i386 };

with_registers! {
    /// clone(2): the last two arguments the other way round.
    fn __ia32_compat_sys_ia32_clone by ia32(
        regs; flags: u32, stack: u64, parent: u64, tls: u64, child: u64,
    ) {
        clone_by(regs, flags, [stack, parent, child, tls], &I386)
    }
}
with_registers! {
    /// clone3(2)
    fn __ia32_sys_clone3 by ia32(regs; args: UserPtr<CloneArgs>, size: u64) {
        clone3_by(regs, args, size, &I386)
    }
}
