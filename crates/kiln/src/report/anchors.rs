//! The sizes of a data set's boxes and the anchors found in them, as a picture that stands alone: a cloud of sizes, and
//! beside it the anchors at one corner, as they are compared.

use std::fmt::Write;

use super::html::escape;
use super::scale::{Scale, Spelling};

/// Both panels are squares of this side, in the picture's own units.
const PANEL: f64 = 330.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 58.0;
const GAP: f64 = 40.0;
const RIGHT: f64 = 28.0;
const BOTTOM: f64 = 44.0;
/// More boxes than this make the cloud no clearer.
const MOST_BOXES: usize = 3000;

const STYLE: &str = "
text { font: 11.5px system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.cloud { stroke: var(--c1); stroke-opacity: var(--pale); stroke-width: 2.4; stroke-linecap: round; fill: none; }
.anchor { fill: var(--c2); stroke: var(--paper); stroke-width: 1.5; }
.outline { fill: var(--c2); fill-opacity: .05; stroke: var(--c2); stroke-width: 1.5; }
.number { fill: var(--ink); font-weight: 600; stroke: var(--paper); stroke-width: 3; paint-order: stroke; }
";

/// Boxes and anchors as `[width, height]`, the anchors from the smallest to the largest.
pub fn anchors(title: &str, caption: &str, boxes: &[[f64; 2]], anchors: &[[f64; 2]]) -> String {
    let (width, height) = (LEFT + 2.0 * PANEL + GAP + RIGHT, TOP + PANEL + BOTTOM);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{}{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" style=\"fill: var(--paper)\"/>\n\
         <text class=\"name title\" x=\"12\" y=\"22\">{title}</text><text class=\"tick\" x=\"12\" y=\"40\">{}</text>\n",
        kiln_page::STYLE,
        escape(caption),
        title = escape(title),
    );
    // Boxes as high as wide stand on the diagonal, so both axes have one scale.
    let scale = Scale::sizes(&[boxes.as_flattened(), anchors.as_flattened()].concat());
    let _ = writeln!(text, "<g transform=\"translate({LEFT} {TOP})\">");
    axes(&mut text, &scale);
    let place = |[w, h]: [f64; 2]| [PANEL * scale.place(w), PANEL * (1.0 - scale.place(h))];
    let stride = boxes.len().div_ceil(MOST_BOXES).max(1);
    text.push_str("<path class=\"cloud\" d=\"");
    for size in boxes.iter().step_by(stride) {
        let [x, y] = place(*size);
        let _ = write!(text, "M{x:.1} {y:.1}h0");
    }
    text.push_str("\"/>\n");
    for (number, size) in anchors.iter().enumerate() {
        let [x, y] = place(*size);
        let _ = writeln!(text, "<circle class=\"anchor\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
        numbered(&mut text, number, [x + 7.0, y - 5.0], "");
    }
    let _ = writeln!(text, "</g>\n<g transform=\"translate({} {TOP})\">", LEFT + PANEL + GAP);
    outlines(&mut text, anchors);
    text.push_str("</g>\n</svg>\n");
    text
}

fn axes(text: &mut String, scale: &Scale) {
    for (tick, name) in scale.ticks.iter().zip(scale.names(Spelling::Number)) {
        let at = PANEL * scale.place(*tick);
        let up = PANEL - at;
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M0 {up:.1}H{PANEL}M{at:.1} 0V{PANEL}\"/>\
             <text class=\"tick end\" x=\"-6\" y=\"{:.1}\">{name}</text>\
             <text class=\"tick middle\" x=\"{at:.1}\" y=\"{}\">{name}</text>",
            up + 4.0,
            PANEL + 16.0
        );
    }
    let (middle, foot) = (PANEL / 2.0, PANEL + 34.0);
    let _ = writeln!(
        text,
        "<path class=\"mark\" d=\"M0 {PANEL}L{PANEL} 0\"/><path class=\"axis\" d=\"M0 0V{PANEL}H{PANEL}\"/>\
         <text class=\"tick middle\" x=\"{middle}\" y=\"{foot}\">width of the boxes</text>\
         <text class=\"tick middle\" transform=\"translate(-38 {middle}) rotate(-90)\">height</text>"
    );
}

/// All anchors at one corner, to scale.
fn outlines(text: &mut String, anchors: &[[f64; 2]]) {
    let largest = anchors.as_flattened().iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    // The largest first, so that no other is hidden.
    for [width, height] in anchors.iter().rev().map(|size| size.map(|side| PANEL * side / largest)) {
        let top = PANEL - height;
        let _ = writeln!(
            text,
            "<rect class=\"outline\" x=\"0\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
    for (number, size) in anchors.iter().enumerate().rev() {
        let [width, height] = size.map(|side| PANEL * side / largest);
        numbered(text, number, [width - 3.0, PANEL - height + 13.0], " end");
    }
    let (middle, foot) = (PANEL / 2.0, PANEL + 34.0);
    let _ = writeln!(
        text,
        "<text class=\"tick middle\" x=\"{middle}\" y=\"{foot}\">the anchors to scale, at one corner</text>"
    );
}

fn numbered(text: &mut String, number: usize, [x, y]: [f64; 2], class: &str) {
    let number = number + 1;
    let _ = writeln!(text, "<text class=\"number{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{number}</text>");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_picture_shows_boxes_and_anchors_at_their_places() {
        let boxes = [[10.0, 10.0], [100.0, 10.0], [1000.0, 1000.0]];
        let svg = anchors("a < b", "fits", &boxes, &[[10.0, 10.0], [1000.0, 100.0]]);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let of = |class: &str| {
            document.descendants().filter(|node| node.attribute("class") == Some(class)).collect::<Vec<_>>()
        };
        let number = |node: roxmltree::Node, key: &str| node.attribute(key).unwrap().parse::<f64>().unwrap();
        assert_eq!(of("name title")[0].text(), Some("a < b"));
        // From 10 to 1000, 100 is halfway on a logarithmic axis.
        assert_eq!(of("cloud")[0].attribute("d"), Some("M0.0 330.0h0M165.0 330.0h0M330.0 0.0h0"));
        let places: Vec<_> =
            of("anchor").iter().map(|node| [number(*node, "cx"), number(*node, "cy")]).collect();
        assert_eq!(places, [[0.0, 330.0], [330.0, 165.0]]);
        // To scale, the largest behind: 1000 wide fill the panel, 100 high are a tenth of it.
        let sizes: Vec<_> =
            of("outline").iter().map(|node| [number(*node, "width"), number(*node, "height")]).collect();
        assert_eq!(sizes, [[330.0, 33.0], [3.3, 3.3]]);
        let names: Vec<_> = of("number").iter().map(|node| node.text().unwrap()).collect();
        assert_eq!(names, ["1", "2"]);
    }
}
