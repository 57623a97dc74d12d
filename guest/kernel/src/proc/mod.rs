//! /proc and /sys: what the kernel tells in files (proc(5), sysfs(5)).
//!
//! A tree of tables (`folder`), whose files are functions that write text. What they tell
//! is so when it is read: nothing is kept, and what has no meaning in a sandbox is what a
//! Linux without it says.
//!
//! | file | what it has |
//! |---|---|
//! | [`folder`] | the tables, and how `fs` finds its way in them |
//! | [`subject`] | the process, task or descriptor that a file is about |
//! | [`root`], [`machine`], [`cpuinfo`], [`sysctl`], [`sysvipc`] | /proc but for processes |
//! | [`process`] | the table of /proc/PID; `status`, `stat`, `maps`, `memory`, `links`, `limits`, `mounts` have its files |
//! | [`sysfs`] | /sys |

pub mod cpuinfo;
pub mod folder;
pub mod limits;
pub mod links;
pub mod machine;
pub mod maps;
pub mod memory;
pub mod mounts;
pub mod process;
pub mod root;
pub mod stat;
pub mod status;
pub mod subject;
pub mod sysctl;
pub mod sysfs;
pub mod sysvipc;

use crate::fs::dentry::Dentry;
use crate::fs::filesystem::FileSystem;
use crate::fs::generated::Node;
use alloc::sync::Arc;
use trapgate_uapi::Errno;

/// Makes /proc's root.
///
/// # Errors
/// ENOMEM.
pub fn proc_root(filesystem: &Arc<FileSystem>) -> Result<Node<Dentry>, Errno> {
    folder::top(filesystem, &root::ROOT)
}

/// Makes /sys's root.
///
/// # Errors
/// ENOMEM.
pub fn sys_root(filesystem: &Arc<FileSystem>) -> Result<Node<Dentry>, Errno> {
    folder::top(filesystem, &sysfs::ROOT)
}
