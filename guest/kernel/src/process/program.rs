//! What a process runs: what /proc tells of it.

use crate::fs::executable::Executable;
use crate::fs::place;
use crate::process::task::Process;
pub use trapgate_abi::boot_info::Parts;
use trapgate_uapi::Errno;

/// A program and its memory's parts.
#[derive(Clone, Default)]
pub struct Program {
    /// Its file, /proc/self/exe; none, if the VMM has loaded it, and nobody has asked.
    pub file: Option<Executable>,
    /// What is where in its memory.
    pub parts: Parts,
}

impl Process {
    /// The file of its program; none, if it is no file. That of one which the VMM has loaded
    /// is in the tree, which is made if it is not there: a start makes none.
    ///
    /// # Errors
    /// ENOMEM; those of making the tree.
    pub fn program_file(&self) -> Result<Option<Executable>, Errno> {
        if let Some(file) = &self.program.lock().file {
            return Ok(Some(file.clone()));
        }
        let Some(dentry) = place::with(&self.places, |held| held.program.clone())? else {
            return Ok(None);
        };
        let file = Executable::running(dentry)?;
        let kept = self.program.lock().file.get_or_insert(file).clone();
        Ok(Some(kept))
    }
}
