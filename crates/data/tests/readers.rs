//! The readers against files made here byte by byte: right ones, and every way in which they can be wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{Rgb, RgbImage};
use kiln_core::{Error, Kind};
use kiln_data::{Cifar, Dataset, Idx, ImageFolder};

/// The bytes of an idx file: magic, dimensions, numbers.
fn idx(kind: u8, dimensions: &[u32], numbers: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    bytes.extend(numbers);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn two_images() -> Vec<u8> {
    idx(8, &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15])
}

fn error_of(root: &Path, split: &str) -> Error {
    let error = Idx::open(root, split, 10).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn idx_images_are_read_row_by_row_plain_and_gzipped() {
    for zipped in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| match zipped {
            false => fs::write(root.path().join(name), bytes).unwrap(),
            true => fs::write(root.path().join(format!("{name}.gz")), gz(bytes)).unwrap(),
        };
        write("train-images-idx3-ubyte", &two_images());
        write("train-labels-idx1-ubyte", &idx(8, &[2], &[7, 9]));
        assert_eq!(Idx::splits(root.path()).unwrap(), [("train".to_string(), 2)]);
        let split = Idx::open(root.path(), "train", 10).unwrap();
        assert_eq!(split.len(), 2);
        let sample = split.get(1).unwrap();
        assert_eq!(sample.truth.class, Some(9));
        assert_eq!(sample.image.dimensions(), (3, 2));
        // The second image's second row is 13, 14, 15, each in three equal channels.
        assert_eq!(sample.image.get_pixel(2, 1).0, [15; 3]);
        assert_eq!(sample.image.get_pixel(0, 1).0, [13; 3]);
        assert!(split.origin(1).starts_with("image 1 of train-images-idx3-ubyte"));
    }
}

#[test]
fn every_wrong_idx_file_is_one_line_that_says_what_and_where() {
    let labels = idx(8, &[2], &[7, 9]);
    let whole = two_images();
    let mut wrong_magic = whole.clone();
    wrong_magic[2] = 0x0d;
    let hostile = idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[]);
    let large = idx(8, &[60_000, 28, 28], &[0; 10]);
    // (images, labels, what the error says)
    let rows: [(&[u8], &[u8], &str); 9] = [
        (&whole[..20], &labels, "expected 28 bytes as its header says, found 20"),
        (&[&whole[..], &[0; 3]].concat(), &labels, "expected 28 bytes as its header says, found 31"),
        (&whole[..7], &labels, "ends within its header"),
        (&wrong_magic, &labels, "byte 2: wrong magic: expected 00 00 08 03, found 00 00 0d 03"),
        (&hostile, &labels, "more bytes than there can be"),
        (&large, &labels, "expected 47040016 bytes as its header says, found 26"),
        (&whole, &idx(8, &[3], &[1, 2, 3]), "3 labels for the 2 images of train-images-idx3-ubyte"),
        (&whole, &idx(8, &[2], &[1, 10]), "label 1 (byte 9): label 10 is not below 10"),
        (&whole, &whole, "byte 3: wrong magic: expected 00 00 08 01, found 00 00 08 03"),
    ];
    for (images, labels, expected) in rows {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(root.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        let error = error_of(root.path(), "train").to_string();
        assert!(error.contains(expected), "{error}\nlacks: {expected}");
    }
}

#[test]
fn a_damaged_gzip_is_an_error_that_names_the_file() {
    let whole = gz(&two_images());
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 0xff;
    for bytes in [&whole[..whole.len() - 9], &whole[..12], &flipped[..], b"no gzip at all"] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train-images-idx3-ubyte.gz"), bytes).unwrap();
        fs::write(root.path().join("train-labels-idx1-ubyte.gz"), gz(&idx(8, &[2], &[7, 9]))).unwrap();
        let error = error_of(root.path(), "train").to_string();
        assert!(error.contains("train-images-idx3-ubyte.gz: corrupt gzip"), "{error}");
    }
}

#[test]
fn a_missing_split_lists_those_that_are_there() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("t10k-images-idx3-ubyte"), two_images()).unwrap();
    let error = error_of(root.path(), "train").to_string();
    assert!(error.contains("no split `train`") && error.contains("it has `test`"), "{error}");
    assert!(error_of(root.path(), "tst").to_string().contains("did you mean `test`?"));
    assert!(error_of(root.path(), "test").to_string().contains("t10k-labels-idx1-ubyte: no such file"));
}

/// A CIFAR image whose red, green and blue are three numbers, but for the last pixel's, which are one higher.
fn cifar_image(labels: &[u8], rgb: [u8; 3]) -> Vec<u8> {
    let mut bytes = labels.to_vec();
    for value in rgb {
        bytes.extend([value; 1023]);
        bytes.push(value + 1);
    }
    bytes
}

#[test]
fn cifar_10_is_read_from_any_number_of_batches() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    // Numbers order the batches, not letters: 10 comes after 2.
    for (number, label) in [(2, 2), (10, 9), (1, 1)] {
        let image = cifar_image(&[label], [10 * label, 20, 30]);
        fs::write(folder.join(format!("data_batch_{number}.bin")), image).unwrap();
    }
    let cifar = Cifar::recognize(root.path()).unwrap().unwrap();
    assert_eq!(cifar.splits().unwrap(), [("train".to_string(), 3)]);
    let train = cifar.open("train", 10).unwrap();
    let classes: Vec<_> = (0..train.len()).map(|i| train.get(i).unwrap().truth.class.unwrap()).collect();
    assert_eq!(classes, [1, 2, 9]);
    let image = train.get(2).unwrap().image;
    assert_eq!(image.dimensions(), (32, 32));
    assert_eq!((image.get_pixel(0, 0).0, image.get_pixel(31, 31).0), ([90, 20, 30], [91, 21, 31]));
    assert_eq!(train.origin(2), "image 0 of data_batch_10.bin");
    let error = cifar.open("test", 10).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no split `test`; it has `train`"), "{error}");
}

#[test]
fn cifar_100_has_the_fine_labels() {
    let root = tempfile::tempdir().unwrap();
    let images = [cifar_image(&[3, 99], [1, 2, 3]), cifar_image(&[19, 0], [4, 5, 6])].concat();
    fs::write(root.path().join("train.bin"), images).unwrap();
    fs::write(root.path().join("fine_label_names.txt"), "apple\nbear\n\n").unwrap();
    let cifar = Cifar::recognize(root.path()).unwrap().unwrap();
    assert_eq!(cifar.class_names().unwrap().unwrap(), ["apple", "bear"]);
    let train = cifar.open("train", 100).unwrap();
    assert_eq!(train.get(0).unwrap().truth.class, Some(99));
    assert_eq!(train.get(1).unwrap().truth.class, Some(0));
    assert_eq!(train.get(1).unwrap().image.get_pixel(0, 0).0, [4, 5, 6]);
}

#[test]
fn a_wrong_cifar_file_is_one_line_that_says_what_and_where() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("data_batch_1.bin");
    let images = [cifar_image(&[3], [1, 2, 3]), cifar_image(&[10], [4, 5, 6])].concat();
    let says = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let cifar = Cifar::recognize(root.path()).unwrap().unwrap();
        cifar.open("train", 10).map(|_| ()).unwrap_err().to_string()
    };
    // The second image begins at byte 3073.
    assert!(says(&images).contains("data_batch_1.bin: image 1 (byte 3073): label 10 is not below 10"));
    assert!(
        says(&images[..6000])
            .contains("6000 bytes are no whole number of images: 1 of 3073 bytes and 2927 over")
    );
    assert!(says(&[]).contains("0 bytes are no whole number of images"));
}

fn picture(folder: &Path, name: &str, red: u8) {
    fs::create_dir_all(folder).unwrap();
    RgbImage::from_pixel(4, 4, Rgb([red, 0, 0])).save(folder.join(name)).unwrap();
}

#[test]
fn a_folder_of_splits_has_the_sorted_classes_of_all_of_them() {
    let root = tempfile::tempdir().unwrap();
    picture(&root.path().join("train/dog"), "b.png", 2);
    picture(&root.path().join("train/dog/more"), "c.PNG", 3);
    picture(&root.path().join("train/dog"), "a.bmp", 1);
    picture(&root.path().join("val/cat"), "a.png", 4);
    picture(&root.path().join("loose"), "a.png", 5);
    fs::write(root.path().join("train/dog/notes.txt"), "no image").unwrap();
    fs::create_dir_all(root.path().join("train/.cache")).unwrap();
    let folder = ImageFolder::recognize(root.path()).unwrap().unwrap();
    assert_eq!(folder.class_names(), ["cat", "dog"]);
    assert_eq!(folder.splits(), [("train".to_string(), 3), ("val".to_string(), 1)]);
    let train = folder.open("train").unwrap();
    let read = |i: usize| (train.origin(i), train.get(i).unwrap().image.get_pixel(0, 0)[0]);
    let slash = |path: &str| path.replace('/', std::path::MAIN_SEPARATOR_STR);
    assert_eq!(read(0), (slash("train/dog/a.bmp"), 1));
    assert_eq!(read(1), (slash("train/dog/b.png"), 2));
    assert_eq!(read(2), (slash("train/dog/more/c.PNG"), 3));
    assert_eq!(train.get(0).unwrap().truth.class, Some(1));
    assert_eq!(folder.open("val").unwrap().get(0).unwrap().truth.class, Some(0));
}

#[test]
fn a_folder_of_classes_is_the_split_all() {
    let root = tempfile::tempdir().unwrap();
    picture(&root.path().join("cat"), "a.png", 1);
    picture(&root.path().join("dog"), "a.png", 2);
    let folder = ImageFolder::recognize(root.path()).unwrap().unwrap();
    assert_eq!(folder.splits(), [("all".to_string(), 2)]);
    let error = folder.open("train").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no split `train`; it has `all`"), "{error}");
}

#[test]
fn a_corrupt_image_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    picture(&root.path().join("cat"), "a.png", 1);
    fs::write(root.path().join("cat/b.jpg"), b"\xff\xd8\xff\xe0 this is no photograph").unwrap();
    fs::write(root.path().join("cat/c.png"), b"").unwrap();
    let split = ImageFolder::recognize(root.path()).unwrap().unwrap().open("all").unwrap();
    assert!(split.get(0).is_ok());
    for (index, name) in [(1, "b.jpg"), (2, "c.png")] {
        let error = split.get(index).unwrap_err();
        assert_eq!(error.file_named(), Some(root.path().join("cat").join(name).as_path()));
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn images_of_odd_kinds_become_the_rgb_that_pil_makes_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/reference-images");
    if !folder.is_dir() {
        println!("skipped: {} is not here", folder.display());
        return;
    }
    // Pillow 13.0: `Image.open(file).convert("RGB")`, the mean of each channel. PNG is exact, JPEG decoders differ by a
    // level here and there.
    let rows = [
        ("gray_pytorch.png", [13.536, 13.536, 13.536], 0.001),
        ("grayalpha_pytorch.png", [13.536, 13.536, 13.536], 0.001),
        ("palette_pytorch.png", [26.846, 8.573, 4.963], 0.001),
        ("rgb_pytorch.png", [26.846, 8.573, 4.963], 0.001),
        ("rgb_pytorch16.png", [26.846, 8.573, 4.963], 0.001),
        ("rgbalpha_pytorch.png", [32.446, 10.310, 5.944], 0.001),
        ("rgbalpha_pytorch16.png", [32.446, 10.310, 5.944], 0.001),
        ("gray_pytorch.jpg", [16.892, 16.892, 16.892], 0.3),
        ("rgb_pytorch.jpg", [33.518, 11.432, 8.031], 0.3),
        ("cmyk_pytorch.jpg", [32.936, 10.638, 6.149], 0.3),
    ];
    for (name, expected, tolerance) in rows {
        let image = kiln_data::decode_rgb(&folder.join(name)).unwrap();
        assert_eq!(image.dimensions(), (100, 100), "{name}");
        for (channel, expected) in expected.into_iter().enumerate() {
            let sum: u64 = image.pixels().map(|pixel| u64::from(pixel[channel])).sum();
            let mean = sum as f64 / 10_000.0;
            println!("{name}, channel {channel}: {mean:.3}, PIL {expected}");
            assert!(
                (mean - expected).abs() <= tolerance,
                "{name}, channel {channel}: {mean}, PIL {expected}"
            );
        }
    }
}
