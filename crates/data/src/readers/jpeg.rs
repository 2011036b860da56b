//! JPEG, number for number as libjpeg-turbo decodes it and Pillow hands it on: another decoder's rounding of the inverse
//! transform and of chroma is off by up to four grey levels.

use image::RgbImage;
use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use super::decode::{MAX_BYTES, MAX_SIDE};

/// Decodes a JPEG. Grey becomes three equal channels.
///
/// # Errors
/// Why it cannot be decoded, or ends before its image does: libjpeg only warns of that and makes the rest grey, which a
/// network would learn.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    if !is_complete(bytes) {
        return Err("the JPEG ends before its image does".to_string());
    }
    let side = MAX_SIDE as usize;
    let limits = DecodeLimits {
        max_width: side,
        max_height: side,
        max_memory: Some(MAX_BYTES),
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(|why| why.to_string())?;
    let printed = decoder.header().components.len() == 4;
    decoder.set_output_format(if printed { PixelFormat::Cmyk } else { PixelFormat::Rgb });
    let image = decoder.decode_image().map_err(|why| why.to_string())?;
    let pixels = match printed {
        true => image.data.as_chunks::<4>().0.iter().flat_map(|ink| rgb_of_inks(*ink)).collect(),
        false => image.data,
    };
    RgbImage::from_raw(image.width as u32, image.height as u32, pixels)
        .ok_or_else(|| "fewer pixels than its header says".to_string())
}

/// Cyan, magenta, yellow and black as JPEGs hold them, 255 for no ink, on white paper: Pillow's `convert("RGB")`.
fn rgb_of_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|left| {
        // Pillow's quotient by 255.
        let product = u32::from(255 - left) * u32::from(black) + 128;
        black - ((product + (product >> 8)) >> 8) as u8
    })
}

/// True when the file's segments lead to an end-of-image marker (JPEG, ITU-T T.81, annex B).
fn is_complete(bytes: &[u8]) -> bool {
    const SOI: u8 = 0xd8;
    const EOI: u8 = 0xd9;
    const SOS: u8 = 0xda;
    let without_length = |marker: u8| matches!(marker, SOI | 0x01 | 0xd0..=0xd7);
    let mut at = 0;
    loop {
        // Markers may be padded with any number of 0xff; bytes between segments are passed over, as decoders do.
        while bytes.get(at).is_some_and(|byte| *byte != 0xff) {
            at += 1;
        }
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let Some(&marker) = bytes.get(at) else { return false };
        at += 1;
        match marker {
            EOI => return true,
            0 => {}
            marker if without_length(marker) => {}
            marker => {
                let Some(length) = bytes.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if marker == SOS {
                    // Entropy-coded data: 0xff is followed by 0 or a restart marker, and anything else ends the scan.
                    while let Some(pair) = bytes.get(at..at + 2) {
                        if pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7) {
                            break;
                        }
                        at += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_on_white_paper_are_pillows_rgb() {
        // Pillow 13: Image.frombytes("CMYK", (1, 1), bytes(255 - v for v in inks)).convert("RGB").
        let rows = [
            ([255, 255, 255, 255], [255, 255, 255]),
            ([0, 255, 128, 255], [0, 255, 128]),
            ([255, 0, 1, 77], [77, 0, 0]),
            ([13, 200, 100, 3], [0, 2, 1]),
            ([0, 0, 0, 200], [0, 0, 0]),
            ([90, 91, 92, 254], [90, 91, 92]),
        ];
        for (inks, rgb) in rows {
            assert_eq!(rgb_of_inks(inks), rgb, "{inks:?}");
        }
    }

    #[test]
    fn a_thumbnail_s_end_is_not_the_image_s_end() {
        // SOI, an APP1 segment of 2 + 2 bytes that holds an EOI, then nothing.
        assert!(!is_complete(&[0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9]));
        assert!(is_complete(&[0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xd9]));
        // A scan with a stuffed 0xff, a restart marker, and at last the end.
        assert!(is_complete(&[0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0, 0xff, 0xd0, 7, 0xff, 0xd9]));
        assert!(!is_complete(&[0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0, 0xff, 0xd0, 7, 0xff]));
    }
}
