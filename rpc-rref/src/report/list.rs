//! The list of values and who holds them, as programs read it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::WorkerInfo;

use crate::proto::RRefId;

/// Steps of a cycle that are shown on either side of what is left out.
const CYCLE_ENDS_SHOWN: usize = 8;
/// Places of one holder that are shown.
const PLACES_SHOWN: usize = 4;

/// A value that nobody needs but somebody still holds, as it is when its worker has left.
pub type Leak = OwnedValue;

/// A value of this worker's, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedValue {
    /// What stands for it.
    pub rref: RRefId,
    /// The type of the value; `None` if it has not been made, or could not be.
    pub type_name: Option<&'static str>,
    /// Where the program asked for it: `file:line:column`.
    pub created: Arc<str>,
    /// Since when it is known here.
    pub age: Duration,
    /// The workers that have handles to it. None if a handle is on its way.
    pub holders: Vec<Holder>,
    /// If the value leads back to itself, the way there and not its end; starts with the value itself.
    pub cycle: Vec<CycleStep>,
}

/// A worker that has handles to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The worker.
    pub worker: WorkerInfo,
    /// Since when it has some; `None` if that is not known.
    pub age: Option<Duration>,
    /// Where it has them.
    pub handles: Handles,
}

/// Where a worker has its handles to one value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handles {
    /// At these places.
    At(Vec<HandlePlace>),
    /// It did not say.
    Unknown,
    /// It listed as many handles as it may, and only counted the others, of which these are some.
    Counted(u64),
}

/// Where one handle is. Clones of a reference share a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlePlace {
    /// Where it came to be: `file:line:column`, or the function in whose arguments or result it came.
    pub place: Arc<str>,
    /// The value of the same worker's inside of which it is, if it is.
    pub inside: Option<RRefId>,
}

/// A value on a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleStep {
    /// What stands for it.
    pub rref: RRefId,
    /// Its type, if that is known.
    pub type_name: Option<Arc<str>>,
}

/// A handle of this worker's to a value of another's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The value.
    pub rref: RRefId,
    /// Who has it.
    pub owner: WorkerInfo,
    /// Where the handle is.
    pub handle: HandlePlace,
    /// Since when this worker has handles to the value.
    pub age: Duration,
}

/// What one worker has to do with references at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RRefList {
    /// The worker.
    pub worker: WorkerInfo,
    /// Its values, and who holds them; at most 1,024.
    pub owned: Vec<OwnedValue>,
    /// How many values there are beyond those.
    pub owned_more: u64,
    /// Its handles to others' values; at most 1,024 for each of the others.
    pub held: Vec<Held>,
    /// How many handles there are beyond those.
    pub held_more: u64,
}

impl RRefList {
    /// That of a worker that has nothing to do with references.
    pub fn empty(worker: WorkerInfo) -> Self {
        Self { worker, owned: Vec::new(), owned_more: 0, held: Vec::new(), held_more: 0 }
    }
}

impl OwnedValue {
    /// Whether the value leads back to itself.
    pub fn is_on_cycle(&self) -> bool {
        !self.cycle.is_empty()
    }
}

impl fmt::Display for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rref, self.type_name.unwrap_or("not made"))?;
        write!(f, ", made at {}, {} old, is held by ", self.created, age(self.age))?;
        if self.holders.is_empty() {
            f.write_str("a handle on its way")?;
        }
        separated(f, "; ", &self.holders)?;
        if self.is_on_cycle() {
            f.write_str("; on the cycle ")?;
            let shown = self.cycle.len().min(2 * CYCLE_ENDS_SHOWN);
            let (head, tail) = self.cycle.split_at(shown.div_ceil(2));
            let left_out = tail.len() - shown / 2;
            for step in head {
                write!(f, "{step} -> ")?;
            }
            if left_out > 0 {
                write!(f, "({left_out} more) -> ")?;
            }
            for step in &tail[left_out..] {
                write!(f, "{step} -> ")?;
            }
            write!(f, "{}", self.rref)?;
        }
        Ok(())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handles {
            Handles::At(places) => {
                write!(f, "{} ", self.worker)?;
                let shown = places.len().min(PLACES_SHOWN);
                separated(f, ", ", &places[..shown])?;
                if places.len() > shown {
                    write!(f, " and {} more", places.len() - shown)?;
                }
            }
            Handles::Unknown => write!(f, "{}, which did not say where", self.worker)?,
            Handles::Counted(n) => {
                write!(f, "{}, with {n} handles of whose places it told no more", self.worker)?;
            }
        }
        match self.age {
            Some(since) => write!(f, " for {}", age(since)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for HandlePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inside {
            Some(value) => write!(f, "inside {value}, from {}", self.place),
            None => write!(f, "at {}", self.place),
        }
    }
}

impl fmt::Display for CycleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.type_name {
            Some(type_name) => write!(f, "{} ({type_name})", self.rref),
            None => write!(f, "{}", self.rref),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {}, for {}", self.rref, self.owner, self.handle, age(self.age))
    }
}

/// One line for each value and each handle.
impl fmt::Display for RRefList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |listed: usize, more: u64| listed as u64 + more;
        let owned = count(self.owned.len(), self.owned_more);
        let held = count(self.held.len(), self.held_more);
        write!(f, "{}; values owned: {owned}; handles to others': {held}", self.worker)?;
        for value in &self.owned {
            write!(f, "\n  owns {value}")?;
        }
        if self.owned_more > 0 {
            write!(f, "\n  owns {} more", self.owned_more)?;
        }
        for handle in &self.held {
            write!(f, "\n  holds {handle}")?;
        }
        if self.held_more > 0 {
            write!(f, "\n  holds {} more", self.held_more)?;
        }
        Ok(())
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, separator: &str, items: &[T]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// To seconds, which is what is known.
fn age(age: Duration) -> String {
    format!("{} s", age.as_secs())
}

#[cfg(test)]
mod tests {
    use rpc_core::{WorkerId, WorkerName};

    use super::*;

    fn rref(creator: u32, number: u64, owner: u32) -> RRefId {
        RRefId { owner: WorkerId(owner), creator: WorkerId(creator), number }
    }

    fn worker(id: u32) -> WorkerInfo {
        WorkerInfo::new(WorkerName::new(format!("worker{id}")).unwrap(), WorkerId(id))
    }

    fn value() -> OwnedValue {
        OwnedValue {
            rref: rref(0, 3, 1),
            type_name: Some("app::Node"),
            created: "main.rs:7:9".into(),
            age: Duration::from_millis(12_900),
            holders: Vec::new(),
            cycle: Vec::new(),
        }
    }

    #[test]
    fn a_value_is_told_in_one_line_with_its_holders_and_its_cycle() {
        assert_eq!(
            value().to_string(),
            "0:3@1 (app::Node), made at main.rs:7:9, 12 s old, is held by a handle on its way"
        );
        let at = |place: &str, inside| HandlePlace { place: place.into(), inside };
        let known =
            Handles::At(vec![at("a.rs:1:1", None), at("app::link (in a message)", Some(rref(1, 7, 2)))]);
        let holder = |id, age, handles| Holder { worker: worker(id), age, handles };
        let step = |rref, type_name: Option<&str>| CycleStep { rref, type_name: type_name.map(Into::into) };
        let value = OwnedValue {
            holders: vec![
                holder(2, Some(Duration::from_secs(3)), known),
                holder(3, None, Handles::Unknown),
                holder(4, None, Handles::Counted(70)),
            ],
            cycle: vec![step(rref(0, 3, 1), Some("app::Node")), step(rref(1, 7, 2), None)],
            ..value()
        };
        assert_eq!(
            value.to_string(),
            "0:3@1 (app::Node), made at main.rs:7:9, 12 s old, is held by worker2 (rank 2) at a.rs:1:1, \
             inside 1:7@2, from app::link (in a message) for 3 s; worker3 (rank 3), which did not say where; \
             worker4 (rank 4), with 70 handles of whose places it told no more; on the cycle \
             0:3@1 (app::Node) -> 1:7@2 -> 0:3@1"
        );
    }

    #[test]
    fn a_long_cycle_is_cut_in_the_middle() {
        for (n, expected) in [(16, None), (17, Some("(1 more)")), (1_000, Some("(984 more)"))] {
            let cycle =
                (0..n).map(|number| CycleStep { rref: rref(0, number, 0), type_name: None }).collect();
            let text = OwnedValue { cycle, rref: rref(0, 0, 0), ..value() }.to_string();
            assert_eq!(text.contains("more)"), expected.is_some(), "{text}");
            assert!(expected.is_none_or(|expected| text.contains(expected)), "{text}");
            assert!(text.contains("0:0@0 -> 0:1@0 ->"), "{text}");
            assert!(text.ends_with(&format!("0:{}@0 -> 0:0@0", n - 1)), "{text}");
        }
    }
}
