//! /proc/PID/{maps,smaps,smaps_rollup}: the mappings.

use crate::fs::executable::Executable;
use crate::fs::place::{Path, path_of, top_of};
use crate::memory::Text;
use crate::mm::backing::{Backing, MappedFile, Part};
use crate::mm::space::usage::Resident;
use crate::mm::vma::{Marks, Prot, Vma};
use crate::proc::links;
use crate::proc::machine::kib_line;
use crate::proc::subject::Subject;
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_loader::image::{Program, Segment};
use trapgate_uapi::Errno;

/// The column before a mapping's name.
const NAME_COLUMN: usize = 72;
/// Device and inode of shared memory that no file has.
const SHARED_MEMORY: (u64, u64) = (1, 0);

/// /proc/PID/maps.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn maps(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let mut names = FileNames::new(about)?;
    each_area(about, |vma, _| line(text, vma, &mut names))
}

/// /proc/PID/smaps.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn smaps(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let mut names = FileNames::new(about)?;
    each_area(about, |vma, resident| {
        line(text, vma, &mut names)?;
        kib_line(text, "Size:", (vma.end - vma.start) / 1024)?;
        kib_line(text, "KernelPageSize:", PAGE_SIZE / 1024)?;
        kib_line(text, "MMUPageSize:", PAGE_SIZE / 1024)?;
        let resident = resident();
        pages(text, &resident, false)?;
        writeln!(text, "{:15} {:8}", "THPeligible:", 0)?;
        flags(text, vma)
    })
}

/// /proc/PID/smaps_rollup: all of them together.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn smaps_rollup(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let (mut all, mut first, mut last) = (Resident::default(), u64::MAX, 0);
    each_area(about, |vma, resident| {
        all = all.with(resident());
        (first, last) = (first.min(vma.start), vma.end);
        Ok(())
    })?;
    let first = first.min(last);
    write!(text, "{first:08x}-{last:08x} ---p 00000000 00:00 0 ")?;
    text.pad(0, NAME_COLUMN)?;
    text.add(b" [rollup]\n")?;
    pages(text, &all, true)
}

/// Calls `each` with every mapping, and a way to find out what is there of it. The memory
/// is not locked meanwhile, so a mapping that changes is shown as it was or as it is.
fn each_area(
    about: Subject,
    mut each: impl FnMut(&Vma, &dyn Fn() -> Resident) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let process = about.process()?;
    let mut at = 0;
    loop {
        let Some(vma) = process.memory.lock().area_from(at).cloned() else { return Ok(()) };
        each(&vma, &|| process.memory.lock().resident(&vma))?;
        at = vma.end;
    }
}

/// The line of a mapping.
fn line(text: &mut Text, vma: &Vma, names: &mut FileNames) -> Result<(), Errno> {
    let start = text.bytes().len();
    let part = vma.backing.part();
    let allows = |access, letter| if vma.prot().allows(access) { letter } else { '-' };
    let (r, w) = (allows(Prot::READ, 'r'), allows(Prot::WRITE, 'w'));
    let (x, s) = (allows(Prot::EXEC, 'x'), if vma.backing.is_shared() { 's' } else { 'p' });
    let image = match &vma.backing {
        Backing::Image => names.of_program(vma.start)?,
        _ => None,
    };
    let part = part.or(image.as_ref());
    let offset = part.map_or(0, |part| part.first * PAGE_SIZE);
    let (device, number) = match part.map(|part| &part.mapped.file) {
        Some(Some(file)) => (file.device(), file.number()),
        Some(None) => SHARED_MEMORY,
        None => (0, 0),
    };
    let (major, minor) = (device >> 8, device & 0xff);
    write!(text, "{:08x}-{:08x} {r}{w}{x}{s} {offset:08x} ", vma.start, vma.end)?;
    write!(text, "{major:02x}:{minor:02x} {number} ")?;
    let name: &[u8] = match (part, &vma.backing) {
        (Some(part), _) => names.of(part)?,
        (None, Backing::Heap) => b"[heap]",
        (None, Backing::Stack) => b"[stack]",
        (None, Backing::Vdso) => b"[vdso]",
        (None, Backing::Vvar) => b"[vvar]",
        (None, _) => b"",
    };
    if !name.is_empty() {
        text.pad(start, NAME_COLUMN)?;
        text.add(b" ")?;
        for piece in name.split_inclusive(|&byte| byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', before)) => {
                    text.add(before)?;
                    text.add(br"\012")?;
                }
                _ => text.add(piece)?,
            }
        }
    }
    text.add(b"\n")
}

/// Paths of mapped files, as the process's root has them. Neighbours often have the same.
struct FileNames {
    /// What the process's root is below, from the root of everything.
    root: Vec<u8>,
    last: Option<Arc<dyn MappedFile>>,
    path: Vec<u8>,
    /// What the VMM has loaded, when it was needed.
    program: Option<Option<Loaded>>,
    about: Subject,
}

/// A program that the VMM has loaded: its file, and what of it is where.
struct Loaded {
    file: Executable,
    segments: Vec<Segment>,
}

impl Loaded {
    fn new(about: Subject) -> Result<Option<Loaded>, Errno> {
        let Some(file) = about.process()?.program_file()? else { return Ok(None) };
        let image = Program::read(&file).ok().and_then(|program| {
            // Where the VMM puts it.
            program.place(program.class.pie_base(), program.class.user_end()).ok()
        });
        Ok(image.map(|image| Loaded { file, segments: image.segments }))
    }

    /// The part of the file that is mapped at an address.
    fn part(&self, address: u64) -> Option<Part> {
        let is_there = |segment: &&Segment| (segment.start..segment.end).contains(&address);
        let segment = self.segments.iter().find(is_there)?;
        let first = (segment.file.start + (address - segment.start)) / PAGE_SIZE;
        Some(Part { mapped: self.file.mapped.clone(), first })
    }
}

impl FileNames {
    fn new(about: Subject) -> Result<FileNames, Errno> {
        let root = links::root(about)?;
        let root = match path_of(&root, &top_of(&root))? {
            Path::Within(path) if path != b"/" => path,
            _ => Vec::new(),
        };
        Ok(FileNames { root, last: None, path: Vec::new(), program: None, about })
    }

    /// What of the program's file is at an address where the VMM has put it; none, if that
    /// is not known.
    fn of_program(&mut self, address: u64) -> Result<Option<Part>, Errno> {
        let loaded = match self.program.take() {
            Some(loaded) => loaded,
            None => Loaded::new(self.about)?,
        };
        let part = loaded.as_ref().and_then(|loaded| loaded.part(address));
        self.program = Some(loaded);
        Ok(part)
    }

    fn of(&mut self, part: &Part) -> Result<&[u8], Errno> {
        let Some(file) = &part.mapped.file else { return Ok(b"/dev/zero (deleted)") };
        if !self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, file)) {
            self.path = file.path()?;
            self.last = Some(file.clone());
        }
        Ok(match self.path.strip_prefix(&self.root[..]) {
            Some(rest) if rest.first() == Some(&b'/') => rest,
            _ => &self.path,
        })
    }
}

/// What is there of mappings, in kibibytes.
fn pages(text: &mut Text, resident: &Resident, kinds: bool) -> Result<(), Errno> {
    const KIB: u64 = PAGE_SIZE / 1024;
    let &Resident { anonymous, file, shared_memory, shared, shared_dirty, .. } = resident;
    // What is the mapping's own was written.
    let dirty = (anonymous + resident.private_dirty_file).min(resident.pages() - shared);
    let clean = resident.pages() - shared - dirty;
    let proportional = resident.proportional / 1024;
    let dirty_part = (dirty * KIB).min(proportional);
    kib_line(text, "Rss:", resident.pages() * KIB)?;
    kib_line(text, "Pss:", proportional)?;
    kib_line(text, "Pss_Dirty:", dirty_part)?;
    if kinds {
        kib_line(text, "Pss_Anon:", anonymous * KIB)?;
        kib_line(text, "Pss_File:", file * KIB)?;
        kib_line(text, "Pss_Shmem:", shared_memory * KIB)?;
    }
    let lines = [
        ("Shared_Clean:", shared - shared_dirty),
        ("Shared_Dirty:", shared_dirty),
        ("Private_Clean:", clean),
        ("Private_Dirty:", dirty),
        ("Referenced:", resident.pages()),
        ("Anonymous:", anonymous),
        ("LazyFree:", 0),
        ("AnonHugePages:", 0),
        ("ShmemPmdMapped:", 0),
        ("FilePmdMapped:", 0),
        ("Shared_Hugetlb:", 0),
        ("Private_Hugetlb:", 0),
        ("Swap:", 0),
        ("SwapPss:", 0),
        ("Locked:", 0),
    ];
    lines.into_iter().try_for_each(|(name, pages)| kib_line(text, name, pages * KIB))
}

/// What a mapping may be, and become, in two letters each.
fn flags(text: &mut Text, vma: &Vma) -> Result<(), Errno> {
    let (is_shared, may_write) = match &vma.backing {
        Backing::Shared(part) => (true, part.mapped.may_write),
        Backing::Vvar => (false, false),
        _ => (false, true),
    };
    let flags = [
        (vma.prot().allows(Prot::READ), "rd "),
        (vma.prot().allows(Prot::WRITE), "wr "),
        (vma.prot().allows(Prot::EXEC), "ex "),
        (is_shared, "sh "),
        (true, "mr "),
        (may_write, "mw "),
        (!matches!(vma.backing, Backing::Vvar), "me "),
        (is_shared, "ms "),
        (vma.marks().has(Marks::GROWS_DOWN), "gd "),
        (vma.marks().has(Marks::LOCKED), "lo "),
        (vma.marks().has(Marks::DONT_FORK), "dc "),
        (vma.marks().has(Marks::WIPE_ON_FORK), "wf "),
        (!is_shared && vma.prot().allows(Prot::WRITE), "ac "),
    ];
    text.add(b"VmFlags: ")?;
    for (_, flag) in flags.into_iter().filter(|(is_so, _)| *is_so) {
        text.add(flag.as_bytes())?;
    }
    text.add(b"\n")
}
