//! Long random runs of the [`World`].

use proptest::prelude::*;
use proptest::sample::Index;

use super::world::{Event, World};

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Index),
    Deliver(Index),
    Lose(Index),
    GiveUp(Index),
    Expire(Index),
    Look(Index),
    Die(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        40 => index().prop_map(Step::Begin),
        80 => index().prop_map(Step::Deliver),
        10 => index().prop_map(Step::Lose),
        10 => index().prop_map(Step::GiveUp),
        10 => index().prop_map(Step::Expire),
        10 => index().prop_map(Step::Look),
        1 => index().prop_map(Step::Die),
    ]
}

/// What `step` means in `world`, if anything.
fn event(world: &World, step: Step) -> Option<Event> {
    let members = world.members.len();
    let place = |at: Index| (!world.net.is_empty()).then(|| at.index(world.net.len()));
    match step {
        Step::Begin(who) => {
            let member = &world.members[who.index(members)];
            (!member.is_dead && member.under_way.is_none()).then(|| Event::Begin(who.index(members)))
        }
        Step::Deliver(at) => place(at).map(Event::Deliver),
        Step::Lose(at) => place(at).map(Event::Lose),
        Step::GiveUp(who) => Some(Event::GiveUp(who.index(members))),
        Step::Expire(at) => {
            let mut open: Vec<u64> = world.leader.open().map(|operation| operation.count).collect();
            open.sort_unstable();
            (!open.is_empty()).then(|| Event::Expire(open[at.index(open.len())]))
        }
        Step::Look(at) => {
            let looks = world.looks();
            (!looks.is_empty()).then(|| looks[at.index(looks.len())])
        }
        Step::Die(who) => (members > 1).then(|| Event::Die(1 + who.index(members - 1))),
    }
}

/// Those who live go on to the count of the one who is furthest, and the network calms down. Nobody's time passes.
fn finish(world: &mut World) {
    let last = world.begun();
    loop {
        if !world.net.is_empty() {
            world.apply(Event::Deliver(world.net.len() - 1));
            continue;
        }
        let is_behind = |who: &usize| !world.members[*who].is_dead && world.members[*who].under_way.is_none();
        let behind = (0..world.members.len()).filter(is_behind);
        let mut behind = behind.filter(|who| world.members[*who].ends.len() < last);
        let next = behind.next().map(Event::Begin).or_else(|| world.looks().first().copied());
        let Some(next) = next else { break };
        world.apply(next);
    }
}

proptest! {
    /// CL-1 to CL-7 under any order of arrival, loss, giving up and death: the world asserts those that hold always.
    #[test]
    fn cl7_members_get_all_values_of_one_operation_or_an_error_and_do_not_wait_in_vain(
        members in 1_usize..5,
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(members);
        for step in steps {
            if let Some(event) = event(&world, step) {
                world.apply(event);
            }
        }
        finish(&mut world);
        prop_assert!(world.leader.is_empty(), "CL-4 and CL-7: {:#?}", world);
        world.assert_one_end();
        let last = world.begun();
        for member in world.members.iter().filter(|member| !member.is_dead) {
            prop_assert_eq!(member.under_way, None, "CL-7");
            let counts: Vec<u64> = member.ends.keys().copied().collect();
            prop_assert_eq!(counts, (0..last as u64).collect::<Vec<_>>(), "CL-5");
        }
    }
}
