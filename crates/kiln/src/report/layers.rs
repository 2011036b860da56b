//! How the numbers of every layer were distributed while it learned: a strip each for weights, gradients and activations.

use std::fmt::Write;

use super::html::{escape, percent, short, shorten};

/// The size of a strip, in its own units; it is stretched to its place.
const SIZE: [f64; 2] = [240.0, 32.0];

/// As many moments all strips have together at most, so that a page of a thousand layers stays one that can be opened.
const MOMENTS: usize = 6000;

/// How the numbers of a parameter, and of what its layer gives, were distributed over the steps.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// The parameter's path, as `layer1.0.conv1.weight`.
    pub parameter: String,
    /// Whether it is the first of its layer; the activations are with this one.
    pub first: bool,
    /// The parameter, over the steps.
    pub weights: Vec<Spread>,
    /// Its gradients.
    pub gradients: Vec<Spread>,
    /// What the layer gives.
    pub activations: Vec<Spread>,
}

/// How numbers were distributed at a step.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// Which.
    pub step: usize,
    /// Below these lie 1, 10, 25, 50, 75, 90 and 99 % of the numbers.
    pub quantiles: [f64; 7],
    /// The share of zeros in all.
    pub zeros: f64,
    /// Whether some were no finite numbers.
    pub broken: bool,
}

/// The strips; nothing if nothing was written down.
pub fn section(layers: &[Layer]) -> String {
    let steps = layers.iter().flat_map(|layer| layer.weights.iter().map(|spread| spread.step));
    let (Some(first), Some(last)) = (steps.clone().min(), steps.max()) else { return String::new() };
    let moments = (MOMENTS / (3 * layers.len())).clamp(8, 48);
    let (of_layers, others): (Vec<&Layer>, Vec<&Layer>) = layers.iter().partition(|layer| layer.first);
    let mut text = String::from("<section>\n<h2>Layers</h2>\n<figure>\n");
    table(&mut text, &of_layers, moments);
    let _ = write!(
        text,
        "<figcaption>How the numbers of each layer were distributed from step {first} (left) to step {last} (right): 1 to 99\u{a0}%, \
         10 to 90\u{a0}% and 25 to 75\u{a0}% of them lie within the bands, half of them below the line. Each strip has a scale of its \
         own, its ends beside it; the fine line is zero{}.</figcaption>\n</figure>\n",
        match layers.iter().any(|layer| layer.all().any(|spread| spread.broken)) {
            true => ", an upright one a step with numbers that were not finite",
            false => "",
        }
    );
    if !others.is_empty() {
        text.push_str("<details>\n<summary>Biases and the like</summary>\n");
        table(&mut text, &others, moments);
        text.push_str("</details>\n");
    }
    text.push_str("</section>\n");
    text
}

impl Layer {
    fn all(&self) -> impl Iterator<Item = &Spread> {
        [&self.weights, &self.gradients, &self.activations].into_iter().flatten()
    }
}

/// A column: its name, its colour, and what it shows of a layer.
type Column = (&'static str, usize, fn(&Layer) -> &[Spread]);

/// A row a layer.
fn table(text: &mut String, layers: &[&Layer], moments: usize) {
    let columns: [Column; 3] = [
        ("weights", 1, |layer| &layer.weights),
        ("gradients", 2, |layer| &layer.gradients),
        ("activations", 4, |layer| &layer.activations),
    ];
    let columns: Vec<_> =
        columns.into_iter().filter(|(.., of)| layers.iter().any(|layer| !of(layer).is_empty())).collect();
    text.push_str("<div class=\"scroll\">\n<table class=\"strips\">\n<thead><tr><th>layer</th>");
    for (name, ..) in &columns {
        let _ = write!(text, "<th>{name}</th>");
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for layer in layers {
        let name = match layer.first {
            true => layer.parameter.rsplit_once('.').map_or(layer.parameter.as_str(), |(layer, _)| layer),
            false => &layer.parameter,
        };
        let (whole, name) = (escape(name), escape(&shorten(name, 28)));
        let _ = write!(text, "<tr><th title=\"{whole}\">{name}</th>");
        for (what, colour, of) in &columns {
            text.push_str("<td>");
            strip(text, &format!("{what} of {whole}"), *colour, &thinned(of(layer), moments));
            text.push_str("</td>");
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
}

/// At most so many of the spreads, evenly spread, the first and the last among them.
fn thinned(spreads: &[Spread], moments: usize) -> Vec<&Spread> {
    let (count, last) = (spreads.len().min(moments), spreads.len().saturating_sub(1));
    (0..count).map(|moment| &spreads[moment * last / (count - 1).max(1)]).collect()
}

/// Bands over the steps, and the ends of their scale.
fn strip(text: &mut String, title: &str, colour: usize, spreads: &[&Spread]) {
    let (Some(first), Some(last)) = (spreads.first(), spreads.last()) else { return };
    let [low, high] = range(spreads);
    let [width, height] = SIZE;
    let x = |step: usize| width * (step - first.step) as f64 / (last.step - first.step).max(1) as f64;
    let y = |value: f64| height * (1.0 - ((value - low) / (high - low)).clamp(0.0, 1.0));
    // A single moment is drawn as if it had lasted.
    let mut places: Vec<(f64, &[f64; 7])> =
        spreads.iter().map(|spread| (x(spread.step), &spread.quantiles)).collect();
    if let [(_, only)] = places[..] {
        places.push((width, only));
    }
    let line =
        |quantile: usize| places.iter().map(move |(x, values)| format!("{x:.0},{:.1}", y(values[quantile])));
    let _ = write!(
        text,
        "<div class=\"strip colour-{colour}\"><svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{title}\"><title>{title}; at step {}: median {}, half of them from {} to {}, {} zeros</title>",
        last.step,
        brief(last.quantiles[3]),
        brief(last.quantiles[2]),
        brief(last.quantiles[4]),
        percent(last.zeros, 0),
    );
    for (below, above) in [(0, 6), (1, 5), (2, 4)] {
        let back: Vec<String> = line(above).collect();
        let around: Vec<String> = line(below).chain(back.into_iter().rev()).collect();
        let _ = write!(text, "<path class=\"band\" d=\"M{}Z\"/>", around.join(" "));
    }
    if low < 0.0 && high > 0.0 {
        let _ = write!(text, "<path class=\"zero\" d=\"M0 {:.1}H{width}\"/>", y(0.0));
    }
    let median: Vec<String> = line(3).collect();
    let _ = write!(text, "<path class=\"median\" d=\"M{}\"/>", median.join(" "));
    for spread in spreads.iter().filter(|spread| spread.broken) {
        let _ = write!(text, "<path class=\"broken\" d=\"M{:.0} 0V{height}\"/>", x(spread.step));
    }
    let _ = write!(text, "</svg><p>{}</p><p>{}</p></div>", brief(high), brief(low));
}

/// From the lowest to the highest that a strip shows. A moment far beyond all others, as the first steps' gradients often are, would
/// press the rest into a line: it is cut off at four times what is usual.
fn range(spreads: &[&Spread]) -> [f64; 2] {
    let end = |quantile: usize, sign: f64| {
        let mut all: Vec<f64> = spreads.iter().map(|spread| sign * spread.quantiles[quantile]).collect();
        all.sort_by(f64::total_cmp);
        let (usual, most) = (all[all.len() / 2], all[all.len() - 1]);
        sign * if usual > 0.0 { most.min(4.0 * usual) } else { most }
    };
    match [end(0, -1.0), end(6, 1.0)] {
        [low, high] if high > low => [low, high],
        [value, _] => [value - value.abs().max(1.0) / 2.0, value + value.abs().max(1.0) / 2.0],
    }
}

/// A number with two figures.
fn brief(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse().unwrap_or(value);
    short(rounded).replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::{Report, render};

    fn spread(step: usize, middle: f64, width: f64) -> Spread {
        let quantiles = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0].map(|place| middle + place * width);
        Spread { step, quantiles, zeros: 0.25, broken: false }
    }

    fn layer(parameter: &str, spreads: Vec<Spread>) -> Layer {
        let parameter = parameter.to_string();
        Layer { parameter, first: true, weights: spreads, ..Layer::default() }
    }

    /// The drawings of a page as (the points of the bands and the line, the upright lines, the ends of the scale).
    fn drawn(layers: Vec<Layer>) -> Vec<(Vec<[f64; 2]>, usize, [String; 2])> {
        let page = render(&Report { layers, ..Report::default() });
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
        let strips = document
            .descendants()
            .filter(|node| node.attribute("class").is_some_and(|class| class.starts_with("strip ")));
        let drawn = strips.map(|strip| {
            let paths = |class: &'static str| {
                strip.descendants().filter(move |node| node.attribute("class") == Some(class))
            };
            let points = paths("band").chain(paths("median")).flat_map(|path| {
                let points = path.attribute("d").unwrap().trim_matches(['M', 'Z']).split(' ');
                let point = |point: &str| {
                    let (x, y) = point.split_once(',').unwrap();
                    [x.parse().unwrap(), y.parse().unwrap()]
                };
                points.map(point).collect::<Vec<_>>()
            });
            let ends = strip.children().filter(|node| node.has_tag_name("p"));
            let ends: Vec<String> = ends.map(|end| end.text().unwrap().to_string()).collect();
            (points.collect(), paths("broken").count(), ends.try_into().unwrap())
        });
        drawn.collect()
    }

    #[test]
    fn a_strip_is_as_high_as_its_numbers_reach() {
        // From -2 to 2 at first, from -3 to 5 at last, the middle between them.
        let ends = vec![spread(1, 0.0, 1.0), spread(100, 0.5, 1.5), spread(200, 1.0, 2.0)];
        let [(points, broken, names)] = drawn(vec![layer("fc.weight", ends)]).try_into().unwrap();
        assert_eq!((broken, names), (0, ["5".to_string(), "\u{2212}3".to_string()]));
        // Three bands forth and back and a line.
        assert_eq!(points.len(), 3 * 6 + 3);
        // The outer band is from -2 to 2 at first, 7/8 and 3/8 from the top of a strip of 32; from the bottom to the top at last.
        assert_eq!((points[0], points[5]), ([0.0, 28.0], [0.0, 12.0]));
        assert_eq!((points[2], points[3]), ([240.0, 32.0], [240.0, 0.0]));
        // The line: at 0, at 0.5, at 1, of -3 to 5.
        assert_eq!(points[18..], [[0.0, 20.0], [119.0, 18.0], [240.0, 16.0]]);
    }

    #[test]
    fn what_is_odd_is_drawn_too() {
        let mut broken = spread(2, 0.0, 1.0);
        broken.broken = true;
        let rows = vec![
            layer("one.moment", vec![spread(1, 0.0, 1.0)]),
            layer("all.equal", vec![spread(1, 1.0, 0.0), spread(2, 1.0, 0.0)]),
            layer("all.zero", vec![spread(1, 0.0, 0.0)]),
            layer("with.infinities", vec![spread(1, 0.0, 1.0), broken]),
            layer("<of> & \"names\"", vec![spread(1, 0.0, 1e-30), spread(2, 0.0, 3e38)]),
            layer("of.nothing", Vec::new()),
        ];
        let drawn = drawn(rows);
        assert_eq!(drawn.len(), 5);
        assert_eq!(drawn.iter().map(|(_, broken, _)| *broken).collect::<Vec<_>>(), [0, 0, 0, 1, 0]);
        for (points, ..) in &drawn {
            assert!(points.iter().all(|[x, y]| (0.0..=240.0).contains(x) && (0.0..=32.0).contains(y)));
            assert_eq!(points.last().unwrap()[0], 240.0);
        }
        assert_eq!(section(&[]), "");
    }

    #[test]
    fn a_first_step_far_beyond_the_rest_is_cut_off() {
        let mut steps = vec![spread(1, 0.0, 1000.0)];
        steps.extend((2..20).map(|step| spread(step, 0.0, 1.0)));
        let [(_, _, ends)] = drawn(vec![layer("fc.weight", steps)]).try_into().unwrap();
        assert_eq!(ends, ["8", "\u{2212}8"]);
    }

    #[test]
    fn a_long_run_of_many_layers_is_thinned_and_keeps_its_ends() {
        let spreads: Vec<Spread> = (1..=1000).map(|step| spread(step, 0.0, 1.0)).collect();
        let thin = thinned(&spreads, 8);
        assert_eq!((thin.len(), thin[0].step, thin[7].step), (8, 1, 1000));
        let rows = (0..400).map(|row| layer(&format!("layer{row}.weight"), spreads.clone()));
        assert!(section(&rows.collect::<Vec<_>>()).len() < 1_000_000);
    }

    #[test]
    fn numbers_have_two_figures() {
        let numbers = [0.0, 0.12345, -3.9999, 123.4, 1.26e-7, f64::MIN_POSITIVE];
        assert_eq!(numbers.map(brief), ["0", "0.12", "\u{2212}4", "120", "1.3e\u{2212}7", "2.2e\u{2212}308"]);
    }
}
