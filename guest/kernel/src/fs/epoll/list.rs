//! The files that an epoll watches, and which of them may be ready.
//!
//! Places are numbers, and the list of what may be ready is chained through them: an item
//! that is told allocates nothing, and whatever is removed leaves the list at once.

use crate::memory::{try_insert, try_push};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Bound;
use trapgate_uapi::Errno;
use trapgate_uapi::epoll::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP, EpollEvent};

/// What is no event: how events are told of.
pub(super) const HOW: u32 = EPOLLET | EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLWAKEUP;

/// No place.
const NONE: u32 = u32::MAX;

/// What a file is watched by: the same one may be so by several descriptors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) fd: u32,
    file: usize,
}

impl Key {
    pub(super) fn new<W: ?Sized>(fd: u32, file: &Arc<W>) -> Key {
        Key { fd, file: Arc::as_ptr(file).addr() }
    }
}

/// A file that is watched.
struct Place<I, W: ?Sized> {
    item: Arc<I>,
    key: Key,
    file: Weak<W>,
    event: EpollEvent,
    /// Whether it is on the list, and who is in front of it and behind.
    is_ready: bool,
    before: u32,
    next: u32,
    /// How many transfers there had been when it was told of; 0 before.
    moved: u32,
}

/// A place that was taken from the list, to be looked at.
pub(super) struct Taken<W: ?Sized> {
    pub(super) place: u32,
    pub(super) file: Weak<W>,
    pub(super) events: u32,
    pub(super) data: [u32; 2],
}

/// Of files `W`, which are watched by items `I`.
pub(super) struct List<I, W: ?Sized> {
    places: Vec<Option<Place<I, W>>>,
    /// Places without a file.
    free: Vec<u32>,
    by_key: BTreeMap<Key, u32>,
    /// Those that may be ready, the first and the last.
    first: Option<u32>,
    last: Option<u32>,
    ready: usize,
    /// Places of the host's files that are told of once (`EPOLLET`): the host does not say
    /// by itself that there is more.
    edges: Vec<u32>,
}

impl<I, W: ?Sized> List<I, W> {
    /// One that watches nothing.
    pub(super) const fn new() -> List<I, W> {
        List {
            places: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            first: None,
            last: None,
            ready: 0,
            edges: Vec::new(),
        }
    }

    pub(super) fn find(&self, key: Key) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    fn at(&mut self, place: u32) -> Option<&mut Place<I, W>> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// Makes room for a file that is not watched by this key: its place, which somebody
    /// fills or gives up before anybody else looks.
    pub(super) fn begin(&mut self, key: Key, is_edge: bool) -> Result<u32, Errno> {
        self.edges.try_reserve(is_edge.into()).map_err(|_| Errno::ENOMEM)?;
        if self.free.is_empty() {
            // Each may be free some time.
            let all = self.places.len() + 1;
            self.free.try_reserve(all).map_err(|_| Errno::ENOMEM)?;
            try_push(&mut self.places, None)?;
            try_push(&mut self.free, all as u32 - 1)?;
        }
        let place = *self.free.last().ok_or(Errno::ENOMEM)?;
        try_insert(&mut self.by_key, key, place)?;
        self.free.pop();
        Ok(place)
    }

    /// Gives such a place up.
    #[expect(clippy::disallowed_methods, reason = "each place may be free")]
    pub(super) fn give_up(&mut self, key: Key, place: u32) {
        self.by_key.remove(&key);
        self.free.push(place);
    }

    /// Fills it.
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    pub(super) fn fill(
        &mut self,
        place: u32,
        item: &Arc<I>,
        key: Key,
        file: Weak<W>,
        event: EpollEvent,
        is_edge: bool,
    ) {
        if is_edge {
            self.edges.push(place);
        }
        let (is_ready, before, next, moved) = (false, NONE, NONE, 0);
        let item = item.clone();
        let new = Place { item, key, file, event, is_ready, before, next, moved };
        self.places[place as usize] = Some(new);
    }

    /// Removes a place, if it is this item's.
    pub(super) fn remove(&mut self, place: u32, item: &Arc<I>) -> Option<Weak<W>> {
        if !Arc::ptr_eq(&self.at(place)?.item, item) {
            return None;
        }
        self.unlink(place);
        let removed = self.places[place as usize].take()?;
        self.edges.retain(|&edge| edge != place);
        self.give_up(removed.key, place);
        Some(removed.file)
    }

    /// Removes the last there is.
    pub(super) fn take_last(&mut self) -> Option<(Weak<W>, Arc<I>)> {
        let (_, &place) = self.by_key.last_key_value()?;
        let item = self.item(place)?;
        Some((self.remove(place, &item)?, item))
    }

    pub(super) fn item(&self, place: u32) -> Option<Arc<I>> {
        Some(self.places.get(place as usize)?.as_ref()?.item.clone())
    }

    pub(super) fn events(&mut self, place: u32) -> u32 {
        self.at(place).map_or(0, |place| place.event.events)
    }

    pub(super) fn change(&mut self, place: u32, event: EpollEvent) {
        if let Some(place) = self.at(place) {
            place.event = event;
        }
    }

    /// What is watched behind this key, or first.
    pub(super) fn behind(&self, key: Option<Key>) -> Option<(Key, Weak<W>, EpollEvent)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let (key, place) = self.by_key.range((from, Bound::Unbounded)).next()?;
        let place = self.places[*place as usize].as_ref()?;
        Some((*key, place.file.clone(), place.event))
    }

    /// An item is told of this: its events, if that concerns them.
    pub(super) fn tell(&mut self, place: u32, item: &I, mask: u16) -> Option<u32> {
        let this = self.at(place)?;
        let events = this.event.events;
        let is_it = core::ptr::eq(Arc::as_ptr(&this.item), item);
        // One that is told of once is silent from then on.
        let concerns = events & !HOW != 0 && (mask == 0 || u32::from(mask) & events != 0);
        if !is_it || !concerns {
            return None;
        }
        self.push(place);
        Some(events)
    }

    /// How many may be ready.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Puts a place behind the others, if it is not on the list.
    pub(super) fn push(&mut self, place: u32) {
        let last = self.last.unwrap_or(NONE);
        let Some(this) = self.at(place).filter(|place| !place.is_ready) else { return };
        (this.is_ready, this.before, this.next) = (true, last, NONE);
        self.ready += 1;
        self.last = Some(place);
        match self.at(last) {
            Some(last) => last.next = place,
            None => self.first = Some(place),
        }
    }

    /// Puts it before the others, with the events that it had.
    pub(super) fn put_back(&mut self, place: u32, events: u32) {
        self.unlink(place);
        let first = self.first.unwrap_or(NONE);
        let Some(this) = self.at(place) else { return };
        this.event.events = events;
        (this.is_ready, this.before, this.next) = (true, NONE, first);
        self.ready += 1;
        self.first = Some(place);
        match self.at(first) {
            Some(first) => first.before = place,
            None => self.last = Some(place),
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(this) = self.at(place).filter(|place| place.is_ready) else { return };
        let (before, next) = (this.before, this.next);
        this.is_ready = false;
        self.ready -= 1;
        let some = |place| Some(place).filter(|&place| place != NONE);
        match self.at(before) {
            Some(before) => before.next = next,
            None => self.first = some(next),
        }
        match self.at(next) {
            Some(next) => next.before = before,
            None => self.last = some(before),
        }
    }

    /// Takes the first.
    pub(super) fn take(&mut self) -> Option<Taken<W>> {
        let place = self.first?;
        self.unlink(place);
        let this = self.at(place)?;
        let (file, EpollEvent { events, data }) = (this.file.clone(), this.event);
        Some(Taken { place, file, events, data })
    }

    /// A place is told of: it is silent from now on, or until something happens, or it is
    /// put behind the others.
    pub(super) fn told(&mut self, place: u32, moved: u32) {
        let Some(this) = self.at(place) else { return };
        this.moved = moved;
        if this.event.events & EPOLLONESHOT != 0 {
            this.event.events &= HOW;
        } else if this.event.events & EPOLLET == 0 {
            self.push(place);
        }
    }

    /// Whether there are files of the host's.
    pub(super) fn has_edges(&self) -> bool {
        !self.edges.is_empty()
    }

    /// Looks again at those of the host's files that were told of once, if something has
    /// been moved since: the host tells of what comes only to who has looked.
    pub(super) fn look_again(&mut self, moved: impl Fn(&W) -> u32) {
        for index in 0..self.edges.len() {
            let place = self.edges[index];
            let Some(this) = self.at(place).filter(|place| !place.is_ready) else { continue };
            let moved = this.file.upgrade().map_or(0, |file| moved(&file));
            let is_told = this.moved != 0 && this.event.events & EPOLLET != 0;
            if is_told && core::mem::replace(&mut this.moved, moved) != moved {
                this.moved = 0;
                self.push(place);
            }
        }
    }
}
