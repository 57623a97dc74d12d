//! Files of the host's that the process has mapped shared, and may store to: what it has
//! stored goes back at msync(2) and fsync(2), when a mapping goes, and when the process
//! ends, whichever way.

use crate::memory::try_push;
use crate::mm::backing::{Mapped, MappedFile};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;

/// Those files.
#[derive(Default)]
pub struct WriteBack(Mutex<Vec<Stored>>);

/// One that was mapped.
struct Stored {
    file: Arc<dyn MappedFile>,
    /// As long as it is.
    mapped: Weak<Mapped>,
}

impl WriteBack {
    /// None.
    pub const fn new() -> WriteBack {
        WriteBack(Mutex::new(Vec::new()))
    }

    /// Notes one that is about to be mapped.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn note(&self, mapped: &Arc<Mapped>) -> Result<(), Errno> {
        match (&mapped.stored, &mapped.file) {
            (Some(_), Some(file)) => {
                let (file, mapped) = (file.clone(), Arc::downgrade(mapped));
                try_push(&mut self.0.lock(), Stored { file, mapped })
            }
            _ => Ok(()),
        }
    }

    /// Writes back all that is stored; with `to_disk`, it is on the disk then. Nothing is
    /// locked.
    ///
    /// # Errors
    /// The first one of write(2) and fsync(2): what could not be written is tried again
    /// the next time.
    #[cold]
    pub fn all(&self, to_disk: bool) -> Result<(), Errno> {
        let stored = core::mem::take(&mut *self.0.lock());
        let mut result = Ok(());
        let mut kept = stored;
        kept.retain(|stored| {
            let done = stored.file.write_back(to_disk);
            result = result.and(done);
            done.is_err() || stored.mapped.strong_count() > 0
        });
        let mut now = self.0.lock();
        // Others may have come meanwhile; there is room in one of the two.
        for more in now.drain(..) {
            let _ = try_push(&mut kept, more);
        }
        *now = kept;
        result
    }
}
