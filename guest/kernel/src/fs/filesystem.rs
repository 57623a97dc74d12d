//! A file system: what stat(2), statfs(2) and limits say of all its files.

use crate::clock::Clock;
use crate::fs::lower::Lower;
use crate::memory::try_arc;
use crate::mm::object::Quota;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{CLOCK_REALTIME, Timespec};

/// What kind of file system it is: what statfs(2) and /proc/mounts call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// Its name.
    pub name: &'static str,
    /// `f_type` of statfs(2).
    pub magic: u64,
}

/// Where what is in a file system is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// In memory.
    Here,
    /// Nowhere: it is read-only.
    Nowhere,
    /// On the host, which is asked (`host`).
    There,
}

/// What [`FileSystem::may_change`] answers where the host has to be asked: whoever gets it
/// does so, and no program ever sees it.
pub const ASK_THE_HOST: Errno = Errno::EREMOTE;

/// A file system.
pub struct FileSystem {
    /// `st_dev`.
    pub device: u64,
    /// Its kind.
    pub kind: Type,
    /// Where it is changed.
    pub changed: Changed,
    /// Who knows how much room there is, if that is not what is counted here.
    pub space: Option<Arc<dyn Lower>>,
    /// Held while names in it come, go or move: one change at a time.
    pub changes: Mutex<()>,
    /// Frames that its files have.
    pub frames: Arc<Quota>,
    clock: Clock,
    /// The number of the last inode that was made: above those of what is below.
    number: AtomicU64,
    nodes: AtomicU64,
    most_nodes: u64,
}

/// How much there may be in a file system.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Frames of its files.
    pub frames: u64,
    /// Inodes.
    pub nodes: u64,
}

impl FileSystem {
    /// One without a file. Numbers up to the last one are those of what is below.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(
        device: u64,
        kind: Type,
        clock: Clock,
        limits: Limits,
        last_number: u64,
    ) -> Result<Arc<FileSystem>, Errno> {
        try_arc(FileSystem {
            device,
            kind,
            changed: Changed::Here,
            space: None,
            changes: Mutex::new(()),
            frames: try_arc(Quota::new(limits.frames))?,
            clock,
            number: AtomicU64::new(last_number),
            nodes: AtomicU64::new(0),
            most_nodes: limits.nodes,
        })
    }

    /// One which is somebody else's, in which nothing is changed here, and who is asked how
    /// much room there is, if that is known.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn of_another(
        device: u64,
        kind: Type,
        clock: Clock,
        limits: Limits,
        (changed, space): (Changed, Option<Arc<dyn Lower>>),
    ) -> Result<Arc<FileSystem>, Errno> {
        let mut filesystem = FileSystem::new(device, kind, clock, limits, u64::MAX)?;
        if let Some(filesystem) = Arc::get_mut(&mut filesystem) {
            (filesystem.changed, filesystem.space) = (changed, space);
        }
        Ok(filesystem)
    }

    /// Whether what is in it can be changed here.
    ///
    /// # Errors
    /// EROFS; [`ASK_THE_HOST`].
    #[inline]
    pub fn may_change(&self) -> Result<(), Errno> {
        match self.changed {
            Changed::Here => Ok(()),
            Changed::Nowhere => Err(Errno::EROFS),
            Changed::There => Err(ASK_THE_HOST),
        }
    }

    /// Whether nothing in it can be changed.
    pub fn is_read_only(&self) -> bool {
        self.changed == Changed::Nowhere
    }

    /// What time its files are told it is.
    #[inline]
    pub fn now(&self) -> Timespec {
        Timespec::from_ns(self.clock.realtime())
    }

    /// When the sandbox started.
    pub fn start(&self) -> Timespec {
        Timespec::from_ns(self.clock.base(CLOCK_REALTIME).unwrap_or(0))
    }

    /// Counts one more inode.
    ///
    /// # Errors
    /// ENOSPC.
    pub fn add_node(&self) -> Result<(), Errno> {
        if self.nodes.fetch_add(1, Ordering::Relaxed) >= self.most_nodes {
            self.remove_node();
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// A number that no inode has.
    pub fn number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts one fewer.
    pub fn remove_node(&self) {
        self.nodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many inodes there are.
    pub fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub const fn most_nodes(&self) -> u64 {
        self.most_nodes
    }
}
