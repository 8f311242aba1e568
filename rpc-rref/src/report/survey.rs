//! Which handles are inside of which of this worker's values, by a dry run of their serialization.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc_core::Stored;

use super::tell::Edge;
use crate::handle::Handle;
use crate::proto::RRefId;
use crate::registry::{PlaceId, Registry, State, Wanted};

/// Values that are looked into.
const VALUES_MAX: usize = 10_000;
/// For how long; the last one may take longer.
const TIME_MAX: Duration = Duration::from_secs(1);

/// What is inside of this worker's values.
#[derive(Default)]
pub(crate) struct Survey {
    pub(super) inside: Inside,
    pub(super) edges: Vec<Edge>,
}

/// For each handle that is inside of a value, told by what it refers to and where it came to be, that value.
/// Several handles may be alike.
#[derive(Clone, Default)]
pub(crate) struct Inside(BTreeMap<(RRefId, PlaceId), Vec<RRefId>>);

impl Inside {
    /// The value inside of which one of the handles is that are alike in this. Each time another.
    pub(super) fn take(&mut self, rref: RRefId, place: PlaceId) -> Option<RRefId> {
        self.0.get_mut(&(rref, place))?.pop()
    }
}

impl Registry {
    /// Looks into the values. Runs users' code, so no lock is held, and it may take a second or so.
    ///
    /// A value that is being written, or has no encoding, is passed over.
    pub(super) fn survey(&self) -> Survey {
        let until = Instant::now() + TIME_MAX;
        let mut survey = Survey::default();
        let mut seen = BTreeSet::new();
        let mut opaque = 0_u64;
        // Kept until the end, so that no address is used again.
        let mut handles: BTreeMap<*const Handle, Arc<Handle>> = BTreeMap::new();
        for (rref, value) in self.read(State::values_to_survey) {
            if Instant::now() >= until {
                break;
            }
            let Some(found) = self.handles_inside(rref, &value) else {
                opaque += 1;
                continue;
            };
            for handle in found {
                let (held, place) = (handle.rref(), handle.place());
                // A handle may be shared by several values; it is said to be inside of the first.
                if handles.insert(Arc::as_ptr(&handle), handle).is_none() {
                    survey.inside.0.entry((held, place)).or_default().push(rref);
                }
                if seen.insert((rref, held)) {
                    survey.edges.push(Edge { holder: rref, type_name: value.type_name().to_owned(), held });
                }
            }
        }
        if opaque > 0 {
            tracing::debug!(opaque, "some values cannot be looked into for references");
        }
        survey
    }

    /// `None` if the value cannot be looked into.
    fn handles_inside(&self, rref: RRefId, value: &Arc<dyn Stored>) -> Option<Vec<Arc<Handle>>> {
        let wanted = Wanted { rref, exclusive: false, nested: false };
        let borrowed = self.try_borrow(wanted, value, || Arc::clone(value).try_borrow())?;
        let found = catch_unwind(AssertUnwindSafe(|| borrowed.get().handles())).ok()??;
        let own = found.into_iter().filter_map(|handle| handle.downcast::<Handle>().ok());
        Some(own.filter(|handle| handle.is_of(self)).collect())
    }
}

impl State {
    /// The values that handles may be inside of.
    fn values_to_survey(&self) -> Vec<(RRefId, Arc<dyn Stored>)> {
        let local = self.table.iter_owned().any(|(_, owned, _)| owned.local.is_some());
        if !local && self.table.iter_used().next().is_none() {
            return Vec::new(); // there is no handle on this worker
        }
        let values =
            self.table.iter_owned().filter_map(|(rref, owned, _)| Some((rref, owned.value.clone()?)));
        values.take(VALUES_MAX).collect()
    }
}
