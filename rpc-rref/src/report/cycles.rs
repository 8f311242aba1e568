//! Cycles in a graph: which nodes lie on one, and a shortest through each.
//!
//! Strongly connected components after R. Tarjan, *Depth-first search and linear graph algorithms* (1972), with
//! a stack of its own, because a chain of values may be longer than a thread's stack is deep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// For each node, those that it has an edge to.
pub(crate) type Edges<N> = BTreeMap<N, BTreeSet<N>>;

/// The strongly connected components of a graph.
#[derive(Debug)]
pub(crate) struct Components<N>(BTreeMap<N, usize>);

/// A node whose edges are being followed.
struct Visit<N> {
    node: N,
    index: usize,
    /// The smallest index of a node that is known to be reached from here and to be undecided.
    low: usize,
    next: Vec<N>,
}

impl<N: Copy + Ord> Components<N> {
    pub(crate) fn of(edges: &Edges<N>) -> Self {
        let mut components = BTreeMap::new();
        let mut indices: BTreeMap<N, usize> = BTreeMap::new();
        let mut undecided: Vec<N> = Vec::new();
        let mut visits: Vec<Visit<N>> = Vec::new();
        let mut found = 0;
        for root in edges.keys().copied() {
            if indices.contains_key(&root) {
                continue;
            }
            enter(edges, root, &mut indices, &mut undecided, &mut visits);
            while let Some(visit) = visits.last_mut() {
                if let Some(next) = visit.next.pop() {
                    match indices.get(&next) {
                        None => enter(edges, next, &mut indices, &mut undecided, &mut visits),
                        Some(index) if !components.contains_key(&next) => visit.low = visit.low.min(*index),
                        Some(_) => {}
                    }
                    continue;
                }
                let Some(Visit { node, index, low, .. }) = visits.pop() else { break };
                if let Some(before) = visits.last_mut() {
                    before.low = before.low.min(low);
                }
                if low == index {
                    while let Some(member) = undecided.pop() {
                        components.insert(member, found);
                        if member == node {
                            break;
                        }
                    }
                    found += 1;
                }
            }
        }
        Self(components)
    }

    /// A shortest cycle from `start` back to it, without the repeated end; `None` if it lies on none.
    pub(crate) fn cycle_through(&self, edges: &Edges<N>, start: N) -> Option<Vec<N>> {
        let component = self.0.get(&start)?;
        // A cycle does not leave its component.
        let inside = |node: &N| self.0.get(node) == Some(component);
        let mut came_from: BTreeMap<N, N> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for next in edges.get(&node).into_iter().flatten().copied().filter(inside) {
                if next == start {
                    let mut path: Vec<N> =
                        std::iter::successors(Some(node), |node| came_from.get(node).copied()).collect();
                    path.reverse();
                    return Some(path);
                }
                came_from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    node
                });
            }
        }
        None
    }
}

fn enter<N: Copy + Ord>(
    edges: &Edges<N>,
    node: N,
    indices: &mut BTreeMap<N, usize>,
    undecided: &mut Vec<N>,
    visits: &mut Vec<Visit<N>>,
) {
    let index = indices.len();
    indices.insert(node, index);
    undecided.push(node);
    let next = edges.get(&node).into_iter().flatten().copied().collect();
    visits.push(Visit { node, index, low: index, next });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(pairs: &[(u32, u32)]) -> Edges<u32> {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry(*from).or_insert_with(BTreeSet::new).insert(*to);
        }
        edges
    }

    /// Length of a shortest walk from `start` back to it, tried step by step.
    fn round_trip(edges: &Edges<u32>, start: u32) -> Option<usize> {
        let step = |from: &BTreeSet<u32>| -> BTreeSet<u32> {
            from.iter().filter_map(|node| edges.get(node)).flatten().copied().collect()
        };
        let mut at = BTreeSet::from([start]);
        (1..=10).find(|_| {
            at = step(&at);
            at.contains(&start)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_node_on_a_cycle_is_found_with_a_shortest_one(
            pairs in prop::collection::vec((0..8_u32, 0..8_u32), 0..20),
        ) {
            let edges = graph(&pairs);
            let components = Components::of(&edges);
            for node in 0..8 {
                let cycle = components.cycle_through(&edges, node);
                prop_assert_eq!(cycle.as_ref().map(Vec::len), round_trip(&edges, node));
                let Some(cycle) = cycle else { continue };
                prop_assert_eq!(cycle[0], node);
                let ends = cycle.iter().skip(1).chain(&cycle[..1]);
                for (from, to) in cycle.iter().zip(ends) {
                    prop_assert!(edges[from].contains(to), "{:?} in {:?}", cycle, edges);
                }
            }
        }
    }

    #[test]
    fn two_cycles_that_touch_are_told_apart() {
        let edges = graph(&[(1, 2), (2, 1), (2, 3), (3, 4), (4, 2), (9, 1), (4, 7)]);
        let components = Components::of(&edges);
        assert_eq!(components.cycle_through(&edges, 1), Some(vec![1, 2]));
        assert_eq!(components.cycle_through(&edges, 3), Some(vec![3, 4, 2]));
        assert_eq!(components.cycle_through(&edges, 9), None);
        assert_eq!(components.cycle_through(&edges, 7), None);
    }

    #[test]
    fn a_chain_deeper_than_a_stack_is_followed() {
        let n = 200_000;
        let chain: Vec<(u32, u32)> = (0..n).map(|node| (node, (node + 1) % n)).collect();
        let edges = graph(&chain);
        let cycle = Components::of(&edges).cycle_through(&edges, 5).unwrap();
        assert_eq!((cycle.len(), cycle[0]), (n as usize, 5));
    }
}
