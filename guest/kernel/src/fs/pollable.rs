//! What an epoll(7) sees of open files: which can be watched at all, where an item is told
//! of a change, and that it goes with the file.

use crate::fs::beside::Beside;
use crate::fs::dev::Device;
use crate::fs::epoll::{Epoll, Item, Watched};
use crate::fs::file::{Kind, OpenFile};
use crate::fs::inode::{self, Inode};
use crate::fs::inode_file::InodeFile;
use crate::memory::{try_box, try_push};
use crate::sched::wait_queue::Waiter;
use crate::sched::watch::{self, HOST_FILES};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use spin::Mutex;
use trapgate_uapi::Errno;

/// Whether a file can be watched (Linux: `file_can_poll`).
pub fn can_be_watched(file: &OpenFile) -> bool {
    match &file.kind {
        Kind::Standard(standard) => standard.is_pollable(),
        Kind::Inode(file) => match file.dentry.inode.kind {
            inode::Kind::Character(device) => Device::of(device) == Some(Device::Random),
            _ => file.queues().is_some(),
        },
    }
}

/// The epoll that a file is.
pub fn epoll_of(file: &OpenFile) -> Option<&Arc<Epoll>> {
    match &file.as_inode()?.dentry.inode.kind {
        inode::Kind::Epoll(epoll) => Some(epoll),
        _ => None,
    }
}

/// Where items are told of changes.
enum Queues {
    Of(Arc<Inode>),
    OfHost(u32),
}

/// The items that watch an open file.
struct Items {
    queues: Queues,
    items: Mutex<Vec<Arc<Item>>>,
}

impl Queues {
    fn leave(&self, item: &Arc<Item>) {
        let waiter: Arc<dyn Waiter> = item.clone();
        match self {
            Queues::OfHost(host) => {
                if let Ok(queue) = watch::queue(*host) {
                    queue.remove_waiter(&waiter);
                }
            }
            Queues::Of(inode) => match &inode.kind {
                inode::Kind::Fifo(pipe) => {
                    pipe.readers.remove_waiter(&waiter);
                    pipe.writers.remove_waiter(&waiter);
                }
                inode::Kind::Event(event) => event.queue.remove_waiter(&waiter),
                inode::Kind::Timer(timer) => timer.queue.remove_waiter(&waiter),
                inode::Kind::Epoll(epoll) => {
                    epoll.queue.remove_waiter(&waiter);
                    // To leave needs no memory.
                    let _ = item.nest(epoll, false);
                }
                _ => {}
            },
        }
    }
}

/// The file is closed.
impl Drop for Items {
    fn drop(&mut self) {
        for item in core::mem::take(self.items.get_mut()) {
            self.queues.leave(&item);
            item.forget();
        }
    }
}

fn beside(file: &OpenFile) -> &Beside {
    match &file.kind {
        Kind::Standard(standard) => standard.beside(),
        Kind::Inode(file) => file.beside(),
    }
}

/// Enters an item into all queues; those that it is in when this fails, its caller takes
/// it out of.
fn enter(file: &OpenFile, item: &Arc<Item>) -> Result<(), Errno> {
    let waiter = || -> Arc<dyn Waiter> { item.clone() };
    match &file.kind {
        Kind::Standard(standard) => watch::queue(standard.host)?.add_waiter(waiter(), item.in_turn),
        Kind::Inode(inode) => {
            for queue in inode.queues().into_iter().flatten().flatten() {
                queue.add_waiter(waiter(), item.in_turn)?;
            }
            match epoll_of(file) {
                Some(inner) => item.nest(inner, true),
                None => Ok(()),
            }
        }
    }
}

impl Watched for OpenFile {
    fn poll(&self, mask: u16) -> u16 {
        match &self.kind {
            Kind::Inode(file) => InodeFile::ready(file),
            Kind::Standard(standard) => {
                let mut wanted = [None; HOST_FILES];
                if let Some(wanted) = wanted.get_mut(standard.host as usize) {
                    *wanted = Some(mask);
                }
                let ready = watch::look(&wanted, true).unwrap_or_default();
                ready.into_iter().flatten().next().unwrap_or(0)
            }
        }
    }

    fn moved(&self) -> u32 {
        match &self.kind {
            Kind::Inode(_) => 0,
            Kind::Standard(standard) => watch::moved(standard.host),
        }
    }

    fn enter(&self, item: &Arc<Item>) -> Result<(), Errno> {
        let items = || -> Result<Box<Items>, Errno> {
            let queues = match &self.kind {
                Kind::Standard(standard) => Queues::OfHost(standard.host),
                Kind::Inode(file) => Queues::Of(file.dentry.inode.clone()),
            };
            try_box(Items { queues, items: Mutex::default() })
        };
        let entered = beside(self).with(Some(&items), |items: &Items| {
            let mut list = items.items.lock();
            try_push(&mut list, item.clone())?;
            enter(self, item).inspect_err(|_| {
                items.queues.leave(item);
                list.pop();
            })
        })?;
        entered.unwrap_or(Err(Errno::EPERM))
    }

    fn leave(&self, item: &Arc<Item>) {
        let left = beside(self).with(None, |items: &Items| {
            items.queues.leave(item);
            let mut list = items.items.lock();
            let index = list.iter().rposition(|other| Arc::ptr_eq(other, item))?;
            Some(list.swap_remove(index))
        });
        drop(left);
    }

    fn place(&self) -> [u64; 3] {
        match &self.kind {
            Kind::Inode(file) => {
                let (inode, position) = (&file.dentry.inode, &file.position);
                [position.load(Ordering::Relaxed), inode.number, inode.filesystem.device]
            }
            Kind::Standard(standard) => [0, standard.status().ino, standard.status().dev],
        }
    }

    fn as_epoll(&self) -> Option<&Arc<Epoll>> {
        epoll_of(self)
    }
}
