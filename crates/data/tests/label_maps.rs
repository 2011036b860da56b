//! Readers of label maps: layouts, mistakes, and CamVid where it is.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, Rgb, RgbImage};
use kiln_core::{IGNORED, Kind, Result};
use kiln_data::{Layout, Opened, Roots, open};

/// Images are 4 x 2 with the number in their red; label maps are grey with these numbers.
enum File {
    Image(u8),
    Labels([u8; 8]),
    Text(&'static str),
}
use File::{Image, Labels, Text};

const A: [u8; 8] = [0, 1, 2, 2, 2, 1, 0, 255];
const B: [u8; 8] = [1, 1, 1, 1, 0, 0, 0, 0];

fn write(root: &Path, files: &[(&str, File)]) {
    for (name, file) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file {
            Image(red) => RgbImage::from_pixel(4, 2, Rgb([*red, 0, 0])).save(&path).unwrap(),
            Labels(labels) => {
                GrayImage::from_fn(4, 2, |x, y| Luma([labels[(y * 4 + x) as usize]])).save(&path).unwrap();
            }
            Text(text) => fs::write(&path, text).unwrap(),
        }
    }
}

fn opened(root: &Path) -> Result<Opened> {
    open(root.to_str().unwrap(), &Roots { datasets: PathBuf::from("nowhere"), data: None })
}

/// The labels of every image of a split.
fn labels(opened: &Opened, split: &str) -> Vec<Vec<u8>> {
    let split = opened.split(split).unwrap();
    (0..split.len()).map(|i| split.get(i).unwrap().truth.label_map.unwrap().labels).collect()
}

#[test]
fn every_layout_is_recognized_and_a_label_is_its_number() {
    let names = || ("classes.txt", Text("sky\ncar\ntree\n"));
    // The first number beyond CamVid's eleven classes is none.
    let (void, voided) = ([0, 1, 2, 2, 2, 1, 10, 11], [0, 1, 2, 2, 2, 1, 10, IGNORED]);
    type Row<'a> = (&'a str, Vec<(&'a str, File)>, &'a str, (usize, &'a str), Vec<Vec<u8>>);
    let table: Vec<Row<'_>> = vec![
        (
            "CamVid with names in a list, in its order",
            vec![
                ("train/b.1.png", Image(2)),
                ("train/a.jpg", Image(1)),
                ("trainannot/a.png", Labels(void)),
                ("trainannot/b.1.png", Labels(B)),
                ("train.txt", Text("b.1.png\na\n\n")),
            ],
            "train",
            (11, "Sky"),
            vec![B.to_vec(), voided.to_vec()],
        ),
        (
            "CamVid with SegNet's paths, of which one is listed",
            vec![
                ("val/a.png", Image(1)),
                ("val/b.png", Image(2)),
                ("valannot/a.png", Labels(B)),
                ("valannot/b.png", Labels(void)),
                ("val.txt", Text("/SegNet/CamVid/val/b.png /SegNet/CamVid/valannot/b.png\n")),
            ],
            "val",
            (11, "Sky"),
            vec![voided.to_vec()],
        ),
        (
            "CamVid's layout without a list and with names of its own",
            vec![
                ("test/a.png", Image(1)),
                ("test/b.png", Image(1)),
                ("testannot/a.png", Labels([0, 1, 2, 3, 255, 0, 0, 0])),
                ("testannot/b.png", Labels(B)),
                names(),
            ],
            "test",
            (3, "sky"),
            vec![vec![0, 1, 2, IGNORED, IGNORED, 0, 0, 0], B.to_vec()],
        ),
        (
            "VOC without boxes",
            vec![
                ("JPEGImages/a.jpg", Image(1)),
                ("JPEGImages/b.jpg", Image(2)),
                ("SegmentationClass/a.png", Labels(A)),
                ("SegmentationClass/b.png", Labels(B)),
                ("ImageSets/Segmentation/val.txt", Text("b\na\n")),
            ],
            "val",
            (21, "background"),
            vec![B.to_vec(), A.to_vec()],
        ),
        (
            "VOC without lists: the images with a label map",
            vec![
                ("JPEGImages/a.jpg", Image(1)),
                ("JPEGImages/b.jpg", Image(2)),
                ("SegmentationClass/b.png", Labels(B)),
            ],
            "all",
            (21, "background"),
            vec![B.to_vec()],
        ),
        (
            "folders of splits, the classes counted",
            vec![
                ("images/train/a.jpg", Image(1)),
                ("masks/train/a.png", Labels(A)),
                ("images/val/a.jpg", Image(1)),
                ("masks/val/a.png", Labels([4; 8])),
                ("masks/val/not_an_image.png", Labels([0; 8])),
            ],
            "train",
            (5, "0"),
            vec![A.to_vec()],
        ),
        (
            "two folders with names",
            vec![("images/a.jpg", Image(1)), ("annotations/a.png", Labels(A)), names()],
            "all",
            (3, "sky"),
            vec![A.to_vec()],
        ),
    ];
    for (what, files, split, (count, first), expected) in table {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &files);
        let opened = opened(root.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(opened.layout, Layout::LabelMaps, "{what}");
        assert_eq!((opened.classes.len(), opened.classes[0].as_str()), (count, first), "{what}");
        assert_eq!(opened.label_classes().as_ref(), Some(&opened.classes), "{what}");
        assert_eq!(labels(&opened, split), expected, "{what}");
        assert_eq!(labels(&opened.labelled().unwrap(), split), expected, "{what}");
    }
}

#[test]
fn of_voc_with_boxes_either_is_had_and_shapes_has_both() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("JPEGImages/a.jpg", Image(1)),
        ("JPEGImages/b.jpg", Image(2)),
        ("Annotations/a.xml", Text("<annotation/>")),
        ("Annotations/b.xml", Text("<annotation/>")),
        ("SegmentationClass/a.png", Labels(A)),
        ("ImageSets/Main/train.txt", Text("a\nb\n")),
        ("ImageSets/Segmentation/train.txt", Text("a\n")),
    ];
    write(root.path(), &files);
    let boxes = opened(root.path()).unwrap();
    assert_eq!((boxes.layout, boxes.items(), boxes.label_classes()), (Layout::Voc, 2, None));
    let maps = boxes.labelled().unwrap();
    assert_eq!((maps.layout, maps.items(), maps.classes.len()), (Layout::LabelMaps, 1, 21));
    assert_eq!(labels(&maps, "train"), [A]);

    let roots = Roots { datasets: PathBuf::from("nowhere"), data: None };
    let shapes = open("shapes", &roots).unwrap();
    assert_eq!(shapes.classes.len(), 10);
    let shapes = shapes.labelled().unwrap();
    assert_eq!(
        (shapes.classes.len(), &shapes.classes[..2]),
        (11, &["background", "circle"].map(String::from)[..])
    );
    // In an image every object is a class and one, and the highest label is one of the classes.
    let sample = shapes.split("test").unwrap().get(0).unwrap();
    let class = usize::from(*sample.truth.label_map.unwrap().labels.iter().max().unwrap());
    assert!(sample.truth.objects.iter().any(|object| object.class + 1 == class) && class < 11);

    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("train/cat/a.png", Image(1))]);
    let error = opened(root.path()).unwrap().labelled().unwrap_err().to_string();
    assert!(error.contains("has no label maps: folder of images; `shapes`, `camvid`"), "{error}");
}

#[test]
fn every_mistake_is_one_line_with_the_file_the_place_and_what_was_expected() {
    let pair = |labels: File| {
        vec![("images/a.png", Image(1)), ("masks/a.png", labels), ("classes.txt", Text("sky\ncar\ntree\n"))]
    };
    let camvid = |list: &'static str| {
        vec![
            ("train/a.png", Image(1)),
            ("train/b.png", Image(1)),
            ("trainannot/a.png", Labels(A)),
            ("train.txt", Text(list)),
        ]
    };
    let voc = |list: &'static str| {
        vec![
            ("JPEGImages/a.jpg", Image(1)),
            ("SegmentationClass/b.png", Labels(A)),
            ("ImageSets/Segmentation/train.txt", Text(list)),
        ]
    };
    let table = [
        // A class that is none, with its place: column, row.
        (
            pair(Labels([0, 0, 0, 0, 0, 200, 0, 0])),
            "masks/a.png: pixel 1, 1: class 200, of 3 classes; classes are 0 to 2; 255 is what does not count",
        ),
        (
            vec![("train/a.png", Image(1)), ("trainannot/a.png", Labels([0, 0, 12, 0, 0, 0, 0, 0]))],
            "trainannot/a.png: pixel 2, 0: class 12, of 11 classes; classes are 0 to 10; 11 and 255 is what does not count",
        ),
        // An image in place of labels.
        (
            pair(Image(9)),
            "masks/a.png: pixel 0, 0: a colour image with 9, 0, 0, which is none of VOC's colours; expected a PNG with a class a pixel",
        ),
        (pair(Text("no PNG")), "masks/a.png: no PNG; expected a PNG with a class a pixel"),
        (
            vec![("images/a.png", Text("no image")), ("masks/a.png", Labels(A))],
            "images/a.png: not a readable image",
        ),
        // What is missing.
        (
            vec![("images/a.png", Image(1)), ("images/b.png", Image(1)), ("masks/a.png", Labels(A))],
            "images/b.png: no label map; expected ",
        ),
        (
            vec![("train/a.png", Image(1)), ("train/b.png", Image(1)), ("trainannot/a.png", Labels(A))],
            "train/b.png: no label map; expected ",
        ),
        (camvid("a\nb\n"), "train.txt: line 2: `b` is not in "),
        (camvid("\na.png\nc.png\n"), "train.txt: line 3: `c` is not in "),
        (camvid("a\n\na\n"), "train.txt: line 3: `a` is in the list already"),
        (camvid("x/a.png y/d.png"), "train.txt: line 1: `d` is not in "),
        (voc("a\n"), "train.txt: line 1: `a` is not in SegmentationClass"),
        (voc("b\n"), "train.txt: line 1: `b` is not in JPEGImages"),
        (
            vec![("images/a.png", Image(1)), ("masks/a.png", Labels(A)), ("classes.txt", Text("\n"))],
            "classes.txt: 0 class names; 1 to 255, a line each",
        ),
    ];
    for (files, expected) in table {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &files);
        let first = |opened: Opened| {
            let (split, _) = opened.splits[0].clone();
            opened.split(&split)?.get(0).map(|_| ())
        };
        let error = opened(root.path()).and_then(first).expect_err(expected);
        let line = error.to_string();
        assert!(line.contains(expected), "{line}\n{expected}");
        assert_eq!((error.kind(), line.lines().count()), (Kind::Input, 1), "{line}");
    }
}

#[test]
fn a_label_map_of_another_size_than_its_image_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("images/a.png", Image(1)), ("masks/a.png", Labels(A))]);
    RgbImage::new(5, 2).save(root.path().join("images/a.png")).unwrap();
    let error =
        opened(root.path()).unwrap().split("all").unwrap().get(0).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("masks/a.png: is 4x2, its image is 5x2; the image is "), "{error}");
}

#[test]
fn camvid_is_whole_and_its_classes_are_as_frequent_as_is_known() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(data) = here.ancestors().map(|folder| folder.join("shared/data")).find(|data| data.is_dir())
    else {
        println!("skipped: shared/data is not there");
        return;
    };
    let camvid = open("camvid", &Roots { datasets: PathBuf::from("nowhere"), data: Some(data) }).unwrap();
    assert_eq!(camvid.layout, Layout::LabelMaps);
    // As the paper has them.
    let splits = [("test", 233), ("train", 367), ("val", 101)];
    assert_eq!(camvid.splits, splits.map(|(name, items)| (name.to_string(), items)));
    assert_eq!((camvid.classes.len(), camvid.classes[3].as_str()), (11, "Road"));
    let train = camvid.split("train").unwrap();
    assert!(train.origin(0).starts_with("train/0001TP_006690"), "{}", train.origin(0));
    let (mut counts, mut sum, mut squares) = ([0_u64; 11], [0_u64; 3], [0_u64; 3]);
    for i in 0..train.len() {
        let sample = train.get(i).unwrap();
        let map = sample.truth.label_map.unwrap();
        assert_eq!((map.width, map.height), (480, 360));
        map.labels
            .iter()
            .filter(|label| **label != IGNORED)
            .for_each(|label| counts[usize::from(*label)] += 1);
        for pixel in sample.image.pixels() {
            for c in 0..3 {
                sum[c] += u64::from(pixel[c]);
                squares[c] += u64::from(pixel[c]).pow(2);
            }
        }
    }
    // NumPy on the PNGs as Pillow reads them.
    let expected = [
        10_682_767, 14_750_079, 623_349, 20_076_880, 2_845_085, 6_166_762, 743_859, 714_595, 3_719_877,
        405_385, 184_967,
    ];
    assert_eq!(counts, expected);
    let (pixels, normalization) = ((367 * 480 * 360) as f64, camvid.normalization.unwrap());
    for c in 0..3 {
        let mean = sum[c] as f64 / pixels / 255.0;
        let std = (squares[c] as f64 / pixels / 255.0 / 255.0 - mean * mean).sqrt();
        let [known_mean, known_std] = [normalization.mean[c], normalization.std[c]].map(f64::from);
        assert!((known_mean - mean).abs() < 1e-4 && (known_std - std).abs() < 1e-4, "{mean}, {std}");
    }
}
