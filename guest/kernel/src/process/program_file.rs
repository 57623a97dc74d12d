//! The file of what a process runs, which is found when somebody asks.

use crate::fs::executable::Executable;
use crate::fs::place;
use crate::process::task::Process;
use trapgate_uapi::Errno;

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
