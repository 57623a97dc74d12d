//! Links to files themselves: /proc/PID/{exe,cwd,root}, fd; and fdinfo.

use crate::fs::dentry::Dentry;
use crate::fs::epoll::Epoll;
use crate::fs::event::Event;
use crate::fs::file::{Kind, OpenFile};
use crate::fs::inode::{self, Inode, Meta};
use crate::fs::place::{self, path_of};
use crate::fs::standard::Standard;
use crate::fs::timer::{Shown, TimerFile};
use crate::host;
use crate::memory::Text;
use crate::proc::subject::Subject;
use crate::process::task::current;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::epoll::EpollEvent;
use trapgate_uapi::fcntl::O_CLOEXEC;
use trapgate_uapi::fs::SEEK_CUR;
use trapgate_uapi::stat::{S_IFIFO, S_IFREG, S_IFSOCK};
use trapgate_uapi::time::Timespec;

/// The program's file: ENOENT, if the VMM was given its bytes alone.
///
/// # Errors
/// ENOENT, ESRCH, ENOMEM.
pub fn exe(about: Subject) -> Result<Arc<Dentry>, Errno> {
    let file = about.process()?.program_file()?.ok_or(Errno::ENOENT)?;
    Ok(file.file.as_inode().ok_or(Errno::ENOENT)?.dentry.clone())
}

/// The working directory.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn cwd(about: Subject) -> Result<Arc<Dentry>, Errno> {
    place::with(&about.process()?.places, |held| held.directory.clone())
}

/// The root.
///
/// # Errors
/// ESRCH, ENOMEM.
pub fn root(about: Subject) -> Result<Arc<Dentry>, Errno> {
    place::with(&about.process()?.places, |held| held.root.clone())
}

/// The next open descriptor.
pub fn next_fd(about: Subject, from: u32) -> Option<u32> {
    about.process().ok()?.files.lock().next_open(from)
}

/// What is about a descriptor.
pub const fn of_fd(about: Subject, fd: u32) -> Subject {
    Subject { fd, ..about }
}

fn open_file(about: Subject) -> Result<Arc<OpenFile>, Errno> {
    about.process()?.files.lock().file(about.fd).map_err(|_| Errno::ENOENT)
}

/// A descriptor's link has the permissions of the access that it was opened for.
pub fn fd_permissions(about: Subject) -> u32 {
    let Ok(file) = open_file(about) else { return 0 };
    let read = if file.readable() { 0o500 } else { 0 };
    let write = if file.writable() { 0o300 } else { 0 };
    read | write
}

/// The file behind a descriptor.
///
/// # Errors
/// ENOENT, ESRCH, ENOMEM.
pub fn fd(about: Subject) -> Result<Arc<Dentry>, Errno> {
    match &open_file(about)?.kind {
        Kind::Inode(file) => Ok(file.dentry.clone()),
        Kind::Standard(standard) => host_file(about, standard),
    }
}

/// A file of the host's, which has no name here.
fn host_file(about: Subject, standard: &Standard) -> Result<Arc<Dentry>, Errno> {
    let filesystem = root(about)?.inode.filesystem.clone();
    let status = standard.status();
    let permissions = status.mode as u32 & 0o777;
    let meta = Meta::at(filesystem.start(), permissions, status.uid as u32, status.gid as u32);
    let kind = inode::Kind::Host(standard.clone());
    Dentry::new(b"", Inode::over(&filesystem, status.ino, kind, meta)?)
}

/// What readlink(2) tells of a link that leads here.
///
/// # Errors
/// ENOMEM, ENAMETOOLONG.
pub fn describe(dentry: &Arc<Dentry>) -> Result<Vec<u8>, Errno> {
    let inode::Kind::Host(standard) = &dentry.inode.kind else {
        let root = place::with(&current().process.places, |held| held.root.clone())?;
        return path_of(dentry, &root)?.shown();
    };
    let mut text = Text::default();
    let number = standard.status().ino;
    if standard.is(S_IFIFO) {
        write!(text, "pipe:[{number}]")?;
    } else if standard.is(S_IFSOCK) {
        write!(text, "socket:[{number}]")?;
    } else {
        // Its path is the host's, and not for the program to know.
        write!(text, "host:[{}]", standard.host)?;
    }
    Ok(text.into_bytes())
}

/// /proc/PID/fdinfo/FD.
///
/// # Errors
/// ENOENT, ESRCH, ENOMEM.
pub fn fdinfo(about: Subject, text: &mut Text) -> Result<(), Errno> {
    let (file, close_on_exec) = {
        let process = about.process()?;
        let mut files = process.files.lock();
        let descriptor = files.descriptor(about.fd).map_err(|_| Errno::ENOENT)?;
        (descriptor.file.clone(), descriptor.close_on_exec)
    };
    let (position, mount, number) = match &file.kind {
        Kind::Inode(file) => {
            let inode = &file.dentry.inode;
            (file.position.load(Ordering::Relaxed), inode.filesystem.device, inode.number)
        }
        Kind::Standard(standard) => (host_position(standard), 0, standard.status().ino),
    };
    let flags = file.flags() | if close_on_exec { O_CLOEXEC } else { 0 };
    write!(text, "pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{number}\n")?;
    match file.as_inode().map(|file| &file.dentry.inode.kind) {
        Some(inode::Kind::Event(event)) => event_info(event, number, text),
        Some(inode::Kind::Timer(timer)) => timer_info(timer, text),
        Some(inode::Kind::Epoll(epoll)) => epoll_info(epoll, text),
        _ => Ok(()),
    }
}

fn event_info(event: &Event, number: u64, text: &mut Text) -> Result<(), Errno> {
    let (count, semaphore) = (event.count(), u8::from(event.is_semaphore()));
    write!(
        text,
        "eventfd-count: {count:16x}\neventfd-id: {number}\neventfd-semaphore: {semaphore}\n"
    )
}

fn timer_info(timer: &TimerFile, text: &mut Text) -> Result<(), Errno> {
    let Shown { left, interval, count, flags } = timer.shown();
    let [left, interval] = [left, interval].map(Timespec::from_ns);
    write!(
        text,
        "clockid: {}\nticks: {count}\nsettime flags: 0{flags:o}\n\
         it_value: ({}, {})\nit_interval: ({}, {})\n",
        timer.clock, left.tv_sec, left.tv_nsec, interval.tv_sec, interval.tv_nsec
    )
}

fn epoll_info(epoll: &Epoll, text: &mut Text) -> Result<(), Errno> {
    epoll.each(|fd, file, EpollEvent { events, data: [low, high] }| {
        let data = u64::from(high) << 32 | u64::from(low);
        let [position, number, device] = file.place();
        writeln!(
            text,
            "tfd: {fd:8} events: {events:8x} data: {data:16x}  \
             pos:{position} ino:{number:x} sdev:{device:x}"
        )
    })
}

/// Where a standard file is; 0 of what has no position.
fn host_position(standard: &Standard) -> u64 {
    if !standard.is(S_IFREG) {
        return 0;
    }
    host::call(Request::Seek { file: standard.host, offset: 0, whence: SEEK_CUR }).unwrap_or(0)
}
