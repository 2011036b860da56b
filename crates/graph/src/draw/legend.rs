//! Blocks of one type that stand at several places, drawn once beside the picture and named in it.

use super::fold::{merged, range};
use super::picture::{FRAME, Picture, Placed, TITLE};
use super::place::GAP;
use super::tree::{Block, Group, Item, VARIES};
use super::vertex::Class;

/// A picture that is higher than this has its types drawn once.
pub(super) const HIGH: f64 = 2000.0;

/// The types that stand at two places or more, each as a block with its name and the ranges of its numbers; in the group boxes
/// with their names stand for them.
pub(super) fn types(group: &mut Group) -> Vec<Item> {
    let mut found: Vec<(Group, usize)> = Vec::new();
    collect(group, &mut found);
    found.retain(|(_, count)| *count > 1);
    let mut seen: Vec<String> = Vec::new();
    for (one, _) in &mut found {
        let kind = one.kind.take().unwrap_or_default();
        let before = seen.iter().filter(|other| **other == kind).count();
        // Types of one name and two structures: with a shortcut and without.
        one.title = if before == 0 { kind.clone() } else { format!("{kind} {}", "′".repeat(before)) };
        seen.push(kind);
    }
    replace(group, &found);
    found.into_iter().map(|(one, _)| Item { block: Block::Group(one), times: 1, shape: None }).collect()
}

/// The outermost groups that have a type, and how many there are of each.
fn collect(group: &Group, found: &mut Vec<(Group, usize)>) {
    for item in &group.items {
        let Block::Group(inner) = &item.block else { continue };
        if inner.kind.is_none() || inner.items.len() < 3 {
            collect(inner, found);
            continue;
        }
        match found.iter_mut().find(|(other, _)| is_same(other, inner)) {
            Some((other, count)) => (*other, *count) = (varied(other, inner), *count + 1),
            None => found.push((inner.clone(), 1)),
        }
    }
}

fn replace(group: &mut Group, types: &[(Group, usize)]) {
    for item in &mut group.items {
        let Block::Group(inner) = &mut item.block else { continue };
        let named = types.iter().find(|(one, _)| inner.kind.is_some() && is_alike(one, inner));
        match named {
            Some((one, _)) => {
                let times = one.items.iter().zip(&inner.items).find(|(one, _)| one.times == VARIES);
                let times = times.map(|(_, inner)| format!(", n = {}", inner.times)).unwrap_or_default();
                let lines = vec![format!("{}{times}", one.title), inner.title.clone()];
                item.block = Block::Layer { lines, class: Class::Other };
            }
            None => replace(inner, types),
        }
    }
}

fn is_same(a: &Group, b: &Group) -> bool {
    a.kind == b.kind && is_alike(a, b)
}

/// Whether two groups differ in numbers alone: of channels, and of how often a part is there.
fn is_alike(a: &Group, b: &Group) -> bool {
    let items = a.items.iter().zip(&b.items).all(|(a, b)| match (&a.block, &b.block) {
        (Block::Layer { lines: a, class: one }, Block::Layer { lines: b, class: other }) => {
            one == other && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| range(a, b).is_some())
        }
        (Block::Group(a), Block::Group(b)) => is_alike(a, b),
        _ => false,
    });
    a.items.len() == b.items.len() && a.edges == b.edges && items
}

/// Two groups as one with ranges of numbers.
fn varied(a: &Group, b: &Group) -> Group {
    let items = a.items.iter().zip(&b.items).map(|(a, b)| Item {
        block: match (&a.block, &b.block) {
            (Block::Group(a), Block::Group(b)) => Block::Group(varied(a, b)),
            (a, b) => merged(a, b),
        },
        times: if a.times == b.times { a.times } else { VARIES },
        shape: None,
    });
    Group { items: items.collect(), ..a.clone() }
}

impl<'a> Picture<'a> {
    /// The picture with blocks to its right, one below the other.
    pub fn beside(mut self, items: &'a [Item]) -> Self {
        let left = self.width + 40.0;
        let (mut top, mut right) = (GAP, left);
        for item in items {
            let Block::Group(group) = &item.block else { continue };
            let inner = Picture::of(group);
            let (width, height) = (inner.width + 2.0 * FRAME, inner.height + TITLE);
            // A frame's line is in its middle.
            let width = width.max(2.0 * inner.ports[0].max(inner.width - inner.ports[0]) + 2.0 * FRAME);
            self.blocks.push(Placed {
                item,
                inner: Some(inner),
                left,
                top,
                width,
                height,
                leaves: left + width / 2.0,
            });
            (top, right) = (top + height + 16.0, right.max(left + width));
        }
        self.width = right;
        self.height = self.height.max(top);
        self
    }
}
