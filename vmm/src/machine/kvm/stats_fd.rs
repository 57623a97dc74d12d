//! KVM's own statistics of a vCPU: `KVM_GET_STATS_FD` (KVM API, 4.133).
#![allow(unsafe_code, reason = "an ioctl that kvm-ioctls does not have")]

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

/// `_IO(KVMIO, 0xce)`.
const KVM_GET_STATS_FD: libc::Ioctl = 0xaece;

/// The counters of one vCPU.
pub struct VcpuStats {
    file: File,
    /// Name and place of each counter.
    counters: Vec<(String, u64)>,
}

impl VcpuStats {
    /// Asks KVM for a vCPU's counters; `None` before Linux 5.14.
    pub fn new(vcpu: &impl AsRawFd) -> Option<Self> {
        // SAFETY: no argument; answers a new file descriptor or -1.
        let fd = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_GET_STATS_FD, 0) };
        if fd < 0 {
            return None;
        }
        // SAFETY: new, and nobody else's.
        let file = unsafe { File::from_raw_fd(fd) };
        // struct kvm_stats_header: six words of 32 bits.
        let header = words(&file, 0, 6)?;
        let [_, name_size, count, _, descriptors, data] = header[..] else {
            return None;
        };
        let counters = (0..count).map(|index| {
            // struct kvm_stats_desc: flags, exponent and size, offset, bucket
            // size, then the name.
            let at = u64::from(descriptors) + u64::from(index) * (16 + u64::from(name_size));
            let offset = *words(&file, at, 3)?.last()?;
            let mut name = vec![0; name_size as usize];
            file.read_exact_at(&mut name, at + 16).ok()?;
            let length = name.iter().position(|byte| *byte == 0)?;
            let name = String::from_utf8_lossy(&name[..length]).into_owned();
            Some((name, u64::from(data) + u64::from(offset)))
        });
        let counters = counters.collect::<Option<_>>()?;
        Some(VcpuStats { file, counters })
    }

    /// Exits so far, without those of the host's own interrupts: those that the
    /// guest caused.
    pub fn own_exits(&self) -> Option<u64> {
        own(self.get("exits"), self.get("irq_exits"))
    }

    /// A counter's value.
    pub fn get(&self, name: &str) -> Option<u64> {
        let (_, at) = self.counters.iter().find(|(counter, _)| counter == name)?;
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, *at).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

/// Exits that are not those of interrupts, which not every KVM counts.
pub(crate) fn own(exits: Option<u64>, irq_exits: Option<u64>) -> Option<u64> {
    Some(exits?.saturating_sub(irq_exits.unwrap_or(0)))
}

fn words(file: &File, at: u64, count: usize) -> Option<Vec<u32>> {
    let mut bytes = vec![0; 4 * count];
    file.read_exact_at(&mut bytes, at).ok()?;
    let (words, _) = bytes.as_chunks::<4>();
    Some(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}
