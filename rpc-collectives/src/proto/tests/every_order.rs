//! Small worlds, whole: every order in which a few things can happen.

use std::collections::BTreeSet;

use super::world::{Ending, Event, World};

/// How often each of what goes wrong may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Troubles {
    deaths: u8,
    timeouts: u8,
    losses: u8,
    given_up: u8,
}

impl Troubles {
    /// Those that are left after `event`; `None` if there is one too few.
    fn less(self, event: Event) -> Option<Self> {
        let mut left = self;
        let kind = match event {
            Event::Die(_) => &mut left.deaths,
            Event::Expire(_) => &mut left.timeouts,
            Event::Lose(_) => &mut left.losses,
            Event::GiveUp(_) => &mut left.given_up,
            Event::Begin(_) | Event::Deliver(_) | Event::Look(..) => return Some(self),
        };
        *kind = kind.checked_sub(1)?;
        Some(left)
    }
}

/// What can happen in `world` by itself, of which something is to happen while there is any.
fn own_course(world: &World, operations: usize) -> Vec<Event> {
    let mut events = world.looks();
    events.extend((0..world.net.len()).map(Event::Deliver));
    for (who, member) in world.members.iter().enumerate() {
        if !member.is_dead && member.under_way.is_none() && member.ends.len() < operations {
            events.push(Event::Begin(who));
        }
    }
    events
}

/// What can go wrong in it.
fn mishaps(world: &World) -> Vec<Event> {
    let mut events: Vec<Event> = (0..world.net.len()).map(Event::Lose).collect();
    events.extend(world.leader.open().map(|operation| Event::Expire(operation.count)));
    for (who, member) in world.members.iter().enumerate().filter(|(_, member)| !member.is_dead) {
        if who > 0 {
            events.push(Event::Die(who));
        }
        if member.under_way.is_some() {
            events.push(Event::GiveUp(who));
        }
    }
    events
}

/// Where nothing is left to happen: everybody who lives has an end for each operation.
fn assert_at_rest(world: &World, operations: usize) {
    assert!(world.leader.is_empty(), "CL-4 and CL-7: {world:#?}");
    for member in world.members.iter().filter(|member| !member.is_dead) {
        assert!(member.under_way.is_none() && member.ends.len() == operations, "CL-7: {world:#?}");
    }
    world.assert_one_end();
}

/// Goes through all worlds of `members` with so many operations and troubles. Returns how many there are, and in how many
/// of those at rest every operation has ended well for all.
fn explore(members: usize, operations: usize, troubles: Troubles) -> (usize, usize) {
    let (mut seen, mut at_rest_well) = (BTreeSet::new(), 0);
    let mut next = vec![(World::new(members), troubles)];
    while let Some((world, left)) = next.pop() {
        if !seen.insert((world.key(), left)) {
            continue;
        }
        let course = own_course(&world, operations);
        if course.is_empty() {
            assert_at_rest(&world, operations);
            let is_well = |ending: &Ending| *ending == Ending::Whole;
            at_rest_well += usize::from(world.members.iter().all(|member| member.ends.values().all(is_well)));
        }
        for event in course.into_iter().chain(mishaps(&world)) {
            if let Some(left) = left.less(event) {
                let mut then = world.clone();
                then.apply(event);
                next.push((then, left));
            }
        }
    }
    (seen.len(), at_rest_well)
}

/// CL-1. Nothing goes wrong, so there is one way in which it all can end.
#[test]
fn cl1_without_troubles_every_order_ends_well() {
    for (members, operations) in [(1, 2), (2, 2), (3, 2), (4, 1)] {
        let (worlds, well) = explore(members, operations, Troubles::default());
        assert_eq!(well, 1, "of {worlds}");
    }
}

/// CL-1 to CL-7: one death and one timeout, and what else can go wrong, at every moment.
#[test]
fn cl7_in_no_order_of_troubles_does_anybody_wait_in_vain() {
    let death_and_timeout = Troubles { deaths: 1, timeouts: 1, ..Troubles::default() };
    let all = Troubles { losses: 1, given_up: 1, ..death_and_timeout };
    for (members, operations, troubles) in [(2, 2, all), (3, 1, all), (3, 2, death_and_timeout)] {
        let (worlds, well) = explore(members, operations, troubles);
        assert!(worlds > 1_000 && well > 0, "{well} of {worlds} worlds");
    }
}
