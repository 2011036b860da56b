//! Where blocks stand: in rows, each below what it reads, with few crossings and straight lines (Sugiyama and others 1981).

use std::collections::HashMap;

/// A thing to be placed, or a point that a long line goes through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub width: f64,
    pub height: f64,
    /// The middle.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// Where lines come in and where they leave, from the middle.
    pub ports: [f64; 2],
    row: usize,
    /// Whether it is a point of a line.
    bend: bool,
}

impl Spot {
    /// A block of a width and a height that is not placed yet.
    pub fn new([width, height]: [f64; 2], ports: [f64; 2]) -> Self {
        Self { width, height, x: 0.0, y: 0.0, ports, row: 0, bend: false }
    }
}

/// A line through spots, from the first to the last.
pub(super) struct Line {
    pub spots: Vec<usize>,
}

/// Room between two rows.
pub(super) const GAP: f64 = 26.0;
/// Room between two blocks of a row.
const BESIDE: f64 = 14.0;

/// Blocks, placed; lines are from one to another and the blocks are in an order in which all lines go ahead.
/// What is behind the blocks in the answer are points of lines.
pub(super) fn placed(mut spots: Vec<Spot>, edges: &[[usize; 2]]) -> (Vec<Spot>, Vec<Line>) {
    for to in 0..spots.len() {
        let above = edges.iter().filter(|edge| edge[1] == to).map(|edge| spots[edge[0]].row + 1);
        spots[to].row = above.max().unwrap_or(0);
    }
    let mut lines = Vec::with_capacity(edges.len());
    for [from, to] in edges {
        let mut through = vec![*from];
        for row in spots[*from].row + 1..spots[*to].row {
            through.push(spots.len());
            spots.push(Spot { row, bend: true, ..Spot::new([8.0, 0.0], [0.0; 2]) });
        }
        through.push(*to);
        lines.push(Line { spots: through });
    }
    let mut neighbours: Vec<[Vec<usize>; 2]> = vec![[Vec::new(), Vec::new()]; spots.len()];
    for line in &lines {
        for pair in line.spots.windows(2) {
            neighbours[pair[1]][0].push(pair[0]);
            neighbours[pair[0]][1].push(pair[1]);
        }
    }
    let count = spots.iter().map(|spot| spot.row + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    (0..spots.len()).for_each(|at| rows[spots[at].row].push(at));
    for sweep in 0..8 {
        order(&mut rows, &neighbours, sweep % 2 == 0);
    }
    let mut y = 0.0;
    for row in &rows {
        let height = row.iter().map(|at| spots[*at].height).fold(0.0, f64::max);
        for at in row {
            spots[*at].y = if spots[*at].bend { y } else { y + (height - spots[*at].height) / 2.0 };
            if spots[*at].bend {
                spots[*at].height = height;
            }
        }
        y += height + GAP;
    }
    for row in &rows {
        let wanted: Vec<f64> = vec![0.0; row.len()];
        settle(&mut spots, row, &wanted);
    }
    for sweep in 0..80 {
        let range: Vec<usize> =
            if sweep % 2 == 0 { (0..count).collect() } else { (0..count).rev().collect() };
        for at in range {
            let wanted: Vec<f64> = rows[at].iter().map(|spot| middle(&spots, *spot, &neighbours)).collect();
            settle(&mut spots, &rows[at], &wanted);
        }
    }
    straighten(&mut spots, &lines, &rows);
    let left = spots.iter().map(|spot| spot.x - spot.width / 2.0).fold(f64::INFINITY, f64::min);
    spots.iter_mut().for_each(|spot| spot.x -= left);
    (spots, lines)
}

/// Each row in the order of the middles of its neighbours in the row above or below.
fn order(rows: &mut [Vec<usize>], neighbours: &[[Vec<usize>; 2]], down: bool) {
    let mut place: HashMap<usize, f64> = HashMap::new();
    let put = |place: &mut HashMap<usize, f64>, row: &[usize]| {
        place.extend(row.iter().enumerate().map(|(at, spot)| (*spot, at as f64 - row.len() as f64 / 2.0)));
    };
    rows.iter().for_each(|row| put(&mut place, row));
    let count = rows.len();
    for step in 0..count {
        let at = if down { step } else { count - 1 - step };
        let side = usize::from(!down);
        let key = |spot: &usize| {
            let near = &neighbours[*spot][side];
            match near.len() {
                0 => place[spot],
                count => near.iter().map(|other| place[other]).sum::<f64>() / count as f64,
            }
        };
        let mut keyed: Vec<(f64, usize)> = rows[at].iter().map(|spot| (key(spot), *spot)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows[at] = keyed.into_iter().map(|(_, spot)| spot).collect();
        put(&mut place, &rows[at]);
    }
}

/// Where a spot would be if only its neighbours counted. A line between two that have no other neighbour there pulls
/// hardest, so that chains and long lines are straight.
fn middle(spots: &[Spot], spot: usize, neighbours: &[[Vec<usize>; 2]]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for side in [0, 1] {
        for other in &neighbours[spot][side] {
            let single = [neighbours[spot][side].len(), neighbours[*other][1 - side].len()];
            let weight = match single {
                _ if spots[spot].bend && spots[*other].bend => 8.0,
                [1, 1] => 8.0,
                _ if spots[spot].bend != spots[*other].bend => 0.02,
                [1, _] | [_, 1] => 2.0,
                _ => 1.0,
            };
            weights += weight;
            sum += weight * (spots[*other].x + spots[*other].ports[1 - side] - spots[spot].ports[side]);
        }
    }
    if weights > 0.0 { sum / weights } else { spots[spot].x }
}

/// Lines that pass blocks pass them at one distance, where there is room.
fn straighten(spots: &mut [Spot], lines: &[Line], rows: &[Vec<usize>]) {
    for _ in 0..3 {
        for line in lines.iter().filter(|line| line.spots.len() > 3) {
            let bends = &line.spots[1..line.spots.len() - 1];
            let ends = (spots[line.spots[0]].x + spots[line.spots[line.spots.len() - 1]].x) / 2.0;
            // As near to its ends as the blocks on its way allow.
            let beside = bends
                .iter()
                .flat_map(|bend| rows[spots[*bend].row].iter().filter(move |other| *other != bend));
            let mut places: Vec<f64> = beside
                .flat_map(|other| {
                    [-1.0, 1.0].map(|way| spots[*other].x + way * (spots[*other].width / 2.0 + BESIDE))
                })
                .chain(bends.iter().map(|bend| spots[*bend].x))
                .collect();
            places.sort_by(|a, b| (a - ends).abs().total_cmp(&(b - ends).abs()));
            let free = |x: f64, spots: &[Spot]| {
                bends.iter().all(|bend| {
                    let mut others = rows[spots[*bend].row].iter().filter(|other| *other != bend);
                    others.all(|other| {
                        (spots[*other].x - x).abs() >= (spots[*other].width + spots[*bend].width) / 2.0 + 4.0
                    })
                })
            };
            if let Some(x) = places.into_iter().find(|x| free(*x, spots)) {
                bends.iter().for_each(|bend| spots[*bend].x = x);
            }
        }
    }
}

/// Puts a row as near to where it is wanted as the widths allow: a regression in which values only rise, by pooling neighbours
/// that violate it.
fn settle(spots: &mut [Spot], row: &[usize], wanted: &[f64]) {
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (at, spot) in row.iter().enumerate() {
        if at > 0 {
            offset += (spots[row[at - 1]].width + spots[*spot].width) / 2.0 + BESIDE;
        }
        offsets.push(offset);
    }
    // Value, weight and length of each pool.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (at, spot) in row.iter().enumerate() {
        let weight = if spots[*spot].bend { 1.0 } else { 16.0 };
        let mut pool = (wanted[at] - offsets[at], weight, 1);
        while let Some(before) = pools.pop_if(|before| before.0 > pool.0) {
            let weight = before.1 + pool.1;
            pool = ((before.0 * before.1 + pool.0 * pool.1) / weight, weight, before.2 + pool.2);
        }
        pools.push(pool);
    }
    let mut values = pools.into_iter().flat_map(|(value, _, length)| std::iter::repeat_n(value, length));
    for (spot, offset) in row.iter().zip(offsets) {
        spots[*spot].x = values.next().unwrap_or(0.0) + offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_straight_and_a_line_around_it_touches_no_block() {
        // Three blocks, and a line from the first to the last.
        let (spots, lines) = placed(vec![Spot::new([60.0, 20.0], [0.0; 2]); 3], &[[0, 1], [1, 2], [0, 2]]);
        assert!((spots[0].x - spots[1].x).abs() < 4.0 && (spots[2].x - spots[1].x).abs() < 4.0);
        let bend = &spots[lines[2].spots[1]];
        assert!((bend.x - spots[1].x).abs() >= 30.0 + BESIDE, "{} {}", bend.x, spots[1].x);
        assert!(spots[1].y >= 20.0 + GAP && spots[2].y >= spots[1].y + 20.0 + GAP);
    }

    #[test]
    fn blocks_of_a_row_do_not_overlap() {
        let edges = [[0, 1], [0, 2], [0, 3], [1, 4], [2, 4], [3, 4]];
        let blocks = [40.0, 90.0, 50.0, 70.0, 40.0].map(|width| Spot::new([width, 10.0], [0.0; 2]));
        let (spots, _) = placed(blocks.to_vec(), &edges);
        let mut row: Vec<&Spot> = spots[1..4].iter().collect();
        row.sort_by(|a, b| a.x.total_cmp(&b.x));
        for pair in row.windows(2) {
            assert!(pair[1].x - pair[1].width / 2.0 >= pair[0].x + pair[0].width / 2.0 + BESIDE - 1e-9);
        }
    }
}
