//! What a sweep of the learning rate did to the loss, as a picture.

use image::RgbImage;

use super::chart::{Chart, Look, Series};
use super::html::short;
use super::scale::{Scale, Spelling};

/// The loss of each rate and its mean over the rates around, as (rate, loss, mean); the suggestion is set off by a ring.
pub fn rates(title: String, points: &[[f64; 3]], suggestion: Option<[f64; 2]>) -> String {
    let (chart, caption) = drawing(title, points, suggestion);
    chart.alone(&caption)
}

/// The same as pixels.
pub fn rates_pixels(title: String, points: &[[f64; 3]], suggestion: Option<[f64; 2]>) -> RgbImage {
    let (chart, caption) = drawing(title, points, suggestion);
    super::raster::pixels(&chart, &caption)
}

fn drawing(title: String, points: &[[f64; 3]], suggestion: Option<[f64; 2]>) -> (Chart, String) {
    let column = |column: usize| points.iter().map(|point| [point[0], point[column]]).collect::<Vec<_>>();
    let all = |column: usize| points.iter().map(|point| point[column]).collect::<Vec<_>>();
    let caption = match suggestion {
        Some([rate, _]) => {
            format!("Each batch (pale), smoothed; falls fastest at {}", short(rate))
        }
        None => "Each batch (pale), smoothed; the loss does not fall".to_string(),
    };
    let series = [("each batch", Look::Pale, column(1)), ("smoothed", Look::Line, column(2))];
    let chart = Chart {
        title,
        x_name: "learning rate",
        x: Scale::around(&all(0)),
        y: Scale::around(&all(2)),
        spelling: Spelling::Number,
        series: series
            .map(|(name, look, points)| Series { name: name.into(), colour: 1, look, points })
            .into(),
        marked: suggestion,
    };
    (chart, caption)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_picture_stands_alone_and_the_ring_is_on_the_line() {
        let point = |step: i32| {
            let loss = 2.0 - 0.01 * f64::from(step);
            [1e-6 * 10f64.powf(f64::from(step) / 10.0), loss, loss]
        };
        let points: Vec<[f64; 3]> = (0..=70).map(point).collect();
        let svg = rates("a < b".into(), &points, Some([points[35][0], points[35][2]]));
        let document = roxmltree::Document::parse(&svg).unwrap();
        let of =
            |class: &str| document.descendants().find(|node| node.attribute("class") == Some(class)).unwrap();
        assert_eq!(of("name title").text(), Some("a < b"));
        // 1e-6 to 10, halfway: 1e-6 * 10^3.5 = 0.00316, in the middle of a logarithmic axis.
        let line =
            of("line").attribute("points").unwrap().split([' ', ',']).map(|n| n.parse::<f64>().unwrap());
        let line: Vec<f64> = line.collect();
        let x: f64 = of("ring").attribute("cx").unwrap().parse().unwrap();
        assert!((x - line[70]).abs() < 0.11);
        assert!((2.0 * x - line[0] - line[140]).abs() < 0.5);
        assert!(svg.contains("fastest at 0.00316"));
    }
}
