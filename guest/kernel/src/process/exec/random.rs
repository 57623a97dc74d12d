//! Random numbers for a new program: AT_RANDOM, and where what goes.

use super::place;
use crate::host::Call;
use crate::mm::frames::FRAMES;
use crate::process::task::Process;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::hypercall::{Request, Segment};
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys;

/// Two for AT_RANDOM, the others for places.
pub(super) const WORDS: usize = 2 + place::WORDS;

/// Fresh ones. The first program's came with the start; the host is asked for others'.
/// Where it gives none, they are made of the first ones, so that they are not known
/// to who does not know those.
pub(super) fn words(process: &Process, first: bool) -> [u64; WORDS] {
    /// How often they were made.
    static MADE: AtomicU64 = AtomicU64::new(0);
    let seed = process.boot.seed;
    if first {
        return seed;
    }
    from_host().unwrap_or_else(|| {
        let times = MADE.fetch_add(1, Ordering::Relaxed) + 1;
        seed.map(|word| mix(word, times))
    })
}

/// Those that the host gives, by way of a frame.
fn from_host() -> Option<[u64; WORDS]> {
    let length = size_of::<[u64; WORDS]>() as u64;
    let frame = FRAMES.lock().take(1)?;
    let mut call = Call::new(Request::Random);
    call.push(Segment { address: frame.start, length });
    let given = call.submit();
    let mut bytes = [0; size_of::<[u64; WORDS]>()];
    phys::read(frame.start, &mut bytes);
    FRAMES.lock().give_up(frame);
    let (words, _) = bytes.as_chunks::<8>();
    let words = core::array::from_fn(|index| u64::from_le_bytes(words[index]));
    (given == Ok(length)).then_some(words)
}

/// Another number, after so many (SplitMix64's).
fn mix(seed: u64, times: u64) -> u64 {
    let sum = seed.wrapping_add(times.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let one = (sum ^ sum >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let two = (one ^ one >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    two ^ two >> 31
}
