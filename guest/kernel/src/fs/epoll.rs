//! Epolls (epoll(7)): files that are watched together, and a list of those that may be
//! ready, so that to ask takes as long as there is to tell.
//!
//! A file that is watched has an [`Item`] in its wait queues, which puts its place on that
//! list as soon as something happens. Whoever asks takes places from the list's beginning,
//! looks whether there is something to tell, and puts those back that are told of as long
//! as they are ready. The files themselves are above ([`Watched`]).

mod list;

use crate::memory::try_arc;
use crate::memory::try_push;
use crate::sched::wait::wait_in_turn;
use crate::sched::wait_queue::{WaitQueue, Waiter};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use list::{HOW, Key, List};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::epoll::{EPOLLERR, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLOUT, EpollEvent};
use trapgate_uapi::poll::POLLIN;

/// How deep epolls may watch epolls: Linux's `EP_MAX_NESTS`.
const DEEPEST: usize = 4;

/// A file that is watched.
pub trait Watched: Send + Sync {
    /// What is ready. Of what only the host knows, what is not ready of `mask` is told of
    /// from now on.
    fn poll(&self, mask: u16) -> u16;

    /// Counts transfers of a file of the host's: 0 of others.
    fn moved(&self) -> u32;

    /// Enters an item where it is told of changes. It leaves when the file is closed.
    ///
    /// # Errors
    /// ENOMEM.
    fn enter(&self, item: &Arc<Item>) -> Result<(), Errno>;

    /// Takes it out there.
    fn leave(&self, item: &Arc<Item>);

    /// What /proc shows of it: position, number and device.
    fn place(&self) -> [u64; 3];

    /// The epoll that it is.
    fn as_epoll(&self) -> Option<&Arc<Epoll>>;
}

/// An epoll.
pub struct Epoll {
    list: Mutex<List<Item, dyn Watched>>,
    /// Who asks it, and waits.
    waiting: WaitQueue,
    /// Who waits for it as for a file.
    pub queue: WaitQueue,
    /// Epolls that watch it.
    outer: Mutex<Vec<Weak<Epoll>>>,
}

/// A file's place in an epoll, as the file has it.
pub struct Item {
    epoll: Weak<Epoll>,
    place: u32,
    /// One of these is enough (`EPOLLEXCLUSIVE`).
    pub in_turn: bool,
}

impl Item {
    /// The file is closed, and has taken it out of its queues.
    pub fn forget(self: &Arc<Self>) {
        if let Some(epoll) = self.epoll.upgrade() {
            let removed = epoll.list.lock().remove(self.place, self);
            drop(removed);
        }
    }

    /// Its file is an epoll, which is watched from now on or no more.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn nest(&self, inner: &Epoll, begins: bool) -> Result<(), Errno> {
        let mut outer = inner.outer.lock();
        if begins {
            return try_push(&mut outer, self.epoll.clone());
        }
        if let Some(index) = outer.iter().rposition(|outer| outer.ptr_eq(&self.epoll)) {
            let removed = outer.swap_remove(index);
            drop(outer);
            drop(removed);
        }
        Ok(())
    }
}

impl Waiter for Item {
    fn tell(&self, mask: u16) -> bool {
        let Some(epoll) = self.epoll.upgrade() else { return false };
        let Some(events) = epoll.list.lock().tell(self.place, self, mask) else { return false };
        // Whether somebody is there for it, where one is enough (`ep_poll_callback`).
        let concerns = match u32::from(mask) & (EPOLLIN | EPOLLOUT) {
            0 => true,
            which => which != EPOLLIN | EPOLLOUT && events & which != 0,
        };
        let acts = concerns && !epoll.waiting.is_empty();
        epoll.wake();
        acts || !self.in_turn
    }
}

impl Epoll {
    /// One that watches nothing.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Arc<Epoll>, Errno> {
        try_arc(Epoll {
            list: Mutex::new(List::new()),
            waiting: WaitQueue::new(),
            queue: WaitQueue::new(),
            outer: Mutex::default(),
        })
    }

    /// Something may be ready.
    fn wake(&self) {
        self.waiting.wake(POLLIN);
        self.queue.wake(POLLIN);
    }

    /// `EPOLL_CTL_ADD`: watches a file by this descriptor.
    ///
    /// # Errors
    /// EEXIST; ELOOP, if epolls would watch each other or too deep; ENOMEM.
    pub fn add(
        self: &Arc<Self>,
        fd: u32,
        file: &Arc<dyn Watched>,
        event: EpollEvent,
    ) -> Result<(), Errno> {
        if let Some(inner) = file.as_epoll() {
            self.check_depth(inner)?;
        }
        let key = Key::new(fd, file);
        let mut list = self.list.lock();
        if list.find(key).is_some() {
            return Err(Errno::EEXIST);
        }
        let is_edge = file.moved() != 0;
        let place = list.begin(key, is_edge)?;
        drop(list);
        let in_turn = event.events & EPOLLEXCLUSIVE != 0;
        let item = try_arc(Item { epoll: Arc::downgrade(self), place, in_turn });
        let entered = item.and_then(|item| file.enter(&item).map(|()| item));
        let mut list = self.list.lock();
        let item = entered.inspect_err(|_| list.give_up(key, place))?;
        list.fill(place, &item, key, Arc::downgrade(file), always(event), is_edge);
        drop(list);
        self.look(file, place, event.events);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`
    ///
    /// # Errors
    /// ENOENT; EINVAL, if it was added with `EPOLLEXCLUSIVE`.
    pub fn change(&self, fd: u32, file: &Arc<dyn Watched>, event: EpollEvent) -> Result<(), Errno> {
        let place = {
            let mut list = self.list.lock();
            let place = list.find(Key::new(fd, file)).ok_or(Errno::ENOENT)?;
            if list.events(place) & EPOLLEXCLUSIVE != 0 {
                return Err(Errno::EINVAL);
            }
            list.change(place, always(event));
            place
        };
        self.look(file, place, event.events);
        Ok(())
    }

    /// `EPOLL_CTL_DEL`
    ///
    /// # Errors
    /// ENOENT.
    pub fn remove(&self, fd: u32, file: &Arc<dyn Watched>) -> Result<(), Errno> {
        let mut list = self.list.lock();
        let place = list.find(Key::new(fd, file)).ok_or(Errno::ENOENT)?;
        let item = list.item(place).ok_or(Errno::ENOENT)?;
        let removed = list.remove(place, &item);
        drop(list);
        file.leave(&item);
        drop(removed);
        Ok(())
    }

    /// Looks at a file whose place is new: it may be ready already.
    fn look(&self, file: &Arc<dyn Watched>, place: u32, events: u32) {
        let events = events | EPOLLERR | EPOLLHUP;
        if u32::from(file.poll(events as u16)) & events & !HOW != 0 {
            self.list.lock().push(place);
            self.wake();
        }
    }

    /// epoll_wait(2): `tell` is told of up to `most` events, with the number of each, at
    /// least one, unless the time passes (`None`: for ever; 0: it does not wait).
    ///
    /// # Errors
    /// ERESTARTSYS, ENOMEM, those of `tell`; what the VMM answered.
    #[inline(always)]
    pub fn wait(
        &self,
        most: u64,
        deadline: impl FnOnce() -> Option<Option<u64>>,
        mut tell: impl FnMut(u64, EpollEvent) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let told = self.tell_ready(most, &mut tell)?;
        if told > 0 {
            self.pass_on();
            return Ok(told);
        }
        // Without a time, it does not wait.
        let Some(deadline) = deadline() else { return Ok(0) };
        self.wait_slowly(most, deadline, &mut tell)
    }

    #[inline(never)]
    fn wait_slowly(
        &self,
        most: u64,
        deadline: Option<u64>,
        tell: &mut dyn FnMut(u64, EpollEvent) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let told = wait_in_turn(&self.waiting, deadline, || {
            Ok(Some(self.tell_ready(most, &mut *tell)?).filter(|&told| told > 0))
        });
        // It waits no longer, so that it does not take the turn itself.
        self.pass_on();
        told.map(|told| told.unwrap_or(0))
    }

    /// If there is more, it is another one's turn.
    fn pass_on(&self) {
        if !self.waiting.is_empty() && self.list.lock().ready() > 0 {
            self.waiting.wake(POLLIN);
        }
    }

    /// Tells of what is ready: how much that is.
    #[inline(always)]
    fn tell_ready(
        &self,
        most: u64,
        mut tell: impl FnMut(u64, EpollEvent) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let mut list = self.list.lock();
        if list.has_edges() {
            list.look_again(Watched::moved);
        }
        // What is put back is for the next call.
        let mut left = list.ready();
        let mut told = 0;
        while told < most && left > 0 {
            left -= 1;
            let Some(taken) = list.take() else { break };
            drop(list);
            let mask = taken.events & !HOW;
            let file = taken.file.upgrade();
            let moved = file.as_ref().map_or(0, |file| file.moved());
            let ready = file.map_or(0, |file| file.poll(mask as u16).into()) & mask;
            list = self.list.lock();
            if ready == 0 {
                continue;
            }
            list.told(taken.place, moved);
            drop(list);
            // Nothing is locked: the program's page may have to be brought.
            let failed = tell(told, EpollEvent { events: ready, data: taken.data }).err();
            list = self.list.lock();
            if let Some(error) = failed {
                list.put_back(taken.place, taken.events);
                return if told > 0 { Ok(told) } else { Err(error) };
            }
            told += 1;
        }
        Ok(told)
    }

    /// What poll(2) tells of it: whether there is something to tell of.
    pub fn poll(&self) -> u16 {
        let mut list = self.list.lock();
        if list.has_edges() {
            list.look_again(Watched::moved);
        }
        while let Some(taken) = list.take() {
            drop(list);
            let mask = taken.events & !HOW;
            let ready = taken.file.upgrade().map_or(0, |file| file.poll(mask as u16));
            list = self.list.lock();
            if u32::from(ready) & mask != 0 {
                list.put_back(taken.place, taken.events);
                return POLLIN;
            }
        }
        0
    }

    /// Calls `each` with what is watched, in the order of descriptors.
    ///
    /// # Errors
    /// Those of `each`; ENOMEM.
    pub fn each(
        &self,
        mut each: impl FnMut(u32, Arc<dyn Watched>, EpollEvent) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut next = None;
        loop {
            let found = self.list.lock().behind(next);
            let Some((key, file, event)) = found else { return Ok(()) };
            next = Some(key);
            if let Some(file) = file.upgrade() {
                each(key.fd, file, event)?;
            }
        }
    }

    /// Whether this may watch another one.
    fn check_depth(self: &Arc<Self>, inner: &Arc<Epoll>) -> Result<(), Errno> {
        let below = inner.depth_below(self, 0).ok_or(Errno::ELOOP)?;
        let above = self.depth_above(0);
        if below + 1 + above > DEEPEST { Err(Errno::ELOOP) } else { Ok(()) }
    }

    /// How deep the epolls are that this watches; `None`, if it is too deep, or comes back
    /// to `outer`.
    fn depth_below(self: &Arc<Self>, outer: &Arc<Epoll>, from: usize) -> Option<usize> {
        if Arc::ptr_eq(self, outer) || from > DEEPEST {
            return None;
        }
        let (mut deepest, mut next) = (0, None);
        loop {
            let found = self.list.lock().behind(next);
            let Some((key, file, _)) = found else { return Some(deepest) };
            next = Some(key);
            if let Some(inner) = file.upgrade().as_deref().and_then(Watched::as_epoll) {
                deepest = deepest.max(1 + inner.depth_below(outer, from + 1)?);
            }
        }
    }

    /// How deep the epolls are that watch this.
    fn depth_above(&self, from: usize) -> usize {
        let mut deepest = 0;
        for index in 0.. {
            let outer = self.outer.lock().get(index).cloned();
            let Some(outer) = outer.filter(|_| from <= DEEPEST) else { break };
            deepest =
                deepest.max(1 + outer.upgrade().map_or(0, |outer| outer.depth_above(from + 1)));
        }
        deepest
    }
}

/// Errors and the end of a file are told of in any case.
const fn always(event: EpollEvent) -> EpollEvent {
    EpollEvent { events: event.events | EPOLLERR | EPOLLHUP, ..event }
}

/// Its items leave the files that it watches.
impl Drop for Epoll {
    fn drop(&mut self) {
        while let Some((file, item)) = self.list.get_mut().take_last() {
            if let Some(file) = file.upgrade() {
                file.leave(&item);
            }
        }
    }
}
