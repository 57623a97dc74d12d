//! Memory: mmap(2), munmap(2), mprotect(2), mremap(2), brk(2).

use crate::fs::content::MAX_SIZE;
use crate::fs::file::OpenFile;
use crate::fs::mapped::{Mappable, mappable};
use crate::mm::backing::Part;
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::space::map::{Place, Window};
use crate::mm::space::remap::Move;
use crate::mm::space::{AddressSpace, FRAMES_AT_ONCE, FaultError};
use crate::mm::vma::{Marks, Prot};
use crate::process::task::current;
use crate::sched::thread::work;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::lock_limit::lock_limit;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use spin::MutexGuard;
use trapgate_abi::layout::{LARGE_PAGE_SIZE, PAGE_SIZE, USER_END, page_up};
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::mman::{
    MAP_32BIT, MAP_ANONYMOUS, MAP_DENYWRITE, MAP_EXECUTABLE, MAP_FIXED, MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN, MAP_HUGETLB, MAP_LOCKED, MAP_NONBLOCK, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE,
    MAP_SHARED, MAP_SHARED_VALIDATE, MAP_STACK, MAP_TYPE, MREMAP_DONTUNMAP, MREMAP_FIXED,
    MREMAP_MAYMOVE, PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_SEM, PROT_WRITE,
};

pub(super) fn memory() -> MutexGuard<'static, AddressSpace> {
    current().process.memory.lock()
}

/// The same for what may need frames.
pub(super) fn memory_with_frames() -> MutexGuard<'static, AddressSpace> {
    frames::stock(FRAMES_AT_ONCE);
    memory()
}

/// `PROT_*` without the bit that means nothing on x86, `PROT_SEM`.
fn prot(bits: u64) -> Result<Prot, Errno> {
    Prot::from_bits(bits & !PROT_SEM).ok_or(Errno::EINVAL)
}

syscall_define! {
    /// mmap(2)
    fn mmap(address: u64, length: u64, bits: u64, flags: u64, fd: u32, offset: u64) {
        let window = if flags & MAP_32BIT != 0 { Window::LOW } else { Window::NATIVE };
        map_memory([address, length, bits, flags], fd, offset, window)
    }
}

/// What `MAP_SHARED_VALIDATE` lets pass: Linux's `LEGACY_MAP_MASK`.
const KNOWN: u64 = MAP_TYPE
    | MAP_FIXED
    | MAP_FIXED_NOREPLACE
    | MAP_ANONYMOUS
    | MAP_DENYWRITE
    | MAP_EXECUTABLE
    | MAP_GROWSDOWN
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | MAP_STACK
    | MAP_HUGETLB
    | MAP_32BIT;

/// mmap(2) for either width.
pub(super) fn map_memory(
    [address, length, bits, flags]: [u64; 4],
    fd: u32,
    offset: u64,
    window: Window,
) -> SysResult {
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let file = if flags & MAP_ANONYMOUS == 0 { Some(opened(fd)?) } else { None };
    if flags & (MAP_HUGETLB | MAP_GROWSDOWN) != 0 || length > USER_END {
        check_unusual(address, length, flags, file.is_some())?;
    }
    if length == 0 {
        return Err(Errno::EINVAL);
    }
    let shared = match flags & MAP_TYPE {
        MAP_SHARED => true,
        MAP_PRIVATE => false,
        // Of a file; it refuses what MAP_SHARED leaves out.
        MAP_SHARED_VALIDATE if file.is_some() && flags & !KNOWN == 0 => true,
        MAP_SHARED_VALIDATE if file.is_some() => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    let access = prot(bits & (PROT_READ | PROT_WRITE | PROT_EXEC))?;
    let part = match &file {
        Some(file) => part_of(file, shared, access, [offset, length])?,
        None => None,
    };
    let noreplace = flags & MAP_FIXED_NOREPLACE != 0;
    let fixed = flags & MAP_FIXED != 0 || noreplace;
    let reserve = flags & MAP_NORESERVE == 0;
    let marks = marks(flags);
    let place = Place { fixed, replace: !noreplace, window, shared, marks };
    // A private mapping of a file may need as much memory as one without.
    let reserve = reserve && (part.is_none() || !shared);
    if marks.has(Marks::LOCKED) {
        may_lock(length)?;
    }
    let start = memory_with_frames().map(address, length, access, place, part, reserve)?;
    if flags & (MAP_POPULATE | MAP_LOCKED) != 0 {
        // As far as that goes.
        let _ = touch(start, start + length, None);
    }
    Ok(start)
}

/// Whether a mapping of so many bytes may be locked.
#[cold]
fn may_lock(length: u64) -> Result<(), Errno> {
    let limit = lock_limit();
    if limit == 0 {
        return Err(Errno::EPERM);
    }
    let pages = memory().locked_pages() + length.div_ceil(PAGE_SIZE);
    if limit == u64::MAX || pages <= limit { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// What the flags say of a mapping.
#[inline(always)]
const fn marks(flags: u64) -> Marks {
    if flags & (MAP_GROWSDOWN | MAP_LOCKED) == 0 {
        return Marks::NONE;
    }
    let locked = if flags & MAP_LOCKED != 0 { Marks::LOCKED } else { Marks::NONE };
    let grows = if flags & MAP_GROWSDOWN != 0 { Marks::GROWS_DOWN } else { Marks::NONE };
    locked.with(grows)
}

/// What few ask for: large pages, memory that grows like a stack, more than there are
/// addresses.
#[cold]
fn check_unusual(address: u64, length: u64, flags: u64, of_file: bool) -> Result<(), Errno> {
    if flags & MAP_HUGETLB != 0 {
        // There are no large pages to map, and no file system of them.
        let misplaced = flags & MAP_FIXED != 0 && !address.is_multiple_of(LARGE_PAGE_SIZE);
        return Err(if of_file || misplaced { Errno::EINVAL } else { Errno::ENOMEM });
    }
    if length > USER_END {
        return Err(Errno::ENOMEM);
    }
    // Only private memory without a file grows so.
    let grows = length > 0 && !of_file && flags & MAP_TYPE == MAP_PRIVATE;
    if grows { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Which part of a file is mapped; `None`, if it is memory without one.
#[inline(never)]
fn part_of(
    file: &Arc<OpenFile>,
    shared: bool,
    access: Prot,
    [offset, length]: [u64; 2],
) -> Result<Option<Part>, Errno> {
    let end = page_up(length).and_then(|length| offset.checked_add(length));
    end.filter(|&end| end <= MAX_SIZE).ok_or(Errno::EOVERFLOW)?;
    Ok(match mappable(file, shared, access)? {
        Mappable::Pages(mapped) => {
            if mapped.stored.is_some() {
                current().process.write_back.note(&mapped)?;
            }
            Some(Part { mapped, first: offset / PAGE_SIZE })
        }
        Mappable::Zeroes => None,
    })
}

/// Touches each page of a range, for an access or for whatever it is mapped for.
pub(super) fn touch(start: u64, end: u64, access: Option<Prot>) -> Result<(), FaultError> {
    for page in (start..end).step_by(PAGE_SIZE as usize) {
        let access = memory().access_of_touch(page, access)?;
        if memory_with_frames().fetch(page, access).is_err() {
            fault::fetch(&current().process.memory, page, access)?;
        }
    }
    Ok(())
}

syscall_define! {
    /// munmap(2)
    fn munmap(address: u64, length: u64) {
        memory().unmap(address, length).map(|()| 0)
    }
}
syscall_define! {
    /// mprotect(2)
    fn mprotect(address: u64, length: u64, bits: u64) { protect(address, length, bits) }
}

/// mprotect(2), also by other names.
#[inline(always)]
pub(super) fn protect(address: u64, length: u64, bits: u64) -> SysResult {
    match prot(bits) {
        Ok(prot) => memory().protect(address, length, prot).map(|()| 0),
        Err(_) => protect_growing(address, length, bits),
    }
}

/// mprotect(2) of all that has grown down: nothing here grows up.
#[cold]
fn protect_growing(address: u64, length: u64, bits: u64) -> SysResult {
    let access = prot(bits & !(PROT_GROWSDOWN | PROT_GROWSUP))?;
    let end = page_up(length).and_then(|length| address.checked_add(length));
    if bits & PROT_GROWSUP != 0 || !address.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = end.ok_or(Errno::ENOMEM)?;
    let mut memory = memory();
    if !memory.is_mapped(address) {
        return Err(Errno::ENOMEM);
    }
    let start = memory.start_of_growing(address).ok_or(Errno::EINVAL)?;
    memory.protect(start, end - start, access).map(|()| 0)
}

syscall_define! {
    /// mremap(2)
    fn mremap(address: u64, old_length: u64, new_length: u64, flags: u64, to: u64) {
        remap_memory([address, old_length, new_length, flags, to], Window::NATIVE)
    }
}

/// mremap(2) for either width.
pub(super) fn remap_memory(
    [address, old_length, new_length, flags, to]: [u64; 5],
    window: Window,
) -> SysResult {
    let known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    let [may_move, fixed, keep] =
        [MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP].map(|flag| flags & flag != 0);
    let contradict = (fixed || keep) && !may_move || keep && old_length != new_length;
    if flags & !known != 0 || contradict {
        return Err(Errno::EINVAL);
    }
    let to = match (fixed, may_move) {
        (true, _) => Move::To(to),
        (false, true) => Move::Within(window),
        (false, false) => Move::Never,
    };
    let moved = memory_with_frames().remap(address, old_length, new_length, to, keep)?;
    move_landing_pad(address, old_length, moved);
    Ok(moved)
}

/// The landing pad of the fast 32-bit doors moves with the vDSO (Linux:
/// `vdso_mremap`). What has moved are whole pages, whatever `length` said.
fn move_landing_pad(from: u64, length: u64, to: u64) {
    let pad = percpu::landing_pad();
    let offset = pad.wrapping_sub(from);
    if from != to && offset < length.next_multiple_of(PAGE_SIZE) {
        current().process.move_landing_pad(to + offset);
        current().left_landing_pad.store(pad, Ordering::Relaxed);
        percpu::raise_work(work::LANDING_PAD);
    }
}

syscall_define! {
    /// brk(2): the system call, which answers where the heap ends.
    fn brk(address: u64) { Ok(memory_with_frames().set_brk(address)) }
}
