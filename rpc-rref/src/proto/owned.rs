//! One value on its owner.

use rpc_core::WorkerId;

use super::Why;
use super::ids::Registration;

/// Who keeps the value alive. There may be a million of these, so they are small.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owned<O> {
    /// The driver's.
    pub(super) data: O,
    /// The users that are listed.
    pub(super) users: Users,
    pub(super) parked: Option<Box<Parked>>,
    /// Handles on this worker.
    pub(super) handles: u32,
    /// Handles sent and not adopted.
    pub(super) pins: u32,
    pub(super) phase: Phase,
}

/// Users that registered before the value was created. Each is there once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Parked(pub(super) Vec<(WorkerId, Registration)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Its creation is on its way.
    Expected,
    /// It was asked for; whether its function has returned is not this protocol's business.
    Held,
    /// There is none. The entry is there for those who have handles to it.
    Failed(Why),
}

impl<O: Default> Owned<O> {
    pub(super) fn new(phase: Phase) -> Self {
        Self { data: O::default(), users: Users::None, parked: None, handles: 0, pins: 0, phase }
    }
}

impl<O> Owned<O> {
    pub(super) fn parked(&self) -> &[(WorkerId, Registration)] {
        self.parked.as_ref().map_or(&[], |parked| &parked.0)
    }

    pub(super) fn is_parked(&self, user: WorkerId) -> bool {
        self.parked().iter().any(|(parked, _)| *parked == user)
    }

    pub(super) fn park(&mut self, user: WorkerId, id: Registration) {
        self.parked.get_or_insert_default().0.push((user, id));
    }

    /// Forgets a user that waits for the creation. Whether there was one.
    pub(super) fn unpark(&mut self, user: WorkerId) -> bool {
        let Some(parked) = &mut self.parked else { return false };
        let before = parked.0.len();
        parked.0.retain(|(waiting, _)| *waiting != user);
        let found = parked.0.len() < before;
        if parked.0.is_empty() {
            self.parked = None;
        }
        found
    }

    /// Whether nobody needs it.
    pub(super) fn is_free(&self) -> bool {
        self.handles == 0 && self.pins == 0 && self.users.as_slice().is_empty() && self.parked.is_none()
    }
}

/// A set of workers. Most values have no user or one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Users {
    None,
    One(WorkerId),
    /// Two or more, in order.
    Many(Vec<WorkerId>),
}

impl Users {
    pub(super) fn as_slice(&self) -> &[WorkerId] {
        match self {
            Self::None => &[],
            Self::One(user) => std::slice::from_ref(user),
            Self::Many(users) => users,
        }
    }

    pub(super) fn contains(&self, user: WorkerId) -> bool {
        self.as_slice().binary_search(&user).is_ok()
    }

    pub(super) fn insert(&mut self, user: WorkerId) {
        match self {
            Self::None => *self = Self::One(user),
            Self::One(one) if *one == user => {}
            Self::One(one) => *self = Self::Many(vec![user.min(*one), user.max(*one)]),
            Self::Many(users) => {
                if let Err(at) = users.binary_search(&user) {
                    users.insert(at, user);
                }
            }
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, user: WorkerId) -> bool {
        let Ok(at) = self.as_slice().binary_search(&user) else { return false };
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Many(users) => {
                users.remove(at);
                if let [last] = users[..] {
                    *self = Self::One(last);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn users_are_a_set(steps in prop::collection::vec((0..5_u32, any::<bool>()), 0..40)) {
            let (mut users, mut model) = (Users::None, BTreeSet::new());
            for (id, insert) in steps {
                let id = WorkerId(id);
                if insert {
                    users.insert(id);
                    model.insert(id);
                } else {
                    prop_assert_eq!(users.remove(id), model.remove(&id));
                }
                prop_assert!(users.as_slice().iter().eq(&model));
                prop_assert_eq!(matches!(users, Users::Many(_)), model.len() > 1);
            }
        }
    }
}
