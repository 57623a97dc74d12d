//! Tests of the kernel as a whole, on `arch::fake`: a program's registers go in, its
//! RAX comes out, and the VMM is a closure of the test.
//!
//! One file a room. What one function alone shows is tested beside it.

mod address_space;
mod allocation;
mod boot;
mod clone;
mod epoll;
mod exec;
mod files;
mod fs;
mod futex;
mod mm;
mod process;
mod sched;
mod shm;
mod signal;
mod threads;
mod trace;

use crate::clock::Clock;
use crate::fs::tree;
use crate::futex::table::{TABLE, Table};
use crate::mm::frames::{self, FRAMES};
use crate::mm::object::clean;
use crate::proc::{proc_root, sys_root};
use crate::process::prepare_return::prepare_return;
use crate::process::task::start_first;
use crate::process::{exception, from_host};
use crate::sched::idle;
use crate::sys::table::{SYS_CALL_TABLE_32, SYS_CALL_TABLE_64};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{BootInfo, REGION_STACK, Range, Region, StandardFile, Vdso, feature};
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::Request;
use trapgate_abi::layout::{KERNEL_PHYS_END, USER_STACK_SIZE, USER_STACK_TOP};
use trapgate_abi::x86::selector;
use trapgate_arch::fake::heap::watched;
use trapgate_arch::fake::{self, Halted, Machine};
use trapgate_arch::paging::PageTables;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::stat::{S_IFIFO, S_IFREG};

/// Read-only memory of the program.
const TEXT: u64 = 0x40_0000;
/// Memory that it may write.
const DATA: u64 = 0x60_0000;
/// Where its heap starts.
const HEAP: u64 = 0x80_0000;
/// Bytes of either of the first two.
const SIZE: u64 = 0x1_0000;

/// Physical address of its top page table.
const PAGE_TABLE: u64 = KERNEL_PHYS_END;
/// Where free frames begin.
const FREE: u64 = KERNEL_PHYS_END + 0x1000;

/// A kernel with a program.
struct Sandbox {
    machine: Machine,
}

/// What the VMM says of one with 8 MiB of RAM and two pipes and a file for standard
/// files.
fn boot_info() -> BootInfo {
    let file = |number: u64, flags, kind: u32| StandardFile {
        open: 1,
        flags,
        same_as: number,
        status: FileStatus { mode: kind.into(), ..FileStatus::ZERO },
        ..StandardFile::CLOSED
    };
    let mut boot = BootInfo {
        ram_size: 8 << 20,
        free: [Range { start: FREE, end: 8 << 20 }, Range::ZERO],
        page_table: PAGE_TABLE,
        brk: HEAP,
        files: [file(0, 0, S_IFIFO), file(1, 1, S_IFIFO), file(2, 2, S_IFREG)],
        region_count: 3,
        // Where the kernel's image would be.
        vdso: [
            Vdso { start: 0x9_0000, end: 0x9_1000, vsyscall: 0, landing_pad: 0x80 },
            Vdso { start: 0x9_1000, end: 0x9_2000, vsyscall: 0x40, landing_pad: 0x90 },
        ],
        seed: [1, 2, 3, 4, 5],
        ..BootInfo::NONE
    };
    boot.regions[0] = Region { start: TEXT, end: TEXT + SIZE, flags: 5 };
    boot.regions[1] = Region { start: DATA, end: DATA + SIZE, flags: 3 };
    let bottom = USER_STACK_TOP - USER_STACK_SIZE;
    boot.regions[2] = Region { start: bottom, end: USER_STACK_TOP, flags: REGION_STACK | 3 };
    boot
}

impl Sandbox {
    fn new() -> Sandbox {
        Sandbox::boot(boot_info())
    }

    fn boot(boot: BootInfo) -> Sandbox {
        let machine = Machine::new(boot.ram_size.max(boot.root.end));
        machine.set_page_table(boot.page_table);
        machine.set_page_fault(|address, error_code| {
            exception::page_fault_of_kernel(&PtRegs::default(), address, error_code)
        });
        let boot = Box::leak(Box::new(boot));
        FRAMES.lock().init(boot.free, boot.features & feature::INTERPRETED != 0);
        *TABLE.lock() = Table::new();
        clean::forget();
        tree::init([proc_root, sys_root]);
        idle::init(Clock::new(boot.clock), from_host::signal, frames::tidy);
        start_first(boot, tables()).expect("memory for the first task");
        Sandbox { machine }
    }

    /// A call of x86-64's.
    fn call(&self, number: u32, arguments: [u64; 6]) -> Result<u64, Errno> {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let regs = PtRegs { rdi, rsi, rdx, r10, r8, r9, ..self.registers(number) };
        from_return(self.enter(regs, SYS_CALL_TABLE_64[number as usize]))
    }

    /// A call of i386's; the result has 32 bits.
    fn call_32(&self, number: u32, arguments: [u32; 6]) -> Result<u32, Errno> {
        let [rbx, rcx, rdx, rsi, rdi, rbp] = arguments.map(u64::from);
        let regs = PtRegs { rbx, rcx, rdx, rsi, rdi, rbp, ..self.registers(number) };
        let eax = self.enter(regs, SYS_CALL_TABLE_32[number as usize]) as u32;
        from_return(eax as i32 as u64).map(|_| eax)
    }

    fn registers(&self, number: u32) -> PtRegs {
        PtRegs {
            orig_rax: number.into(),
            rax: Errno::ENOSYS.number().wrapping_neg(),
            rip: TEXT,
            cs: selector::USER_CS.into(),
            ss: selector::USER_DS.into(),
            ..PtRegs::default()
        }
    }

    /// Comes in by a door.
    fn enter(&self, mut regs: PtRegs, handler: crate::sys::table::Handler) -> u64 {
        percpu::count!(syscall64_native, 1);
        let (rax, locked) = watched(|| FRAMES.is_locked(), || handler(&regs));
        assert_eq!(locked, 0, "blocks were taken with the frames locked: the heap would wait");
        regs.rax = rax;
        prepare_return(&mut regs);
        regs.rax
    }

    /// The same of a call after which the program does not go on: the last thing
    /// that the VMM is asked.
    fn last_call(&self, number: u32, arguments: [u64; 6]) -> Request {
        self.end_of(|| {
            let result = self.call(number, arguments);
            panic!("the program goes on with {result:?}")
        })
    }

    /// What the VMM is asked last, when this ends the program.
    fn end_of(&self, code: impl FnOnce()) -> Request {
        self.machine.requests();
        let Err(Halted) = self.machine.run(code) else { panic!("the program goes on") };
        self.machine.requests().pop().expect("a last request")
    }

    /// The program stores bytes, and its page faults are served.
    fn store(&self, address: u64, bytes: &[u8]) {
        for (address, &byte) in (address..).zip(bytes) {
            while let Err(fault) = fake::user::store(address, byte) {
                self.page_fault(fault);
            }
        }
    }

    /// The program loads bytes.
    fn load<const N: usize>(&self, address: u64) -> [u8; N] {
        core::array::from_fn(|index| {
            loop {
                match fake::user::load(address + index as u64) {
                    Ok(byte) => return byte,
                    Err(fault) => self.page_fault(fault),
                }
            }
        })
    }

    fn load_word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.load(address))
    }

    fn page_fault(&self, fault: fake::user::PageFault) {
        let mut regs = PtRegs { orig_rax: fault.error_code, ..self.registers(0) };
        exception::page_fault(&mut regs, fault.address);
        prepare_return(&mut regs);
    }
}

/// Tables that say nothing yet, at [`PAGE_TABLE`].
fn tables() -> PageTables {
    fake::page_tables(PAGE_TABLE, false)
}

/// Frames that nobody has.
fn free_frames() -> u64 {
    FRAMES.lock().available()
}
