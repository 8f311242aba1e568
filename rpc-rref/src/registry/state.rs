//! [`State`]: what is behind the registry's lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use rpc_core::{ReferenceError, Stored, WorkerId};

use super::control::{Batch, Entry, Stream};
use super::places::{Place, PlaceId, Places};
use super::wait::{Key, Queued};
use crate::proto::{Event, RRefId, Table};
use crate::report::Reporting;

/// What the owner keeps with a value.
#[derive(Default)]
pub(crate) struct Owned {
    /// `None` until its function has returned.
    pub(crate) value: Option<Arc<dyn Stored>>,
    /// Where the handles on this worker came from. Most values have none here.
    #[allow(clippy::box_collection, reason = "one word in each of a million entries")]
    pub(crate) local: Option<Box<Vec<PlaceId>>>,
    /// Where its creator asked for it.
    pub(crate) created: PlaceId,
    /// Seconds after the registry's start.
    pub(crate) born_s: u32,
}

/// What a user keeps with a value of another worker's.
#[derive(Default)]
pub(crate) struct Used {
    /// Where one of the handles here came from.
    pub(crate) first: Option<PlaceId>,
    /// The others.
    #[allow(clippy::box_collection, reason = "one word in each of a million entries")]
    pub(crate) more: Option<Box<Vec<PlaceId>>>,
    /// Seconds after the registry's start.
    pub(crate) born_s: u32,
    /// Why the request for it failed.
    #[allow(clippy::box_collection, reason = "one word in each of a million entries")]
    pub(crate) reason: Option<Box<String>>,
}

/// What a change of the state leaves to be done without the lock.
#[derive(Default)]
#[must_use]
pub(crate) struct Effects {
    /// Values that nobody has a handle to.
    pub(crate) freed: Vec<Owned>,
    pub(crate) wake: Vec<Waker>,
    /// Wakers of those that wait no more: dropping one may end a task, and that is its user's code.
    pub(crate) spent: Vec<Waker>,
    pub(crate) batches: Vec<Batch>,
    /// It is time to look into the values and tell what is inside.
    pub(crate) speak: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// This worker wants to leave: what its peers still hold when they leave is leaked, not lost.
    Leaving,
    Closed,
}

/// The state of one registry.
///
/// Bounds: everything by [`RRefId`] is bounded by the table, and the table by the values and handles of the
/// program; everything by worker by the group; waiters by the calls in progress.
pub(crate) struct State {
    pub(crate) me: WorkerId,
    world_size: u32,
    /// Entries of one batch.
    pub(super) batch_max: usize,
    pub(crate) table: Table<Owned, Used>,
    pub(crate) streams: BTreeMap<WorkerId, Stream>,
    /// Streams that may have something to send; one may be there twice. Emptied after every change.
    pub(super) touched: Vec<WorkerId>,
    pub(crate) waiting: BTreeMap<Key, Vec<(u64, Waker)>>,
    /// Who waits to borrow a value, in order.
    pub(crate) queues: BTreeMap<RRefId, VecDeque<Queued>>,
    pub(crate) next_waiter: u64,
    pub(crate) places: Places,
    /// Why values of this worker's have no value.
    pub(crate) failed: BTreeMap<RRefId, Arc<ReferenceError>>,
    /// Workers with which references were exchanged.
    pub(crate) met: BTreeSet<WorkerId>,
    /// Workers that are gone.
    pub(crate) dead: BTreeSet<WorkerId>,
    pub(crate) phase: Phase,
    pub(crate) report: Reporting,
    pub(crate) started: Instant,
    woken: Vec<Waker>,
    spent: Vec<Waker>,
}

impl State {
    pub(crate) fn new(me: WorkerId, world_size: usize, batch_max: usize) -> Self {
        let world_size = u32::try_from(world_size).unwrap_or(u32::MAX);
        Self {
            me,
            world_size,
            batch_max,
            table: Table::new(me, world_size),
            streams: BTreeMap::new(),
            touched: Vec::new(),
            waiting: BTreeMap::new(),
            queues: BTreeMap::new(),
            next_waiter: 0,
            places: Places::default(),
            failed: BTreeMap::new(),
            met: BTreeSet::new(),
            dead: BTreeSet::new(),
            phase: Phase::Open,
            report: Reporting::default(),
            started: Instant::now(),
            woken: Vec::new(),
            spent: Vec::new(),
        }
    }

    /// Takes everything that follows from a change: messages into their streams, and the rest out.
    pub(super) fn settle(&mut self) -> Effects {
        let mut effects = Effects::default();
        loop {
            let mut quiet = true;
            while let Some((to, msg)) = self.table.poll_transmit() {
                quiet = false;
                if to == self.me {
                    self.handle_msg(to, msg);
                } else {
                    self.push(to, Entry::Msg(msg));
                }
            }
            while let Some(event) = self.table.poll_event() {
                quiet = false;
                match event {
                    Event::Confirmed(rref) | Event::Failed(rref, _) => self.wake(Key::Value(rref)),
                    Event::Free(rref, owned) => {
                        self.failed.remove(&rref);
                        self.wake(Key::Value(rref));
                        effects.freed.push(owned);
                    }
                }
            }
            if quiet {
                break;
            }
        }
        effects.speak = self.step_report();
        // Keeps its room, because most changes touch a stream or none.
        let mut touched = std::mem::take(&mut self.touched);
        for to in touched.drain(..) {
            if let Some(stream) = self.streams.get_mut(&to)
                && let Some(batch) = stream.next_batch(to, self.batch_max)
            {
                effects.batches.push(batch);
            }
        }
        self.touched = touched;
        effects.wake = std::mem::take(&mut self.woken);
        effects.spent = std::mem::take(&mut self.spent);
        effects
    }

    /// Queues an entry for `to`.
    pub(crate) fn push(&mut self, to: WorkerId, entry: Entry) {
        if self.phase == Phase::Closed || self.dead.contains(&to) {
            return;
        }
        self.met.insert(to);
        self.stream(to).out.push(entry);
        self.touch(to);
    }

    /// The stream to `peer` may have something to send.
    pub(super) fn touch(&mut self, peer: WorkerId) {
        if self.touched.last() != Some(&peer) {
            self.touched.push(peer);
        }
    }

    /// Somebody may wait for the creator of `rref` to ask for it: its death is to be heard of. A link that is
    /// there tells; where there has been none, one is made.
    pub(super) fn watch_creator(&mut self, rref: RRefId) {
        let RRefId { owner, creator, .. } = rref;
        let is_expected = owner == self.me
            && creator != self.me
            && self.table.owned(rref).is_some()
            && !self.table.is_confirmed(rref)
            && self.table.failure(rref).is_none();
        if is_expected && self.met.insert(creator) {
            self.probe(creator);
        }
    }

    /// Wakes who waits for `key`, when the lock is free.
    pub(crate) fn wake(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.remove(&key) {
            self.woken.extend(waiting.into_iter().map(|(_, waker)| waker));
        }
    }

    /// Drops `waker` when the lock is free.
    pub(crate) fn drop_waker(&mut self, waker: Waker) {
        self.spent.push(waker);
    }

    /// Wakes `waker` when the lock is free.
    pub(crate) fn wake_one(&mut self, waker: Waker) {
        self.woken.push(waker);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// An id that no value of this worker's has had or will have, for a handle that is of no use.
    pub(super) fn unused_id(&mut self) -> RRefId {
        self.next_waiter += 1;
        RRefId { owner: self.me, creator: self.me, number: u64::MAX - self.next_waiter }
    }

    pub(crate) fn age_s(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// A handle has come to be on this worker, at `place`. The table has counted it.
    pub(crate) fn add_place(&mut self, rref: RRefId, place: Place) -> PlaceId {
        let id = self.places.id(place);
        let now = self.age_s();
        if let Some(owned) = self.table.owned_mut(rref) {
            owned.local.get_or_insert_default().push(id);
        } else if let Some(used) = self.table.used_mut(rref) {
            if used.first.is_none() {
                (used.first, used.born_s) = (Some(id), now);
            } else {
                used.more.get_or_insert_default().push(id);
            }
            self.tell_new_handle(rref, id);
        }
        id
    }

    /// A handle with this place is gone.
    pub(crate) fn remove_place(&mut self, rref: RRefId, place: PlaceId) {
        let swap_remove = |places: &mut Vec<PlaceId>| {
            places.iter().position(|other| *other == place).map(|at| places.swap_remove(at))
        };
        if let Some(owned) = self.table.owned_mut(rref) {
            if let Some(local) = &mut owned.local {
                swap_remove(local);
                if local.is_empty() {
                    owned.local = None;
                }
            }
        } else if let Some(used) = self.table.used_mut(rref) {
            let others = used.more.as_mut();
            if others.is_none_or(|others| swap_remove(others).is_none()) {
                used.first = used.more.as_mut().and_then(|others| others.pop());
            }
        }
    }

    /// Ends everything. Returns the values, to be dropped without the lock.
    pub(super) fn close(&mut self) -> Vec<Owned> {
        self.phase = Phase::Closed;
        self.streams.clear();
        self.touched.clear();
        for key in self.waiting.keys().copied().collect::<Vec<_>>() {
            self.wake(key);
        }
        let queues = std::mem::take(&mut self.queues);
        self.woken.extend(queues.into_values().flatten().map(|queued| queued.waker));
        self.failed.clear();
        let rrefs: Vec<RRefId> = self.table.iter_owned().map(|(rref, ..)| rref).collect();
        let values = rrefs.into_iter().filter_map(|rref| self.table.owned_mut(rref).map(std::mem::take));
        let values = values.collect();
        self.table = Table::new(self.me, self.world_size);
        values
    }
}
