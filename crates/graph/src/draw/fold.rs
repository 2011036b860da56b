//! What repeats is one block, with how often.

use super::tree::{Block, Group, Item, OUTPUT};

/// A frame around one frame is that one.
pub(super) fn hoisted(item: Item) -> Item {
    let Block::Group(Group { title, items, .. }) = &item.block else { return item };
    let [Item { block: Block::Group(inner), times, .. }] = items.as_slice() else { return item };
    let inner = Group { title: format!("{title}.{}", inner.title), ..inner.clone() };
    Item { block: Block::Group(inner), times: *times, shape: item.shape }
}

/// The group with blocks of one structure that follow each other as one.
pub(super) fn folded(mut group: Group) -> Group {
    let mut at = 0;
    while at + 1 < group.items.len() {
        let next = follower(&group, at);
        match next.filter(|next| alike(&group.items[at].block, &group.items[*next].block)) {
            Some(next) => {
                let gone = group.items[next].clone();
                let item = &mut group.items[at];
                item.block = merged(&item.block, &gone.block);
                item.times += gone.times;
                item.shape = gone.shape.or(item.shape.take());
                group.edges.retain(|edge| *edge != [at, next]);
                for edge in &mut group.edges {
                    *edge = edge.map(|end| if end == next { at } else { end });
                    // Those behind move up.
                    *edge = edge.map(|end| if end > next && end < OUTPUT { end - 1 } else { end });
                }
                let mut seen = Vec::new();
                group.edges.retain(|edge| {
                    !seen.contains(edge) && {
                        seen.push(*edge);
                        true
                    }
                });
                group.items.remove(next);
            }
            None => at += 1,
        }
    }
    group
}

/// The item that reads what an item gives, and nothing else; whoever reads the first too reads both, as a join of all.
fn follower(group: &Group, at: usize) -> Option<usize> {
    let ends = |from: usize| group.edges.iter().filter(move |edge| edge[0] == from).map(|edge| edge[1]);
    let alone = |to: &usize| group.edges.iter().filter(|edge| edge[1] == *to).count() == 1;
    let next = ends(at).find(|to| *to != OUTPUT && alone(to))?;
    ends(at).all(|to| to == next || ends(next).any(|other| other == to)).then_some(next)
}

/// Whether two blocks have one structure: their texts may differ in numbers of channels.
fn alike(a: &Block, b: &Block) -> bool {
    match (a, b) {
        (Block::Layer { lines: a, class: one }, Block::Layer { lines: b, class: other }) => {
            one == other && a == b
        }
        (Block::Group(a), Block::Group(b)) => same_structure(a, b),
        _ => false,
    }
}

fn same_structure(a: &Group, b: &Group) -> bool {
    let items = a.items.iter().zip(&b.items).all(|(a, b)| {
        let both = match (&a.block, &b.block) {
            (Block::Layer { lines: a, class: one }, Block::Layer { lines: b, class: other }) => {
                one == other && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| range(a, b).is_some())
            }
            (Block::Group(a), Block::Group(b)) => same_structure(a, b),
            _ => false,
        };
        both && a.times == b.times
    });
    a.items.len() == b.items.len() && a.edges == b.edges && a.kind == b.kind && items
}

pub(super) fn merged(a: &Block, b: &Block) -> Block {
    match (a, b) {
        (Block::Layer { lines, class }, Block::Layer { lines: others, .. }) => {
            let lines = lines.iter().zip(others).map(|(a, b)| range(a, b).unwrap_or_else(|| a.clone()));
            Block::Layer { lines: lines.collect(), class: *class }
        }
        (Block::Group(a), Block::Group(b)) => {
            let items = a.items.iter().zip(&b.items).map(|(a, b)| Item {
                block: merged(&a.block, &b.block),
                times: a.times,
                shape: match (&a.shape, &b.shape) {
                    (Some(a), Some(b)) => range(a, b),
                    (shape, _) => shape.clone(),
                },
            });
            let first = a.title.split(" … ").next().unwrap_or_default();
            let last = b.title.split(" … ").last().unwrap_or_default();
            let title = if first == last { first.to_string() } else { format!("{first} … {last}") };
            Block::Group(Group {
                title,
                kind: a.kind.clone(),
                items: items.collect(),
                edges: a.edges.clone(),
            })
        }
        _ => a.clone(),
    }
}

/// Two texts that differ only in channels, as one: `conv 1×1, 64…128`.
pub(super) fn range(a: &str, b: &str) -> Option<String> {
    if a == b {
        return Some(a.to_string());
    }
    let (wa, wb): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    if wa.len() != wb.len() {
        return None;
    }
    let word = |(a, b): (&&str, &&str)| {
        if a == b {
            return Some(a.to_string());
        }
        let (start, first) = a.split_at(a.len() - a.trim_start_matches(|c: char| c.is_ascii_digit()).len());
        let end = b.trim_start_matches(|c: char| c.is_ascii_digit());
        let last = &b[..b.len() - end.len()];
        // What follows the channels, as the sides of a map, is the same.
        let rest = first
            .strip_prefix('…')
            .map_or(first, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        (rest == end && !start.is_empty() && !last.is_empty()).then(|| format!("{start}…{last}{end}"))
    };
    let words: Option<Vec<String>> = wa.iter().zip(&wb).map(word).collect();
    words.map(|words| words.join(" "))
}
