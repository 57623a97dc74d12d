//! Processes and their tasks: what is theirs, what an exception does to them, how
//! they end, and what is done before ring 3 goes on.

pub mod clone;
pub mod cpu;
pub mod cpu_use;
pub mod credentials;
pub mod exception;
pub mod exec;
pub mod exit;
pub mod from_host;
pub mod habits;
pub mod limits;
pub mod numbers;
pub mod prepare_return;
pub mod program;
pub mod program_file;
pub mod random_stock;
pub mod scheduling;
pub mod segments;
pub mod send;
pub mod signals;
pub mod sigreturn;
pub mod task;
#[cfg(feature = "test-hook")]
pub mod test_hook;
pub mod timers;
pub mod user_state;
pub mod utsname;
pub mod write_back;
