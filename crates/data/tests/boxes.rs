//! The readers of boxes against small folders made here, right ones and every way in which they can be wrong; the real ones
//! where the shared data are.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use kiln_core::Kind;
use kiln_data::{Layout, Opened, Roots, open};

/// Class, `[left, upper, right, lower]` edges in pixels, whether it need not be found.
/// VOC's difficult objects are no crowds, and COCO's crowds not difficult.
type Box = (usize, [f32; 4], bool);

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = root.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match name.ends_with(".jpg") {
            // 40 wide, 20 high.
            true => RgbImage::from_pixel(40, 20, Rgb([9; 3])).save(file).unwrap(),
            false => fs::write(file, text).unwrap(),
        }
    }
}

fn opened(root: &Path) -> kiln_core::Result<Opened> {
    let roots = Roots { datasets: PathBuf::from("nowhere"), data: None };
    open(&format!("{}/", root.display()), &roots)
}

fn boxes(opened: &Opened, split: &str) -> Vec<Vec<Box>> {
    let images = opened.split(split).unwrap();
    let truth = |i| images.get(i).unwrap().truth.objects;
    (0..images.len())
        .map(|i| {
            let found = |object: &kiln_core::Object| {
                assert!(!(if opened.layout == Layout::Voc { object.crowd } else { object.difficult }));
                (object.class, object.bounding_box.xyxy(), !object.is_sought())
            };
            truth(i).iter().map(found).collect()
        })
        .collect()
}

const VOC: &str = "<annotation><size><width>40</width><height>20</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>11</xmin><ymin>5.5</ymin><xmax>45</xmax><ymax>9</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>
</annotation>";

const COCO: &str = r#"{"info": {"year": 2017}, "images": [
{"id": 7, "file_name": "a.jpg", "width": 40, "height": 20, "license": 1}, {"id": 3, "file_name": "b.jpg", "width": 40, "height": 20}],
"annotations": [
{"id": 1, "image_id": 7, "category_id": 90, "bbox": [1.5, 2, 10, 4], "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]], "area": 40},
{"id": 2, "image_id": 7, "category_id": 1, "bbox": [30, 10, 20, 20], "iscrowd": 1, "segmentation": {"counts": [1], "size": [20, 40]}},
{"id": 3, "image_id": 7, "category_id": 1, "bbox": [30, 10, 0, 5]}],
"categories": [{"id": 90, "name": "toothbrush", "supercategory": "indoor"}, {"id": 1, "name": "person"}, {"id": 13, "name": "stop sign"}]}"#;

#[test]
fn every_layout_is_recognized_and_its_boxes_are_edges_in_pixels() {
    // In parts of 40 x 20: the middle, half as wide and high; one that reaches over the left edge; one twice.
    let labels = "1 0.5 0.5 0.5 0.5\n0 0.05 0.5 0.2 1.0\n\n1 0.5 0.5 0.5 0.5\n";
    let yolo = vec![(1, [10.0, 5.0, 30.0, 15.0], false), (0, [0.0, 0.0, 6.0, 20.0], false)];
    let voc = vec![(1, [0.0, 0.0, 10.0, 20.0], false), (0, [10.0, 4.5, 40.0, 9.0], true)];
    let coco = vec![(2, [1.5, 2.0, 11.5, 6.0], false), (0, [30.0, 10.0, 40.0, 20.0], true)];
    let polygon = "0 0.25 0.5 0.5 0.25 0.75 0.75\n";
    let names = ["cat", "dog"];
    let coco_names = ["person", "stop sign", "toothbrush"];
    type Row<'a> = (Layout, &'a [(&'a str, &'a str)], &'a str, &'a [&'a str], Vec<Vec<Box>>);
    let table: [Row<'_>; 10] = [
        (
            Layout::Yolo,
            &[
                ("images/val/a.jpg", ""),
                ("images/val/b.jpg", ""),
                ("labels/val/a.txt", labels),
                ("data.yaml", "names: [cat, dog]\nnc: 2\n"),
            ],
            "val",
            &names,
            vec![yolo.clone(), vec![]],
        ),
        // Without names there are numbers.
        (
            Layout::Yolo,
            &[("images/a.jpg", ""), ("labels/a.txt", labels)],
            "all",
            &["0", "1"],
            vec![yolo.clone()],
        ),
        (
            Layout::Yolo,
            &[
                ("valid/images/a.jpg", ""),
                ("valid/labels/a.txt", labels),
                ("data.yaml", "names:\n  0: cat\n  1: dog\nval: ../valid/images\n"),
            ],
            "val",
            &names,
            vec![yolo.clone()],
        ),
        (
            Layout::Yolo,
            &[
                (
                    "x.data",
                    "classes = 2\ntrain = /home/me/x/train.txt\nvalid=lists/test.txt\nnames = data/x.names\nbackup = backup/\n",
                ),
                ("x.names", "cat\ndog\n"),
                ("train.txt", "obj/a.jpg\n"),
                ("lists/test.txt", "b.jpg\n\n"),
                ("obj/a.jpg", ""),
                ("obj/a.txt", labels),
                ("lists/b.jpg", ""),
            ],
            "train",
            &names,
            vec![yolo.clone()],
        ),
        (
            Layout::Yolo,
            &[("images/a.jpg", ""), ("labels/a.txt", polygon), ("classes.txt", "cat\ndog\n")],
            "all",
            &names,
            vec![vec![(0, [10.0, 5.0, 30.0, 15.0], false)]],
        ),
        (
            Layout::Voc,
            &[
                ("JPEGImages/a.jpg", ""),
                ("JPEGImages/b.jpg", ""),
                ("Annotations/a.xml", VOC),
                ("Annotations/b.xml", "<annotation/>"),
                ("ImageSets/Main/test.txt", "b\na\n"),
                ("ImageSets/Main/dog_test.txt", "a 1\nb -1\n"),
            ],
            "test",
            &names,
            vec![vec![], voc.clone()],
        ),
        (Layout::Voc, &[("JPEGImages/a.jpg", ""), ("Annotations/a.xml", VOC)], "all", &names, vec![voc]),
        (
            Layout::Coco,
            &[
                ("annotations/instances_val2017.json", COCO),
                ("val2017/a.jpg", ""),
                ("val2017/b.jpg", ""),
                ("annotations/captions_val2017.json", "{}"),
                ("annotations/instances_train2017.json", "not fetched"),
            ],
            // The only one of that name, but for the year.
            "val",
            &coco_names,
            vec![coco.clone(), vec![]],
        ),
        (
            Layout::Coco,
            &[
                ("annotations/instances_all.json", COCO),
                ("images/a.jpg", ""),
                ("images/b.jpg", ""),
                ("annotations/x.txt", ""),
            ],
            "all",
            &coco_names,
            vec![coco.clone(), vec![]],
        ),
        (
            Layout::Coco,
            &[("test/_annotations.coco.json", COCO), ("test/a.jpg", ""), ("test/b.jpg", "")],
            "test",
            &coco_names,
            vec![coco, vec![]],
        ),
    ];
    for (layout, files, split, classes, expected) in table {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        let opened = opened(root.path()).unwrap_or_else(|error| panic!("{files:?}: {error}"));
        assert_eq!(opened.layout, layout, "{files:?}");
        assert_eq!(opened.classes, classes, "{files:?}");
        let found = boxes(&opened, split);
        assert_eq!(found.len(), expected.len(), "{files:?}");
        for ((class, edges, crowd), (own, own_edges, own_crowd)) in
            expected.iter().flatten().zip(found.iter().flatten())
        {
            assert_eq!((class, crowd), (own, own_crowd), "{files:?}");
            assert!(
                edges.iter().zip(own_edges).all(|(a, b)| (a - b).abs() < 1e-4),
                "{own_edges:?}: {files:?}"
            );
        }
        let count = |boxes: &[Vec<Box>]| boxes.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(count(&found), count(&expected), "{files:?}");
        // The box without a width.
        assert_eq!(opened.dropped_boxes(), usize::from(layout == Layout::Coco), "{files:?}");
    }
}

#[test]
fn every_mistake_is_one_line_with_the_file_the_place_and_what_was_expected() {
    let yolo =
        |line: &'static str| vec![("images/a.jpg", ""), ("labels/a.txt", line), ("x.names", "cat\ndog\n")];
    let voc = |text: &'static str, list: &'static str| {
        vec![("JPEGImages/a.jpg", ""), ("Annotations/a.xml", text), ("ImageSets/Main/train.txt", list)]
    };
    let coco = |text: &'static str| vec![("annotations/instances_t.json", text), ("t/a.jpg", "")];
    let list = |text: &'static str| {
        vec![("x.data", "train = t.txt\n"), ("t.txt", text), ("a.jpg", ""), ("x.names", "cat\n")]
    };
    let image = r#"{"images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 20}], "categories": [{"id": 5, "name": "cat"}], "annotations": "#;
    let coco_of = |rest: &str| coco(String::leak(format!("{image}{rest}}}")));
    let table = [
        (
            yolo("0 .5 .5 .1 .1\n2 .5 .5 .1 .1\n"),
            "labels/a.txt: line 2: class 2, of 2 classes; classes are 0 to 1",
        ),
        (yolo("-1 .5 .5 .1 .1"), "line 1: the class is `-1`; expected `class x y width height`"),
        (yolo("0 .5 .5 .1"), "line 1: 3 numbers after the class"),
        (yolo("0 .5 .5 .1 x"), "line 1: `x` is no number"),
        (yolo("0 .5 .5 .1 nan"), "line 1: nan is outside the image"),
        (
            yolo("\n0 320 200 50 50"),
            "line 2: 320 is outside the image; expected `class x y width height`, in parts",
        ),
        (list("a.jpg\nb.jpg\n"), "t.txt: line 2: no image "),
        (list("a.jpg\n\na.jpg\n"), "t.txt: line 3: `a.jpg` is in line 1 already"),
        (list("a.jpg\na 1\n"), "t.txt: line 2: `a 1` is no image's name"),
        (vec![("x.data", "train = u.txt\n")], "x.data: train: `u.txt` is not there"),
        (
            vec![("data.yaml", "names: [a, b]\nnc: 3"), ("images/a.jpg", ""), ("labels/a.txt", "")],
            "data.yaml: nc: is 3, and there are 2 names",
        ),
        (
            vec![("data.yaml", "names:\n  0: a\n  2: b\n"), ("images/a.jpg", "")],
            "data.yaml: names: no list of names",
        ),
        (voc("<annotation><object>", "a"), "a.xml: not readable as XML: "),
        (voc("<note/>", "a"), "a.xml: line 1: a `note`, where an `annotation` is expected"),
        (voc("<annotation>\n<object/></annotation>", "a"), "a.xml: line 2: an object without `name`"),
        (
            voc(
                "<annotation><object><name>cat</name>\n<bndbox><xmin>1</xmin></bndbox></object></annotation>",
                "a",
            ),
            "a.xml: line 2: no `ymin` in `bndbox`; expected a number of pixels",
        ),
        (
            voc(
                "<annotation><object><name>cat</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>1</xmax><ymax>2</ymax></bndbox></object></annotation>",
                "a",
            ),
            "a.xml: line 1: a box from 9, 1 to 1, 2; expected `xmin` at most `xmax`",
        ),
        (voc(VOC, "a\nb\n"), "train.txt: line 2: `b` is not in JPEGImages"),
        (voc(VOC, "a\n\na\n"), "train.txt: line 3: `a` is in line 1 already"),
        (coco("{"), "instances_t.json: line 1, column 1: not COCO's JSON: EOF"),
        (coco(r#"{"images": []}"#), "not COCO's JSON: missing field `annotations`"),
        (
            coco_of(r#"[{"id": 4, "image_id": 8, "category_id": 5, "bbox": [1, 1, 1, 1]}]"#),
            "annotation 4: image 8 is not in `images`",
        ),
        (
            coco_of(r#"[{"image_id": 7, "category_id": 6, "bbox": [1, 1, 1, 1]}]"#),
            "annotations[0]: category 6 is not in `categories`",
        ),
        (
            coco_of(r#"[{"id": 4, "image_id": 7, "category_id": 5, "bbox": [1, 1, -1, 1]}]"#),
            "annotation 4: a `bbox` of [1.0, 1.0, -1.0, 1.0]",
        ),
        (
            coco_of(r#"[{"id": 4, "image_id": 7, "category_id": 5, "bbox": [1, 1, 1]}]"#),
            "not COCO's JSON: invalid length 3",
        ),
    ];
    for (files, expected) in table {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &files);
        let error = opened(root.path()).map(|_| ()).expect_err(expected);
        let line = error.to_string();
        assert!(line.contains(expected), "{line}\n{expected}");
        assert_eq!((error.kind(), line.lines().count()), (Kind::Input, 1), "{line}");
    }
}

#[test]
fn an_image_that_is_not_there_or_of_another_size_is_an_error_when_it_is_asked_for() {
    let small = r#"{"images": [{"id": 7, "file_name": "a.jpg", "width": 20, "height": 40}, {"id": 8, "file_name": "b.jpg", "width": 40, "height": 20}],
"categories": [], "annotations": []}"#;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("annotations/instances_t.json", small), ("t/a.jpg", "")]);
    let images = opened(root.path()).unwrap().split("t").unwrap();
    let errors = [0, 1].map(|i| images.get(i).map(|_| ()).unwrap_err().to_string());
    assert!(errors[0].contains("a.jpg: is 40x20, its boxes are for 20x40; "), "{}", errors[0]);
    assert!(
        errors[1].contains("b.jpg: no such file or folder; ") && errors[1].ends_with("names it"),
        "{}",
        errors[1]
    );
}

#[test]
fn published_data_sets_have_as_many_images_and_boxes_as_is_known() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(data) = here.ancestors().map(|folder| folder.join("shared/data")).find(|data| data.is_dir())
    else {
        println!("skipped: shared/data is not there");
        return;
    };
    // Ultralytics says 128 images, 929 instances; the blood cells are 4,155 red, 372 white and 361 platelets on 364 images.
    let roots = Roots { datasets: PathBuf::from("nowhere"), data: Some(data) };
    let coco = open("coco128", &roots).unwrap();
    assert_eq!((coco.layout, &coco.splits[..]), (Layout::Yolo, &[("train2017".to_string(), 128)][..]));
    assert_eq!((coco.classes.len(), coco.dropped_boxes()), (80, 0));
    assert_eq!(boxes(&coco, "train2017").iter().map(Vec::len).sum::<usize>(), 929);
    let cells = open("bccd", &roots).unwrap();
    assert_eq!(
        (cells.layout, &cells.classes[..]),
        (Layout::Voc, &["Platelets", "RBC", "WBC"].map(String::from)[..])
    );
    let splits = [("test", 72), ("train", 205), ("trainval", 292), ("val", 87)];
    assert_eq!(cells.splits, splits.map(|(name, items)| (name.to_string(), items)));
    let mut counts = [0; 3];
    for (class, _, _) in ["trainval", "test"].iter().flat_map(|split| boxes(&cells, split)).flatten() {
        counts[class] += 1;
    }
    assert_eq!((counts, cells.dropped_boxes()), ([361, 4_155, 372], 0));
}
