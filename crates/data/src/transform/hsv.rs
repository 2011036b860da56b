//! Hue, saturation and value of eight bits as OpenCV has them: hues are 0 to 179. YOLO's jitter multiplies them.

use image::RgbImage;

/// Multiplies hue, saturation and value of every pixel: hues go around the circle, the others are cut off at 255, digits behind
/// the point are dropped.
pub(super) fn multiply(image: &mut RgbImage, [hue, saturation, value]: [f64; 3]) {
    let table = |new: &dyn Fn(f64) -> f64| -> Vec<u8> { (0..256).map(|i| new(f64::from(i)) as u8).collect() };
    let hues = table(&|level| (level * hue).rem_euclid(180.0));
    let saturations = table(&|level| (level * saturation).clamp(0.0, 255.0));
    let values = table(&|level| (level * value).clamp(0.0, 255.0));
    for pixel in image.pixels_mut() {
        let [h, s, v] = to_hsv(pixel.0);
        pixel.0 = from_hsv([hues[usize::from(h)], saturations[usize::from(s)], values[usize::from(v)]]);
    }
}

/// OpenCV's `COLOR_RGB2HSV`: quotients are products with numbers of twelve bits behind the point.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 11;
    let [r, g, b] = [r, g, b].map(i32::from);
    let most = r.max(g).max(b);
    let range = most - r.min(g).min(b);
    let part = |whole: i32, of: i32| match of {
        0 => 0,
        of => (f64::from(whole << 12) / f64::from(of)).round_ties_even() as i32,
    };
    let saturation = (range * part(255, most) + HALF) >> 12;
    let sixths = if most == r {
        g - b
    } else if most == g {
        b - r + 2 * range
    } else {
        r - g + 4 * range
    };
    let hue = (sixths * part(30, range) + HALF) >> 12;
    [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, most as u8]
}

/// OpenCV's `COLOR_HSV2RGB`, in floating point.
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let hue = f32::from(hue) * (6.0 / 180.0);
    let (saturation, value) = (f32::from(saturation) * (1.0 / 255.0), f32::from(value) * (1.0 / 255.0));
    let sector = hue.floor();
    let part = hue - sector;
    let p = value * (1.0 - saturation);
    let q = value * (1.0 - saturation * part);
    let t = value * (1.0 - saturation + saturation * part);
    let rgb = match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    };
    rgb.map(|channel| (channel * 255.0).round_ties_even() as u8)
}
