//! A network as a picture.

mod fold;
mod legend;
mod picture;
mod place;
mod tree;
mod vertex;

use std::fmt::Write;

use crate::graph::Graph;
use picture::{LINE, Path, Picture, Placed, TITLE, heading};
use tree::{Block, Group, VARIES};
use vertex::Class;

/// Room around the picture.
const MARGIN: f64 = 16.0;

impl Graph {
    /// The architecture as an SVG: a box a layer with the normalization and activation beside it, a frame a module, what repeats
    /// drawn once with how often, and the shapes of what flows, without the batch.
    pub fn draw(&self, title: &str) -> String {
        let mut group = tree::tree(&vertex::vertices(self), &self.modules).sectioned();
        // A frame around nearly all there is says little, and is in the way of columns.
        while let Some(inner) = tallest(&group).and_then(|at| group.spliced(at)) {
            group = inner;
        }
        let mut types = Vec::new();
        if Picture::of(&group).wrapped().height > legend::HIGH {
            types = legend::types(&mut group);
        }
        let mut picture = Picture::of(&group).wrapped();
        let end = picture.height - 0.1;
        for line in &mut picture.lines {
            line.tip |= line.points.last().is_some_and(|[_, y]| *y > end);
        }
        let picture = picture.beside(&types);
        let (width, height) = (picture.width + 2.0 * MARGIN, picture.height + 2.0 * MARGIN + TITLE);
        let title = escaped(title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"Architecture of {title}\">\n{STYLE}\
             <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{title}</text>\n",
            width / 2.0,
            MARGIN + 2.0
        );
        let [_, channels, rows, columns] = self.images;
        let (left, top) = (MARGIN, MARGIN + TITLE);
        shape(&mut svg, &format!("{channels}×{rows}×{columns}"), left + picture.ports[0], top - 2.0);
        write(&mut svg, &picture, left, top);
        svg.push_str("</svg>\n");
        svg
    }
}

/// The item of a chain that is most of its height.
fn tallest(group: &Group) -> Option<usize> {
    let picture = Picture::of(group);
    let blocks = picture.blocks.iter().enumerate();
    let (at, highest) = blocks.max_by(|a, b| a.1.height.total_cmp(&b.1.height))?;
    let most = highest.height > picture.height / 2.0 && picture.height > 900.0;
    most.then(|| group.items.iter().position(|item| std::ptr::eq(item, picture.blocks[at].item))).flatten()
}

const STYLE: &str = "<style>\n\
    text { font: 11px 'Helvetica Neue', Arial, sans-serif; fill: #1c2733; text-anchor: middle }\n\
    .name { font-size: 14px; font-weight: 600 }\n\
    .second { font-size: 9.5px; fill: #46535f }\n\
    .title { font-size: 10px; text-anchor: start; fill: #46535f }\n\
    .times { font-size: 11px; font-weight: 700; text-anchor: start }\n\
    .shape { font-size: 9px; text-anchor: start; fill: #5d6975; paint-order: stroke; stroke: #fff; stroke-width: 3px; \
    stroke-linejoin: round }\n\
    .page { fill: #fff }\n\
    .frame { fill: #3b4a5a; fill-opacity: .045; stroke: #9aa7b3; stroke-width: 1 }\n\
    .line { fill: none; stroke: #56636f; stroke-width: 1.1 }\n\
    .tip { fill: #56636f }\n\
    .box { stroke-width: 1 }\n\
    .convolution { fill: #d6e6f5; stroke: #5b8fc0 }\n\
    .linear { fill: #e2dcf2; stroke: #8470b8 }\n\
    .norm { fill: #e8efe0; stroke: #88a763 }\n\
    .activation { fill: #f8efd2; stroke: #c6a23d }\n\
    .pool { fill: #f7dfd3; stroke: #cc7f57 }\n\
    .resize { fill: #d3ecea; stroke: #4c9f98 }\n\
    .join { fill: #fff; stroke: #56636f }\n\
    .other { fill: #eceff2; stroke: #8d99a5 }\n\
    </style>\n\
    <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"6.5\" markerHeight=\"6.5\" orient=\"auto\">\
    <path class=\"tip\" d=\"M0 0.8 L8 4 L0 7.2 z\"/></marker></defs>\n";

fn write(svg: &mut String, picture: &Picture, left: f64, top: f64) {
    // Frames below lines, lines below boxes.
    for block in &picture.blocks {
        if let Block::Group(group) = &block.item.block
            && !group.title.is_empty()
        {
            frame(svg, &heading(group), block, left, top);
        }
    }
    picture.lines.iter().for_each(|path| line(svg, path, left, top));
    for block in &picture.blocks {
        let (x, y) = (left + block.left, top + block.top);
        match (&block.item.block, &block.inner) {
            (Block::Layer { lines, class }, _) => {
                layer(svg, lines, *class, [x, y, block.width, block.height])
            }
            (Block::Group(group), Some(inner)) if group.title.is_empty() => write(svg, inner, x, y),
            (_, Some(inner)) => write(svg, inner, x + block.width / 2.0 - inner.ports[0], y + TITLE),
            _ => {}
        }
        if block.item.times != 1 && block.inner.is_none() {
            times(svg, block.item.times, x + block.width + 4.0, y + block.height / 2.0 + 4.0);
        }
        if let Some(text) = &block.item.shape {
            shape(svg, text, left + block.leaves, y + block.height);
        }
    }
}

fn line(svg: &mut String, path: &Path, left: f64, top: f64) {
    let mut text = String::new();
    let mut last: Option<[f64; 2]> = None;
    for [x, y] in path.points.iter().map(|[x, y]| [left + x, top + y]) {
        let _ = match last {
            None => write!(text, "M{x:.1} {y:.1}"),
            Some([before, _]) if path.square || (before - x).abs() < 0.6 => write!(text, " L{x:.1} {y:.1}"),
            Some([before, above]) => {
                let half = (y - above) / 2.0;
                write!(text, " C{before:.1} {:.1} {x:.1} {:.1} {x:.1} {y:.1}", above + half, y - half)
            }
        };
        last = Some([x, y]);
    }
    let tip = if path.tip { " marker-end=\"url(#tip)\"" } else { "" };
    let _ = writeln!(svg, "<path class=\"line\" d=\"{text}\"{tip}/>");
}

/// What flows out of a block, beside the line.
fn shape(svg: &mut String, text: &str, x: f64, y: f64) {
    let _ = writeln!(svg, "<text class=\"shape\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", x + 5.0, y + 11.0);
}

fn times(svg: &mut String, times: usize, x: f64, y: f64) {
    let times = if times == VARIES { "n".to_string() } else { times.to_string() };
    let _ = writeln!(svg, "<text class=\"times\" x=\"{x:.1}\" y=\"{y:.1}\">×{times}</text>");
}

fn layer(svg: &mut String, lines: &[String], class: Class, [x, y, width, height]: [f64; 4]) {
    let name = format!("{class:?}").to_lowercase();
    let radius = if class == Class::Join { height / 2.0 } else { 3.0 };
    let _ = writeln!(
        svg,
        "<rect class=\"box {name}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\"/>"
    );
    for (at, line) in lines.iter().enumerate() {
        let second = at > 0 || (lines.len() > 1 && line.starts_with("batch norm"));
        let kind = if second { " class=\"second\"" } else { "" };
        let below = y + (height - lines.len() as f64 * LINE) / 2.0 + (at as f64 + 0.76) * LINE;
        let _ = writeln!(
            svg,
            "<text{kind} x=\"{:.1}\" y=\"{below:.1}\">{}</text>",
            x + width / 2.0,
            escaped(line)
        );
    }
}

fn frame(svg: &mut String, title: &str, block: &Placed, left: f64, top: f64) {
    let (x, y) = (left + block.left, top + block.top);
    let mut rectangle = |by: f64| {
        let _ = writeln!(
            svg,
            "<rect class=\"frame\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"6\"/>",
            x + by,
            y + by,
            block.width,
            block.height
        );
    };
    let repeats = block.item.times != 1;
    if repeats {
        rectangle(4.0);
    }
    rectangle(0.0);
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        x + 7.0,
        y + 12.0,
        escaped(title)
    );
    if repeats {
        let room = 8.0 + 6.4 * format!("×{}", block.item.times).chars().count() as f64;
        times(svg, block.item.times, x + block.width - room, y + 13.0);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
