//! The rings of trace records (`trapgate_abi::trace`): reserved before the start, if
//! the run is traced, one a CPU. `trace` reads them.

use super::page_tables::Frames;
use crate::machine::memory::GuestRam;
use trapgate_abi::layout::{Cpu, DIRECT_MAP};
use trapgate_abi::trace::{RING_SIZE, Tracing};

/// Bytes of the rings of so many CPUs.
pub(super) const fn size(cpus: u64) -> u64 {
    cpus * RING_SIZE
}

/// Reserves them, and tells each CPU where its own is. The physical address of the
/// first, which the others follow; `None` if RAM ends.
pub(super) fn reserve(ram: &GuestRam, frames: &mut Frames, cpus: u64) -> Option<u64> {
    let rings = frames.take(size(cpus))?;
    for cpu in Cpu::first(cpus) {
        let ring = DIRECT_MAP + rings + cpu.number() * RING_SIZE;
        let tracing = Tracing::new(cpu.number(), ring);
        ram.write_words(cpu.tracing_phys(), &tracing.to_words()).ok()?;
    }
    Some(rings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_is_told_of_a_ring_of_its_own() {
        let ram = GuestRam::new(4 << 20).unwrap();
        let rings = reserve(&ram, &mut Frames::new(0x20_0000, 0x40_0000), 2).unwrap();
        assert_eq!(rings, 0x20_0000);
        for (number, ring) in [(0, rings), (1, rings + RING_SIZE)] {
            let words = ram.read_words(Cpu::new(number).unwrap().tracing_phys()).unwrap();
            let expected = Tracing::new(number, DIRECT_MAP + ring);
            assert_eq!(Tracing::from_words(&words), expected);
        }
        assert_eq!(reserve(&ram, &mut Frames::new(0x20_0000, 0x20_1000), 1), None);
    }
}
