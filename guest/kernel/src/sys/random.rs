//! getrandom(2).

use crate::fs::transfer::MAX_RW_COUNT;
use crate::host::Call;
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::space::FRAMES_AT_ONCE;
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sys::define::syscall_define;
use crate::user::UserPtr;
use trapgate_abi::hypercall::{MAX_RANDOM, Request};
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::random::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};

syscall_define! {
    /// getrandom(2): from the host.
    fn getrandom(buffer: UserPtr<u8>, length: u64, flags: u32) {
        let both = GRND_RANDOM | GRND_INSECURE;
        if flags & !(GRND_NONBLOCK | both) != 0 || flags & both == both {
            return Err(Errno::EINVAL);
        }
        let length = length.min(MAX_RW_COUNT);
        if !access_ok(buffer.address(), length) {
            return Err(Errno::EFAULT);
        }
        // What a libc wants for its hash seeds.
        let answer = match length {
            8 => from_stock::<1>(buffer),
            16 => from_stock::<2>(buffer),
            _ => None,
        };
        if let Some(answer) = answer {
            return answer.map(|()| length);
        }
        // No signal can come, so the call gives all that it is asked for.
        let mut done = 0;
        while done < length {
            // What is gathered may need frames.
            frames::stock(FRAMES_AT_ONCE);
            let mut call = Call::new(Request::Random);
            let mut memory = current().process.memory.lock();
            let at = buffer.address() + done;
            let part = (length - done).min(MAX_RANDOM);
            let taken = memory.pieces(at, part, Prot::WRITE, |piece| call.push(piece));
            drop(memory);
            if taken == 0 {
                if fault::was_absent(&current().process.memory, at, Prot::WRITE) {
                    continue;
                }
                return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
            }
            match call.submit() {
                // What was given is given.
                Err(_) if done > 0 => return Ok(done),
                result => done += result?,
            }
        }
        Ok(done)
    }
}

/// Copies out what came with the start, if there is as much.
fn from_stock<const COUNT: usize>(buffer: UserPtr<u8>) -> Option<Result<(), Errno>> {
    let words: [u64; COUNT] = current().process.random_stock.lock().take()?;
    Some(buffer.cast().write_slice(&words))
}
