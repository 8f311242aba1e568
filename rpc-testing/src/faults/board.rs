//! What befalls links as a whole: who is dead, who is kept apart, and which ends of links are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Board {
    /// Of links that live, in this process.
    ends: BTreeMap<u64, End>,
    next: u64,
    /// Everybody, once a worker has been told.
    members: BTreeSet<Arc<str>>,
    dead: BTreeSet<Arc<str>>,
    /// Pairs in order of name, and since when.
    parted: BTreeMap<(Arc<str>, Arc<str>), Instant>,
    /// How long a link survives a partition, and a dial waits for its end.
    pub(super) silence_max: Duration,
}

#[derive(Debug)]
struct End {
    me: Arc<str>,
    peer: Arc<str>,
    broken: Option<Why>,
    waker: Option<Waker>,
}

/// Why a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Cut,
    Killed,
    Parted,
}

impl Why {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Cut => io::Error::new(io::ErrorKind::ConnectionReset, "a fault of the test has cut it"),
            Self::Killed => {
                io::Error::new(io::ErrorKind::ConnectionReset, "a fault of the test has killed a worker")
            }
            Self::Parted => {
                io::Error::new(io::ErrorKind::TimedOut, "a fault of the test keeps the workers apart")
            }
        }
    }
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Open,
    /// Nothing arrives. It ends at that time.
    Parted(Instant),
    Broken(Why),
}

fn pair(a: &str, b: &str) -> (Arc<str>, Arc<str>) {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    (first.into(), second.into())
}

impl Board {
    pub(super) fn new(silence_max: Duration) -> Self {
        Self {
            ends: BTreeMap::new(),
            next: 0,
            members: BTreeSet::new(),
            dead: BTreeSet::new(),
            parted: BTreeMap::new(),
            silence_max,
        }
    }

    pub(super) fn add_members<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.members.extend(names.into_iter().map(Arc::from));
    }

    /// Fails a test that has mistyped a name.
    #[track_caller]
    pub(super) fn assert_member(&self, name: &str) {
        let known: Vec<&str> = self.members.iter().map(|member| &**member).collect();
        assert!(
            known.is_empty() || known.contains(&name),
            "no worker is called {name}; there are {}",
            known.join(", ")
        );
    }

    pub(super) fn open(&mut self, me: Arc<str>, peer: Arc<str>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.ends.insert(id, End { me, peer, broken: None, waker: None });
        self.learn(id, None);
        id
    }

    /// The peer has said who it is.
    pub(super) fn learn(&mut self, id: u64, peer: Option<Arc<str>>) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        if let Some(peer) = peer {
            end.peer = peer;
        }
        if self.dead.contains(&end.peer) || self.dead.contains(&end.me) {
            end.broken = Some(Why::Killed);
        }
    }

    pub(super) fn close(&mut self, id: u64) -> Option<Waker> {
        self.ends.remove(&id)?.waker
    }

    /// How link end `id` is; `waker` hears when that changes.
    pub(super) fn condition(&mut self, id: u64, now: Instant, waker: &Waker) -> Condition {
        let Some(end) = self.ends.get_mut(&id) else { return Condition::Open };
        match &mut end.waker {
            Some(before) => before.clone_from(waker),
            before => *before = Some(waker.clone()),
        }
        if let Some(why) = end.broken {
            return Condition::Broken(why);
        }
        match self.parted.get(&pair(&end.me, &end.peer)) {
            None => Condition::Open,
            Some(since) if now >= *since + self.silence_max => {
                end.broken = Some(Why::Parted);
                Condition::Broken(Why::Parted)
            }
            Some(since) => Condition::Parted(*since + self.silence_max),
        }
    }

    pub(super) fn waker(&self, id: u64) -> Option<Waker> {
        self.ends.get(&id)?.waker.clone()
    }

    /// Who has to look again.
    pub(super) fn wakers(&self) -> Vec<Waker> {
        self.ends.values().filter_map(|end| end.waker.clone()).collect()
    }

    /// Ends the links between `a` and `b`; how many ends of them are in this process.
    pub(super) fn cut(&mut self, a: &str, b: &str) -> usize {
        let of = pair(a, b);
        self.break_ends(Why::Cut, |end| pair(&end.me, &end.peer) == of)
    }

    pub(super) fn kill(&mut self, name: &str) {
        self.dead.insert(name.into());
        self.break_ends(Why::Killed, |end| &*end.me == name || &*end.peer == name);
    }

    fn break_ends(&mut self, why: Why, which: impl Fn(&End) -> bool) -> usize {
        let chosen = self.ends.values_mut().filter(|end| end.broken.is_none() && which(end));
        chosen.map(|end| end.broken = Some(why)).count()
    }

    pub(super) fn part(&mut self, a: &str, b: &str, now: Instant) {
        self.parted.entry(pair(a, b)).or_insert(now);
    }

    pub(super) fn heal(&mut self) {
        self.parted.clear();
    }

    pub(super) fn is_dead(&self, name: &str) -> bool {
        self.dead.contains(name)
    }

    /// Until when a dial has to wait for the end of a partition; `None` if it may go on.
    ///
    /// # Errors
    /// Why it fails.
    pub(super) fn dial(
        &self,
        me: &str,
        to: &str,
        began: Instant,
        now: Instant,
    ) -> io::Result<Option<Instant>> {
        if let Some(dead) = [me, to].into_iter().find(|name| self.is_dead(name)) {
            let text = format!("a fault of the test has killed {dead}");
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
        }
        if !self.parted.contains_key(&pair(me, to)) {
            return Ok(None);
        }
        let until = began + self.silence_max;
        if now >= until { Err(Why::Parted.error()) } else { Ok(Some(until)) }
    }
}
