//! Segments of 32-bit programs: set_thread_area(2), get_thread_area(2), and
//! modify_ldt(2), as far as there is no local descriptor table.
//!
//! A task's descriptors are this CPU's, in the GDT: whoever switches tasks
//! exchanges them.

use crate::sys::define::{SysResult, ia32_define};
use crate::user::UserPtr;
use trapgate_arch::tls;
use trapgate_uapi::Errno;
use trapgate_uapi::ldt::{LDT_READ, LDT_READ_DEFAULT, UserDesc};

/// A number that a program means an entry by.
pub(super) fn entry_number(number: u32) -> Result<usize, Errno> {
    Some(number as usize).filter(|&number| tls::is_entry(number)).ok_or(Errno::EINVAL)
}

ia32_define! {
    /// set_thread_area(2): number -1 asks for a free entry, and gets its
    /// number back.
    fn set_thread_area(area: UserPtr<UserDesc>) {
        let desc = area.read()?;
        if tls::descriptor(&desc).is_none() {
            return Err(Errno::EINVAL);
        }
        let number = if desc.entry_number == u32::MAX {
            let free = tls::free_entry().ok_or(Errno::ESRCH)?;
            area.cast::<u32>().write(free as u32)?;
            free
        } else {
            entry_number(desc.entry_number)?
        };
        if tls::set_entry(number, &desc) { Ok(0) } else { Err(Errno::EINVAL) }
    }
}
ia32_define! {
    /// get_thread_area(2)
    fn get_thread_area(area: UserPtr<UserDesc>) {
        let number = area.cast::<u32>().read()?;
        let descriptor = tls::entry(entry_number(number)?);
        area.write(tls::user_desc(number, descriptor)).map(|()| 0)
    }
}

/// Bytes of the default table, all zero.
const DEFAULT_LDT: u64 = 128;

fn read_ldt(function: i32, buffer: UserPtr<u8>, length: u64) -> SysResult {
    match function {
        LDT_READ => Ok(0),
        LDT_READ_DEFAULT => {
            let zeros = [0; DEFAULT_LDT as usize];
            let length = length.min(DEFAULT_LDT);
            buffer.write_slice(&zeros[..length as usize]).map(|()| length)
        }
        _ => Err(Errno::ENOSYS),
    }
}

ia32_define! {
    /// modify_ldt(2): the table is empty and stays so; writing it (1, 0x11) is
    /// ENOSYS, as of a Linux without CONFIG_MODIFY_LDT_SYSCALL. The result is
    /// an `int`, so the upper half of RAX is zero.
    fn modify_ldt(function: i32, buffer: UserPtr<u8>, length: u64) {
        let result = crate::sys::define::encode(read_ldt(function, buffer, length));
        Ok(u64::from(result as u32))
    }
}
