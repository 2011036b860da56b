//! Changes of colour that depend on how often each value occurs, a channel at a time, as Pillow's `ImageOps` has them.

use image::RgbImage;

/// What each byte of a channel becomes.
type Levels = [u8; 256];

/// Stretches each channel from its darkest and brightest value to black and white.
pub(super) fn stretch(image: &mut RgbImage) {
    by_channel(image, |counts| {
        let darkest = counts.iter().position(|count| *count > 0)?;
        let brightest = counts.iter().rposition(|count| *count > 0)?;
        if brightest <= darkest {
            return None;
        }
        let scale = 255.0 / (brightest - darkest) as f64;
        let offset = -(darkest as f64) * scale;
        // What lies beyond black and white is cut off, and so are digits behind the point.
        Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
    });
}

/// Spreads each channel's values so that each brightness is as frequent.
pub(super) fn equalize(image: &mut RgbImage) {
    by_channel(image, |counts| {
        let last = counts.iter().rfind(|count| **count > 0)?;
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(std::array::from_fn(|value| {
            let level = (sum / step).min(255) as u8;
            sum += counts[value];
            level
        }))
    });
}

/// Changes each channel by what `levels` makes of the counts of its values; not at all where that is nothing.
fn by_channel(image: &mut RgbImage, levels: impl Fn(&[usize; 256]) -> Option<Levels>) {
    let mut counts = [[0; 256]; 3];
    for pixel in image.pixels() {
        for (counts, value) in counts.iter_mut().zip(pixel.0) {
            counts[usize::from(value)] += 1;
        }
    }
    let levels = counts.map(|counts| levels(&counts));
    for pixel in image.pixels_mut() {
        for (value, levels) in pixel.0.iter_mut().zip(&levels) {
            *value = levels.map_or(*value, |levels| levels[usize::from(*value)]);
        }
    }
}
