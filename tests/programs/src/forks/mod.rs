//! Processes that share their memory by copy-on-write, in code of either width: each
//! writes in its turn, and looks before and after whether all pages are as they must
//! be. Only a kernel that is built for tests forks so (`trapgate_abi::test_hook`).

mod counts;
mod script;

pub use counts::count;

use crate::Report;
use script::{AT_FIRST, Act, Before, EXPECTED, Page, SCRIPT, SHARED, SHARED_PAGES, Step, WORDS};
use trapgate_abi::test_hook::{END, FIRST, FORK, FREE_FRAMES};
use trapgate_rt::println;
use trapgate_uapi::Errno;

/// Bytes in a page.
const PAGE: usize = trapgate_abi::layout::PAGE_SIZE as usize;

/// How this width makes its calls, and their numbers.
pub struct Calls {
    /// A call; arguments not given are zero.
    pub call: fn(u32, &[usize]) -> Result<u64, Errno>,
    /// mmap(2), of i386's mmap2.
    pub mmap: u32,
    /// munmap(2)
    pub munmap: u32,
    /// mprotect(2)
    pub mprotect: u32,
    /// mremap(2)
    pub mremap: u32,
    /// madvise(2)
    pub madvise: u32,
    /// read(2)
    pub read: u32,
    /// sched_yield(2)
    pub sched_yield: u32,
    /// clock_getres(2), whose answer has two machine words
    pub clock_getres: u32,
    /// Of so many words in a page one is written and looked at, and the last one: 1,
    /// where the code is not interpreted.
    pub stride: usize,
}

impl Calls {
    fn hook(&self, operation: u64, arguments: &[usize]) -> u64 {
        let number = (FIRST + operation) as u32;
        (self.call)(number, arguments).expect("the kernel is built for tests")
    }

    fn free_frames(&self) -> i64 {
        self.hook(FREE_FRAMES, &[]) as i64
    }

    /// Memory that is read and written: private, or shared.
    fn map(&self, pages: usize, shared: bool) -> usize {
        const ANONYMOUS: usize = 0x20;
        let flags = ANONYMOUS | if shared { 1 } else { 2 };
        let arguments = [0, pages * PAGE, script::RW, flags, usize::MAX, 0];
        (self.call)(self.mmap, &arguments).expect("memory") as usize
    }

    fn unmap(&self, address: usize, pages: usize) {
        (self.call)(self.munmap, &[address, pages * PAGE]).expect("memory of ours");
    }

    /// Waits until the word at an address, which somebody else changes, is so.
    fn wait(&self, address: usize, is: impl Fn(usize) -> bool) {
        while !is(load(address)) {
            (self.call)(self.sched_yield, &[]).expect("it never fails");
        }
    }
}

/// Reads a word of memory that others change, by other names.
fn load(address: usize) -> usize {
    // SAFETY: an address from mmap, aligned, which no Rust object owns.
    unsafe { (address as *const usize).read_volatile() }
}

/// Writes one.
fn store(address: usize, value: usize) {
    // SAFETY: as for `load`.
    unsafe { (address as *mut usize).write_volatile(value) }
}

/// The processes play the script so many times; what is left of the first time is
/// what is left of each further one.
#[inline(never)]
pub fn play(calls: &Calls, rounds: u64) -> i32 {
    let mut report = Report::new();
    let mut frames = None;
    for _ in 0..rounds {
        let memory = Memory::new(calls);
        memory.prepare();
        let failures = memory.play();
        memory.unmap();
        report.equals("what was not as it must be", failures as u64, 0);
        let left = calls.free_frames();
        if let Some(before) = frames.replace(left)
            && before != left
        {
            report.failed(format_args!("{} frames are lost", before - left));
        }
    }
    report.status()
}

/// What the processes have in common.
struct Memory<'a> {
    calls: &'a Calls,
    /// Where the private pages are, in all of them.
    private: usize,
    /// A page for [`Memory::step`] and its like, and the shared pages.
    shared: usize,
}

impl Memory<'_> {
    fn new(calls: &Calls) -> Memory<'_> {
        let private = calls.map(script::RESERVED, false);
        calls.unmap(private + script::PRIVATE * PAGE, script::RESERVED - script::PRIVATE);
        Memory { calls, private, shared: calls.map(1 + SHARED_PAGES, true) }
    }

    fn unmap(&self) {
        self.calls.unmap(self.private, script::RESERVED);
        self.calls.unmap(self.shared, 1 + SHARED_PAGES);
    }

    /// Where the number of the step is whose turn it is.
    fn step(&self) -> usize {
        self.shared
    }

    /// Where the number of the step is whose fork the one who made it has seen.
    fn forked(&self) -> usize {
        self.shared + size_of::<usize>()
    }

    /// Where the number of failures is.
    fn failures(&self) -> usize {
        self.shared + 2 * size_of::<usize>()
    }

    fn address(&self, page: usize) -> usize {
        match page.checked_sub(SHARED) {
            Some(shared) => self.shared + (1 + shared) * PAGE,
            None => self.private + page * PAGE,
        }
    }

    /// What the first process does before the first step.
    fn prepare(&self) {
        for page in 0..script::PRIVATE {
            let Before { written, read, access } = script::before(page);
            if written {
                self.fill(page, AT_FIRST);
            }
            if read {
                load(self.address(page));
            }
            if access != script::RW {
                let arguments = [self.address(page), PAGE, access];
                (self.calls.call)(self.calls.mprotect, &arguments).expect("memory of ours");
            }
        }
    }

    /// The words of a page that are written and looked at.
    fn words(&self) -> impl Iterator<Item = usize> {
        (0..WORDS).step_by(self.calls.stride).chain([WORDS - 1])
    }

    fn fill(&self, page: usize, step: usize) {
        let words = script::Words::Of(step as u8, page as u8);
        for index in self.words() {
            let word = words.word(index);
            store(self.address(page) + index * size_of::<usize>(), word);
        }
    }

    fn failed(&self, what: core::fmt::Arguments<'_>) {
        println!("FAILED: {what}");
        store(self.failures(), load(self.failures()) + 1);
    }

    /// All steps; each process comes here by its fork. Answers the number of failures,
    /// to the first process, which is left.
    fn play(&self) -> usize {
        let mut process = 0;
        for (number, step) in SCRIPT.iter().enumerate() {
            self.calls.wait(self.step(), |turn| turn >= number);
            if step.by != process {
                continue;
            }
            if number > 0 {
                self.look(process, number);
            }
            match step.act {
                Act::Fork(made) if self.fork(number) => process = made,
                Act::Fork(_) => continue,
                Act::End => {
                    self.calls.hook(END, &[self.step(), number + 1]);
                }
                _ => self.act(number, step),
            }
            self.look(process, number + 1);
            store(self.step(), number + 1);
        }
        load(self.failures())
    }

    /// True in the new process, where it is that one's turn; false in the other, which
    /// waits for the end of that.
    fn fork(&self, number: usize) -> bool {
        let is_new = self.calls.hook(FORK, &[]) == 0;
        // From here on the stack is nobody else's, so that frames can be counted.
        touch_stack();
        if is_new {
            self.calls.wait(self.forked(), |step| step == number + 1);
        } else {
            store(self.forked(), number + 1);
        }
        is_new
    }

    fn act(&self, number: usize, step: &Step) {
        let before = self.calls.free_frames();
        self.change(number, step);
        let taken = before - self.calls.free_frames();
        if step.frames.is_some_and(|frames| frames != taken) {
            self.failed(format_args!("step {number} took {taken} frames"));
        }
    }

    fn change(&self, number: usize, step: &Step) {
        let &Step { act, first, count, .. } = step;
        let (address, length) = (self.address(first), count * PAGE);
        let Calls { call, clock_getres, .. } = *self.calls;
        // The resolution is a nanosecond: 0 and 1.
        let copy_out = || call(clock_getres, &[1, address + PAGE - size_of::<usize>()]);
        let answer = match act {
            Act::Write => {
                (first..first + count).for_each(|page| self.fill(page, number));
                Ok(0)
            }
            Act::Read => call(self.calls.read, &[0, address, length]),
            Act::CopyOut => copy_out(),
            Act::Refused => match copy_out() {
                Err(Errno::EFAULT) => Ok(0),
                other => other.and(Err(Errno::EINVAL)),
            },
            Act::Protect(access) => call(self.calls.mprotect, &[address, length, access]),
            Act::Unmap => call(self.calls.munmap, &[address, length]),
            Act::Discard => call(self.calls.madvise, &[address, length, 4]),
            Act::Move(to) => {
                let (may_move_to, to) = (3, self.address(to));
                call(self.calls.mremap, &[address, length, length, may_move_to, to])
            }
            Act::Fork(_) | Act::End | Act::Look => Ok(0),
        };
        let expected = match act {
            Act::Read => length,
            Act::Move(to) => self.address(to),
            _ => 0,
        };
        if answer.map(|answer| answer as usize) != Ok(expected) {
            self.failed(format_args!("step {number} answers {:?}", answer.map_err(Errno::name)));
        }
    }

    /// All pages of a process are as they must be before step `now`.
    fn look(&self, process: usize, now: usize) {
        for (page, expected) in EXPECTED[now][process].iter().enumerate() {
            let &Page { is_there: true, words, copied_out: [first, last] } = expected else {
                continue;
            };
            let address = self.address(page);
            let wrong = |index: &usize| {
                let word = match *index {
                    0 if first => 1,
                    index if last && index == WORDS - 1 => 0,
                    index => words.word(index),
                };
                load(address + index * size_of::<usize>()) != word
            };
            if let Some(index) = self.words().find(wrong) {
                let word = load(address + index * size_of::<usize>());
                self.failed(format_args!(
                    "process {process} finds {word:#x} in page {page}, word {index}, \
                     before step {now}"
                ));
            }
        }
    }
}

/// Writes to the pages of the stack that are used here, and to those around.
#[inline(never)]
fn touch_stack() {
    let mut below = [0u8; 2 * PAGE];
    let start = (&raw mut below) as usize & !(PAGE - 1);
    for page in 0..4 {
        let address = start + page * PAGE;
        // What is above is there: `with_room` is among the callers.
        store(address, load(address));
    }
}

/// Calls `run` with room above it on the stack.
#[inline(never)]
pub fn with_room(run: impl FnOnce() -> i32) -> i32 {
    let room = [0u8; 4 * PAGE];
    let room = core::hint::black_box(&room);
    run() + i32::from(core::hint::black_box(room)[0])
}
