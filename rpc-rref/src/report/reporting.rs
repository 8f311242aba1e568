//! [`Reporting`]: what the registry keeps for the leak check, and how it changes.

use std::collections::BTreeMap;

use rpc_core::WorkerId;

use super::roll::Roll;
use super::survey::{Inside, Survey};
use super::tell::{Edge, Graph, HandleAt, Holdings, TOLD_MAX, Tell, Told};
use crate::proto::RRefId;
use crate::registry::{Entry, Phase, PlaceId, State};

/// What is kept for the leak check. Empty until workers leave; afterwards bounded by the group.
#[derive(Default)]
pub(crate) struct Reporting {
    pub(super) roll: Roll,
    pub(super) told: Told,
    pub(super) graph: Graph,
    /// What this worker has told, once it has.
    pub(super) spoken: Option<Spoken>,
    /// It has been asked of the worker itself.
    speaking: bool,
}

/// What this worker has told others.
#[derive(Default)]
pub(super) struct Spoken {
    pub(super) inside: Inside,
    /// Handles, by owner.
    handles: BTreeMap<WorkerId, usize>,
    /// Edges, by the owner of something inside of this worker's values.
    edges: BTreeMap<WorkerId, usize>,
}

impl Reporting {
    /// Whether what is still held is leaked: all workers are leaving.
    pub(crate) fn is_final(&self) -> bool {
        self.roll.is_called()
    }

    /// `peer` is dead, or has left.
    pub(crate) fn peer_gone(&mut self, peer: WorkerId) {
        self.roll.handle_gone(peer);
    }
}

impl State {
    /// This worker wants to leave. `order` is that of the names in the group.
    pub(super) fn begin_leaving(&mut self, order: Vec<WorkerId>) {
        if self.phase == Phase::Open {
            self.phase = Phase::Leaving;
            for dead in &self.dead {
                self.report.roll.handle_gone(*dead);
            }
            self.report.roll.begin(self.me, order);
        }
    }

    /// Queues what the roll call wants to be sent. True, once, when it is time to look into the values and
    /// [`speak`](Self::speak).
    pub(crate) fn step_report(&mut self) -> bool {
        if self.phase != Phase::Leaving {
            return false;
        }
        if !self.table.is_idle() {
            self.report.roll.care();
        }
        while let Some((to, word)) = self.report.roll.poll_transmit() {
            self.tell(to, Tell::Word(word));
        }
        let due = self.report.is_final() && !self.report.speaking;
        self.report.speaking |= due;
        due
    }

    fn tell(&mut self, to: WorkerId, tell: Tell) {
        self.push(to, Entry::Tell(Box::new(tell)));
    }

    /// Takes what `from` tells.
    pub(crate) fn handle_tell(&mut self, from: WorkerId, tell: Tell) {
        let now_s = self.age_s();
        match tell {
            Tell::Word(word) => self.report.roll.handle(from, word),
            Tell::Handle(handle) => self.report.told.handle(from, &handle, now_s),
            Tell::Counted(n) => self.report.told.counted(from, n),
            Tell::Edge(edge) => {
                if self.report.graph.insert(&edge) {
                    self.pass_on(&edge, Some(from));
                }
            }
        }
    }

    /// Tells all owners what this worker has of theirs, and which of its values have what inside.
    pub(super) fn speak(&mut self, survey: Survey) {
        let me = self.me;
        let Survey { inside, edges } = survey;
        let mut left = inside.clone();
        let holdings = self.holdings(&mut left, |owner| owner != me);
        let mut spoken = Spoken { inside, ..Spoken::default() };
        for (owner, Holdings { handles, more }) in holdings {
            spoken.handles.insert(owner, handles.len());
            for handle in handles {
                self.tell(owner, Tell::Handle(handle));
            }
            if more > 0 {
                self.tell(owner, Tell::Counted(more));
            }
        }
        spoken.edges = edges.iter().map(|edge| (edge.held.owner, 0)).filter(|(to, _)| *to != me).collect();
        self.report.spoken = Some(spoken);
        let known: Vec<Edge> = self.report.graph.iter().collect();
        for edge in &edges {
            if self.report.graph.insert(edge) {
                self.pass_on(edge, None);
            }
        }
        for edge in &known {
            self.pass_on(edge, None);
        }
    }

    /// Tells of an edge whoever owns something that is inside of this worker's values: a cycle that comes
    /// through here goes on there, so its edges come to all owners on it.
    fn pass_on(&mut self, edge: &Edge, from: Option<WorkerId>) {
        let Some(spoken) = &mut self.report.spoken else { return };
        let mut next = Vec::new();
        for (to, told) in &mut spoken.edges {
            if Some(*to) != from && *told < TOLD_MAX {
                *told += 1;
                next.push(*to);
            }
        }
        for to in next {
            self.tell(to, Tell::Edge(edge.clone()));
        }
    }

    /// Notes this worker's own handles to its values as if it had told itself.
    pub(super) fn hear_self(&mut self) {
        let (me, now_s) = (self.me, self.age_s());
        let spoken = self.report.spoken.as_ref();
        let mut inside = spoken.map(|spoken| spoken.inside.clone()).unwrap_or_default();
        let own = self.holdings(&mut inside, |owner| owner == me).remove(&me).unwrap_or_default();
        self.report.told.forget(me);
        self.report.told.holdings(me, &own, now_s);
    }

    /// A handle has come to be after this worker had told of the others.
    pub(crate) fn tell_new_handle(&mut self, rref: RRefId, place: PlaceId) {
        let Some(spoken) = &mut self.report.spoken else { return };
        let told = spoken.handles.entry(rref.owner).or_default();
        if rref.owner == self.me || *told >= TOLD_MAX {
            return;
        }
        *told += 1;
        let place = self.places.text(place).as_ref().to_owned();
        self.tell(rref.owner, Tell::Handle(HandleAt { rref, place, inside: None, age_s: Some(0) }));
    }

    /// The handles of this worker to the values of the owners that are wanted, by owner.
    pub(super) fn holdings(
        &self,
        inside: &mut Inside,
        wanted: impl Fn(WorkerId) -> bool,
    ) -> BTreeMap<WorkerId, Holdings> {
        let now_s = self.age_s();
        let mut holdings: BTreeMap<WorkerId, Holdings> = BTreeMap::new();
        let mut add = |rref: RRefId, place: PlaceId, age_s| {
            let of_owner = holdings.entry(rref.owner).or_default();
            if of_owner.handles.len() >= TOLD_MAX {
                of_owner.more += 1;
                return;
            }
            let place_text = self.places.text(place).as_ref().to_owned();
            let inside = inside.take(rref, place);
            of_owner.handles.push(HandleAt { rref, place: place_text, inside, age_s });
        };
        if wanted(self.me) {
            for (rref, owned, _) in self.table.iter_owned() {
                for place in owned.local.iter().flat_map(|local| local.iter()) {
                    add(rref, *place, None);
                }
            }
        }
        for (rref, used) in self.table.iter_used().filter(|(rref, _)| wanted(rref.owner)) {
            let age_s = Some(now_s.saturating_sub(used.born_s));
            for place in used.first.iter().chain(used.more.iter().flat_map(|more| more.iter())) {
                add(rref, *place, age_s);
            }
        }
        holdings
    }

    /// Those edges of `graph` that there still are, as far as this worker can tell: of its own values those that
    /// it has, and of handles to them those of workers that are listed.
    pub(super) fn current(&self, graph: &Graph) -> Graph {
        let nodes = graph.nodes();
        let users: BTreeMap<RRefId, &[WorkerId]> = if nodes.is_empty() {
            BTreeMap::new()
        } else {
            let owned = self.table.iter_owned().filter(|(rref, ..)| nodes.contains(rref));
            owned.map(|(rref, _, users)| (rref, users)).collect()
        };
        graph.filtered(|holder, held| {
            let holder_is_there = holder.owner != self.me || users.contains_key(&holder);
            let is_held = held.owner != self.me
                || users
                    .get(&held)
                    .is_some_and(|users| holder.owner == self.me || users.contains(&holder.owner));
            holder_is_there && is_held
        })
    }
}
