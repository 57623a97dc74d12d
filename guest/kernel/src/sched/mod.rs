//! Threads: which runs, which could, and what each waits for.
//!
//! Below what is a process's: a [`thread::Thread`] is all that is known here. The
//! kernel is not preempted, and has interrupts off: between two calls of this room
//! nobody else runs.

//!
//! | file | what it has |
//! |---|---|
//! | [`thread`] | a thread, and what it does |
//! | [`share`], [`cpu_time`] | how much of the CPU it gets, and has had |
//! | [`queue`], [`switch`] | who is ready; from one to another |
//! | [`preempt`] | that one who computes does not keep the CPU |
//! | [`wait`], [`wait_queue`] | waiting, of which every call that blocks is made |
//! | [`idle`] | the loop that waits for the host, and where its events come in |
//! | [`watch`], [`timers`] | what is waited for: files of the host's, times; what rooms above are told of in time |
//! | [`tick`] | asking for an interrupt |

pub mod cpu_time;
pub mod idle;
pub mod preempt;
pub mod queue;
pub mod registers;
pub mod share;
pub mod switch;
pub mod thread;
pub mod tick;
pub mod timers;
pub mod wait;
pub mod wait_queue;
pub mod watch;
