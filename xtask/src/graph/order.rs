//! Circles and floors of a graph. A node's floor is above the floors of all that it points to.

use std::collections::{BTreeMap, BTreeSet};

/// From each node to the nodes that it points to.
pub(crate) type Edges<N> = BTreeMap<N, BTreeSet<N>>;

/// The nodes that `from` leads to, over one edge or more.
pub(crate) fn reach<N: Ord + Clone>(edges: &Edges<N>, from: &N) -> BTreeSet<N> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from.clone()];
    while let Some(node) = waiting.pop() {
        for next in edges.get(&node).into_iter().flatten() {
            if found.insert(next.clone()) {
                waiting.push(next.clone());
            }
        }
    }
    found
}

/// The sets of nodes that lead to each other.
pub(crate) fn circles<N: Ord + Clone>(edges: &Edges<N>) -> Vec<BTreeSet<N>> {
    let reach: BTreeMap<&N, BTreeSet<N>> = edges.keys().map(|node| (node, reach(edges, node))).collect();
    let mut circles: Vec<BTreeSet<N>> = Vec::new();
    for (node, reached) in &reach {
        let known = circles.iter().any(|circle| circle.contains(*node));
        if !known && reached.contains(*node) {
            let back = |other: &&N| reach.get(*other).is_some_and(|reached| reached.contains(*node));
            circles.push(reached.iter().filter(back).cloned().collect());
        }
    }
    circles
}

/// The edges that no longer way implies. In a circle every edge is kept.
pub(crate) fn reduced<N: Ord + Clone>(edges: &Edges<N>) -> Edges<N> {
    let is_implied = |from: &N, to: &N| {
        edges[from]
            .iter()
            .any(|other| other != to && reach(edges, other).contains(to) && !reach(edges, to).contains(other))
    };
    edges
        .iter()
        .map(|(from, targets)| {
            let kept = targets.iter().filter(|to| !is_implied(from, to)).cloned();
            (from.clone(), kept.collect())
        })
        .collect()
}

/// The nodes by floor, the lowest first. The nodes of a circle are on one floor.
pub(crate) fn floors<N: Ord + Clone>(edges: &Edges<N>) -> Vec<Vec<N>> {
    let mut floors: Vec<Vec<N>> = Vec::new();
    let mut placed = BTreeSet::new();
    while placed.len() < edges.len() {
        let is_free = |node: &&N| {
            let below = reach(edges, *node);
            let mut open = below.iter().filter(|to| edges.contains_key(*to) && !placed.contains(*to));
            !placed.contains(*node) && open.all(|to| reach(edges, to).contains(*node))
        };
        let floor: Vec<N> = edges.keys().filter(is_free).cloned().collect();
        // A floor is never empty: what is left over has a lowest node or circle.
        placed.extend(floor.iter().cloned());
        floors.push(floor);
    }
    floors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(text: &str) -> Edges<char> {
        let mut edges: Edges<char> =
            text.chars().filter(|c| c.is_alphabetic()).map(|c| (c, BTreeSet::new())).collect();
        for pair in text.split_whitespace() {
            let (from, to) = (pair.chars().next(), pair.chars().nth(1));
            if let (Some(from), Some(to)) = (from, to) {
                edges.entry(from).or_default().insert(to);
            }
        }
        edges
    }

    #[test]
    fn floors_rise_from_what_imports_nothing() {
        assert_eq!(floors(&edges("ab bc ac d")), [vec!['c', 'd'], vec!['b'], vec!['a']]);
    }

    #[test]
    fn a_circle_is_found_and_is_on_one_floor() {
        let edges = edges("ab bc cb cd");
        assert_eq!(circles(&edges), [BTreeSet::from(['b', 'c'])]);
        assert_eq!(floors(&edges), [vec!['d'], vec!['b', 'c'], vec!['a']]);
    }

    #[test]
    fn an_edge_that_a_longer_way_implies_is_left_out() {
        assert_eq!(reduced(&edges("ab bc ac")), edges("ab bc"));
    }
}
