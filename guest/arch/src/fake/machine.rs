//! What a test makes, sets and asks: the machine under the kernel.

use super::switch::Baton;
use super::{FLOOR, direct, floor, heap};
use crate::percpu::PerCpu;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::ptr::null_mut;
use core::sync::atomic::Ordering;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trapgate_abi::hypercall::files::{GIVEN_BACK, MAX_GIVEN_BACK};
use trapgate_abi::hypercall::{self, FileRequest, Message, Request, Segment};
use trapgate_abi::layout::{Cpu, DIRECT_MAP, PAGE_SIZE, PERCPU_BASE, percpu};
use trapgate_abi::trace::{RECORD_WORDS, RING_SIZE, Record, RecordId, Tracing};
use trapgate_uapi::Errno;

/// A page of RAM.
#[repr(C, align(4096))]
pub(super) struct Page(UnsafeCell<[u64; PAGE_SIZE as usize / 8]>);

/// Answers a request: its segments, and the message, in which it may leave data
/// behind the first word.
type Vmm = Box<dyn FnMut(Request, &[Segment], &mut Message) -> Result<u64, Errno>>;

/// What the functions of the floor reach.
pub(super) struct Floor {
    pub(super) ram: Box<[Page]>,
    pub(super) msrs: RefCell<BTreeMap<u32, u64>>,
    /// CR3
    pub(super) root: Cell<u64>,
    /// CR2
    pub(super) fault_address: Cell<u64>,
    pub(super) tsc: Rc<Cell<u64>>,
    /// Leaf entries that the CPU has walked to, by page.
    pub(super) tlb: RefCell<BTreeMap<u64, u64>>,
    /// Leaf tables that it has walked to, by the number of the large page.
    pub(super) tables: RefCell<BTreeMap<u64, u64>>,
    /// Pages forgotten one by one, and how often all were.
    pub(super) flushes: Cell<[u64; 2]>,
    /// The kernel's answer to a page fault of its own.
    pub(super) page_fault: Cell<fn(u64, u64) -> bool>,
    /// XMM0
    pub(super) fpu: Cell<u64>,
    /// How often the registers were saved, and loaded.
    pub(super) fpu_moves: Cell<[u64; 2]>,
    /// DS, ES, FS and GS.
    pub(super) selectors: Cell<[u16; 4]>,
    /// The first thread's baton.
    pub(super) first: Mutex<Option<Arc<Baton>>>,
    vmm: RefCell<Vmm>,
    requests: RefCell<Vec<Request>>,
    given_back: RefCell<Vec<u64>>,
}

impl Floor {
    /// CR3 is loaded: nothing is known of what it was before.
    pub(super) fn set_root(&self, root: u64) {
        self.root.set(root);
        self.tlb.borrow_mut().clear();
        self.tables.borrow_mut().clear();
    }

    /// The VMM's side of an OUT.
    pub(super) fn exit(&self) {
        heap::aside(|| self.serve());
    }

    fn serve(&self) {
        let address: *mut Message = direct(Cpu::FIRST.host_call_phys());
        // SAFETY: the page is in RAM, and whoever filled it in waits.
        let message = unsafe { &mut *address };
        let request = Request::decode(message).expect("a request that the VMM understands");
        let segments: Vec<Segment> = match request {
            Request::Write { .. }
            | Request::Read { .. }
            | Request::ReadAt { .. }
            | Request::Random
            | Request::Discard
            | Request::File(
                FileRequest::Walk { .. }
                | FileRequest::List { .. }
                | FileRequest::ReadLink { .. }
                | FileRequest::Open { .. }
                | FileRequest::Get { .. }
                | FileRequest::Make { .. }
                | FileRequest::Put { .. },
            ) => hypercall::segments(message).unwrap().collect(),
            _ => Vec::new(),
        };
        self.requests.borrow_mut().push(request);
        let list = direct::<u64>(Cpu::FIRST.host_call_phys()).wrapping_add(GIVEN_BACK);
        // SAFETY: the list is in the same page.
        let given_back = unsafe {
            let count = list.replace(0) as usize;
            assert!(count <= MAX_GIVEN_BACK, "{count} handles");
            std::slice::from_raw_parts(list.wrapping_add(1), count)
        };
        self.given_back.borrow_mut().extend(given_back);
        let answer = (self.vmm.borrow_mut())(request, &segments, message);
        message[0] = trapgate_uapi::errno::to_return(answer);
    }
}

/// What a thread unwinds with when its CPU halts for good.
#[derive(Debug)]
pub struct Halted;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A machine with one CPU, as the VMM leaves it to the kernel.
pub struct Machine {
    floor: Box<Floor>,
    _only: MutexGuard<'static, ()>,
}

impl Machine {
    /// A machine with so much RAM, all zero but for the CPU's block, and a VMM
    /// that knows no answer but to give memory back.
    pub fn new(ram_size: u64) -> Machine {
        let only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = (0..ram_size / PAGE_SIZE).map(|_| Page(UnsafeCell::new([0; 512])));
        let floor = Box::new(Floor {
            ram: pages.collect(),
            msrs: RefCell::default(),
            root: Cell::new(0),
            fault_address: Cell::new(0),
            tsc: Rc::default(),
            tlb: RefCell::default(),
            tables: RefCell::default(),
            flushes: Cell::new([0; 2]),
            page_fault: Cell::new(|_, _| false),
            fpu: Cell::new(0),
            fpu_moves: Cell::new([0; 2]),
            selectors: Cell::new([0; 4]),
            first: Mutex::new(None),
            vmm: RefCell::new(Box::new(|_, _, _| Err(Errno::ENOSYS))),
            requests: RefCell::default(),
            given_back: RefCell::default(),
        });
        FLOOR.store((&raw const *floor).cast_mut(), Ordering::Release);
        // The block is where the layout says, but addresses that the kernel is to
        // follow are those of the fake's memory.
        let cpu = Cpu::FIRST;
        let at = |physical| direct::<u8>(physical) as u64;
        let (host_page, log_ring) = (at(cpu.host_call_phys()), at(cpu.log_ring_phys()));
        let tracing = at(cpu.tracing_phys());
        let block = PerCpu { host_page, log_ring, tracing, ..PerCpu::new(cpu) };
        debug_assert!(block.syscall_stack > PERCPU_BASE && PERCPU_BASE > DIRECT_MAP);
        // SAFETY: the block has its place in RAM.
        unsafe { direct::<PerCpu>(cpu.area_phys() + percpu::BLOCK).write(block) };
        Machine { floor, _only: only }
    }

    /// Loads CR3.
    pub fn set_page_table(&self, root: u64) {
        self.floor.set_root(root);
    }

    /// Says who serves page faults of the kernel's own, by address and error
    /// code, and whether the access may be tried again.
    pub fn set_page_fault(&self, serve: fn(u64, u64) -> bool) {
        self.floor.page_fault.set(serve);
    }

    /// Says what the VMM answers from now on.
    pub fn set_vmm(
        &self,
        vmm: impl FnMut(Request, &[Segment], &mut Message) -> Result<u64, Errno> + 'static,
    ) {
        *self.floor.vmm.borrow_mut() = Box::new(vmm);
    }

    /// The requests since the last time that this was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.floor.requests.take()
    }

    /// Sets the time-stamp counter.
    pub fn set_tsc(&self, tsc: u64) {
        self.floor.tsc.set(tsc);
    }

    /// Reserves a ring of trace records at a physical address, for [`TraceRing`].
    pub fn set_trace_ring(&self, physical: u64) {
        let _ = direct::<u8>(physical + RING_SIZE);
        TraceRing::set(&Tracing::new(0, direct::<u8>(physical) as u64));
    }

    /// The time-stamp counter, for a VMM that sets it.
    pub fn tsc(&self) -> Rc<Cell<u64>> {
        self.floor.tsc.clone()
    }

    /// How often such registers were saved, and how often loaded.
    pub fn fpu_moves(&self) -> [u64; 2] {
        self.floor.fpu_moves.get()
    }

    /// TLB entries forgotten one by one, and how often all were.
    pub fn flushes(&self) -> [u64; 2] {
        self.floor.flushes.get()
    }

    /// Runs kernel code that may end with the CPU halted.
    ///
    /// # Errors
    /// [`Halted`].
    pub fn run<R>(&self, code: impl FnOnce() -> R) -> Result<R, Halted> {
        panic::catch_unwind(AssertUnwindSafe(code)).map_err(|reason| {
            match reason.downcast::<Halted>() {
                Ok(halted) => *halted,
                Err(reason) => panic::resume_unwind(reason),
            }
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        FLOOR.store(null_mut(), Ordering::Release);
    }
}

/// The handles that were given back since the last time that this was asked.
pub fn given_back() -> Vec<u64> {
    floor().given_back.take()
}

/// The VMM's side of the CPU's ring of trace records.
pub struct TraceRing;

impl TraceRing {
    fn words() -> *mut Tracing {
        direct(Cpu::FIRST.tracing_phys())
    }

    fn set(tracing: &Tracing) {
        // SAFETY: the words have their place in RAM, and no kernel code runs now.
        unsafe { TraceRing::words().write(*tracing) };
    }

    /// Takes the records that are there, and answers how many were lost so far.
    pub fn take() -> (Vec<Record>, u64) {
        // SAFETY: as above.
        let mut tracing = unsafe { TraceRing::words().read() };
        let records = (tracing.taken..tracing.next).map(|id| {
            let slot = RecordId(id).slot() as usize;
            let ring = tracing.ring as *const [u64; RECORD_WORDS];
            // SAFETY: `set_trace_ring` has looked that the slots are in RAM.
            let words = unsafe { ring.wrapping_add(slot).read() };
            Record::from_words(&words).expect("the kernel writes records")
        });
        let records = records.collect();
        tracing.taken = tracing.next;
        TraceRing::set(&tracing);
        (records, tracing.lost)
    }
}

/// XMM0, which stands for all such registers.
pub fn xmm0() -> u64 {
    floor().fpu.get()
}

/// Sets it.
pub fn set_xmm0(value: u64) {
    floor().fpu.set(value);
}

/// Sets the time-stamp counter.
pub fn set_tsc(value: u64) {
    floor().tsc.set(value);
}

/// Fills a piece of RAM, as the VMM does: as many bytes as there are, at most.
pub fn fill(segment: &Segment, bytes: &[u8]) -> u64 {
    let first: *mut u8 = direct(segment.address);
    let length = bytes.len().min(segment.length as usize);
    let _ = direct::<u8>(segment.address + length as u64);
    // SAFETY: both ends are in RAM.
    unsafe { first.copy_from_nonoverlapping(bytes.as_ptr(), length) };
    length as u64
}

/// The bytes of a piece of RAM, as the VMM sees them.
pub fn bytes_of(segment: &Segment) -> Vec<u8> {
    let first: *const u8 = direct(segment.address);
    let _ = direct::<u8>(segment.address + segment.length);
    let mut bytes = vec![0; segment.length as usize];
    // SAFETY: both ends are in RAM.
    unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(first, bytes.len()) };
    bytes
}
