//! The program: put into memory here, or left to the kernel, which then finds its path,
//! its arguments and its environment.

use super::{Builder, Start, minsigstksz, prot_bits, user_flags};
use crate::Error;
use crate::boot::page_tables::PageTables;
use crate::boot::vdso::Vdso;
use crate::boot::vdso::place::Placed;
use std::ops;
use trapgate_abi::boot_info::{BootInfo, Parts, REGION_STACK, REGION_ZERO, Range, Region};
use trapgate_abi::layout::{PAGE_SIZE, USER_END32, USER_STACK_SIZE, USER_STACK_TOP};
use trapgate_loader::image::{Class, Image, Prot};
use trapgate_loader::stack::{self, AuxValues, InitialStack, StackRequest, Strings, WordSize};

/// Stack mapped below what the VMM has put there, in bytes: what a program
/// uses before it does anything of its own.
const STACK_AHEAD: u64 = 32 << 10;

/// Who loads the program.
#[derive(Clone, Copy)]
pub enum Load<'a> {
    /// The VMM.
    Here {
        /// What must be in memory of it.
        image: &'a Image,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The kernel, out of the root: [`Start::execfn`] is its path there.
    InRoot,
}

/// What is to be in memory of it.
pub(super) struct Program<'a> {
    load: Option<Loaded<'a>>,
    strings: &'a Strings,
    execfn: &'a [u8],
}

/// A program that is loaded here.
struct Loaded<'a> {
    image: &'a Image,
    bytes: &'a [u8],
    vdso: Option<Placed>,
    stack: InitialStack<'a>,
    stack_top: u64,
}

impl<'a> Program<'a> {
    pub(super) fn new(start: &Start<'a>, strings: &'a Strings) -> Result<Program<'a>, Error> {
        let load = match start.load {
            Load::Here { image, bytes } => Some(Loaded::new(image, bytes, start, strings)?),
            Load::InRoot => None,
        };
        Ok(Program { load, strings, execfn: start.execfn })
    }

    /// What it takes of memory, in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.load {
            Some(loaded) => loaded.size(),
            None => (self.execfn.len() + 1 + self.strings.bytes.len()) as u64,
        }
    }

    /// What was added to its addresses, if that is known.
    pub(super) fn load_bias(&self) -> Option<u64> {
        self.load.as_ref().map(|loaded| loaded.image.load_bias)
    }
}

impl<'a> Loaded<'a> {
    fn new(
        image: &'a Image,
        bytes: &'a [u8],
        start: &Start<'a>,
        strings: &'a Strings,
    ) -> Result<Loaded<'a>, Error> {
        let (stack_top, word, platform) = match image.class {
            Class::Elf64 => (USER_STACK_TOP, WordSize::W64, "x86_64"),
            Class::Elf32 => (USER_END32, WordSize::W32, "i686"),
        };
        let vdso = Placed::new(Vdso::new(image.class, start.fast_door)?, image);
        let [first, second, ..] = start.seed;
        let stack = stack::build(&StackRequest {
            top: stack_top,
            word,
            strings,
            execfn: start.execfn,
            random: (u128::from(first) << 64 | u128::from(second)).to_le_bytes(),
            platform,
            auxv: AuxValues {
                phdr: image.phdr_addr,
                phent: image.phdr_entry_size.into(),
                phnum: image.phdr_count.into(),
                entry: image.entry,
                hwcap: start.hwcap,
                hwcap2: start.hwcap2,
                minsigstksz: Some(minsigstksz::size(start.xcr0)),
                sysinfo: vdso.as_ref().and_then(Placed::vsyscall),
                sysinfo_ehdr: vdso.as_ref().map(Placed::base),
                ..AuxValues::default()
            },
        })?;
        Ok(Loaded { image, bytes, vdso, stack, stack_top })
    }

    /// What is where.
    fn parts(&self, strings: &Strings) -> Parts {
        let range = |range: ops::Range<u64>| Range { start: range.start, end: range.end };
        let [_, (start, bytes), _] = self.stack.pieces();
        let middle = start + strings.argv_length();
        Parts {
            arguments: Range { start, end: middle },
            environment: Range { start: middle, end: start + bytes.len() as u64 },
            auxv: range(self.stack.auxv()),
            code: range(self.image.code()),
            data: range(self.image.data()),
            stack: self.stack.pointer,
        }
    }

    fn size(&self) -> u64 {
        let lent = self.vdso.as_ref().map_or(0, Placed::size);
        self.image.memory_size() + lent + self.stack_top - self.stack.pointer + STACK_AHEAD
    }
}

/// The name that a program gets of its path: what is behind the last slash, 15 bytes of
/// it (Linux: `begin_new_exec`).
fn comm(path: &[u8]) -> [u64; 2] {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name[..length]);
    let bits = u128::from_le_bytes(bytes);
    [bits as u64, (bits >> 64) as u64]
}

impl Builder<'_> {
    /// The program, and what the boot information says of it: mapped, or as words for
    /// the kernel.
    pub(super) fn program(
        &mut self,
        tables: &mut PageTables<'_>,
        program: &Program<'_>,
        info: &mut BootInfo,
    ) -> Option<()> {
        let Some(loaded) = &program.load else { return self.words(program, info) };
        self.segments(tables, loaded)?;
        self.vdso(tables, loaded.vdso.as_ref())?;
        self.stack(tables, loaded)?;
        info.compat = (loaded.image.class == Class::Elf32).into();
        info.landing_pad = loaded.vdso.as_ref().map_or(0, Placed::landing_pad);
        info.entry = loaded.image.entry;
        info.stack_pointer = loaded.stack.pointer;
        info.brk = loaded.image.brk;
        info.parts = loaded.parts(program.strings);
        info.comm = comm(program.execfn);
        Some(())
    }

    /// Its path, arguments and environment, in a row.
    fn words(&mut self, program: &Program<'_>, info: &mut BootInfo) -> Option<()> {
        let Program { strings, execfn, .. } = program;
        let start = self.frames.take(program.size())?;
        // The NUL behind the path is there.
        let behind = start + execfn.len() as u64 + 1;
        self.ram.write(start, execfn).ok()?;
        self.ram.write(behind, &strings.bytes).ok()?;
        info.exec = Range { start, end: start + program.size() };
        (info.argc, info.envc) = (strings.argc as u64, strings.envc as u64);
        Some(())
    }

    /// Its segments, copied.
    fn segments(&mut self, tables: &mut PageTables<'_>, loaded: &Loaded<'_>) -> Option<()> {
        for segment in &loaded.image.segments {
            let length = segment.end - segment.start;
            let physical = self.frames.take(length)?;
            self.ram.write(physical, segment.bytes(loaded.bytes)).ok()?;
            let flags = user_flags(segment.prot);
            tables.map(segment.start, physical, length, flags, false, &mut self.frames)?;
            let flags = prot_bits(segment.prot);
            let (start, end) = (segment.start, segment.end);
            let of_file = segment.end_of_file().next_multiple_of(PAGE_SIZE).min(end);
            let (file, zero) = ((start, of_file, 0), (of_file, end, REGION_ZERO));
            for (start, end, kind) in [file, zero].into_iter().filter(|(start, end, _)| start < end)
            {
                self.regions.push(Region { start, end, flags: flags | kind });
            }
        }
        Some(())
    }

    /// The stack: its top mapped and filled.
    fn stack(&mut self, tables: &mut PageTables<'_>, loaded: &Loaded<'_>) -> Option<()> {
        let (top, stack) = (loaded.stack_top, &loaded.stack);
        let prot = Prot { read: true, write: true, exec: loaded.image.exec_stack };
        let length = (top - stack.pointer + STACK_AHEAD).next_multiple_of(PAGE_SIZE);
        let physical = self.frames.take(length)?;
        let start = top - length;
        for (address, bytes) in stack.pieces() {
            self.ram.write(physical + (address - start), bytes).ok()?;
        }
        tables.map(start, physical, length, user_flags(prot), false, &mut self.frames)?;
        self.regions.push(Region {
            start: top - USER_STACK_SIZE,
            end: top,
            flags: prot_bits(prot) | REGION_STACK,
        });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::kernel::PLAIN;
    use crate::boot::mitigation::Hardening;
    use crate::boot::vdso::FastDoor;
    use crate::boot::{Mounted, prepare};
    use crate::machine::memory::GuestRam;
    use trapgate_abi::boot_info::{Mount, User};
    use trapgate_abi::hypercall::files::Handle;

    #[test]
    fn of_a_program_in_the_root_the_kernel_gets_path_arguments_and_environment() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let words = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        let (argv, envp) = (words(&["prog", "", "-v"]), words(&["A=1"]));
        let start = Start {
            name: "probe",
            execfn: b"/bin/prog",
            load: Load::InRoot,
            argv: &argv,
            envp: &envp,
            seed: [9, 8, 7, 6, 5],
            random_stock: &[],
            hwcap: 1,
            hwcap2: 2,
            xcr0: 0,
            features: 0,
            cpus: 1,
            root: Range::ZERO,
            program: None,
            disk: 0,
            dense: false,
            directory: b"",
            user: User::ROOT,
            mounts: &[],
            fast_door: FastDoor::Int80,
            log_level: 0,
            ignored_signals: 0,
            stamps: 0,
            traced: false,
            hardening: Hardening::NONE,
        };
        let prepared = prepare(&ram, PLAIN, &start).unwrap();
        let info = prepared.info;
        let mut bytes = vec![0; info.exec.len() as usize];
        ram.read(info.exec.start, &mut bytes).unwrap();
        assert_eq!(bytes, b"/bin/prog\0prog\0\0-v\0A=1\0");
        assert_eq!((info.argc, info.envc, info.seed), (3, 1, [9, 8, 7, 6, 5]));
        assert_eq!((info.region_count, info.entry, info.hwcap, info.hwcap2), (0, 0, 1, 2));
        assert!(info.exec.end <= info.free[0].start);
    }

    #[test]
    fn the_kernel_finds_where_directories_of_the_hosts_are() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let mounted = |handle, access, path: &str| Mounted {
            handle: Handle(handle),
            access,
            path: path.as_bytes().to_vec(),
        };
        let mounts = [mounted(7, 2, "/"), mounted(8, 0, "/data"), mounted(9, 1, "/data/rw")];
        let start = Start {
            name: "probe",
            execfn: b"/bin/prog",
            load: Load::InRoot,
            argv: &[],
            envp: &[],
            seed: [0; 5],
            random_stock: &[],
            hwcap: 0,
            hwcap2: 0,
            xcr0: 0,
            features: 0,
            cpus: 1,
            root: Range::ZERO,
            program: None,
            disk: 0,
            dense: false,
            directory: b"",
            user: User::ROOT,
            mounts: &mounts,
            fast_door: FastDoor::Int80,
            log_level: 0,
            ignored_signals: 0,
            stamps: 0,
            traced: false,
            hardening: Hardening::NONE,
        };
        let info = prepare(&ram, PLAIN, &start).unwrap().info;
        assert_eq!(info.mount_count, 3);
        for (mount, expected) in info.mounts.iter().zip(&mounts) {
            let mut path = vec![0; mount.path.len() as usize];
            ram.read(mount.path.start, &mut path).unwrap();
            assert_eq!(path, expected.path);
            assert_eq!((Handle(mount.handle), mount.access), (expected.handle, expected.access));
            assert!(mount.path.end <= info.free[0].start);
        }
        assert_eq!(info.mounts[3], Mount::NONE);
    }

    #[test]
    fn both_vdsos_are_there_for_programs_that_the_kernel_loads() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let start = Start {
            name: "probe",
            execfn: b"/bin/prog",
            load: Load::InRoot,
            argv: &[],
            envp: &[],
            seed: [0; 5],
            random_stock: &[],
            hwcap: 0,
            hwcap2: 0,
            xcr0: 0,
            features: 0,
            cpus: 1,
            root: Range::ZERO,
            program: None,
            disk: 0,
            dense: false,
            directory: b"",
            user: User::ROOT,
            mounts: &[],
            fast_door: FastDoor::Syscall,
            log_level: 0,
            ignored_signals: 0,
            stamps: 0,
            traced: false,
            hardening: Hardening::NONE,
        };
        let info = prepare(&ram, PLAIN, &start).unwrap().info;
        for (class, lent) in [Class::Elf64, Class::Elf32].into_iter().zip(info.vdso) {
            let vdso = Vdso::new(class, FastDoor::Syscall).unwrap();
            assert_eq!((lent.start % PAGE_SIZE, lent.end % PAGE_SIZE), (0, 0));
            let mut bytes = vec![0; vdso.bytes.len()];
            ram.read(lent.start, &mut bytes).unwrap();
            assert_eq!(bytes, vdso.bytes);
            assert_eq!(lent.vsyscall, vdso.vsyscall.unwrap_or(0));
            assert_eq!(lent.landing_pad, vdso.landing_pad);
            assert!(lent.end <= info.free[0].start);
        }
    }
}
