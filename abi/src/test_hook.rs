//! What a kernel that is built for tests answers besides (its feature `test-hook`), and
//! no other: calls with numbers that Linux has not, for programs that want threads
//! and copies of themselves before there is clone(2).

/// The first such number, in either width.
pub const FIRST: u64 = 0x7e57_0000;

/// A thread of this process: where it begins, its stack pointer, and an argument, in
/// RDI or EBX. It ends by exit(2).
pub const THREAD: u64 = 0;
/// Two threads of the kernel's hand a turn back and forth, as often as the argument
/// says. Answers how often.
pub const KERNEL_THREADS: u64 = 1;
/// As fork(2), but that the copy has only the standard files. Answers the copy's number,
/// and in the copy 0. It ends by [`END`].
pub const FORK: u64 = 2;
/// The process that [`FORK`] made ends, which is the running one. Before anybody else
/// runs, the second argument is stored at the address that is the first, as a `u32`.
pub const END: u64 = 3;
/// How many frames are free.
pub const FREE_FRAMES: u64 = 4;
