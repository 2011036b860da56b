//! Filtered scaling. `fast_image_resize` computes as PIL does: the same filters, 8 bits between the two passes. Measured
//! against Pillow 11.3 on 8 photographs at 5 sizes each: bilinear differs by at most 1 of 255 grey levels, bicubic by at
//! most 1 but for 2 in 7 of a million values. (Pillow 13 does the cheaper pass first, which shows where a bicubic overshoot
//! is cut off, when one side grows and the other shrinks; published models were trained before.)

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// `image` at another height and width, by a filter that is widened when the image shrinks.
pub(super) fn scaled(image: &RgbImage, [height, width]: [usize; 2], filter: FilterType) -> RgbImage {
    // First across, then down, as PIL: between the two, values beyond black and white are cut off, so the order shows.
    let across = pass(image, image.height(), width as u32, filter);
    pass(&across, height as u32, width as u32, filter)
}

fn pass(image: &RgbImage, height: u32, width: u32, filter: FilterType) -> RgbImage {
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3)
        .expect("an RgbImage has three bytes a pixel");
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize(&source, &mut target, &options).expect("both images have three bytes a pixel");
    RgbImage::from_raw(width, height, target.into_vec()).expect("the target was made with this size")
}
