//! x86-64: start code, the door of SYSCALL, the door of INT 0x80.

pub mod int80;
#[cfg(target_os = "none")]
mod start;
pub mod syscall64;
