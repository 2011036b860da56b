//! Test images with what the network said of them.

use std::fmt::Write;

use image::RgbImage;
use image::imageops::thumbnail;

use super::html::{escape, percent, png};
use super::{SampleCard, Samples};

/// A larger image is reduced to this, so that the page stays small.
const LARGEST: u32 = 224;
/// A smaller image is magnified with hard pixels, as the network sees it.
const SMALL: u32 = 112;

/// The section of the page.
pub fn section(samples: &Samples) -> String {
    if samples.right.is_empty() && samples.wrong.is_empty() {
        return String::new();
    }
    let mut text = String::from("<section>\n<h2>Test images</h2>\n");
    group(&mut text, "Named wrongly", "No test image here was named wrongly.", &samples.wrong);
    group(&mut text, "Named rightly", "No test image here was named rightly.", &samples.right);
    text.push_str("</section>\n");
    text
}

fn group(text: &mut String, title: &str, none: &str, cards: &[SampleCard]) {
    let _ = writeln!(text, "<h3>{title}</h3>");
    if cards.is_empty() {
        let _ = writeln!(text, "<p>{none}</p>");
        return;
    }
    text.push_str("<ul class=\"samples\">\n");
    cards.iter().for_each(|sample| card(text, sample));
    text.push_str("</ul>\n");
}

fn card(text: &mut String, sample: &SampleCard) {
    let (truth, predicted) = (escape(&sample.truth), escape(&sample.predicted));
    let right = sample.truth == sample.predicted;
    let (class, mark) = if right { ("right", "✓") } else { ("wrong", "✗") };
    let probability = f64::from(sample.probability);
    let _ = write!(text, "<li>{}<p class=\"{class}\"><b>{mark}\u{a0}{predicted}</b></p>", picture(sample));
    let _ = write!(
        text,
        "<div class=\"track\"><i class=\"bar {class}\" style=\"width:{:.0}%\"></i></div><p class=\"note\">{}",
        if probability.is_finite() { 100.0 * probability.clamp(0.0, 1.0) } else { 0.0 },
        percent(probability, 0)
    );
    if !right {
        let _ = write!(text, "; it is <b>{truth}</b>");
    }
    text.push_str("</p></li>\n");
}

fn picture(sample: &SampleCard) -> String {
    let longest = sample.image.width().max(sample.image.height());
    let address =
        if longest > LARGEST { png(reduced(&sample.image, LARGEST)) } else { png(sample.image.clone()) };
    let class = if longest < SMALL { "pixels" } else { "smooth" };
    match address {
        Some(address) => {
            format!(
                "<img class=\"{class}\" alt=\"an image of {}\" src=\"{address}\"/>",
                escape(&sample.truth)
            )
        }
        None => "<p class=\"note\">an image without pixels</p>".into(),
    }
}

/// An image whose longer side is reduced to so many pixels.
pub fn reduced(image: &RgbImage, longest: u32) -> RgbImage {
    let scale = f64::from(longest) / f64::from(image.width().max(image.height()));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    thumbnail(image, side(image.width()), side(image.height()))
}
