//! Bilinear scaling as OpenCV does it (`INTER_LINEAR` of eight bits): between the four pixels around a point, however much the image
//! shrinks, with weights of 11 bits and one rounding at the end; at half the size, the mean of four.

use image::{Rgb, RgbImage};

use super::warp::size;

/// Bits of a weight after the point.
const BITS: u32 = 11;

/// Between which two old pixels a new one lies, and how much each weighs.
struct Taps {
    pixels: [usize; 2],
    weights: [i32; 2],
}

fn taps(old: usize, new: usize) -> Vec<Taps> {
    let step = old as f64 / new as f64;
    let one = |index: usize| {
        // Rounded to 32 bits before the pixel is taken off, as there.
        let place = ((index as f64 + 0.5) * step - 0.5) as f32;
        let (first, part) = match place.floor() {
            first if first < 0.0 => (0, 0.0),
            first if first as usize + 1 >= old => (old - 1, 0.0),
            first => (first as usize, place - first),
        };
        let weight = |part: f32| (part * (1 << BITS) as f32).round_ties_even() as i32;
        Taps { pixels: [first, (first + 1).min(old - 1)], weights: [weight(1.0 - part), weight(part)] }
    };
    (0..new).map(one).collect()
}

/// `image` at another height and width.
pub(super) fn scaled(image: &RgbImage, [height, width]: [usize; 2]) -> RgbImage {
    let [rows, columns] = size(image);
    if [rows, columns] == [2 * height, 2 * width] {
        return halved(image);
    }
    let (down, across) = (taps(rows, height), taps(columns, width));
    let (pixels, _) = image.as_raw().as_chunks::<3>();
    let line = |row: usize| -> Vec<i32> {
        let row = &pixels[row * columns..(row + 1) * columns];
        let pixel = |Taps { pixels: [a, b], weights: [v, w] }: &Taps| {
            [0, 1, 2].map(|c| i32::from(row[*a][c]) * v + i32::from(row[*b][c]) * w)
        };
        across.iter().flat_map(pixel).collect()
    };
    let mut scaled = Vec::with_capacity(3 * width * height);
    // Neighbouring lines mostly share a row.
    let mut kept: [Option<(usize, Vec<i32>)>; 2] = [None, None];
    for Taps { pixels, weights: [v, w] } in &down {
        let mut take = |row: usize| {
            let found = kept.iter_mut().find(|kept| kept.as_ref().is_some_and(|(known, _)| *known == row));
            found.and_then(Option::take).unwrap_or_else(|| (row, line(row)))
        };
        let above = take(pixels[0]);
        let below = if pixels[1] == pixels[0] { above.clone() } else { take(pixels[1]) };
        let values = above.1.iter().zip(&below.1);
        scaled.extend(values.map(|(a, b)| {
            let sum = ((v * (a >> 4)) >> 16) + ((w * (b >> 4)) >> 16);
            ((sum + 2) >> 2).clamp(0, 255) as u8
        }));
        kept = [Some(above), Some(below)];
    }
    RgbImage::from_raw(width as u32, height as u32, scaled).expect("three bytes a pixel")
}

fn halved(image: &RgbImage) -> RgbImage {
    RgbImage::from_fn(image.width() / 2, image.height() / 2, |x, y| {
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| image.get_pixel(2 * x + dx, 2 * y + dy).0);
        Rgb([0, 1, 2].map(|c| ((four.iter().map(|pixel| u32::from(pixel[c])).sum::<u32>() + 2) >> 2) as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Height and width, and the values row by row: OpenCV 5.0, `cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)`
    /// of a grey image of 5 x 7 whose value is `(37 y² + 91 x + 13 x y) % 256`.
    const OPENCV: [([usize; 2], &[u8]); 4] = [
        ([2, 3], &[95, 74, 96, 166, 222, 148]),
        (
            [3, 7],
            &[
                12, 108, 203, 42, 137, 148, 72, 148, 9, 126, 243, 104, 221, 82, 79, 218, 100, 239, 122, 89,
                143,
            ],
        ),
        ([4, 2], &[120, 164, 119, 124, 124, 186, 192, 71]),
        (
            [9, 10],
            &[
                0, 50, 114, 177, 75, 49, 113, 176, 125, 34, 12, 65, 131, 198, 99, 76, 138, 145, 114, 72, 33,
                89, 161, 233, 138, 120, 181, 93, 95, 136, 86, 84, 110, 187, 171, 158, 154, 131, 121, 119,
                148, 72, 38, 120, 202, 194, 110, 192, 158, 82, 109, 114, 114, 102, 182, 179, 100, 186, 158,
                86, 77, 149, 177, 90, 170, 172, 96, 168, 151, 98, 79, 155, 188, 106, 190, 198, 120, 98, 114,
                143, 80, 158, 195, 115, 203, 213, 134, 55, 91, 170,
            ],
        ),
    ];

    #[test]
    fn it_is_opencvs_to_a_grey_level_and_when_it_shrinks_to_the_bit() {
        let image =
            RgbImage::from_fn(7, 5, |x, y| Rgb([((37 * y * y + 91 * x + 13 * x * y) % 256) as u8; 3]));
        for (output, expected) in OPENCV {
            let found = scaled(&image, output);
            let grey: Vec<u8> = found.pixels().map(|pixel| pixel.0[0]).collect();
            let near = grey.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= u8::from(output[0] > 5));
            assert!(grey.len() == expected.len() && near, "{output:?}: {grey:?}");
        }
    }
}
