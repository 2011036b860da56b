//! Numbers as pictures: maps side by side, heat over an image; and as NumPy's files.

use image::{Rgb, RgbImage, imageops};
use kiln_graph::Heat;

/// Maps of more channels than these are left out of a picture.
const MOST: usize = 256;
/// Pixels between two maps.
const GAP: u32 = 2;

/// A tile of each map `[height, width]`, each from its smallest number, black, to its largest, white; small ones enlarged.
pub fn maps(values: &[f32], [channels, height, width]: [usize; 3]) -> RgbImage {
    let tiles = values.chunks(height * width).take(channels.min(MOST)).map(|map| {
        let [low, high] = ends(map);
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let value = map[y as usize * width + x as usize];
            Rgb([shade(value, low, high); 3])
        })
    });
    tiled(tiles.collect())
}

/// A tile of each filter `[channels, rows, columns]`: in colour if it is of colours, else its channels' mean.
pub fn filters(values: &[f32], [outputs, channels, rows, columns]: [usize; 4]) -> RgbImage {
    let size = rows * columns;
    let tiles = values.chunks(channels * size).take(outputs.min(MOST)).map(|filter| {
        let [low, high] = ends(filter);
        RgbImage::from_fn(columns as u32, rows as u32, |x, y| {
            let at = y as usize * columns + x as usize;
            let of = |channel: usize| filter[channel * size + at];
            match channels {
                3 => Rgb([0, 1, 2].map(|channel| shade(of(channel), low, high))),
                _ => Rgb([shade((0..channels).map(of).sum::<f32>() / channels as f32, low, high); 3]),
            }
        })
    });
    tiled(tiles.collect())
}

fn ends(values: &[f32]) -> [f32; 2] {
    [
        values.iter().copied().fold(f32::INFINITY, f32::min),
        values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    ]
}

fn shade(value: f32, low: f32, high: f32) -> u8 {
    if high > low { ((value - low) / (high - low) * 255.0).round() as u8 } else { 0 }
}

/// Tiles of one size in a square, enlarged so that they can be seen.
fn tiled(tiles: Vec<RgbImage>) -> RgbImage {
    let Some((width, height)) = tiles.first().map(RgbImage::dimensions) else { return RgbImage::new(1, 1) };
    let columns = (tiles.len() as f64).sqrt().ceil() as u32;
    let rows = (tiles.len() as u32).div_ceil(columns);
    let times = (900 / (columns * (width + GAP))).clamp(1, 16);
    let [width, height] = [width, height].map(|side| side * times + GAP);
    let mut sheet = RgbImage::from_pixel(columns * width + GAP, rows * height + GAP, Rgb([0x26, 0x2b, 0x30]));
    for (at, tile) in tiles.iter().enumerate() {
        let tile = imageops::resize(tile, width - GAP, height - GAP, imageops::FilterType::Nearest);
        let [column, row] = [at as u32 % columns, at as u32 / columns];
        imageops::replace(&mut sheet, &tile, (column * width + GAP).into(), (row * height + GAP).into());
    }
    sheet
}

/// Heat over an image, a small one enlarged: blue where there is little, red where there is most.
pub fn over(image: &RgbImage, heat: &Heat) -> RgbImage {
    let [width, height] = [image.width(), image.height()];
    let times = (448 / width.max(height)).max(1);
    let image = &imageops::resize(image, width * times, height * times, imageops::FilterType::Nearest);
    let small = image::GrayImage::from_fn(heat.width as u32, heat.height as u32, |x, y| {
        image::Luma([(heat.values[y as usize * heat.width + x as usize] * 255.0).round() as u8])
    });
    let large = imageops::resize(&small, image.width(), image.height(), imageops::FilterType::Triangle);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let warm = warm(f32::from(large.get_pixel(x, y).0[0]) / 255.0);
        let pixel = image.get_pixel(x, y).0;
        Rgb([0, 1, 2].map(|c| ((u16::from(pixel[c]) + u16::from(warm[c])) / 2) as u8))
    })
}

/// From blue over green and yellow to red.
fn warm(value: f32) -> [u8; 3] {
    let part = |middle: f32| ((1.5 - (4.0 * value - middle).abs()).clamp(0.0, 1.0) * 255.0) as u8;
    [part(3.0), part(2.0), part(1.0)]
}

/// Heat alone, enlarged, with a frame around some of its pixels, rows and columns from the first to the last. The square root
/// is drawn: else most of it could not be seen.
pub fn framed(heat: &Heat, [rows, columns]: [[usize; 2]; 2]) -> RgbImage {
    let times = (720 / heat.width.max(heat.height)).max(1) as u32;
    let mut picture = RgbImage::from_fn(heat.width as u32 * times, heat.height as u32 * times, |x, y| {
        let value = heat.values[(y / times) as usize * heat.width + (x / times) as usize];
        Rgb(glow(value.sqrt()))
    });
    let [top, bottom] = [rows[0] as u32 * times, (rows[1] as u32 + 1) * times - 1];
    let [left, right] = [columns[0] as u32 * times, (columns[1] as u32 + 1) * times - 1];
    let frame = Rgb([0x3c, 0xd0, 0xff]);
    let thick = 2.min(times * 2);
    for inset in 0..thick {
        for x in left..=right {
            [top + inset, bottom.saturating_sub(inset)].iter().for_each(|y| picture.put_pixel(x, *y, frame));
        }
        for y in top..=bottom {
            [left + inset, right.saturating_sub(inset)].iter().for_each(|x| picture.put_pixel(*x, y, frame));
        }
    }
    picture
}

/// From black over purple and orange to a light yellow.
fn glow(value: f32) -> [u8; 3] {
    const STOPS: [[f32; 3]; 5] = [
        [0.0, 0.0, 8.0],
        [86.0, 16.0, 110.0],
        [187.0, 55.0, 84.0],
        [249.0, 142.0, 9.0],
        [252.0, 255.0, 164.0],
    ];
    let place = value.clamp(0.0, 1.0) * 4.0;
    let at = (place as usize).min(3);
    let share = place - at as f32;
    [0, 1, 2].map(|c| (STOPS[at][c] * (1.0 - share) + STOPS[at + 1][c] * share) as u8)
}

/// 32-bit numbers as an .npy file, version 1.0.
pub fn npy(values: &[f32], shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    // The numbers begin at a multiple of 64 bytes.
    let all = 10 + header.len() + 1;
    header.push_str(&" ".repeat(all.next_multiple_of(64) - all));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_numpys_file_as_its_format_says() {
        let file = npy(&[1.0, -2.0], &[1, 2]);
        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        let length = u16::from_le_bytes([file[8], file[9]]) as usize;
        assert_eq!((10 + length) % 64, 0);
        let header = String::from_utf8_lossy(&file[10..10 + length]).into_owned();
        assert!(
            header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, ), }"),
            "{header}"
        );
        assert_eq!(&file[10 + length..], [1.0f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat());
    }

    #[test]
    fn each_map_is_a_tile_from_black_to_white() {
        // Two maps of two pixels: from 0 to 1, and from 10 to 30.
        let sheet = maps(&[0.0, 1.0, 30.0, 10.0], [2, 1, 2]);
        let (tile, left) = (16 * 2 + GAP, GAP + 8);
        let pixel = |x: u32| sheet.get_pixel(x, GAP + 8).0[0];
        assert_eq!(
            [pixel(left), pixel(left + 16), pixel(tile + left), pixel(tile + left + 16)],
            [0, 255, 255, 0]
        );
    }
}
