//! A new program's memory, built beside the old one's: segments, vDSO, stack. Nothing of
//! the caller's changes here.

use super::find::Found;
use super::place::{Places, word_size};
use super::wanted::{Failure, Wanted};
use crate::fs::executable::Executable;
use crate::mm::backing::{Backing, Mapped, Part};
use crate::mm::space::{AddressSpace, FaultError};
use crate::mm::vma::Prot;
use crate::process::credentials::Ids;
use crate::process::program::Parts;
use crate::process::task::current;
use core::ops::Range;
use trapgate_abi::boot_info::{self, BootInfo, Vdso};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_loader::image::{self, Class, Extent, Image, Program};
use trapgate_loader::stack::{self, AuxValues, StackRequest};
use trapgate_uapi::Errno;

/// A program in memory that nobody runs yet.
pub(super) struct Built {
    /// Its memory.
    pub(super) memory: AddressSpace,
    /// The width of its code.
    pub(super) class: Class,
    /// Its first instruction, or its interpreter's.
    pub(super) entry: u64,
    /// Its first stack pointer.
    pub(super) stack_pointer: u64,
    /// Where its fast 32-bit calls return to.
    pub(super) landing_pad: u64,
    /// Where its arguments, its environment and its auxiliary vector are.
    pub(super) parts: Parts,
}

/// Builds it in an address space in which nothing is.
///
/// # Errors
/// Those of execve(2); ENOMEM.
pub(super) fn build(
    mut memory: AddressSpace,
    found: &Found,
    wanted: &Wanted,
    boot: &BootInfo,
    places: &Places,
    random: [u8; 16],
) -> Result<Built, Failure> {
    let Found { file, program, interpreter } = found;
    let class = program.class;
    memory.begin(places.end, places.mmap_top);
    let has_place = interpreter.is_some() || !program.movable;
    let below = places.stack_bottom();
    let load = |memory: &mut AddressSpace, file: &Executable, program: &Program, base| {
        let image = program.place(base, below)?;
        map(memory, &image, file).map(|()| image)
    };
    // What has a place of its own comes first, then what goes where there is room.
    let placed = if has_place { Some(load(&mut memory, file, program, places.pie)?) } else { None };
    let vdso = boot.vdso[usize::from(class == Class::Elf32)];
    let vdso_at = lend_vdso(&mut memory, &vdso, boot, places)?;
    let image = match placed {
        Some(image) => image,
        None => {
            let base = room_for(&mut memory, program)?;
            load(&mut memory, file, program, base)?
        }
    };
    let started = match interpreter {
        Some((file, interpreter)) => {
            let base = if interpreter.movable { room_for(&mut memory, interpreter)? } else { 0 };
            Some(load(&mut memory, file, interpreter, base)?)
        }
        None => None,
    };
    let entry = started.as_ref().map_or(image.entry, |interpreter| interpreter.entry);
    if entry >= places.end {
        return Err(Failure::Damaged(Errno::EINVAL));
    }
    // Without an interpreter it may be one itself, whose program's heap is this one.
    let heap = if has_place { image.brk } else { places.pie };
    memory.set_heap(heap + places.brk_gap);
    let Ids { users, groups, .. } = current().credentials.get();
    let auxv = AuxValues {
        phdr: image.phdr_addr,
        phent: image.phdr_entry_size.into(),
        phnum: image.phdr_count.into(),
        entry: image.entry,
        base: started.map_or(0, |interpreter| interpreter.load_bias),
        hwcap: boot.hwcap,
        hwcap2: boot.hwcap2,
        minsigstksz: Some(boot.minsigstksz),
        sysinfo: (vdso.vsyscall != 0).then_some(vdso_at + vdso.vsyscall),
        sysinfo_ehdr: Some(vdso_at),
        uid: users.real,
        euid: users.effective,
        gid: groups.real,
        egid: groups.effective,
        secure: (users.real != users.effective || groups.real != groups.effective).into(),
        ..AuxValues::default()
    };
    let top = places.stack_top - places.stack_gap;
    let request = StackRequest {
        top,
        word: word_size(class),
        strings: &wanted.strings,
        execfn: &wanted.execfn,
        random,
        platform: if class == Class::Elf64 { "x86_64" } else { "i686" },
        auxv,
    };
    let (stack_pointer, parts) = fill_stack(&mut memory, &request, places, image.exec_stack)?;
    let (code, data) = (image.code(), image.data());
    let code = boot_info::Range { start: code.start, end: code.end };
    let data = boot_info::Range { start: data.start, end: data.end };
    let parts = Parts { code, data, ..parts };
    let landing_pad = vdso_at + vdso.landing_pad;
    Ok(Built { memory, class, entry, stack_pointer, landing_pad, parts })
}

/// Where a movable program finds room.
fn room_for(memory: &mut AddressSpace, program: &Program) -> Result<u64, Failure> {
    let Extent { size, align } = program.extent().ok_or(Failure::Damaged(Errno::EINVAL))?;
    // So that the program can be moved down to what it asks for.
    let slack = align - PAGE_SIZE;
    let length = size.checked_add(slack).ok_or(Failure::Damaged(Errno::EINVAL))?;
    let room = memory.room(length).ok_or(Failure::Damaged(Errno::ENOMEM))?;
    Ok(room + slack)
}

/// Maps a program's segments.
fn map(memory: &mut AddressSpace, image: &Image, file: &Executable) -> Result<(), Failure> {
    for segment in &image.segments {
        let image::Prot { read, write, exec } = segment.prot;
        let bits = u64::from(read) | u64::from(write) << 1 | u64::from(exec) << 2;
        let prot = Prot::from_bits(bits).unwrap_or(Prot::NONE);
        let Range { start: offset, end } = segment.file.clone();
        let shown_end = segment.start + (end - offset);
        let file_end = shown_end.next_multiple_of(PAGE_SIZE);
        if offset < end {
            let first = offset / PAGE_SIZE;
            let part = Part { mapped: file.mapped.clone(), first };
            add(memory, segment.start, file_end, prot, Backing::Private(part))?;
            let last = first + (shown_end - segment.start) / PAGE_SIZE;
            clear_behind(memory, &file.mapped, last, shown_end)?;
        }
        if file_end < segment.end {
            add(memory, file_end, segment.end, prot, Backing::Anonymous)?;
        }
    }
    Ok(())
}

/// Clears what is behind a segment's bytes in their last page, which is page `last` of the
/// file.
fn clear_behind(
    memory: &mut AddressSpace,
    mapped: &Mapped,
    last: u64,
    end: u64,
) -> Result<(), Failure> {
    loop {
        return match memory.clear_behind(end) {
            Err(FaultError::Absent) if mapped.object.bring(last).is_ok() => continue,
            Err(FaultError::OutOfMemory) => Err(Errno::ENOMEM.into()),
            cleared => cleared.map_err(|_| Failure::Damaged(Errno::EFAULT)),
        };
    }
}

/// Adds a mapping. Where something is already, or memory could not hold it, Linux finds out
/// late.
fn add(
    memory: &mut AddressSpace,
    start: u64,
    end: u64,
    prot: Prot,
    backing: Backing,
) -> Result<(), Failure> {
    memory.add(start, end, prot, backing).map_err(|errno| match errno {
        Errno::EEXIST => Failure::Damaged(errno),
        Errno::ENOMEM if end - start > memory.ram() => Failure::Damaged(errno),
        errno => errno.into(),
    })
}

/// Maps the vDSO, its data page below; answers where its image is.
fn lend_vdso(
    memory: &mut AddressSpace,
    vdso: &Vdso,
    boot: &BootInfo,
    places: &Places,
) -> Result<u64, Failure> {
    let image = boot_info::Range { start: vdso.start, end: vdso.end };
    let length = places.vdso_gap + PAGE_SIZE + image.len();
    let start = memory.room(length).ok_or(Failure::Damaged(Errno::ENOMEM))?;
    let base = start + PAGE_SIZE;
    add(memory, start, base, Prot::READ, Backing::Vvar)?;
    memory.give_frames(start, base)?;
    memory.fill(start, boot.clock.to_words().map(u64::to_le_bytes).as_flattened())?;
    let code = Prot::READ.with(Prot::EXEC);
    add(memory, base, base + image.len(), code, Backing::Vdso)?;
    memory.lend(base, image, code)?;
    Ok(base)
}

/// Maps the stack and fills it; answers the stack pointer and what lies where.
fn fill_stack(
    memory: &mut AddressSpace,
    request: &StackRequest<'_>,
    places: &Places,
    executable: bool,
) -> Result<(u64, Parts), Failure> {
    /// What a program uses before it does anything of its own.
    const AHEAD: u64 = 32 << 10;
    let work = Prot::READ.with(Prot::WRITE);
    let prot = if executable { work.with(Prot::EXEC) } else { work };
    let (bottom, end) = (places.stack_bottom(), places.stack_top);
    add(memory, bottom, end, prot, Backing::Stack)?;
    let stack = stack::build(request).map_err(|_| Errno::ENOMEM)?;
    let ahead = if memory.is_eager() { AHEAD } else { 0 };
    let first = stack.pointer.saturating_sub(ahead).max(bottom);
    memory.give_frames(first, end)?;
    for (address, bytes) in stack.pieces() {
        memory.fill(address, bytes)?;
    }
    let [_, (start, strings), _] = stack.pieces();
    let (middle, end) = (start + request.strings.argv_length(), start + strings.len() as u64);
    let Range { start: first, end: last } = stack.auxv();
    let parts = Parts {
        arguments: boot_info::Range { start, end: middle },
        environment: boot_info::Range { start: middle, end },
        auxv: boot_info::Range { start: first, end: last },
        stack: stack.pointer,
        ..Parts::NONE
    };
    Ok((stack.pointer, parts))
}
