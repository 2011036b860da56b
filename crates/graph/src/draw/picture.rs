//! A group of blocks with their places.

use super::place::{GAP, Line, Spot, placed};
use super::tree::{Block, Group, INPUT, Item, OUTPUT};
use super::vertex::Class;

/// Height of a line of text.
pub(super) const LINE: f64 = 14.0;
/// Room between a frame and what is in it.
pub(super) const FRAME: f64 = 10.0;
/// Height of a frame's title.
pub(super) const TITLE: f64 = 16.0;

/// A group whose blocks have their places, from its upper left corner.
pub(super) struct Picture<'a> {
    pub width: f64,
    pub height: f64,
    /// Where lines come in and leave, from the left.
    pub ports: [f64; 2],
    pub blocks: Vec<Placed<'a>>,
    /// Lines from one block to another, as points; those with a tip end at a block.
    pub lines: Vec<Path>,
}

/// A block in its place.
pub(super) struct Placed<'a> {
    pub item: &'a Item,
    pub inner: Option<Picture<'a>>,
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    /// Where what it gives leaves it, from the group's left.
    pub leaves: f64,
}

impl Placed<'_> {
    /// How far it reaches to the right, with what is written beside it and its line.
    fn reach(&self) -> f64 {
        let shape = self.item.shape.as_ref().map_or(0.0, |shape| self.leaves + 6.0 + wide(shape, 5.0));
        let times = if self.item.times != 1 && self.inner.is_none() { 34.0 } else { 0.0 };
        shape.max(self.left + self.width + times)
    }
}

/// A line: straight down, or bent between two points of different places.
pub(super) struct Path {
    pub points: Vec<[f64; 2]>,
    pub tip: bool,
    /// Whether it goes around corners in place of bending.
    pub square: bool,
}

/// Blocks that follow each other, one below the other, their lines straight.
struct Column {
    members: Vec<usize>,
    /// Of each member, the left and upper edge from the column's.
    corners: Vec<[f64; 2]>,
    size: [f64; 2],
    /// Where lines come in and leave, from the left.
    ports: [f64; 2],
}

/// A block's size and ports, from the left.
struct Sized {
    size: [f64; 2],
    ports: [f64; 2],
}

impl<'a> Picture<'a> {
    /// The group's blocks in rows, chains of them as columns.
    pub fn of(group: &'a Group) -> Self {
        let mut inner: Vec<Option<Picture>> = group
            .items
            .iter()
            .map(|item| match &item.block {
                Block::Layer { .. } => None,
                Block::Group(inner) => Some(Picture::of(inner)),
            })
            .collect();
        let sized: Vec<Sized> =
            group.items.iter().zip(&inner).map(|(item, inner)| sized(item, inner.as_ref())).collect();
        let columns: Vec<Column> = chains(group).into_iter().map(|members| column(members, &sized)).collect();
        // The frame's input stands before all, its output behind.
        let end = columns.len() + 1;
        let place = |item: usize| match item {
            INPUT => 0,
            OUTPUT => end,
            item => 1 + columns.iter().position(|column| column.members.contains(&item)).unwrap_or_default(),
        };
        let mut edges: Vec<[usize; 2]> = group.edges.iter().map(|edge| edge.map(place)).collect();
        edges.retain(|[from, to]| from != to);
        let mut spots = vec![Spot::new([0.0, 0.0], [0.0; 2])];
        spots.extend(columns.iter().map(|column| {
            let middle = column.size[0] / 2.0;
            Spot::new(column.size, column.ports.map(|port| port - middle))
        }));
        spots.push(Spot::new([0.0, 0.0], [0.0; 2]));
        let (mut spots, through) = placed(spots, &edges);
        // What leaves a frame leaves it where it came in, so that chains of frames are straight.
        spots[end].x = spots[0].x;
        let mut lines: Vec<Path> = through.iter().map(|line| path(line, &spots, end)).collect();
        let mut blocks = Vec::new();
        for (column, spot) in columns.iter().zip(&spots[1..]) {
            let (x, y) = (spot.x - spot.width / 2.0, spot.y);
            let mut before: Option<[f64; 2]> = None;
            for (member, [left, top]) in column.members.iter().zip(&column.corners) {
                let Sized { size: [width, height], ports: [enters, leaves] } = &sized[*member];
                if let Some([from, below]) = before {
                    let points = vec![[from, below], [x + left + enters, y + top]];
                    lines.push(Path { points, tip: !is_frameless(&group.items[*member]), square: false });
                }
                before = Some([x + left + leaves, y + top + height]);
                blocks.push(Placed {
                    item: &group.items[*member],
                    inner: inner[*member].take(),
                    left: x + left,
                    top: y + top,
                    width: *width,
                    height: *height,
                    leaves: x + left + leaves,
                });
            }
        }
        let right = spots.iter().map(|spot| spot.x + spot.width / 2.0).fold(0.0, f64::max);
        let width = blocks.iter().map(Placed::reach).fold(right, f64::max);
        let height = spots[end].y;
        Self { width, height, ports: [spots[0].x, spots[end].x], blocks, lines }
    }
}

/// A chain that is higher than this is laid out in several columns.
const HIGH: f64 = 1200.0;
/// Room between two columns of a chain.
const GUTTER: f64 = 46.0;

impl<'a> Picture<'a> {
    /// A high chain in columns beside each other, read from the left; anything else is as it was.
    pub fn wrapped(self) -> Self {
        let straight = self.blocks.iter().all(|block| (block.leaves - self.ports[0]).abs() < 1.0);
        let highest = self.blocks.iter().map(|block| block.height).fold(0.0, f64::max);
        if !straight || self.height < HIGH || highest > self.height / 2.0 {
            return self;
        }
        // About as wide as high.
        let count = (self.height * 1.3 / (self.width + GUTTER)).sqrt().round().max(2.0) as usize;
        let starts = split(&self.blocks, count);
        let [port, _] = self.ports;
        // Of each column, how far it reaches to both sides of its line.
        let mut reach = vec![[0.0f64; 2]; starts.len() + 1];
        for (at, block) in self.blocks.iter().enumerate() {
            let [left, right] = &mut reach[starts.iter().filter(|start| **start <= at).count()];
            (*left, *right) = (left.max(port - block.left), right.max(block.reach() - port));
        }
        let (mut blocks, mut lines, mut column, mut height) = (Vec::new(), Vec::new(), 0, 0.0f64);
        let mut before: Option<[f64; 2]> = None;
        let top = self.blocks[0].top;
        let (mut line, mut above) = (reach[0][0], 0.0);
        for (at, mut block) in self.blocks.into_iter().enumerate() {
            let turns = starts.contains(&at);
            if turns {
                line += reach[column][1] + GUTTER + reach[column + 1][0];
                (column, above) = (column + 1, block.top - top);
            }
            let shift = line - port;
            (block.left, block.leaves, block.top) =
                (block.left + shift, block.leaves + shift, block.top - above);
            let to = [line, block.top];
            let from = before.unwrap_or([line, 0.0]);
            let points = match turns {
                true => {
                    let between = line - reach[column][0] - GUTTER / 2.0;
                    let (low, high) = (from[1] + GAP - 6.0, top - 14.0);
                    vec![from, [from[0], low], [between, low], [between, high], [line, high], to]
                }
                false => vec![from, to],
            };
            lines.push(Path { points, tip: !is_frameless(block.item), square: turns });
            before = Some([block.leaves, block.top + block.height]);
            height = height.max(block.top + block.height + GAP);
            blocks.push(block);
        }
        if let Some([x, y]) = before {
            lines.push(Path { points: vec![[x, y], [x, y + GAP]], tip: true, square: false });
        }
        let width = line + reach[column][1];
        Self { width, height, ports: [reach[0][0]; 2], blocks, lines }
    }
}

/// Where columns begin that are as equal in height as can be.
fn split(blocks: &[Placed], count: usize) -> Vec<usize> {
    let fits = |most: f64| {
        let (mut starts, mut top) = (Vec::new(), blocks[0].top);
        for (at, block) in blocks.iter().enumerate() {
            if block.top + block.height - top > most {
                starts.push(at);
                top = block.top;
            }
        }
        starts
    };
    let highest = blocks.iter().map(|block| block.height).fold(0.0, f64::max);
    let mut most = highest;
    while fits(most).len() >= count {
        most += 10.0;
    }
    fits(most)
}

/// Items that follow each other, each alone: what one gives only the next reads, and it reads nothing else.
fn chains(group: &Group) -> Vec<Vec<usize>> {
    let next = |at: usize| {
        let mut out = group.edges.iter().filter(|edge| edge[0] == at);
        let (Some([_, to]), None) = (out.next(), out.next()) else { return None };
        let alone = group.edges.iter().filter(|edge| edge[1] == *to).count() == 1;
        (alone && *to != OUTPUT).then_some(*to)
    };
    let follows: Vec<Option<usize>> = (0..group.items.len()).map(next).collect();
    let starts = (0..group.items.len()).filter(|at| !follows.contains(&Some(*at)));
    starts.map(|start| std::iter::successors(Some(start), |at| follows[*at]).collect()).collect()
}

fn column(members: Vec<usize>, sized: &[Sized]) -> Column {
    let (mut corners, mut y) = (Vec::new(), 0.0);
    let mut line = 0.0;
    for member in &members {
        let Sized { size: [_, height], ports: [enters, leaves] } = &sized[*member];
        let left = line - enters;
        corners.push([left, y]);
        line = left + leaves;
        y += height + GAP;
    }
    let least = corners.iter().map(|corner| corner[0]).fold(f64::INFINITY, f64::min);
    corners.iter_mut().for_each(|corner| corner[0] -= least);
    let right = |(member, corner): (&usize, &[f64; 2])| corner[0] + sized[*member].size[0];
    let width = members.iter().zip(&corners).map(right).fold(0.0, f64::max);
    let (first, last) = (members[0], members[members.len() - 1]);
    let ports = [corners[0][0] + sized[first].ports[0], corners[corners.len() - 1][0] + sized[last].ports[1]];
    Column { members, corners, size: [width, y - GAP], ports }
}

fn path(line: &Line, spots: &[Spot], end: usize) -> Path {
    let mut points = Vec::new();
    for (at, spot) in line.spots.iter().enumerate() {
        let block = &spots[*spot];
        let [enters, leaves] = block.ports.map(|port| block.x + port);
        if at > 0 {
            points.push([enters, block.y]);
        }
        // A point of a line is as high as its row.
        if at == 0 || (*spot > end && block.height > 0.0) {
            points.push([leaves, block.y + block.height]);
        }
    }
    Path { points, tip: line.spots.last() != Some(&end), square: false }
}

fn sized(item: &Item, inner: Option<&Picture>) -> Sized {
    let size = match (&item.block, inner) {
        (Block::Layer { lines, class: Class::Join }, _) if lines.len() == 1 => {
            [wide(&lines[0], 6.4) + 18.0, 20.0]
        }
        (Block::Layer { lines, .. }, _) => {
            let first = wide(&lines[0], 6.2);
            let rest = lines[1..].iter().map(|line| wide(line, 5.4)).fold(first, f64::max);
            [rest + 20.0, lines.len() as f64 * LINE + 8.0]
        }
        (Block::Group(group), Some(inner)) if group.title.is_empty() => {
            return Sized { size: [inner.width, inner.height], ports: inner.ports };
        }
        (Block::Group(group), Some(inner)) => {
            let title = wide(&heading(group), 5.6) + if item.times != 1 { 46.0 } else { 16.0 };
            // The line goes through the middle.
            let [port, _] = inner.ports;
            let width = (2.0 * port.max(inner.width - port) + 2.0 * FRAME).max(title);
            return Sized { size: [width, inner.height + TITLE], ports: [width / 2.0; 2] };
        }
        _ => [0.0, 0.0],
    };
    Sized { size, ports: [size[0] / 2.0; 2] }
}

/// Whether a block is a group of which nobody sees that it is one.
fn is_frameless(item: &Item) -> bool {
    matches!(&item.block, Block::Group(group) if group.title.is_empty())
}

/// What stands in a frame's corner.
pub(super) fn heading(group: &Group) -> String {
    match &group.kind {
        Some(kind) => format!("{} · {kind}", group.title),
        None => group.title.clone(),
    }
}

/// About how wide a text is.
pub(super) fn wide(text: &str, character: f64) -> f64 {
    text.chars().count() as f64 * character
}
