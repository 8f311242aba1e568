//! LK-1 under any mixture of delays, holds, partitions and pauses.

mod common;

use std::time::Duration;

use common::{A, B, Pair, ready_call, reply, request_of};
use proptest::prelude::*;
use rpc_core::{Close, Flush};
use rpc_testing::{ActiveRule, MemoryNetwork, Rule};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send { urgent: bool, len: usize, flush: Flush },
    Flush,
    Read,
    Delay(u64),
    Hold { replies: bool, times: u64 },
    Release,
    Partition,
    Heal,
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let flush = prop_oneof![Just(Flush::Now), Just(Flush::Soon), Just(Flush::Later)];
    prop_oneof![
        8 => (any::<bool>(), 0..3_000_usize, flush)
            .prop_map(|(urgent, len, flush)| Step::Send { urgent, len, flush }),
        2 => Just(Step::Flush),
        8 => Just(Step::Read),
        1 => (0..30_u64).prop_map(Step::Delay),
        1 => (any::<bool>(), 1..4_u64).prop_map(|(replies, times)| Step::Hold { replies, times }),
        1 => Just(Step::Release),
        1 => Just(Step::Partition),
        2 => Just(Step::Heal),
        3 => (0..40_u64).prop_map(Step::Pause),
    ]
}

struct World {
    network: MemoryNetwork,
    pair: Pair,
    rules: Vec<ActiveRule>,
    sent: [Vec<u64>; 2],
    /// Calls from 1,000,000 on are urgent.
    read: [Vec<u64>; 2],
}

const URGENT_FIRST: u64 = 1_000_000;

impl World {
    async fn new() -> Self {
        let silence_max = Duration::from_secs(1 << 20);
        let network = MemoryNetwork::builder().window_bytes(5_000).silence_max(silence_max).build();
        let pair = Pair::on(&network).await;
        Self { network, pair, rules: Vec::new(), sent: Default::default(), read: Default::default() }
    }

    async fn apply(&mut self, step: Step) {
        let sender = &self.pair.near.sender;
        match step {
            Step::Send { urgent, len, flush } => {
                let sent = &mut self.sent[usize::from(urgent)];
                let number = sent.len() as u64 + if urgent { URGENT_FIRST } else { 0 };
                sent.push(number);
                let frame = if urgent { reply(number) } else { request_of(number, len) };
                sender.send(frame, flush).expect("the link is up");
            }
            Step::Flush => sender.flush(),
            Step::Read => self.read(),
            Step::Delay(ms) => self.network.set_delay(A, B, Duration::from_millis(ms)),
            Step::Hold { replies, times } => {
                let rule = Rule::hold().from(A).times(times);
                self.rules.push(self.network.add(if replies { rule.replies() } else { rule }));
            }
            Step::Release => self.rules.iter().for_each(ActiveRule::release),
            Step::Partition => self.network.partition(A, B),
            Step::Heal => self.network.heal(A, B),
            Step::Pause(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
        }
    }

    fn read(&mut self) {
        if let Some(number) = ready_call(&mut self.pair.far) {
            self.read[usize::from(number >= URGENT_FIRST)].push(number);
        }
    }

    /// Ends all faults, closes, and reads to the end.
    async fn settle(&mut self) {
        self.network.heal(A, B);
        self.rules.iter().for_each(ActiveRule::remove);
        self.pair.near.sender.close(Close::AfterQueued);
        while let Some(frame) = rpc_core::recv(&mut *self.pair.far.receiver).await.expect("an orderly end") {
            self.read[usize::from(frame.header.is_urgent())].push(frame.header.call);
        }
    }
}

proptest! {
    #[test]
    fn each_lane_arrives_whole_and_in_order(steps in proptest::collection::vec(step(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.apply(step).await;
            }
            world.settle().await;
            prop_assert_eq!(&world.read, &world.sent);
            prop_assert!(world.network.in_flight().is_empty());
            Ok(())
        })?;
    }
}
