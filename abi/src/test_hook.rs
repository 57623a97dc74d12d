//! What a kernel that is built for tests answers besides (its feature `test-hook`), and
//! no other: calls with numbers that Linux has not, for programs that want threads
//! before there is clone(2).

/// The first such number, in either width.
pub const FIRST: u64 = 0x7e57_0000;

/// A thread of this process: where it begins, its stack pointer, and an argument, in
/// RDI or EBX. It ends by exit(2).
pub const THREAD: u64 = 0;
/// Two threads of the kernel's hand a turn back and forth, as often as the argument
/// says. Answers how often.
pub const KERNEL_THREADS: u64 = 1;
