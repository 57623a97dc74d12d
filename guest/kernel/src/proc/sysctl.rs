//! /proc/sys: what libraries and run-times ask for. Nothing of it can be set.

use crate::fs::table::MAX_DESCRIPTORS;
use crate::host::Call;
use crate::memory::Text;
use crate::mm::frames::FRAMES;
use crate::mm::vma::MAX_MAP_COUNT;
use crate::proc::folder::{Folder, constant, file, fixed, folder};
use crate::proc::subject::Subject;
use crate::process::task::current;
use crate::process::utsname::{UTSNAME, text as name};
use spin::Mutex;
use trapgate_abi::boot_info::feature;
use trapgate_abi::hypercall::{Request, Segment};
use trapgate_abi::layout::USER_MIN;
use trapgate_arch::paging::FrameSource;
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::shm::{SHMALL, SHMMAX, SHMMNI};

/// The root.
pub const ROOT: Folder = fixed(&[folder("fs", &FS), folder("kernel", &KERNEL), folder("vm", &VM)]);

const FS: Folder = fixed(&[
    file("file-max", |_, text| writeln!(text, "{MAX_DESCRIPTORS}")),
    file("nr_open", |_, text| writeln!(text, "{MAX_DESCRIPTORS}")),
    constant!("pipe-max-size", "1048576\n"),
]);

const KERNEL: Folder = fixed(&[
    constant!("cap_last_cap", "40\n"),
    constant!("core_pattern", "core\n"),
    file("domainname", |_, text| writeln!(text, "{}", name(&UTSNAME.domainname))),
    file("hostname", |_, text| writeln!(text, "{}", name(&UTSNAME.nodename))),
    constant!("ngroups_max", "65536\n"),
    file("osrelease", |_, text| writeln!(text, "{}", name(&UTSNAME.release))),
    file("ostype", |_, text| writeln!(text, "{}", name(&UTSNAME.sysname))),
    constant!("overflowgid", "65534\n"),
    constant!("overflowuid", "65534\n"),
    constant!("pid_max", "32768\n"),
    folder("random", &RANDOM),
    file("randomize_va_space", randomize_va_space),
    file("shmall", |_, text| writeln!(text, "{SHMALL}")),
    file("shmmax", |_, text| writeln!(text, "{SHMMAX}")),
    file("shmmni", |_, text| writeln!(text, "{SHMMNI}")),
    constant!("tainted", "0\n"),
    constant!("threads-max", "16384\n"),
    file("version", |_, text| writeln!(text, "{}", name(&UTSNAME.version))),
]);

const RANDOM: Folder = fixed(&[
    file("boot_id", boot_id),
    constant!("entropy_avail", "256\n"),
    constant!("poolsize", "256\n"),
    file("uuid", |_, text| write_uuid(text, random()?)),
]);

const VM: Folder = fixed(&[
    file("max_map_count", |_, text| writeln!(text, "{MAX_MAP_COUNT}")),
    file("mmap_min_addr", |_, text| writeln!(text, "{USER_MIN}")),
    constant!("nr_hugepages", "0\n"),
    // What cannot ever fit is refused (mmap(2)).
    constant!("overcommit_memory", "0\n"),
    constant!("overcommit_ratio", "50\n"),
]);

fn randomize_va_space(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let random = current().process.boot.features & feature::ASLR != 0;
    writeln!(text, "{}", if random { 2 } else { 0 })
}

/// 16 random bytes of the host's, by way of a frame.
///
/// # Errors
/// EPERM, if randomness is not granted; ENOMEM.
fn random() -> Result<[u8; 16], Errno> {
    let mut bytes = [0; 16];
    let frame = FRAMES.lock().take(1).ok_or(Errno::ENOMEM)?;
    let mut call = Call::new(Request::Random);
    call.push(Segment { address: frame.start, length: bytes.len() as u64 });
    let given = call.submit();
    phys::read(frame.start, &mut bytes);
    FRAMES.lock().give_up(frame);
    given.map(|_| bytes)
}

/// The same as long as the sandbox runs.
fn boot_id(_: Subject, text: &mut Text) -> Result<(), Errno> {
    static BOOT_ID: Mutex<Option<[u8; 16]>> = Mutex::new(None);
    let known = *BOOT_ID.lock();
    // Nothing is locked while the host is asked.
    let bytes = match known {
        Some(bytes) => bytes,
        None => {
            let fresh = random()?;
            *BOOT_ID.lock().get_or_insert(fresh)
        }
    };
    write_uuid(text, bytes)
}

/// A random UUID (RFC 9562, version 4).
fn write_uuid(text: &mut Text, mut bytes: [u8; 16]) -> Result<(), Errno> {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(text, "{dash}{byte:02x}")?;
    }
    text.add(b"\n")
}
