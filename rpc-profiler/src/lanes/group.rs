//! [`Group`]: lanes that take slices, in the order in which these begin.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::slice::Interval;
use crate::model::Tick;

/// Lanes of one worker.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// What is open in each, outermost first.
    lanes: Vec<Vec<Open>>,
    /// Lanes with nothing in them, the first one on top.
    free: BinaryHeap<Reverse<u32>>,
    /// When the others will be free, the next one on top.
    busy: BinaryHeap<Reverse<(Tick, u32)>>,
}

/// A slice that later ones may be in.
#[derive(Debug)]
struct Open {
    holder: u32,
    ended: Tick,
}

/// Where a slice has been put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) lane: u32,
    pub(super) level: u32,
}

impl Group {
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.lanes.len()).unwrap_or(u32::MAX)
    }

    /// Puts a slice directly into that of `parent`, which is in `lane`. `None` if it would stick out, or something else is
    /// there.
    pub(super) fn put_into(
        &mut self,
        lane: u32,
        parent: u32,
        holder: u32,
        interval: Interval,
    ) -> Option<Placed> {
        let open = self.lanes.get_mut(lane as usize)?;
        while open.last().is_some_and(|last| last.ended <= interval.began) {
            open.pop();
        }
        let around = open.last().filter(|last| last.holder == parent && interval.ended <= last.ended);
        around?;
        let level = u32::try_from(open.len()).unwrap_or(u32::MAX);
        open.push(Open { holder, ended: interval.ended });
        Some(Placed { lane, level })
    }

    /// Puts a slice into a lane in which nothing is.
    pub(super) fn put_apart(&mut self, holder: u32, interval: Interval) -> Placed {
        while let Some(&Reverse((ended, lane))) = self.busy.peek()
            && ended <= interval.began
        {
            self.busy.pop();
            self.lanes[lane as usize].clear();
            self.free.push(Reverse(lane));
        }
        let lane = self.free.pop().map_or_else(|| self.len(), |Reverse(lane)| lane);
        if lane == self.len() {
            self.lanes.push(Vec::new());
        }
        self.lanes[lane as usize].push(Open { holder, ended: interval.ended });
        self.busy.push(Reverse((interval.ended, lane)));
        Placed { lane, level: 0 }
    }
}
