//! linux/membarrier.h: commands of membarrier(2), which are bits of what its query answers.

/// Which there are.
pub const MEMBARRIER_CMD_QUERY: u32 = 0;
/// All threads of the system.
pub const MEMBARRIER_CMD_GLOBAL: u32 = 1 << 0;
/// Those of processes that have registered for it.
pub const MEMBARRIER_CMD_GLOBAL_EXPEDITED: u32 = 1 << 1;
/// Registers for that.
pub const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: u32 = 1 << 2;
/// Those of this process.
pub const MEMBARRIER_CMD_PRIVATE_EXPEDITED: u32 = 1 << 3;
/// Registers for that.
pub const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: u32 = 1 << 4;
/// The same, and code that was changed is seen.
pub const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: u32 = 1 << 5;
/// Registers for that.
pub const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: u32 = 1 << 6;

/// All of the above: a Linux without restartable sequences.
pub const MEMBARRIER_COMMANDS: u32 = (1 << 7) - 1;
