//! Images as torchvision's `ImageClassification` presets prepare them, byte for byte.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use flate2::Crc;
use image::RgbImage;
use kiln_core::Truth;
use kiln_data::{Interpolation, Pipeline, Sample, Size, Transform, decode_rgb};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use Interpolation::{Bicubic, Bilinear};

/// Resized to, cut to, by.
const PRESETS: [(usize, usize, Interpolation); 4] =
    [(256, 224, Bilinear), (232, 224, Bilinear), (342, 299, Bilinear), (256, 224, Bicubic)];

/// Checksums of the image's bytes as it is read and after each preset. Pillow 13.0 and torchvision 0.29, with
/// `from torchvision.transforms.functional import resize, center_crop`:
/// ```python
/// image = Image.open(file).convert("RGB")
/// cut = center_crop(resize(image, 256, InterpolationMode.BILINEAR), 224)
/// zlib.crc32(image.tobytes()), zlib.crc32(cut.tobytes())
/// ```
#[rustfmt::skip]
const EXPECTED: [(&str, [u32; 5]); 24] = [
    ("astronaut.jpg", [0x19fafdf0, 0xe1751829, 0xd6b2ec79, 0xede005a8, 0x94eeed33]),
    ("bridge.jpg", [0xc18f952c, 0x895289fd, 0x5a895cc4, 0x1520a574, 0x1b8eae46]),
    ("bus.jpg", [0x1f1b90d6, 0xdde4820d, 0x937c30eb, 0x6bace85a, 0x47d04664]),
    ("cat.jpg", [0x0076e029, 0xf6d69ed1, 0x2f509327, 0xb72f919a, 0xdb79eeb7]),
    ("cmyk_pytorch.jpg", [0xbbb638d0, 0xe215422e, 0xc320f2cb, 0xde7189d6, 0x2bc26f0b]),
    ("dog.jpg", [0x5f07ed46, 0xac7043db, 0x28b3456d, 0x9d0c5d57, 0x77f999b0]),
    ("dog1.jpg", [0x4e951d2d, 0x42c925e7, 0xed5b52e5, 0xf5b02611, 0xd43d38f6]),
    ("dog2.jpg", [0x531879d6, 0xad3c1be0, 0xded8bdd1, 0xcc5f7635, 0x19c29f14]),
    ("eagle.jpg", [0x383e7b61, 0xac5eb73b, 0xaa2d01f1, 0xb16ab38c, 0x3a86dc43]),
    ("flamingo.jpg", [0x137d6524, 0x121ecb30, 0xdc05d9df, 0xc9ff16e5, 0xcf35f961]),
    ("giraffe.jpg", [0x521d400c, 0x955d22ff, 0x478127b4, 0xafc30902, 0xab399c05]),
    ("gray_pytorch.jpg", [0x504b6ce1, 0x3660e864, 0x6cafa591, 0x8d2d89e9, 0x1c5a8ae2]),
    ("gray_pytorch.png", [0xa8360a91, 0x884f65d3, 0x6691fdc4, 0xf6c66963, 0xdb67afdb]),
    ("grayalpha_pytorch.png", [0xa8360a91, 0x884f65d3, 0x6691fdc4, 0xf6c66963, 0xdb67afdb]),
    ("horses.jpg", [0xe594e6c9, 0x13c0ae5a, 0xe5528bf6, 0x113aa030, 0xe76089c4]),
    ("kite.jpg", [0xcffbbe17, 0x8f440339, 0x7422bc20, 0x57d7cb5b, 0xf12f13ba]),
    ("palette_pytorch.png", [0xe14308c1, 0x2797de90, 0xbdd41d03, 0x732dabc4, 0x0a6647d0]),
    ("person.jpg", [0xb28af966, 0x4a87cf3d, 0x2b7e9fb1, 0x9af78240, 0xac07eb93]),
    ("rgb_pytorch.jpg", [0x67496e2f, 0xfee3dba0, 0xc6d90583, 0x7c7fa6e9, 0x890cda97]),
    ("rgb_pytorch.png", [0xe14308c1, 0x2797de90, 0xbdd41d03, 0x732dabc4, 0x0a6647d0]),
    ("rgb_pytorch16.png", [0xe14308c1, 0x2797de90, 0xbdd41d03, 0x732dabc4, 0x0a6647d0]),
    ("rgbalpha_pytorch.png", [0x22a8dd06, 0x2aa0f574, 0x42c0e0a9, 0x10f68f49, 0xff78fd44]),
    ("rgbalpha_pytorch16.png", [0x22a8dd06, 0x2aa0f574, 0x42c0e0a9, 0x10f68f49, 0xff78fd44]),
    ("zidane.jpg", [0x1ccab7fb, 0xac8453ed, 0x18e58ae1, 0x01ca394b, 0xd2fa293d]),
];

fn checksum(image: &RgbImage) -> u32 {
    let mut crc = Crc::new();
    crc.update(image.as_raw());
    crc.sum()
}

#[test]
fn every_reference_image_is_prepared_as_torchvision_prepares_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/reference-images");
    if !folder.is_dir() {
        println!("skipped: {} is not here", folder.display());
        return;
    }
    for (name, [decoded, presets @ ..]) in EXPECTED {
        let image = decode_rgb(&folder.join(name)).unwrap();
        assert_eq!(checksum(&image), decoded, "{name} is read differently");
        for ((resize, crop, interpolation), expected) in PRESETS.into_iter().zip(presets) {
            let resized = Transform::Resize { size: Size::Side(resize), interpolation };
            let cut = Transform::CenterCrop { size: Size::Side(crop) };
            let pipeline = Pipeline::new(vec![resized, cut], [0.5; 3], [0.5; 3]).unwrap();
            let sample = Sample { image: image.clone(), truth: Truth::default() };
            let prepared = pipeline.apply(sample, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
            assert_eq!(checksum(&prepared.image), expected, "{name}: {interpolation:?}, {resize}, {crop}");
        }
    }
}
