//! What waits for a change of the registry's state, and who may borrow a value next.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use rpc_core::{Stored, WorkerId};

use super::state::Owned;
use super::{Registry, State};
use crate::proto::RRefId;

/// What is waited for a change of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Value(RRefId),
    Peer(WorkerId),
}

/// Resolves when `check` finds what it looks for. Cancel-safe.
///
/// It looks again whenever something about `key` has changed.
pub(crate) struct Waiter<F> {
    registry: Arc<Registry>,
    key: Key,
    id: Option<u64>,
    check: F,
}

impl<F> Waiter<F> {
    pub(crate) fn new(registry: Arc<Registry>, key: Key, check: F) -> Self {
        Self { registry, key, id: None, check }
    }
}

impl<R, F: FnMut(&mut State) -> Option<R> + Unpin> Future for Waiter<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let Self { registry, key, id, check } = &mut *self;
        let registry = Arc::clone(registry);
        registry.change(|state| {
            if let Some(found) = check(state) {
                return Poll::Ready(found);
            }
            let id = *id.get_or_insert_with(|| {
                state.next_waiter += 1;
                state.next_waiter
            });
            let waiting = state.waiting.entry(*key).or_default();
            match waiting.iter_mut().find(|(other, _)| *other == id) {
                Some((_, waker)) => {
                    let before = std::mem::replace(waker, cx.waker().clone());
                    state.drop_waker(before);
                }
                None => waiting.push((id, cx.waker().clone())),
            }
            Poll::Pending
        })
    }
}

impl<F> Drop for Waiter<F> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        self.registry.change(|state| {
            let Some(waiting) = state.waiting.get_mut(&self.key) else { return };
            let at = waiting.iter().position(|(other, _)| *other == id);
            let waker = at.map(|at| waiting.swap_remove(at).1);
            if waiting.is_empty() {
                state.waiting.remove(&self.key);
            }
            if let Some(waker) = waker {
                state.drop_waker(waker);
            }
        });
    }
}

/// One that waits to borrow a value.
pub(crate) struct Queued {
    id: u64,
    exclusive: bool,
    pub(super) waker: Waker,
}

/// Which borrowing is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) rref: RRefId,
    pub(crate) exclusive: bool,
    /// It is for code that has the value borrowed to read already, so it must not wait behind a writer who
    /// waits for that code.
    pub(crate) nested: bool,
}

impl Registry {
    /// Borrows a value now, if that is possible and nobody else is first.
    pub(crate) fn try_borrow<G>(
        &self,
        wanted: Wanted,
        stored: &Arc<dyn Stored>,
        attempt: impl FnOnce() -> Option<G>,
    ) -> Option<Borrowed<G>> {
        let guard = self.read(|state| {
            let free = wanted.nested || !state.queues.contains_key(&wanted.rref);
            if free { attempt() } else { None }
        })?;
        let (registry, stored) = (self.own().clone(), Some(Arc::clone(stored)));
        Some(Borrowed { guard: Some(guard), stored, registry, rref: wanted.rref })
    }

    /// Wakes the first who waits for `rref`.
    fn released(&self, rref: RRefId) {
        let waker = self.read(|state| {
            let queue = state.queues.get(&rref)?;
            Some(queue.front()?.waker.clone())
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Borrows a value when its turn has come: in order of asking, readers that follow each other together.
/// Cancel-safe: a borrowing given up leaves the queue.
pub(crate) struct Borrow<F> {
    registry: Arc<Registry>,
    wanted: Wanted,
    stored: Arc<dyn Stored>,
    id: Option<u64>,
    attempt: F,
}

impl<F> Borrow<F> {
    pub(crate) fn new(registry: Arc<Registry>, wanted: Wanted, stored: Arc<dyn Stored>, attempt: F) -> Self {
        Self { registry, wanted, stored, id: None, attempt }
    }
}

impl<G, F: FnMut() -> Option<G> + Unpin> Future for Borrow<F> {
    type Output = Borrowed<G>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Borrowed<G>> {
        let Self { registry, wanted, stored, id, attempt } = &mut *self;
        let registry = Arc::clone(registry);
        let guard = registry.change(|state| {
            let Wanted { rref, exclusive, nested } = *wanted;
            let may_enter = nested || state.is_next(rref, *id, exclusive);
            if may_enter && let Some(guard) = attempt() {
                if let Some(id) = id.take() {
                    state.leave_queue(rref, id);
                }
                return Some(guard);
            }
            let id = *id.get_or_insert_with(|| {
                state.next_waiter += 1;
                state.next_waiter
            });
            let queue = state.queues.entry(rref).or_default();
            match queue.iter_mut().find(|queued| queued.id == id) {
                Some(queued) => {
                    let before = std::mem::replace(&mut queued.waker, cx.waker().clone());
                    state.drop_waker(before);
                }
                None => {
                    let queued = Queued { id, exclusive, waker: cx.waker().clone() };
                    if nested { queue.push_front(queued) } else { queue.push_back(queued) }
                }
            }
            None
        });
        match guard {
            Some(guard) => {
                let own = registry.own().clone();
                let stored = Some(Arc::clone(stored));
                Poll::Ready(Borrowed { guard: Some(guard), stored, registry: own, rref: wanted.rref })
            }
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Borrow<F> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.registry.change(|state| state.leave_queue(self.wanted.rref, id));
        }
    }
}

impl State {
    /// Whether nobody is ahead of waiter `id` who has to go first.
    fn is_next(&self, rref: RRefId, id: Option<u64>, exclusive: bool) -> bool {
        let Some(queue) = self.queues.get(&rref) else { return true };
        let mut ahead = queue.iter().take_while(|queued| Some(queued.id) != id);
        if exclusive { ahead.next().is_none() } else { ahead.all(|queued| !queued.exclusive) }
    }

    /// A waiter has gone; the next one may enter.
    fn leave_queue(&mut self, rref: RRefId, id: u64) {
        let Some(queue) = self.queues.get_mut(&rref) else { return };
        let at = queue.iter().position(|queued| queued.id == id);
        let left = at.and_then(|at| queue.remove(at));
        let next = queue.front().map(|first| first.waker.clone());
        if queue.is_empty() {
            self.queues.remove(&rref);
        }
        if let Some(next) = next {
            self.wake_one(next);
        }
        if let Some(left) = left {
            self.drop_waker(left.waker);
        }
    }
}

/// A borrowed value; gives way to the next when it is dropped.
pub(crate) struct Borrowed<G> {
    guard: Option<G>,
    stored: Option<Arc<dyn Stored>>,
    registry: Weak<Registry>,
    rref: RRefId,
}

impl<G> Drop for Borrowed<G> {
    fn drop(&mut self) {
        self.guard = None;
        let Some(registry) = self.registry.upgrade() else { return };
        registry.released(self.rref);
        // If everybody else is gone, its destructor runs where it may block.
        if let Some(stored) = self.stored.take_if(|stored| Arc::strong_count(stored) == 1) {
            registry.discard(vec![Owned { value: Some(stored), ..Owned::default() }]);
        }
    }
}

impl<G: Deref> Deref for Borrowed<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        self.guard.as_ref().expect("it is there until the drop")
    }
}

impl<G: DerefMut> DerefMut for Borrowed<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        self.guard.as_mut().expect("it is there until the drop")
    }
}

impl<G> Borrowed<G> {
    /// The guard itself.
    pub(crate) fn get(&self) -> &G {
        self.guard.as_ref().expect("it is there until the drop")
    }
}
