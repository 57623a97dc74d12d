//! /proc/sysvipc: System V's shared memory; of queues and semaphores there are none.

use crate::memory::Text;
use crate::proc::folder::{Folder, constant, file, fixed};
use crate::proc::subject::Subject;
use crate::process::task::current;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;

/// The folder.
pub const ROOT: Folder = fixed(&[
    constant!(
        "msg",
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"
    ),
    constant!(
        "sem",
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
    ),
    file("shm", shm),
]);

/// /proc/sysvipc/shm.
fn shm(_: Subject, text: &mut Text) -> Result<(), Errno> {
    text.add(b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n")?;
    let mut segments = current().process.segments.lock();
    for segment in segments.iter() {
        write!(text, "{:10} {:10}  {:4o} ", segment.key, segment.id, segment.mode)?;
        write!(text, "{:21} {:5} {:5}  ", segment.size, segment.creator_pid, segment.last_pid)?;
        write!(text, "{:5} {:5} {:5} ", segment.attaches(), segment.uid, segment.gid)?;
        write!(text, "{:5} {:5} ", segment.creator_uid, segment.creator_gid)?;
        write!(text, "{:10} {:10} ", segment.attached, segment.detached)?;
        writeln!(text, "{:10} {:21} {:21}", segment.changed, segment.resident() * PAGE_SIZE, 0)?;
    }
    Ok(())
}
