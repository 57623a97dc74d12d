//! x87 and vector registers of the running thread on their way to a signal's frame and
//! back, through its area in the kernel.
//!
//! A copy to or from the program may have to wait for a page, and other threads run
//! meanwhile. One that needs the CPU's registers for itself saves the running thread's to
//! the area. So a copy out goes on from what is there, which is the same again; a copy in
//! is done at once, when all pages are there, and loaded before anybody else runs.

use crate::host;
use crate::sched::thread::current;
use crate::user::UserPtr;
use trapgate_abi::hypercall::Request;
use trapgate_arch::{fpu, usercopy};
use trapgate_uapi::Errno;

/// Calls this with the running thread's area.
fn with_area<T>(use_it: impl FnOnce(&mut fpu::Area) -> T) -> T {
    let user = current().user.as_ref().expect("a thread of ring 3");
    let mut user = user.lock();
    use_it(user.fpu())
}

/// Saves the CPU's registers, which must be the running thread's and stay where they are,
/// too. `look` sees them.
///
/// # Errors
/// ENOMEM.
///
/// # Panics
/// If the VMM does not save them.
pub fn save<T>(look: impl FnOnce(&mut fpu::Area) -> T) -> Result<T, Errno> {
    if !current().make_room() {
        return Err(Errno::ENOMEM);
    }
    if fpu::by_host() {
        let area = with_area(|area| area.physical());
        // What is saved there stays in the CPU.
        let copy = Request::SwapFpu { from: area, to: area };
        host::call(copy).expect("the VMM takes what it has saved");
    } else {
        with_area(fpu::Area::save_all);
    }
    Ok(with_area(look))
}

/// Copies what was saved to the program's memory: as many bytes as a frame has of it.
///
/// # Errors
/// EFAULT.
pub fn copy_out(to: u64) -> Result<(), Errno> {
    let (mut done, size) = (0, fpu::saved_size());
    while done < size {
        let copied = with_area(|area| area.copy_out(done, to.wrapping_add(done), size - done));
        done += copied;
        if done < size {
            // A page is missing, or cannot be written.
            UserPtr::<u8>::new(to.wrapping_add(done)).write(0)?;
            let few = usercopy::in_front_of_a_page(to.wrapping_add(done), size - done);
            done += with_area(|area| area.copy_out(done, to.wrapping_add(done), few));
        }
    }
    Ok(())
}

/// The registers, which the CPU has, are as after a reset from now on.
///
/// # Errors
/// ENOMEM.
///
/// # Panics
/// If the VMM does not take them.
pub fn reset() -> Result<(), Errno> {
    if !current().make_room() {
        return Err(Errno::ENOMEM);
    }
    with_area(fpu::Area::reset);
    load();
    Ok(())
}

/// Takes `size` bytes of them, no more than a frame has, from the program's memory. `claim` sees to it that the CPU has the running
/// thread's; `change` is what is done to the copy before the CPU takes that.
///
/// # Errors
/// EFAULT; EINVAL, if the CPU would not take them: then they are as they were. ENOMEM.
pub fn copy_in(
    from: u64,
    size: u64,
    claim: impl Fn(),
    change: impl FnOnce(&mut fpu::Area),
) -> Result<(), Errno> {
    if !current().make_room() {
        return Err(Errno::ENOMEM);
    }
    loop {
        // From here on nobody needs what was in the area.
        claim();
        // One page after the other is brought; then all of them are there, mostly.
        let missing = with_area(|area| copy_in_at_once(area, from, size));
        match missing {
            None => break,
            Some(address) => _ = UserPtr::<u8>::new(address).read()?,
        }
    }
    let is_loadable = with_area(|area| {
        change(area);
        area.is_loadable()
    });
    if !is_loadable {
        return Err(Errno::EINVAL);
    }
    load();
    Ok(())
}

/// Copies without bringing pages: where one is missing.
fn copy_in_at_once(area: &mut fpu::Area, from: u64, size: u64) -> Option<u64> {
    let mut done = 0;
    while done < size {
        done += area.copy_in(done, from.wrapping_add(done), size - done);
        let few = usercopy::in_front_of_a_page(from.wrapping_add(done), size - done);
        if done < size {
            let copied = area.copy_in(done, from.wrapping_add(done), few);
            done += copied;
            if few == 0 || copied < few {
                return Some(from.wrapping_add(done));
            }
        }
    }
    None
}

/// Puts the area into the CPU's registers.
fn load() {
    if fpu::by_host() {
        let to = with_area(|area| area.physical());
        host::call(Request::SwapFpu { from: 0, to }).expect("the VMM takes what was looked at");
    } else {
        with_area(|area| area.load());
    }
}
